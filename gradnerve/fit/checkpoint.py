"""Checkpoint: all that the rest of a run depends on, in a file.

Read next: callbacks.py.
"""

import random as python_random
import warnings
from pathlib import Path

import numpy as np

from gradnerve import storage
from gradnerve.fit.history import History
from gradnerve.random import Generator, generator_of


class Checkpoint:
    """The file of a Trainer's, from which an interrupted run goes on to the same bits."""

    def __init__(self, path):
        self.path, self.generators, self.own = path, [], False

    def begin(self, trainer, data, validation, resume):
        """Take up the state in the file, if that is wanted and there is one, or write the first; whether there is anything to do."""
        self.generators = generators(trainer, data, validation)
        known = self.read(resume) if Path(self.path).exists() else None
        if known is not None and known["calls"] > trainer.calls:
            warnings.warn(f"fit: {self.path} is from call {known['calls'] + 1} of fit; call {trainer.calls + 1} was finished and is passed over",
                          stacklevel=3)  # fmt: skip
            trainer.history = History(known["history"])
            return False
        if known is not None and known["calls"] == trainer.calls:
            self.load_state_dict(trainer, known)
            self.own = True
        else:
            self.write(trainer)
        return True

    def read(self, resume):
        """The state in the file, if it is wanted; otherwise one that is not finished, and not of this Trainer, is put aside."""
        if resume:
            state = storage.load(self.path)
            return state if is_checkpoint(state) else self.refuse(state)
        if not self.own:
            try:
                state = storage.load(self.path)
            except storage.LoadError:
                state = None
            done = is_checkpoint(state) and (state["stop"] or len(state["history"]) >= state["first"] + state["epochs"])
            if not done:
                aside = Path(f"{self.path}.bak")
                Path(self.path).replace(aside)
                what = f"epoch {len(state['history'])} of {state['first'] + state['epochs']}" if is_checkpoint(state) else "no checkpoint"
                warnings.warn(f"fit: {self.path} ({what}) was there already, and is now {aside}; resume=True goes on from a checkpoint", stacklevel=4)
        return None

    def write(self, trainer):
        storage.save(self.state_dict(trainer), self.path)
        self.own = True

    def state_dict(self, trainer):
        return {"parts": {name: part.state_dict() for name, part in with_state(trainer).items()}, "history": trainer.history.rows,
                "calls": trainer.calls, "first": trainer.first, "epochs": trainer.epochs, "stop": trainer.stop,
                "generators": [g.state for g in self.generators], "numpy": np.random.get_state(legacy=False),  # noqa: NPY002
                "python": python_random.getstate()}  # fmt: skip

    def load_state_dict(self, trainer, state):
        """All or nothing; ValueError for the state of a Trainer with other parts."""
        parts = with_state(trainer)
        if state["parts"].keys() != parts.keys() or len(state["generators"]) != len(self.generators):
            self.refuse(state["parts"], f"{', '.join(parts)} and {len(self.generators)} generators")
        before = {name: part.state_dict() for name, part in parts.items()}
        try:
            for name, part in parts.items():
                part.load_state_dict(state["parts"][name])
        except Exception:
            for name, part in parts.items():
                part.load_state_dict(before[name])
            raise
        for generator, known in zip(self.generators, state["generators"], strict=True):
            generator.state = known
        np.random.set_state(state["numpy"])  # noqa: NPY002
        python_random.setstate(state["python"])
        trainer.history, trainer.first, trainer.stop = History(state["history"]), state["first"], state["stop"]

    def refuse(self, found, wanted="the parts of a Trainer"):
        found = ", ".join(map(str, found)) if isinstance(found, dict) else type(found).__name__
        raise ValueError(f"fit: {self.path} is not a checkpoint of such a Trainer: it has {found}, and wanted are {wanted}")


def is_checkpoint(state):
    return isinstance(state, dict) and {"parts", "history", "calls", "first", "epochs", "stop", "generators"} <= state.keys()


def with_state(trainer):
    """What has a state of its own, by name; that of an Adam is not one of an SGD."""
    parts = {f"{name} {type(part).__name__}": part for name, part in (("optimizer", trainer.optimizer), ("scheduler", trainer.scheduler))}
    parts = {"model": trainer.model, **parts}
    parts.update({f"callback {k}": callback for k, callback in enumerate(trainer.callbacks)})
    parts.update({f"kept {k}": each for k, each in enumerate(trainer.keep)})
    return {name: part for name, part in parts.items() if hasattr(part, "load_state_dict")}


def generators(trainer, *data):
    """All that random numbers come from: gn's and NumPy's own, those of the loaders, of the network's layers, and those to keep."""
    own = [g for g in trainer.keep if not hasattr(g, "load_state_dict")]
    loaders = [loader.generator for loader in data if hasattr(loader, "generator")]
    layers = [x for module in trainer.model.modules() for x in vars(module).values() if isinstance(x, (np.random.Generator, Generator))]
    found = map(generator_of, [None, *loaders, *layers, *own])
    return list({id(g.bit_generator): g.bit_generator for g in found}.values())

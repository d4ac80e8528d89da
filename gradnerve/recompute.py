"""`checkpoint`: keep the arguments of a function instead of all that it computes, and run it again when gradients are wanted.

Read next: implicit.py; own.py, whose `packed` makes one operation of a whole function.
"""

import threading
from contextlib import contextmanager
from functools import partial
from types import CellType

import numpy as np

from gradnerve import _engine, _sweep, tree
from gradnerve._engine import GraphError, TensorBase
from gradnerve._general import Custom
from gradnerve.batching import Batched, hidden, levels, lowered, raised
from gradnerve.dispatch import watching
from gradnerve.functional import trade, turns
from gradnerve.ops.values import values
from gradnerve.own import as_it_is, packed
from gradnerve.tensor import enable_grad

__all__ = ["checkpoint", "checkpoint_sequential"]


def checkpoint(f, *args, **kwargs):
    """The result of ``f(*args, **kwargs)``, of which the graph keeps the arguments only: backward runs `f` again.

    A chain of n layers in sqrt(n) groups, each under `checkpoint`, needs memory for about 2 sqrt(n) layers, and time for one more forward
    pass. Gradients flow to the arguments (containers, too) and to whatever else `f` reads. Checkpoints may be nested. Random numbers
    are the same again, if they come from `gn.random`, from `np.random`, or from a generator that `f` takes as an argument, knows by name,
    or finds in an attribute of its object.

    Raises GraphError during backward if `f` gives other values the second time, or reads other tensors, so that the gradient would be of
    another function.

    >>> from gradnerve import Tensor
    >>> x = Tensor([0.5, 1.0], requires_grad=True)
    >>> y = checkpoint(lambda x: np.exp(np.sin(x)), x)
    >>> y.sum().backward()
    >>> np.allclose(x.grad, np.exp(np.sin(x.data)) * np.cos(x.data))
    True
    """
    if not _engine.recording():
        return f(*args, **kwargs)
    name = f"checkpoint of {getattr(f, '__name__', type(f).__name__)}"
    leaves, rebuild = tree.flatten((args, kwargs))
    links, rebuild = tree.flatten(rebuild([frozen(x) for x in leaves]))  # containers of our own, too
    around = Surroundings(generators_of(f, leaves))
    first = Traced(f, args, kwargs)
    if not first.inputs:
        return first.rebuilt([first.leaves[k] for k in first.places])
    inputs, operation = first.inputs, Custom(name)
    read = first.read_beside(links)
    operation.masks = first.selects or len(first.roots) > 1  # no gradient comes to a result that nobody uses: its zeros are exact, too

    def shares(gradients, results):
        with around.again():
            args, kwargs = rebuild([frozen(x) for x in links])  # of which the function may change its own
            again = Traced(f, args, kwargs)
        again.refuse_changes(name, inputs, read, values(results))
        roots = [np.where(True, root, 0) for root in again.roots] if len(again.roots) > 1 else again.roots
        recorded = any(isinstance(g, TensorBase) for g in gradients)
        again.leaves = again.roots = ()  # the sweep may release what it passes
        return _sweep.gradients(roots, inputs, list(gradients), recorded=recorded, ends=inputs)

    outs = packed(operation, tuple(first.roots), inputs, shares, read=range(len(first.roots)))
    return first.rebuilt([raised(t, first.levels) for t in outs])


def checkpoint_sequential(functions, segments, x):
    """``x`` through a list of functions, one after the other, in so many checkpoints of equal length; as `torch.utils.checkpoint`'s.

    >>> from gradnerve import Tensor
    >>> x = Tensor(0.5, requires_grad=True)
    >>> checkpoint_sequential([np.sin, np.exp, np.tanh, np.cos], 2, x).backward()
    """
    if not 1 <= segments <= len(functions):
        raise ValueError(f"checkpoint_sequential: 1 to {len(functions)} segments for {len(functions)} functions, not {segments}")

    def chain(part):
        def run(x):
            for f in part:
                x = f(x)
            return x

        return run

    for part in np.array_split(np.arange(len(functions)), segments):
        x = checkpoint(chain([functions[k] for k in part]), x)
    return x


# --- functions that are run again ------------------------------------------------------------------------------------


class Traced:
    """A call of a function that is recorded.

    roots    its tracked results, which stand at `places` among its `leaves`; under vmap, the tensors behind them
    inputs   what these were computed from outside of the function, and `read`, the values of those that somebody holds
    selects  whether there is a mask in the function: then some zeros of its gradients are exact
    """

    def __init__(self, f, args, kwargs):
        before = _engine.last_node()
        with enable_grad():
            self.leaves, self.rebuild = tree.flatten(f(*args, **kwargs))
            self.places = [k for k, x in enumerate(self.leaves) if isinstance(x, TensorBase) and x.requires_grad]
            tracked = [self.leaves[k] for k in self.places]
            self.levels = list(levels.active) if any(t._is_batched for t in tracked) else []
            self.roots = [lowered(t, self.levels) for t in tracked]
        inputs, self.selects = _sweep.inputs_of(self.roots, before)
        self.inputs = list({t._row: t for t in inputs}.values())
        self.read = {t._row: array for t, array in zip(self.inputs, _sweep.values_held(self.inputs), strict=True) if array is not None}

    def rebuilt(self, tracked):
        """The result, with these in place of its tracked leaves."""
        leaves = list(self.leaves)
        for place, t in zip(self.places, tracked, strict=True):
            leaves[place] = t
        return self.rebuild(leaves)

    def read_beside(self, links):
        """What was read beside the arguments, of which the links keep the values."""
        given = {x._row for x in links if isinstance(x, TensorBase) and not x._is_batched}
        return {row: array for row, array in self.read.items() if row not in given}

    def refuse_changes(self, name, inputs, read, results):
        """Raise if this is not the function that it was when it read these and gave these."""
        if len(results) != len(self.roots) or not all(map(same, values(self.roots), results)):
            raise GraphError(f"{name}: the function gives other values when it runs again: what it reads was changed, or it draws random "
                             "numbers from a generator that it neither takes as an argument nor knows by name")  # fmt: skip
        if {t._row for t in self.inputs} != {t._row for t in inputs}:
            raise GraphError(f"{name}: the function reads other tensors when it runs again: one was replaced, or made during the first run "
                             "and kept; make it before, or pass it as an argument")  # fmt: skip
        for row in self.read.keys() & read.keys():
            if self.read[row] is not read[row] and not same(self.read[row], read[row]):
                raise GraphError(f"{name}: a tensor of shape {read[row].shape} that the function reads was changed since it ran")


def same(x, y):
    return x.dtype == y.dtype and (np.array_equal(x, y) or np.array_equal(x, y, equal_nan=True))


def frozen(x):
    """A leaf as it is now: whatever happens to it, this stays."""
    return hidden(frozen(x.inner), x.level) if isinstance(x, Batched) else as_it_is(x)


class Trades(threading.local):
    """What objects hold in place of their own tensors although the call under `grad` is over: for a function that runs again."""

    again = ()


trades = Trades()


class Surroundings:
    """What a function finds beside its arguments: where generators stand, the examples of vmap, and what objects hold under `grad`."""

    def __init__(self, generators):
        self.generators, self.states = generators, [state_of(generator) for generator in generators]
        self.levels, self.swapped = list(levels.active), [*(run.swapped for run in watching.runs), *trades.again]

    def put_back(self):
        for generator, state in zip(self.generators, self.states, strict=True):
            set_state(generator, state)
        levels.active[:] = self.levels

    @contextmanager
    def again(self):
        """A block in which everything is as it was then; after it, as if nothing had happened."""
        now, before = Surroundings(self.generators), trades.again
        over = [swapped for swapped in self.swapped if not any(swapped is other for other in now.swapped)]
        trades.again = (*before, *over)
        pairs = [pair for swapped in over for pair in swapped]
        turns.take([own for own, _ in pairs])
        trade(pairs)
        self.put_back()
        try:
            yield
        finally:
            now.put_back()
            trade(reversed(pairs))
            turns.give_back([own for own, _ in pairs])
            trades.again = before


def generators_of(f, leaves):
    """What a function may draw from."""
    from gradnerve import random  # not with the package: it takes time to import

    known = [*leaves, *known_to(f)]
    networks = [x for x in (getattr(f, "__self__", f), *known) if hasattr(type(x), "named_modules")]
    known += [x for network in networks for _, module in network.named_modules() for x in vars(module).values()]
    known = [x for x in known if isinstance(x, (random.Generator, np.random.Generator, np.random.RandomState))]
    common = [np.random.mtrand._rand, random._default, random._default.bit_generator]
    return common + [x if isinstance(x, np.random.RandomState) else x.bit_generator for x in known]


def state_of(generator):
    if isinstance(generator, np.random.RandomState):
        return generator.get_state(legacy=False)  # with the second one of two normal numbers
    return generator.state if isinstance(generator, np.random.BitGenerator) else generator._numpy  # which manual_seed replaces


def set_state(generator, state):
    if isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        setattr(generator, "state" if isinstance(generator, np.random.BitGenerator) else "_numpy", state)


def known_to(f):
    """What a function knows from outside: by name, as an attribute of its object, or because `functools.partial` has bound it."""
    if isinstance(f, partial):
        return [*f.args, *f.keywords.values(), *known_to(f.func)]
    owner = getattr(f, "__self__", f)
    found = list(vars(owner).values()) if hasattr(owner, "__dict__") else []
    found += [cell.cell_contents for cell in getattr(f, "__closure__", None) or () if cell != CellType()]
    return found + [f.__globals__[name] for name in f.__code__.co_names if name in f.__globals__] if hasattr(f, "__code__") else found

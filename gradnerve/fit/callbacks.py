"""Callbacks: what a Trainer calls after each epoch; early stopping, and the best model on file.

Read next: history.py.
"""

import math

from gradnerve import storage

__all__ = ["Callback", "EarlyStopping", "SaveBest"]


class Callback:
    """What a Trainer calls; with `state_dict` and `load_state_dict`, its state is part of a checkpoint."""

    def epoch_end(self, trainer, row):
        """After an epoch, whose numbers are in `row`. ``trainer.stop = True`` ends the training."""

    def fit_end(self, trainer):
        """After the last epoch."""


class Best(Callback):
    """Waits for better values of a number of the history."""

    def __init__(self, monitor="validation loss", mode=None, min_delta=0.0):
        if mode not in (None, "min", "max"):
            raise ValueError(f"{type(self).__name__}: mode must be 'min' or 'max', not {mode!r}")
        self.monitor, self.mode, self.min_delta = monitor, mode or ("min" if "loss" in monitor or "error" in monitor else "max"), min_delta
        self.best, self.waited = None, 0

    def epoch_end(self, trainer, row):
        if self.monitor not in row:
            raise ValueError(f"{type(self).__name__}: there is no {self.monitor!r} in the history; there are {', '.join(row)}")
        x = row[self.monitor]
        gain = math.inf if self.best is None else (self.best - x if self.mode == "min" else x - self.best)
        if gain > self.min_delta:
            self.best, self.waited = x, 0
            self.better(trainer)
        else:
            self.waited += 1

    def state_dict(self):
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state):
        self.best, self.waited = state["best"], state["waited"]


class EarlyStopping(Best):
    """Ends the training when a number of the history has not become better for some epochs, and goes back to the best model.

    monitor    the number's name; the smaller the better if it is a loss or an error, otherwise the larger, or as `mode` says
    patience   after how many epochs
    min_delta  what counts as better

    >>> EarlyStopping("validation accuracy", patience=3).mode
    'max'
    """

    def __init__(self, monitor="validation loss", patience=5, *, mode=None, min_delta=0.0):
        super().__init__(monitor, mode, min_delta)
        self.patience, self.model = patience, None

    def better(self, trainer):
        self.model = trainer.model.state_dict()

    def epoch_end(self, trainer, row):
        super().epoch_end(trainer, row)
        trainer.stop |= self.waited >= self.patience

    def fit_end(self, trainer):
        if self.model is not None:
            trainer.model.load_state_dict(self.model)

    def state_dict(self):
        return {**super().state_dict(), "model": self.model}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.model = state["model"]


class SaveBest(Best):
    """Saves the model's `state_dict` whenever a number of the history has become better; `monitor` and `mode` as for `EarlyStopping`."""

    def __init__(self, path, monitor="validation loss", *, mode=None, min_delta=0.0):
        super().__init__(monitor, mode, min_delta)
        self.path = path

    def better(self, trainer):
        storage.save(trainer.model.state_dict(), self.path)

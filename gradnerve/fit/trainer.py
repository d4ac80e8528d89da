"""Trainer: the loop over epochs and batches that trains a model, with what one writes around it again and again.

What it adds to a loop of one's own: progress, metrics, validation, clipping, accumulation, schedules, callbacks, and checkpoints from which an
interrupted run goes on as if nothing had happened.

Read next: checkpoint.py.
"""

import math
from operator import index
from time import perf_counter

import numpy as np

from gradnerve._engine import TensorBase
from gradnerve.fit.callbacks import Callback
from gradnerve.fit.checkpoint import Checkpoint
from gradnerve.fit.history import History, Shown
from gradnerve.nn.utils import clip_grad_norm_
from gradnerve.ops.values import value
from gradnerve.optim import LBFGS
from gradnerve.optim.lr_scheduler import ReduceLROnPlateau
from gradnerve.tensor import no_grad

__all__ = ["Trainer", "accuracy"]


class Trainer:
    """Trains a model on batches.

    model       a Module
    loss        ``loss(output, target)`` for batches ``(*inputs, target)``, the mean over the examples of a batch; None where a subclass has a
                method `losses` of its own, for batches of another kind
    optimizer   of `gn.optim`, with the model's parameters
    metrics     functions of output and target that give a number, by name; its mean over the examples is shown
    scheduler   of `gn.optim.lr_scheduler`; it steps after each epoch, or with ``schedule="step"`` after each step of the optimizer.
                ReduceLROnPlateau sees the validation loss, or without validation that of training
    clip_norm   the largest norm of all gradients together
    accumulate  how many batches go into one step; the gradient is that of the mean over all their examples
    callbacks   objects of the class `Callback`, or functions ``f(trainer, row)`` to be called after each epoch with its row of the history
    checkpoint  a file for `gn.save`, written before the first epoch and after each, whole or not at all
    keep        what else a checkpoint has to remember: generators, and objects with `state_dict` and `load_state_dict`
    progress    whether progress is shown: by tqdm (extra `progress`), else by a line for each epoch

    Raises ValueError or TypeError for parts that do not belong together. `LBFGS` is not for batches: write its loop by hand.

    >>> import numpy as np, gradnerve as gn
    >>> gn.manual_seed(0)
    >>> x = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
    >>> model = gn.nn.Linear(1, 1)
    >>> loader = gn.data.DataLoader(gn.data.TensorDataset(x, 3 * x + 1), batch_size=16, shuffle=True)
    >>> trainer = gn.fit.Trainer(model, gn.nn.MSELoss(), gn.optim.SGD(model.parameters(), lr=0.3), progress=False)
    >>> history = trainer.fit(loader, epochs=20)
    >>> history["loss"][-1] < 1e-3
    True
    """

    def __init__(self, model, loss, optimizer, *, metrics=None, scheduler=None, schedule="epoch", clip_norm=None, accumulate=1, callbacks=(),
                 checkpoint=None, keep=(), progress=True):  # fmt: skip
        if schedule not in ("epoch", "step"):
            raise ValueError(f"Trainer: schedule must be 'epoch' or 'step', not {schedule!r}")
        check_parts(model, optimizer, scheduler, metrics)
        self.model, self.loss, self.optimizer, self.metrics = model, loss, optimizer, dict(metrics or {})
        self.scheduler, self.schedule, self.clip_norm, self.accumulate = scheduler, schedule, clip_norm, count(accumulate, "Trainer: accumulate", 1)
        self.callbacks, self.keep, self.progress = list(callbacks), list(keep), progress
        self.checkpoint = None if checkpoint is None else Checkpoint(checkpoint)
        self.history, self.stop = History(), False
        self.calls, self.first, self.epochs = 0, 0, 0  # of fit: those finished; where the present one began, and how far it goes

    def losses(self, batch):
        """The loss of a batch, a Tensor, and a dict of numbers to show; called with recording on for training, and off for validation."""
        *inputs, target = batch
        output = self.model(*inputs)
        with no_grad():
            shown = {name: float(value(metric(output, target))) for name, metric in self.metrics.items()}
        return self.loss(output, target), shown

    def fit(self, data, epochs, validation=None, resume=False):
        """Train for so many epochs, and return the `History`.

        data, validation  DataLoaders, or other iterables over batches
        resume            go on from the checkpoint if its file is there: `epochs` are then those of the interrupted run, which ends with the
                          same numbers, to the last bit, as if it had not been interrupted. A program that calls `fit` more than once makes
                          the same calls again: those that were finished are passed over

        Without `resume`, a checkpoint of a run that was not finished is kept beside, as "run.npz.bak", with a warning.
        """
        self.epochs, self.first, self.stop = count(epochs, "fit: epochs", 0), len(self.history), False
        self.check_data(data, validation)
        if resume and self.checkpoint is None:
            raise ValueError("fit: resume needs the file of a checkpoint: Trainer(..., checkpoint='run.npz')")
        if self.checkpoint is None or self.checkpoint.begin(self, data, validation, resume):
            self.run(data, validation)
        self.calls += 1
        return self.history

    def run(self, data, validation):
        while len(self.history) < self.first + self.epochs and not self.stop:
            number, goal = len(self.history) + 1, self.first + self.epochs
            try:
                row = self.epoch(data, validation, number, goal)
                self.history.append(row)
                for callback in self.callbacks:
                    (callback.epoch_end if isinstance(callback, Callback) else callback)(self, row)
                if self.checkpoint is not None:
                    self.checkpoint.write(self)
            except BaseException as error:
                way_on = f"; {self.checkpoint.path} has the state before it: fit(..., resume=True) goes on" if self.checkpoint is not None else ""
                error.add_note(f"in epoch {number} of {goal}{way_on}")
                raise
        for callback in self.callbacks:
            if isinstance(callback, Callback):
                callback.fit_end(self)

    def check_data(self, data, validation):
        """Raise TypeError for batches that would end with the first epoch, and ValueError for callbacks that wait for what does not come."""
        for name, batches in (("data", data), ("validation", validation)):
            if batches is not None and self.epochs > 1 and hasattr(batches, "__next__"):
                raise TypeError(f"fit: {name} is an iterator, {type(batches).__name__}, which ends with the first of {self.epochs} epochs; "
                                "pass a DataLoader, or a list of batches")  # fmt: skip
        for callback in self.callbacks:
            if validation is None and getattr(callback, "monitor", "").startswith("validation "):
                raise ValueError(f"fit: {type(callback).__name__} waits for {callback.monitor!r}: pass fit(..., validation=batches), or have it "
                                 "monitor another number, such as 'loss'")  # fmt: skip

    def epoch(self, data, validation, number, goal):
        """Train once through the data; the epoch's row of the history."""
        begin, rate = perf_counter(), self.optimizer.param_groups[0]["lr"]
        with Shown(f"epoch {number}/{goal}", data, self.progress) as shown:
            self.model.train()
            self.waiting = 0
            row = {"epoch": number, **self.pass_through(shown, self.train_step, shown.update)}
            if self.waiting:
                self.take_step()
            if validation is not None:
                found = self.evaluate(validation)
                row.update({f"validation {name}": x for name, x in found.items()})
            row.update(lr=rate, seconds=perf_counter() - begin)
            shown.update(row)
        if self.scheduler is not None and self.schedule == "epoch":
            plateau = isinstance(self.scheduler, ReduceLROnPlateau)
            self.scheduler.step(*([row.get("validation loss", row["loss"])] if plateau else []))
        return row

    def evaluate(self, data):
        """The means of the loss and the metrics over data, with the model in evaluation mode."""
        training = [(module, module.training) for module in self.model.modules()]
        self.model.eval()
        try:
            with no_grad():
                return self.pass_through(data, lambda batch, number: self.losses(batch))
        finally:
            for module, mode in training:
                module.training = mode

    def pass_through(self, batches, step, show=lambda means: None):
        """Call a step with each batch and its number; the means of what it gives over all examples."""
        sums, total = {}, 0
        for number, batch in enumerate(batches, 1):
            loss, found = step(batch, number)
            n = examples_of(batch)
            total += n
            for name, x in {"loss": loss, **found}.items():
                sums[name] = sums.get(name, 0.0) + n * float(x)
            show({name: x / total for name, x in sums.items()})
        if not total:
            raise ValueError("fit: the data has no batches")
        return {name: x / total for name, x in sums.items()}

    def train_step(self, batch, number):
        """The gradient of a batch, and a step if enough of them have come together."""
        if not self.waiting:
            self.optimizer.zero_grad()
        loss, shown = self.losses(batch)
        if not isinstance(loss, TensorBase) or loss.size != 1 or not loss.requires_grad:
            what = f"a {type(loss).__name__}" if not isinstance(loss, TensorBase) else f"of shape {loss.shape}" if loss.size != 1 else "a constant"
            raise TypeError(f"fit: the loss of batch {number} is {what}; it must be one number, a Tensor computed from the model's parameters")
        if not math.isfinite(loss):
            raise FloatingPointError(f"fit: the loss of batch {number} is {float(loss)}; a smaller lr, or clip_norm, may help")
        n = examples_of(batch)
        (loss if self.accumulate == 1 else loss * n).backward()
        self.waiting += n
        if number % self.accumulate == 0:
            self.take_step()
        return loss, shown

    def take_step(self):
        """A step of the optimizer with the gradient of the examples that wait for it."""
        parameters = [p for group in self.optimizer.param_groups for p in group["params"] if p.requires_grad]
        if self.accumulate > 1:
            for gradient in [p.grad for p in parameters]:
                np.divide(gradient, self.waiting, out=gradient)
        if self.clip_norm is not None:
            clip_grad_norm_(parameters, self.clip_norm)
        self.optimizer.step()
        self.waiting = 0
        if self.scheduler is not None and self.schedule == "step":
            self.scheduler.step()


def check_parts(model, optimizer, scheduler, metrics):
    if isinstance(optimizer, LBFGS):
        raise TypeError("Trainer: LBFGS evaluates the loss of the same data again and again, and needs a closure; write its loop by hand")
    known = {id(p) for p in model.parameters()}
    if not any(id(p) in known for group in optimizer.param_groups for p in group["params"]):
        raise ValueError(f"Trainer: the optimizer has none of the parameters of this {type(model).__name__}; was it made for another model?")
    if scheduler is not None and scheduler.optimizer is not optimizer:
        raise ValueError(f"Trainer: the scheduler, {type(scheduler).__name__}, is one of another optimizer")
    if metrics is not None and not (isinstance(metrics, dict) and all(map(callable, metrics.values()))):
        raise TypeError(f"Trainer: metrics is a dict of functions by name, such as {{'accuracy': gn.fit.accuracy}}, not {metrics!r}")


def count(n, what, least):
    try:
        n = index(n)
    except TypeError:
        raise TypeError(f"{what} must be a whole number, not {n!r}") from None
    if n < least:
        raise ValueError(f"{what} must be at least {least}, not {n}")
    return n


def examples_of(batch):
    """How many examples are in a batch: the length of its first array."""
    while isinstance(batch, (list, tuple, dict)) and batch:
        batch = next(iter(batch.values())) if isinstance(batch, dict) else batch[0]
    return len(batch) if np.ndim(value(batch)) else 1


def accuracy(output, target):
    """The share of examples whose largest score, along axis 1, is that of the label; a metric for `Trainer`.

    >>> accuracy(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    0.5
    """
    return float(np.mean(np.argmax(value(output), 1) == value(target)))

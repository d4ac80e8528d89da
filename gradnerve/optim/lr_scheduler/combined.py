"""Schedulers made of schedulers: one after the other, or all together.

Read next: ../lbfgs.py.
"""

from bisect import bisect_right

from gradnerve.optim.lr_scheduler.base import LRScheduler, whole
from gradnerve.optim.lr_scheduler.plateau import ReduceLROnPlateau

__all__ = ["ChainedScheduler", "SequentialLR"]


class Combined(LRScheduler):
    """A scheduler made of others, which all belong to one optimizer."""

    _apart = frozenset({"optimizer", "_schedulers"})

    def _take(self, optimizer, schedulers):
        name = type(self).__name__
        self._schedulers = list(schedulers)
        if not self._schedulers:
            raise ValueError(f"{name}: schedulers must have at least one scheduler")
        self.optimizer = self._schedulers[0].optimizer if optimizer is None else optimizer
        for i, scheduler in enumerate(self._schedulers):
            if not isinstance(scheduler, LRScheduler):
                raise TypeError(f"{name}: schedulers[{i}] must be a scheduler, not {type(scheduler).__name__}")
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(f"{name}: schedulers[{i}] is a ReduceLROnPlateau, whose step needs a metric; step it by itself")
            if scheduler.optimizer is not self.optimizer:
                raise ValueError(f"{name}: schedulers[{i}], a {type(scheduler).__name__}, belongs to another optimizer")

    def state_dict(self):
        return super().state_dict() | {"_schedulers": [scheduler.state_dict() for scheduler in self._schedulers]}

    def _check_state(self, state):
        super()._check_state(state)
        if len(state["_schedulers"]) != len(self._schedulers):
            raise ValueError(f"{type(self).__name__}: load_state_dict: this is the state of {len(state['_schedulers'])} schedulers")
        for scheduler, its in zip(self._schedulers, state["_schedulers"], strict=True):
            scheduler._check_state(its)

    def _load_state(self, state):
        super()._load_state(state)
        for scheduler, its in zip(self._schedulers, state["_schedulers"], strict=True):
            scheduler._load_state(its)

    def _go_back(self):
        """Let the schedulers forget the first step that each made when it was created."""
        for scheduler in self._schedulers:
            if isinstance(scheduler, Combined):
                scheduler._go_back()
            else:
                scheduler.last_epoch -= 1
                scheduler._step_count = 0

    def _restore_rates(self):
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"]


class SequentialLR(Combined):
    """Step one scheduler after the other: the next one takes over at each milestone, from its own beginning.

    schedulers  the schedulers, all of this optimizer
    milestones  the epochs at which the second, third ... begin, in ascending order

    >>> import gradnerve as gn
    >>> from gradnerve.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR
    >>> optimizer = gn.optim.SGD([gn.nn.Parameter([1.0])], lr=0.4)
    >>> warm, fall = LinearLR(optimizer, start_factor=0.25, total_iters=2), CosineAnnealingLR(optimizer, T_max=2)
    >>> scheduler = SequentialLR(optimizer, [warm, fall], milestones=[2])
    >>> for epoch in range(4):
    ...     print(round(scheduler.get_last_lr()[0], 6)); optimizer.step(); scheduler.step()
    0.1
    0.25
    0.4
    0.2
    """

    def __init__(self, optimizer, schedulers, milestones, last_epoch=-1):
        self._take(optimizer, schedulers)
        self._milestones = [whole(self, "milestones", epoch, 0) for epoch in milestones]
        if len(self._milestones) != len(self._schedulers) - 1 or sorted(self._milestones) != self._milestones:
            raise ValueError(
                f"SequentialLR: milestones must be {len(self._schedulers) - 1} ascending epochs, one fewer than there are schedulers, "
                f"not {self._milestones}"
            )
        self.last_epoch = whole(self, "last_epoch", last_epoch, -1) + 1
        self._restore_rates()
        self._go_back()
        first = self._at(0)
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def _at(self, epoch):
        """The scheduler whose turn it is."""
        return self._schedulers[bisect_right(self._milestones, epoch)]

    def step(self):
        """Let the scheduler whose turn it is write the learning rates of the next epoch."""
        self.last_epoch += 1
        scheduler = self._at(self.last_epoch)
        if self.last_epoch in self._milestones:
            scheduler._update_lr(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()

    def _update_lr(self, epoch=None):
        """Begin, in the middle of another SequentialLR."""
        self.last_epoch = epoch
        self._at(epoch)._update_lr(epoch)
        self._last_lr = self._at(epoch).get_last_lr()


class ChainedScheduler(Combined):
    """Step several schedulers, one after the other, at each epoch; all must work from the present learning rates for this to have a meaning.

    schedulers  the schedulers, all of one optimizer
    optimizer   the optimizer; that of the first if None

    >>> import gradnerve as gn
    >>> from gradnerve.optim.lr_scheduler import ChainedScheduler, ConstantLR, ExponentialLR
    >>> optimizer = gn.optim.SGD([gn.nn.Parameter([1.0])], lr=0.4)
    >>> scheduler = ChainedScheduler([ConstantLR(optimizer, factor=0.25, total_iters=2), ExponentialLR(optimizer, gamma=0.5)])
    >>> for epoch in range(4):
    ...     print(scheduler.get_last_lr()); optimizer.step(); scheduler.step()
    [0.1]
    [0.05]
    [0.1]
    [0.05]
    """

    def __init__(self, schedulers, optimizer=None):
        self._take(optimizer, schedulers)
        self._note_rates()

    def step(self):
        """Step all of them."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._note_rates()

    def _update_lr(self, epoch=None):
        """Begin, in the middle of a SequentialLR."""
        self._restore_rates()
        for scheduler in self._schedulers:
            scheduler.last_epoch = epoch - 1
            scheduler._initial_step()
        self._note_rates()

    def _note_rates(self):
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

"""What all schedulers share: the epoch they are at, the learning rates they write, and their state.

Read next: factors.py, whose schedulers are a line each.
"""

import copy
import math
import types
import warnings
from numbers import Integral, Real

from gradnerve.optim.optimizer import Optimizer

__all__ = ["LRScheduler"]

TOO_EARLY = (
    "scheduler.step() was called before optimizer.step(), so that the first learning rate of the schedule is never used: "
    "call optimizer.step() first, and then scheduler.step()"
)


class LRScheduler:
    """The base class of schedulers: a class of your own writes ``get_lr``, which gives the learning rates at epoch ``self.last_epoch``.

    optimizer   whose groups get the learning rates; what they have now is kept in ``group["initial_lr"]``
    last_epoch  the epoch to go on from, if the groups of the optimizer come from a run that was saved; -1 to begin

    `base_lrs` has the learning rates that the groups began with. Raises TypeError if the optimizer is none, and KeyError if a group of one to
    go on with has no "initial_lr". What counts as an epoch is up to the caller: it is one call of `step`, maybe after each batch.

    >>> import gradnerve as gn
    >>> class Halves(gn.optim.lr_scheduler.LRScheduler):
    ...     def get_lr(self):
    ...         return [lr / 2**self.last_epoch for lr in self.base_lrs]
    >>> optimizer = gn.optim.SGD([gn.nn.Parameter([1.0])], lr=0.4)
    >>> scheduler = Halves(optimizer)
    >>> for epoch in range(2):
    ...     optimizer.step()  # once or, for the batches of an epoch, many times
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [0.1]
    """

    _apart = frozenset({"optimizer"})  # attributes that the state has not, or in another form
    _is_initial = False  # whether this is the step that sets the first learning rate

    def __init__(self, optimizer, last_epoch=-1):
        self.optimizer = optimizer_of(self, optimizer)
        last_epoch = whole(self, "last_epoch", last_epoch, -1)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"{type(self).__name__}: param_groups[{i}] has no 'initial_lr', which a scheduler needs to go on from last_epoch={last_epoch}; "
                    "load the state of the optimizer first"
                )
        self.base_lrs = [float(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._initial_step()

    def _initial_step(self):
        self._step_count, self._is_initial = 0, True
        self.step()
        self._is_initial = False

    def get_lr(self):
        """The learning rates of `last_epoch`, one for each group: to be written by a class of your own, and called by `step` alone.

        Schedulers of which several can act on the same optimizer work them out from the present ones, so a call at another time would give
        what comes after those; `get_last_lr` gives what holds.
        """
        raise NotImplementedError(f"{type(self).__name__}: write a method get_lr(self), which gives a list of learning rates, one for each group")

    def _get_closed_form_lr(self):
        """The learning rates of `last_epoch`, whatever the present ones are."""
        return self.get_lr()

    def get_last_lr(self):
        """The learning rates that the last step wrote, one for each group."""
        return self._last_lr

    def step(self, epoch=None):
        """Write the learning rates of the next epoch, or of the epoch given, into the groups of the optimizer.

        With `epoch` they come from the learning rates at the beginning, without regard to what other schedulers did. Warns if the optimizer
        itself was not stepped before.
        """
        if self._step_count == 1 and not self.optimizer._taken:
            warnings.warn(TOO_EARLY, stacklevel=2)
        self._step_count += 1
        self._update_lr(epoch)

    def _update_lr(self, epoch=None):
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._write(self.get_lr() if epoch is None else self._get_closed_form_lr())

    def _write(self, rates):
        groups = self.optimizer.param_groups
        if len(rates) != len(groups):
            raise ValueError(
                f"{type(self).__name__}: there are learning rates for {len(rates)} groups, and the optimizer has {len(groups)}; "
                "add all groups to it before the scheduler is made"
            )
        self._last_lr = [float(lr) for lr in rates]
        for group, lr in zip(groups, self._last_lr, strict=True):
            group["lr"] = lr

    def state_dict(self):
        """Where the scheduler is, as numbers, strings, None, lists and dicts.

        Functions are not in it: None stands for them, and the attributes for an object that was given as a function.
        """
        return {name: copy.deepcopy(x) for name, x in vars(self).items() if name not in self._apart}

    def load_state_dict(self, state_dict):
        """Go on from what `state_dict` gave, also that of PyTorch's scheduler.

        The learning rates themselves are in the state of the optimizer. Raises ValueError if this is no state of such a scheduler; then
        nothing has changed.
        """
        self._check_state(state_dict)
        self._load_state(state_dict)

    def _check_state(self, state):
        what = f"{type(self).__name__}: load_state_dict: this is the state"
        missing = self.state_dict().keys() - state.keys()
        if missing:
            raise ValueError(f"{what} of another scheduler, without {', '.join(sorted(missing))}")
        groups = len(self.optimizer.param_groups)
        if len(state["_last_lr"]) != groups:
            raise ValueError(f"{what} for {len(state['_last_lr'])} groups, the optimizer has {groups}")

    def _load_state(self, state):
        vars(self).update({name: copy.deepcopy(x) for name, x in state.items() if name not in self._apart})


# --- arguments -------------------------------------------------------------------------------------------------------


def optimizer_of(scheduler, optimizer):
    """The optimizer, if it is one."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(scheduler).__name__}: optimizer must be one of gn.optim, not {type(optimizer).__name__}")
    return optimizer


def number(scheduler, name, x, low=-math.inf, high=math.inf):
    """A number between two others, as a float."""
    if not isinstance(x, Real):
        raise TypeError(f"{type(scheduler).__name__}: {name} must be a number, not {x!r}")
    if not low <= x <= high:
        between = f" between {low} and {high}" if math.isfinite(high) else f" of at least {low}" if math.isfinite(low) else ""
        raise ValueError(f"{type(scheduler).__name__}: {name} must be a number{between}, not {x!r}")
    return float(x)


def positive(scheduler, name, x, high=math.inf):
    """A number above 0, as a float."""
    if x == 0:
        raise ValueError(f"{type(scheduler).__name__}: {name} must be above 0, since it is divided by later")
    return number(scheduler, name, x, 0, high)


def whole(scheduler, name, x, low):
    """A whole number that is large enough, as an int; a float may stand for it."""
    if not isinstance(x, Integral) and not (isinstance(x, Real) and float(x).is_integer()):
        raise TypeError(f"{type(scheduler).__name__}: {name} must be a whole number, not {x!r}")
    if x < low:
        raise ValueError(f"{type(scheduler).__name__}: {name} must be a whole number of at least {low}, not {x!r}")
    return int(x)


def per_group(scheduler, name, xs, check=number):
    """A list with one entry for each group, from such a list or from one for all."""
    n = len(scheduler.optimizer.param_groups)
    xs = list(xs) if isinstance(xs, (list, tuple)) else [xs] * n
    if len(xs) != n:
        raise ValueError(f"{type(scheduler).__name__}: {name} must have one entry for each group of the optimizer, which are {n}, not {len(xs)}")
    return [check(scheduler, name, x) for x in xs]


def function(scheduler, name, f):
    """The function, if it is one."""
    if not callable(f):
        raise TypeError(f"{type(scheduler).__name__}: {name} must be a function, not {f!r}")
    return f


# --- functions in a state --------------------------------------------------------------------------------------------


def state_of(f):
    """The attributes of an object that was given for a function; None for a function."""
    return None if isinstance(f, types.FunctionType) else copy.deepcopy(getattr(f, "__dict__", None))


def load_state(f, state):
    """Give an object back what `state_of` took of it."""
    if state is not None:
        vars(f).update(copy.deepcopy(state))

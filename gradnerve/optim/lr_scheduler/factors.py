"""Schedulers that multiply learning rates with numbers.

All but `LambdaLR` multiply the present learning rates, so that several of them can act on the same optimizer, one after the other, and what
the caller did to them stays.

Read next: cycles.py.
"""

from collections import Counter

from gradnerve.optim.lr_scheduler.base import LRScheduler, function, load_state, number, optimizer_of, per_group, positive, state_of, whole

__all__ = ["ConstantLR", "ExponentialLR", "LambdaLR", "LinearLR", "MultiStepLR", "MultiplicativeLR", "PolynomialLR", "StepLR"]


class OfFunctions(LRScheduler):
    """A scheduler that asks functions of the epoch, one for all groups or one for each."""

    _apart = frozenset({"optimizer", "lr_lambdas"})

    def __init__(self, optimizer, lr_lambda, last_epoch=-1):
        self.optimizer = optimizer_of(self, optimizer)
        self.lr_lambdas = per_group(self, "lr_lambda", lr_lambda, function)
        super().__init__(optimizer, last_epoch)

    def state_dict(self):
        return super().state_dict() | {"lr_lambdas": [state_of(f) for f in self.lr_lambdas]}

    def _load_state(self, state):
        super()._load_state(state)
        for f, attributes in zip(self.lr_lambdas, state["lr_lambdas"], strict=True):
            load_state(f, attributes)


class LambdaLR(OfFunctions):
    """Multiply the learning rate that each group began with by a function of the epoch.

    lr_lambda  a function that takes the epoch, or a list with one for each group

    >>> import gradnerve as gn
    >>> optimizer = gn.optim.SGD([gn.nn.Parameter([1.0])], lr=0.4)
    >>> scheduler = gn.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch))
    >>> optimizer.step(); scheduler.step(); scheduler.get_last_lr()
    [0.2]
    """

    def get_lr(self):
        return [lr * f(self.last_epoch) for lr, f in zip(self.base_lrs, self.lr_lambdas, strict=True)]


class MultiplicativeLR(OfFunctions):
    """Multiply the learning rate of each group by a function of the epoch, at each epoch but the first.

    lr_lambda  a function that takes the epoch, or a list with one for each group

    >>> import gradnerve as gn
    >>> optimizer = gn.optim.SGD([gn.nn.Parameter([1.0])], lr=0.4)
    >>> scheduler = gn.optim.lr_scheduler.MultiplicativeLR(optimizer, lambda epoch: 0.5)
    >>> optimizer.step(); scheduler.step(); scheduler.get_last_lr()
    [0.2]
    """

    def get_lr(self):
        present = [group["lr"] for group in self.optimizer.param_groups]
        return present if self._is_initial else [lr * f(self.last_epoch) for lr, f in zip(present, self.lr_lambdas, strict=False)]


class Multiplying(LRScheduler):
    """A scheduler that multiplies all learning rates by one number at each epoch, `_factor`; the product of these up to now is `_product`."""

    def get_lr(self):
        factor = self._factor()
        return [group["lr"] * factor for group in self.optimizer.param_groups]

    def _get_closed_form_lr(self):
        product = self._product()
        return [lr * product for lr in self.base_lrs]


class StepLR(Multiplying):
    """Multiply the learning rates by a number every so many epochs.

    step_size  epochs from one time to the next
    gamma      the number

    >>> import gradnerve as gn
    >>> optimizer = gn.optim.SGD([gn.nn.Parameter([1.0])], lr=0.4)
    >>> scheduler = gn.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> for epoch in range(3):
    ...     optimizer.step(); scheduler.step(); print(scheduler.get_last_lr())
    [0.4]
    [0.2]
    [0.2]
    """

    def __init__(self, optimizer, step_size, gamma=0.1, last_epoch=-1):
        self.step_size, self.gamma = whole(self, "step_size", step_size, 1), number(self, "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def _factor(self):
        return self.gamma if self.last_epoch and self.last_epoch % self.step_size == 0 else 1.0

    def _product(self):
        return self.gamma ** (self.last_epoch // self.step_size)


class MultiStepLR(Multiplying):
    """Multiply the learning rates by a number at some epochs.

    milestones  the epochs; one that is named twice counts twice
    gamma       the number

    >>> import gradnerve as gn
    >>> optimizer = gn.optim.SGD([gn.nn.Parameter([1.0])], lr=0.4)
    >>> scheduler = gn.optim.lr_scheduler.MultiStepLR(optimizer, [1, 3], gamma=0.5)
    >>> for epoch in range(3):
    ...     optimizer.step(); scheduler.step(); print(scheduler.get_last_lr())
    [0.2]
    [0.2]
    [0.1]
    """

    def __init__(self, optimizer, milestones, gamma=0.1, last_epoch=-1):
        self.milestones = dict(Counter(whole(self, "milestones", epoch, 0) for epoch in milestones))
        self.gamma = number(self, "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def _load_state(self, state):
        super()._load_state({**state, "milestones": dict(state["milestones"])})  # PyTorch has a Counter

    def _factor(self):
        return self.gamma ** self.milestones.get(self.last_epoch, 0)

    def _product(self):
        return self.gamma ** sum(times for epoch, times in self.milestones.items() if epoch <= self.last_epoch)


class ConstantLR(Multiplying):
    """Multiply the learning rates by a number during the first epochs.

    factor       the number, above 0 and up to 1
    total_iters  the epochs

    >>> import gradnerve as gn
    >>> optimizer = gn.optim.SGD([gn.nn.Parameter([1.0])], lr=0.4)
    >>> scheduler = gn.optim.lr_scheduler.ConstantLR(optimizer, factor=0.25, total_iters=2)
    >>> for epoch in range(3):
    ...     print(scheduler.get_last_lr()); optimizer.step(); scheduler.step()
    [0.1]
    [0.1]
    [0.4]
    """

    def __init__(self, optimizer, factor=1.0 / 3, total_iters=5, last_epoch=-1):
        self.factor, self.total_iters = positive(self, "factor", factor, 1), whole(self, "total_iters", total_iters, 0)
        super().__init__(optimizer, last_epoch)

    def _factor(self):
        return self.factor if self.last_epoch == 0 else 1.0 / self.factor if self.last_epoch == self.total_iters else 1.0

    def _product(self):
        return self.factor + (self.last_epoch >= self.total_iters) * (1 - self.factor)


class LinearLR(Multiplying):
    """Multiply the learning rates by a number that changes evenly during the first epochs: how a training is warmed up.

    start_factor  the number at the beginning, above 0 and up to 1
    end_factor    the number at the end, which stays then, from 0 to 1
    total_iters   the epochs

    >>> import gradnerve as gn
    >>> optimizer = gn.optim.SGD([gn.nn.Parameter([1.0])], lr=0.4)
    >>> scheduler = gn.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.25, total_iters=2)
    >>> for epoch in range(3):
    ...     print(scheduler.get_last_lr()); optimizer.step(); scheduler.step()
    [0.1]
    [0.25]
    [0.4]
    """

    def __init__(self, optimizer, start_factor=1.0 / 3, end_factor=1.0, total_iters=5, last_epoch=-1):
        self.start_factor, self.end_factor = positive(self, "start_factor", start_factor, 1), number(self, "end_factor", end_factor, 0, 1)
        self.total_iters = whole(self, "total_iters", total_iters, 0)
        super().__init__(optimizer, last_epoch)

    def _factor(self):
        if self.last_epoch == 0:
            return self.start_factor
        if self._is_initial or self.last_epoch > self.total_iters:
            return 1.0
        rise = self.end_factor - self.start_factor
        return 1.0 + rise / (self.total_iters * self.start_factor + (self.last_epoch - 1) * rise)

    def _product(self):
        return self.start_factor + (self.end_factor - self.start_factor) * min(self.total_iters, self.last_epoch) / max(self.total_iters, 1)


class ExponentialLR(Multiplying):
    """Multiply the learning rates by a number at each epoch.

    gamma  the number

    >>> import gradnerve as gn
    >>> optimizer = gn.optim.SGD([gn.nn.Parameter([1.0])], lr=0.4)
    >>> scheduler = gn.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> optimizer.step(); scheduler.step(); scheduler.get_last_lr()
    [0.2]
    """

    def __init__(self, optimizer, gamma, last_epoch=-1):
        self.gamma = number(self, "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def _factor(self):
        return 1.0 if self._is_initial else self.gamma

    def _product(self):
        return self.gamma**self.last_epoch


class PolynomialLR(Multiplying):
    """Let the learning rates fall to 0 as a power of the epochs that are left.

    total_iters  the epochs until then
    power        1 for a straight line

    >>> import gradnerve as gn
    >>> optimizer = gn.optim.SGD([gn.nn.Parameter([1.0])], lr=0.4)
    >>> scheduler = gn.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=2, power=2)
    >>> for epoch in range(3):
    ...     print(scheduler.get_last_lr()); optimizer.step(); scheduler.step()
    [0.4]
    [0.1]
    [0.0]
    """

    def __init__(self, optimizer, total_iters=5, power=1.0, last_epoch=-1):
        self.total_iters, self.power = whole(self, "total_iters", total_iters, 1), number(self, "power", power)
        super().__init__(optimizer, last_epoch)

    def _factor(self):
        if self._is_initial or self.last_epoch > self.total_iters:
            return 1.0
        left = lambda epoch: 1.0 - epoch / self.total_iters
        return (left(self.last_epoch) / left(self.last_epoch - 1)) ** self.power

    def _product(self):
        return (1.0 - min(self.total_iters, self.last_epoch) / self.total_iters) ** self.power

"""The scheduler that looks at how the training goes.

Read next: combined.py.
"""

import math

from gradnerve.optim.lr_scheduler.base import LRScheduler, number, optimizer_of, per_group, whole

__all__ = ["ReduceLROnPlateau"]


class ReduceLROnPlateau(LRScheduler):
    """Multiply the learning rates by a number when a metric has not become better for a while.

    mode                       "min" if less is better, as of a loss, or "max", as of an accuracy
    factor                     the number, below 1
    patience                   epochs without a better metric that are let pass; the one after these reduces
    threshold, threshold_mode  how much better counts: by that part of the best ("rel"), or by that much ("abs")
    cooldown                   epochs after a reduction that are not counted
    min_lr                     the lowest learning rate: a number, or a list with one for each group
    eps                        a reduction by less than this is not made

    `best` is the best metric up to now, and `num_bad_epochs` the epochs since then. A metric that is nan is never better.

    >>> import gradnerve as gn
    >>> optimizer = gn.optim.SGD([gn.nn.Parameter([1.0])], lr=0.4)
    >>> scheduler = gn.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> for loss in [1.0, 0.8, 0.9, 0.8]:
    ...     scheduler.step(loss)
    ...     print(scheduler.get_last_lr())
    [0.4]
    [0.4]
    [0.4]
    [0.2]
    """

    def __init__(self, optimizer, mode="min", factor=0.1, patience=10, threshold=1e-4, threshold_mode="rel", cooldown=0, min_lr=0, eps=1e-8):
        for name, word, words in (("mode", mode, ("min", "max")), ("threshold_mode", threshold_mode, ("rel", "abs"))):
            if word not in words:
                raise ValueError(f"ReduceLROnPlateau: {name} must be {words[0]!r} or {words[1]!r}, not {word!r}")
        self.optimizer = optimizer_of(self, optimizer)
        self.factor = number(self, "factor", factor)
        if factor >= 1:
            raise ValueError(f"ReduceLROnPlateau: factor must be below 1, not {factor!r}")
        self.mode, self.threshold, self.threshold_mode = mode, number(self, "threshold", threshold), threshold_mode
        self.patience, self.cooldown = whole(self, "patience", patience, 0), whole(self, "cooldown", cooldown, 0)
        self.min_lrs, self.eps = per_group(self, "min_lr", min_lr), number(self, "eps", eps)
        self.default_min_lr = None if isinstance(min_lr, (list, tuple)) else self.min_lrs[0]
        self.last_epoch = self.cooldown_counter = self.num_bad_epochs = 0
        self.best = math.inf if mode == "min" else -math.inf
        self._last_lr = [group["lr"] for group in optimizer.param_groups]

    def step(self, metrics, epoch=None):
        """Take notice of a metric, a number, and reduce the learning rates if it is time."""
        metric = float(metrics)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._is_better(metric):
            self.best, self.num_bad_epochs = metric, 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    @property
    def in_cooldown(self):
        """Whether epochs are not counted now."""
        return self.cooldown_counter > 0

    def _is_better(self, metric):
        sign = 1 if self.mode == "max" else -1
        relative = self.threshold_mode == "rel"
        bar = self.best * (1 + sign * self.threshold) if relative else self.best + sign * self.threshold
        return metric > bar if self.mode == "max" else metric < bar

    def _reduce(self):
        groups = self.optimizer.param_groups
        if self.default_min_lr is not None and len(self.min_lrs) != len(groups):  # some came later
            self.min_lrs = [self.default_min_lr] * len(groups)
        if len(self.min_lrs) != len(groups):
            raise ValueError(f"ReduceLROnPlateau: min_lrs must have one entry for each group of the optimizer, which are {len(groups)} by now")
        for group, low in zip(groups, self.min_lrs, strict=True):
            lr = max(group["lr"] * self.factor, low)
            if group["lr"] - lr > self.eps:
                group["lr"] = lr

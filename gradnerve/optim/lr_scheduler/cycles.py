"""Schedulers with waves: half a cosine down, again and again, and up and down with the momentum going the other way.

Read next: plateau.py.
"""

import math

from gradnerve.optim.lr_scheduler.base import LRScheduler, function, load_state, number, optimizer_of, per_group, positive, state_of, whole

__all__ = ["CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "OneCycleLR"]


def cosine(start, end, angle):
    """From start at the angle 0 to end at pi."""
    return end + (start - end) * (1 + math.cos(angle)) / 2


# From start to end, after a part of the way.
BETWEEN = {"cos": lambda start, end, part: cosine(start, end, math.pi * part), "linear": lambda start, end, part: (end - start) * part + start}


class CosineAnnealingLR(LRScheduler):
    """Let the learning rates fall along half a cosine; after that they rise again along the other half.

    T_max    epochs from the top to the bottom
    eta_min  the learning rate at the bottom

    Loshchilov and Hutter 2017, "SGDR: Stochastic Gradient Descent with Warm Restarts", without the restarts. Each step works from the present
    learning rates, so that other schedulers can act on the same optimizer.

    >>> import gradnerve as gn
    >>> optimizer = gn.optim.SGD([gn.nn.Parameter([1.0])], lr=0.4)
    >>> scheduler = gn.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=3)
    >>> for epoch in range(3):
    ...     optimizer.step(); scheduler.step(); print(round(scheduler.get_last_lr()[0], 6))
    0.3
    0.1
    0.0
    """

    def __init__(self, optimizer, T_max, eta_min=0.0, last_epoch=-1):
        self.T_max, self.eta_min = whole(self, "T_max", T_max, 1), number(self, "eta_min", eta_min)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        present = [group["lr"] for group in self.optimizer.param_groups]
        if self._is_initial:
            return present
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:  # from the bottom, where there is nothing to multiply
            return [lr + (base - self.eta_min) * (1 - math.cos(math.pi / self.T_max)) / 2 for lr, base in zip(present, self.base_lrs, strict=False)]
        height = lambda epoch: 1 + math.cos(math.pi * epoch / self.T_max)
        ratio = height(self.last_epoch) / height(self.last_epoch - 1)
        return [ratio * (lr - self.eta_min) + self.eta_min for lr in present]

    def _get_closed_form_lr(self):
        return [cosine(lr, self.eta_min, math.pi * self.last_epoch / self.T_max) for lr in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Let the learning rates fall along half a cosine, again and again from the top.

    T_0      epochs of the first fall
    T_mult   how many times as long each fall is as the one before it, a whole number
    eta_min  the learning rate at the bottom

    ``step(epoch)`` also takes parts of an epoch, as after each batch: ``scheduler.step(epoch + i / batches)``. `T_i` is the length of the
    present fall, and `T_cur` what is over of it. Loshchilov and Hutter 2017, "SGDR: Stochastic Gradient Descent with Warm Restarts".

    >>> import gradnerve as gn
    >>> optimizer = gn.optim.SGD([gn.nn.Parameter([1.0])], lr=0.4)
    >>> scheduler = gn.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2)
    >>> for epoch in range(3):
    ...     optimizer.step(); scheduler.step(); print(round(scheduler.get_last_lr()[0], 6))
    0.2
    0.4
    0.2
    """

    def __init__(self, optimizer, T_0, T_mult=1, eta_min=0.0, last_epoch=-1):
        self.T_0 = self.T_i = whole(self, "T_0", T_0, 1)
        self.T_mult, self.eta_min = whole(self, "T_mult", T_mult, 1), number(self, "eta_min", eta_min)
        self.T_cur = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        return [cosine(lr, self.eta_min, math.pi * self.T_cur / self.T_i) for lr in self.base_lrs]

    def _update_lr(self, epoch=None):
        if epoch is None and self.last_epoch >= 0:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur, self.T_i = self.T_cur % self.T_i, self.T_i * self.T_mult
        else:
            epoch = number(self, "epoch", epoch or 0, 0)
            self._place(epoch)
        self.last_epoch = math.floor(epoch)
        self._write(self.get_lr())

    def _place(self, epoch):
        """Find the fall that an epoch is in."""
        self.T_cur, self.T_i = epoch, self.T_0
        if self.T_mult == 1:
            self.T_cur = epoch % self.T_0
        else:
            while self.T_cur >= self.T_i:
                self.T_cur, self.T_i = self.T_cur - self.T_i, self.T_i * self.T_mult


class Cycling(LRScheduler):
    """A scheduler that, with `cycle_momentum`, also changes the momentum, or the first of betas, of each group."""

    def _begin_momentum(self, cycle_momentum, base_momentum, max_momentum, last_epoch):
        """Check the arguments; a new run begins with the highest momentum. Gives both as lists, or None if momentum stays as it is."""
        optimizer, self.cycle_momentum = self.optimizer, bool(cycle_momentum)
        if not cycle_momentum:
            return None
        if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
            raise ValueError(f"{type(self).__name__}: cycle_momentum=True needs an optimizer with momentum or betas, not {type(optimizer).__name__}")
        self.use_beta1 = "betas" in optimizer.defaults
        lowest, highest = per_group(self, "base_momentum", base_momentum), per_group(self, "max_momentum", max_momentum)
        if last_epoch == -1:
            for group, low, high in zip(optimizer.param_groups, lowest, highest, strict=True):
                group["base_momentum"], group["max_momentum"] = low, high
                self._set_momentum(group, high)
        return lowest, highest

    def _set_momentum(self, group, momentum):
        if self.use_beta1:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = momentum


# How high a wave is, of the number of the wave or, for exp_range, of the epoch.
HEIGHTS = {"triangular": lambda gamma, x: 1.0, "triangular2": lambda gamma, x: 2.0 ** (1 - x), "exp_range": lambda gamma, x: gamma**x}


class CyclicLR(Cycling):
    """Let the learning rates rise and fall evenly between two bounds, and the momentum fall and rise.

    base_lr, max_lr              the bounds of the learning rate: a number, or a list with one for each group
    step_size_up                 epochs of a rise (here an epoch is a batch, as a rule)
    step_size_down               epochs of a fall; as many as of a rise if None
    mode                         "triangular", all waves are as high; "triangular2", each is half as high as the one before it; "exp_range",
                                 the height is ``gamma**epoch``
    gamma                        see there
    scale_fn, scale_mode         in place of `mode`: a function that gives the height, from 0 to 1, of the number of the wave, from 1 (for
                                 "cycle"), or of the epoch (for "iterations")
    cycle_momentum               also change the momentum, or the first of betas
    base_momentum, max_momentum  its bounds: a number, or a list with one for each group

    Smith 2017, "Cyclical Learning Rates for Training Neural Networks".

    >>> import gradnerve as gn
    >>> optimizer = gn.optim.SGD([gn.nn.Parameter([1.0])], lr=0.4, momentum=0.9)
    >>> scheduler = gn.optim.lr_scheduler.CyclicLR(optimizer, base_lr=0.0, max_lr=0.5, step_size_up=2)
    >>> for epoch in range(3):
    ...     optimizer.step(); scheduler.step(); print(scheduler.get_last_lr(), round(optimizer.param_groups[0]["momentum"], 6))
    [0.25] 0.85
    [0.5] 0.8
    [0.25] 0.85
    """

    _apart = frozenset({"optimizer", "_scale_fn_custom"})

    def __init__(self, optimizer, base_lr, max_lr, step_size_up=2000, step_size_down=None, mode="triangular", gamma=1.0, scale_fn=None,
                 scale_mode="cycle", cycle_momentum=True, base_momentum=0.8, max_momentum=0.9, last_epoch=-1):  # fmt: skip
        self.optimizer = optimizer_of(self, optimizer)
        lowest, self.max_lrs = per_group(self, "base_lr", base_lr), per_group(self, "max_lr", max_lr)
        up = whole(self, "step_size_up", step_size_up, 1)
        self.total_size = float(up + (up if step_size_down is None else whole(self, "step_size_down", step_size_down, 0)))
        self.step_ratio = up / self.total_size
        self.mode, self.gamma = mode, number(self, "gamma", gamma)
        self._scale_fn_custom = scale_fn if scale_fn is None else function(self, "scale_fn", scale_fn)
        if scale_fn is None and mode not in HEIGHTS:
            raise ValueError(f"CyclicLR: mode must be 'triangular', 'triangular2' or 'exp_range', not {mode!r}")
        if scale_mode not in ("cycle", "iterations"):
            raise ValueError(f"CyclicLR: scale_mode must be 'cycle' or 'iterations', not {scale_mode!r}")
        self.scale_mode = scale_mode if scale_fn is not None else "iterations" if mode == "exp_range" else "cycle"
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, lowest, strict=True):
                group["lr"] = lr
        momenta = self._begin_momentum(cycle_momentum, base_momentum, max_momentum, last_epoch)
        if momenta is not None:
            self.base_momentums, self.max_momentums = momenta
        super().__init__(optimizer, last_epoch)
        self.base_lrs = lowest

    def scale_fn(self, x):
        """How high a wave is, from 0 to 1."""
        return HEIGHTS[self.mode](self.gamma, x) if self._scale_fn_custom is None else self._scale_fn_custom(x)

    def get_lr(self):
        wave = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - wave
        share = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        scale = self.scale_fn(wave if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            for group, low, high in zip(self.optimizer.param_groups, self.base_momentums, self.max_momentums, strict=False):
                self._set_momentum(group, high - (high - low) * share * scale)
        return [low + (high - low) * share * scale for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]

    def state_dict(self):
        return super().state_dict() | {"_scale_fn_custom": state_of(self._scale_fn_custom)}

    def _load_state(self, state):
        super()._load_state(state)
        load_state(self._scale_fn_custom, state["_scale_fn_custom"])


class OneCycleLR(Cycling):
    """Let the learning rates rise once and then fall far below where they began, while the momentum falls and rises.

    max_lr                       the learning rate at the top: a number, or a list with one for each group
    total_steps                  epochs in all (here an epoch is a batch, as a rule); or `epochs` and `steps_per_epoch`, whose product it is
    pct_start                    the part of them, from 0 to 1, that is the rise
    anneal_strategy              "cos", along half a cosine, or "linear"
    cycle_momentum               also change the momentum, or the first of betas
    base_momentum, max_momentum  its bounds: a number, or a list with one for each group
    div_factor                   the learning rate begins at ``max_lr / div_factor``
    final_div_factor             and ends at that divided by this
    three_phase                  first fall to where it began, as fast as it rose, and to the end then

    Smith and Topin 2018, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates". A step after the last one
    raises ValueError.

    >>> import gradnerve as gn
    >>> optimizer = gn.optim.SGD([gn.nn.Parameter([1.0])], lr=0.4, momentum=0.9)
    >>> scheduler = gn.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.5, total_steps=5, pct_start=0.4)
    >>> for epoch in range(4):
    ...     optimizer.step(); scheduler.step(); print(round(scheduler.get_last_lr()[0], 6), round(optimizer.param_groups[0]["momentum"], 6))
    0.5 0.85
    0.375001 0.875
    0.125002 0.925
    2e-06 0.95
    """

    def __init__(self, optimizer, max_lr, total_steps=None, epochs=None, steps_per_epoch=None, pct_start=0.3, anneal_strategy="cos",
                 cycle_momentum=True, base_momentum=0.85, max_momentum=0.95, div_factor=25.0, final_div_factor=10000.0, three_phase=False,
                 last_epoch=-1):  # fmt: skip
        self.optimizer = optimizer_of(self, optimizer)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR: give total_steps, or epochs and steps_per_epoch")
            total_steps = whole(self, "epochs", epochs, 1) * whole(self, "steps_per_epoch", steps_per_epoch, 1)
        self.total_steps = whole(self, "total_steps", total_steps, 1)
        self._schedule_phases = phases(number(self, "pct_start", pct_start, 0, 1) * self.total_steps, self.total_steps, three_phase)
        if anneal_strategy not in BETWEEN:
            raise ValueError(f"OneCycleLR: anneal_strategy must be 'cos' or 'linear', not {anneal_strategy!r}")
        self._anneal_func_type = anneal_strategy
        highest = per_group(self, "max_lr", max_lr)
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, highest, strict=True):
                begin = lr / positive(self, "div_factor", div_factor)
                group.update(initial_lr=begin, max_lr=lr, min_lr=begin / positive(self, "final_div_factor", final_div_factor))
        self._begin_momentum(cycle_momentum, base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        if self.last_epoch > self.total_steps:
            raise ValueError(f"OneCycleLR: this is step {self.last_epoch} of {self.total_steps}; give more total_steps, or stop stepping")
        phase, part = self._phase()
        between = BETWEEN[self._anneal_func_type]
        value = lambda group, what: between(group[phase[f"start_{what}"]], group[phase[f"end_{what}"]], part)
        if self.cycle_momentum:
            for group in self.optimizer.param_groups:
                self._set_momentum(group, value(group, "momentum"))
        return [value(group, "lr") for group in self.optimizer.param_groups]

    def _phase(self):
        """The present phase, and the part of it that is over."""
        ends = [phase["end_step"] for phase in self._schedule_phases]
        i = next((i for i, end in enumerate(ends) if self.last_epoch <= end), len(ends) - 1)
        begin, end = [0.0, *ends][i : i + 2]
        return self._schedule_phases[i], (self.last_epoch - begin) / (end - begin) if end != begin else 1.0


def phases(rise, total, three):
    """Where each phase of one cycle ends, and the entries of the group that its learning rate and momentum start and end with."""
    ends = [rise - 1, 2 * rise - 2, total - 1] if three else [rise - 1, total - 1]
    rates = ["initial_lr", "max_lr", "initial_lr", "min_lr"] if three else ["initial_lr", "max_lr", "min_lr"]
    momenta = ["max_momentum", "base_momentum", "max_momentum", "max_momentum"]
    return [
        {"end_step": end, "start_lr": rates[i], "end_lr": rates[i + 1], "start_momentum": momenta[i], "end_momentum": momenta[i + 1]}
        for i, end in enumerate(ends)
    ]

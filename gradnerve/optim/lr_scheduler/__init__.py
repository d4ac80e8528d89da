"""Learning rates that change while a network learns: the schedulers of `torch.optim.lr_scheduler`, with its names and its numbers.

A scheduler belongs to an optimizer. Each `scheduler.step()`, after the optimizer's own, writes the next learning rate into
``optimizer.param_groups``. To go on with a run that was saved, make optimizer and scheduler as before, and load the states of both.

Read next: base.py, what all of them share; factors.py, cycles.py, plateau.py and combined.py, the schedulers.
"""

from gradnerve.optim.lr_scheduler.base import LRScheduler
from gradnerve.optim.lr_scheduler.combined import ChainedScheduler, SequentialLR
from gradnerve.optim.lr_scheduler.cycles import CosineAnnealingLR, CosineAnnealingWarmRestarts, CyclicLR, OneCycleLR
from gradnerve.optim.lr_scheduler.factors import (
    ConstantLR, ExponentialLR, LambdaLR, LinearLR, MultiplicativeLR, MultiStepLR, PolynomialLR, StepLR,
)  # fmt: skip
from gradnerve.optim.lr_scheduler.plateau import ReduceLROnPlateau

__all__ = [
    "ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "ExponentialLR", "LRScheduler", "LambdaLR",
    "LinearLR", "MultiStepLR", "MultiplicativeLR", "OneCycleLR", "PolynomialLR", "ReduceLROnPlateau", "SequentialLR", "StepLR",
]  # fmt: skip

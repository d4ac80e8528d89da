"""Optimisers and schedules of their rates, with the names, options and numbers of PyTorch's `torch.optim`.

Read next: optimizer.py.
"""

from gradnerve.optim import lr_scheduler
from gradnerve.optim.adam import *
from gradnerve.optim.adaptive import *
from gradnerve.optim.lbfgs import *
from gradnerve.optim.optimizer import *
from gradnerve.optim.sgd import *

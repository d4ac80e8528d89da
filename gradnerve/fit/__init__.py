"""Training: the `Trainer`, its callbacks and its history.

Read next: trainer.py.
"""

from gradnerve.fit.callbacks import *
from gradnerve.fit.history import *
from gradnerve.fit.trainer import *

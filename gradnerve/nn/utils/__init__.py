"""What one does with a module's parameters: gradients that are clipped, vectors, norms, and calls with other parameters.

Read next: stateless.py.
"""

from gradnerve.nn.utils import parametrizations, parametrize, rnn
from gradnerve.nn.utils.clip_grad import *
from gradnerve.nn.utils.norms import *
from gradnerve.nn.utils.stateless import *
from gradnerve.nn.utils.vectors import *

"""The functions of networks, with the names, arguments and defaults of `torch.nn.functional`, on Tensors or on NumPy's arrays.

All of them can be differentiated twice. Where one draws random numbers, `generator` says from whom: a `numpy.random.Generator`, or one of
`gn.random`; without it, from the one that `gn.manual_seed` starts.

Read next: checks.py, activations.py.
"""

from gradnerve.nn.functional.activations import *
from gradnerve.nn.functional.softmaxes import *
from gradnerve.nn.functional.dropout import *
from gradnerve.nn.functional.linear import *
from gradnerve.nn.functional.attention import *
from gradnerve.nn.functional.convolution import *
from gradnerve.nn.functional.pooling import *
from gradnerve.nn.functional.unpooling import *
from gradnerve.nn.functional.vision import *
from gradnerve.nn.functional.resampling import *
from gradnerve.nn.functional.normalization import *
from gradnerve.nn.functional.distances import *
from gradnerve.nn.functional.losses import *
from gradnerve.nn.functional.ranking import *
from gradnerve.nn.functional.ctc import *

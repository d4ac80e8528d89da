"""Networks: layers, with the names, layouts and defaults of `torch.nn`; the functions that they call are in `nn.functional`.

>>> import numpy as np, gradnerve as gn
>>> from gradnerve import nn
>>> gn.manual_seed(0)
>>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 10))
>>> loss = nn.functional.cross_entropy(model(np.ones((2, 1, 8, 8), np.float32)), np.array([3, 7]))
>>> loss.backward()
>>> model[0].weight.grad.shape
(4, 1, 3, 3)

Read next: parameter.py, module.py; functional/__init__.py.
"""

from gradnerve.nn import functional, init, utils
from gradnerve.nn.parameter import *
from gradnerve.nn.module import *
from gradnerve.nn.containers import *
from gradnerve.nn.linear import *
from gradnerve.nn.activation import *
from gradnerve.nn.parametric import *
from gradnerve.nn.dropout import *
from gradnerve.nn.conv import *
from gradnerve.nn.pooling import *
from gradnerve.nn.padding import *
from gradnerve.nn.vision import *
from gradnerve.nn.norm import *
from gradnerve.nn.distance import *
from gradnerve.nn.sparse import *
from gradnerve.nn.rnn import *
from gradnerve.nn.attention import *
from gradnerve.nn.transformer import *
from gradnerve.nn.loss import *
from gradnerve.nn.summary import *

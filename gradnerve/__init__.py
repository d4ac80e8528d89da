"""GradNerve: plain NumPy code, differentiated, at the speed of C.

>>> import numpy as np, gradnerve as gn
>>> x = gn.Tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> y = np.sum(np.sin(x) * x)
>>> y.backward()
>>> bool(np.allclose(x.grad, np.cos(x.data) * x.data + np.sin(x.data)))
True
"""

import sys as _sys

__version__ = "0.1.0"

try:
    from gradnerve import _sweep  # the last of the compiled modules: it needs all others
except ImportError as error:
    raise ImportError(
        f"gradnerve: the compiled core is missing or was built for another Python ({error}).\n"
        f"  this is Python {_sys.version.split()[0]}, and gradnerve was found in {__path__[0]}\n"
        f"  in a source checkout, run:  pip install -e .\n"
        f"  to use an installed gradnerve, run Python from another folder"
    ) from error

from gradnerve._engine import GraphError, ShapeError
from gradnerve.functional import custom_gradient, grad
from gradnerve.graph import graph
from gradnerve.ops.arithmetic import *
from gradnerve.ops.elementwise import *
from gradnerve.ops.products import dot, inner, matmul, outer
from gradnerve.ops.network import cross_entropy, log_softmax, logsumexp, relu, sigmoid, softmax
from gradnerve.ops.reductions import amax, amin, cumsum, max, mean, min, prod, std, sum, var
from gradnerve.ops.shapes import (
    array_split, broadcast_to, compress, concatenate, diagonal, expand_dims, flip, fliplr, flipud, moveaxis, ravel, repeat, reshape, roll, rot90,
    sort, split, squeeze, stack, swapaxes, take, tile, trace, transpose, where,
)  # fmt: skip
from gradnerve.tensor import Tensor, enable_grad, no_grad
from gradnerve import fft, linalg
from gradnerve.ops import names as _names

# what else NumPy has: its functions take Tensors as they are
globals().update({name: what for name, what in _names.of_numpy().items() if name not in globals()})


def __getattr__(name):
    """Say why a name of NumPy's is not here."""
    raise AttributeError(f"gradnerve has no {name}{_names.why_not(name)}")
from gradnerve.creation import *

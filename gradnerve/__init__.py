"""GradNerve: plain NumPy code, differentiated, at the speed of C.

>>> import numpy as np, gradnerve as gn
>>> x = gn.Tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> y = np.sum(np.sin(x) * x)
>>> y.backward()
>>> np.abs(x.grad - np.cos(x.data) * x.data - np.sin(x.data)).max() < 1e-12
np.True_
"""

import sys as _sys
from importlib import import_module as _import_module

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
from gradnerve.creation import *
from gradnerve.inplace import *
from gradnerve.batching import *
from gradnerve.functional import *
from gradnerve.graph import graph
from gradnerve.implicit import *
from gradnerve.ops import names as _names
from gradnerve.ops.arithmetic import *
from gradnerve.ops.elementwise import *
from gradnerve.ops.network import cross_entropy, log_softmax, logsumexp, relu, sigmoid, softmax
from gradnerve.own import *
from gradnerve.recompute import *
from gradnerve.tensor import Tensor, enable_grad, no_grad

# whatever else NumPy has: ours, or NumPy's own function, which takes Tensors as it is
globals().update({name: what for name, what in _names.numpys().items() if name not in globals()})

_MODULES = ["array_api", "black_box", "data", "fft", "fit", "linalg", "nn", "optim", "polynomial", "random", "scipy", "special", "storage",
            "testing", "tree"]  # fmt: skip
_ELSEWHERE = {"manual_seed": "random", "poly1d": "polynomial", "check_gradients": "testing", "GradientError": "testing",
              "numerical_gradient": "black_box", "NumericalGradientWarning": "black_box", "save": "storage", "load": "storage",
              "LoadError": "storage", "debug": "debugging", "verify": "debugging"}  # fmt: skip


def __getattr__(name):
    """Import a submodule when it is asked for, and say why a name of NumPy's or PyTorch's is not here."""
    if name in _MODULES:
        return _import_module(f"gradnerve.{name}")
    if name in _ELSEWHERE:
        return getattr(_import_module(f"gradnerve.{_ELSEWHERE[name]}"), name)
    hint = "" if name.startswith("_") else _import_module("gradnerve.idioms").of_module(name)
    raise AttributeError(f"gradnerve has no {name}{hint or _names.why_not(name)}")


def __dir__():
    return sorted({*globals(), *_MODULES, *_ELSEWHERE})

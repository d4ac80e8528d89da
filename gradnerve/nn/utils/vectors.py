"""All parameters as one vector, and back.

Read next: norms.py.
"""

import numpy as np

from gradnerve.nn.functional.checks import require
from gradnerve.ops.values import value

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters):
    """All elements of the parameters in one row; gradients flow through it.

    >>> import gradnerve as gn
    >>> parameters_to_vector(gn.nn.Linear(3, 4).parameters()).shape
    (16,)
    """
    return np.concatenate([np.reshape(p, -1) for p in parameters])


def vector_to_parameters(vec, parameters):
    """Copy the elements of a vector into the parameters.

    Raises ShapeError if it has not as many as they have.

    >>> import numpy as np, gradnerve as gn
    >>> layer = gn.nn.Linear(3, 1)
    >>> vector_to_parameters(np.arange(4.0), layer.parameters())
    >>> layer.bias.tolist()
    [3.0]
    """
    parameters, values = list(parameters), np.asarray(value(vec))
    wanted = sum(p.size for p in parameters)
    require(values.shape == (wanted,), f"vector_to_parameters: takes a vector of {wanted} elements, as many as the parameters have", vec=values)
    for p, part in zip(parameters, np.split(values, np.cumsum([p.size for p in parameters])[:-1]) if parameters else [], strict=True):
        p.data[...] = part.reshape(p.shape)

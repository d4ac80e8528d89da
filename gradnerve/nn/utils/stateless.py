"""A module as a function of its parameters, too.

Read next: clip_grad.py.
"""

from contextlib import contextmanager

from gradnerve.nn.state import tensors_by_path
from gradnerve.tensor import asarray

__all__ = ["functional_call"]


def functional_call(module, parameters_and_buffers, args=None, kwargs=None, *, tie_weights=True, strict=False):
    """The result of ``module(*args, **kwargs)`` with other tensors in place of its own, as `torch.func.functional_call`.

    parameters_and_buffers  arrays or Tensors by path, as in a state dict; where several dicts are given, in a tuple, all of them count
    args                    a tuple, or the only argument
    tie_weights             a tensor that the module has under several names is replaced under all of them
    strict                  raise if some parameter or buffer is not given

    The module has its own again when this returns or raises. Raises KeyError for a path that it does not have.

    >>> import numpy as np, gradnerve as gn
    >>> layer = gn.nn.Linear(3, 1, bias=False)
    >>> functional_call(layer, {"weight": np.ones((1, 3))}, np.array([1.0, 2.0, 3.0]))
    Tensor([6.], dtype=float64)
    """
    given = parameters_and_buffers
    for more in given if isinstance(given, (tuple, list)) else ():
        given = {**given, **more} if isinstance(given, dict) else dict(more)
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    with swapped(module, given, tie_weights, strict):
        return module(*args, **kwargs or {})


@contextmanager
def swapped(module, given, tie_weights, strict):
    """A block in which the module has other tensors."""
    own = dict(tensors_by_path(module))
    for path in given:
        if path not in own:
            raise KeyError(f"functional_call: {type(module).__name__} has no parameter or buffer {path!r}; it has {', '.join(own) or 'none'}")
    new = {path: asarray(x) for path, x in given.items()}
    if tie_weights:
        by_tensor = {id(own[path][3]): t for path, t in new.items()}
        new = {path: new.get(path, by_tensor.get(id(t))) for path, (*_, t) in own.items() if path in new or id(t) in by_tensor}
    missing = [path for path in own if path not in new]
    if strict and missing:
        raise KeyError(f"functional_call: no tensor is given for {', '.join(missing)}")
    try:
        for path, t in new.items():
            values, registry, name, _ = own[path]
            values[name] = registry[name] = t
        yield
    finally:
        for path in new:
            values, registry, name, t = own[path]
            values[name] = registry[name] = t

"""The Python array API standard (2024.12): the namespace that SciPy, scikit-learn and others compute with when they meet a Tensor.

They ask ``x.__array_namespace__()`` and call nothing else: so gradients flow through their own code. NumPy's functions have the
standard's names and meanings, and take Tensors. Here they get the standard's signatures, and every result is a Tensor. What NumPy
has beyond the standard is here as well: many look for `median`, `quantile` or `diag` before they compute them in another way.

Read next: ../tests/test_array_api.py.
"""

from functools import cache, partial, wraps
from inspect import signature
from types import ModuleType, SimpleNamespace

import numpy as np

import gradnerve as gn
from gradnerve._engine import TensorBase, wrap

if not hasattr(np, "__array_namespace_info__"):
    raise ImportError(f"gradnerve.array_api needs NumPy 2.1 or newer, which has the standard's functions; this is {np.__version__}")

__array_api_version__ = "2024.12"
__array_namespace_info__ = np.__array_namespace_info__
VERSIONS = ["2021.12", "2022.12", "2023.12", "2024.12"]

CONSTANTS = "e inf nan newaxis pi"
DTYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128"

# the parameters, and the functions that have them
FUNCTIONS = {
    "x, /": """abs acos acosh asin asinh atan atanh bitwise_invert ceil conj cos cosh exp expm1 floor imag isfinite isinf isnan log log10 log1p
        log2 logical_not matrix_transpose negative nonzero positive real reciprocal round sign signbit sin sinh sqrt square tan tanh trunc
        unique_all unique_counts unique_inverse unique_values""",
    "x1, x2, /": """add atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor copysign divide equal floor_divide greater
        greater_equal hypot less less_equal logaddexp logical_and logical_or logical_xor matmul maximum minimum multiply nextafter not_equal
        pow remainder subtract""",
    "x, /, *, axis=None, keepdims=False":                       "all any argmax argmin count_nonzero max mean min",
    "x, /, *, axis=None, correction=0.0, keepdims=False":       "std var",
    "x, /, *, axis=None, dtype=None, keepdims=False":           "prod sum",
    "x, /, *, axis=None, dtype=None, include_initial=False":    "cumulative_prod cumulative_sum",
    "x, /, *, axis=-1, n=1, prepend=None, append=None":         "diff",
    "x, /, *, axis=-1, descending=False, stable=True":          "argsort sort",
    "x1, x2, /, *, side='left', sorter=None":                   "searchsorted",
    "x1, x2, /, *, axes=2":                                     "tensordot",
    "x1, x2, /, *, axis=-1":                                    "vecdot",
    "condition, x1, x2, /":                                     "where",
    "x, /, min=None, max=None":                                 "clip",
    "x, /, axis=0":                                             "expand_dims",
    "x, /, axis":                                               "squeeze",
    "x, /, axes":                                               "permute_dims",
    "x, /, shape":                                              "broadcast_to",
    "x, /, shape, *, copy=None":                                "reshape",
    "x, /, shift, *, axis=None":                                "roll",
    "x, /, *, axis=None":                                       "flip",
    "x, /, *, axis=0":                                          "unstack",
    "x, source, destination, /":                                "moveaxis",
    "x, repeats, /, *, axis=None":                              "repeat",
    "x, repetitions, /":                                        "tile",
    "x, indices, /, *, axis=None":                              "take",
    "x, indices, /, *, axis=-1":                                "take_along_axis",
    "arrays, /, *, axis=0":                                     "concat stack",
    "*arrays":                                                  "broadcast_arrays",
    "*arrays, indexing='xy'":                                   "meshgrid",
    "x, /, *, k=0":                                             "tril triu",
    "x, dtype, /, *, copy=True, device=None":                   "astype",
    "obj, /, *, dtype=None, device=None, copy=None":            "asarray",
    "x, /, *, device=None, copy=None":                          "from_dlpack",
    "shape, *, dtype=None, device=None":                        "empty ones zeros",
    "x, /, *, dtype=None, device=None":                         "empty_like ones_like zeros_like",
    "shape, fill_value, *, dtype=None, device=None":            "full",
    "x, /, fill_value, *, dtype=None, device=None":             "full_like",
    "n_rows, n_cols=None, /, *, k=0, dtype=None, device=None":  "eye",
    "start, /, stop=None, step=1, *, dtype=None, device=None":  "arange",
    "start, stop, /, num, *, dtype=None, device=None, endpoint=True": "linspace",
}  # fmt: skip
LINALG = {
    "x, /":                                                     "det eigh eigvalsh inv matrix_transpose slogdet svdvals",
    "x1, x2, /":                                                "matmul outer solve",
    "x, n, /":                                                  "matrix_power",
    "x1, x2, /, *, axis=-1":                                    "cross vecdot",
    "x1, x2, /, *, axes=2":                                     "tensordot",
    "x, /, *, rtol=None":                                       "matrix_rank pinv",
    "x, /, *, upper=False":                                     "cholesky",
    "x, /, *, mode='reduced'":                                  "qr",
    "x, /, *, full_matrices=True":                              "svd",
    "x, /, *, offset=0":                                        "diagonal",
    "x, /, *, offset=0, dtype=None":                            "trace",
    "x, /, *, keepdims=False, ord='fro'":                       "matrix_norm",
    "x, /, *, axis=None, keepdims=False, ord=2":                "vector_norm",
}  # fmt: skip
FFT = {
    "x, /, *, n=None, axis=-1, norm='backward'":                "fft hfft ifft ihfft irfft rfft",
    "x, /, *, s=None, axes=None, norm='backward'":              "fftn ifftn irfftn rfftn",
    "x, /, *, axes=None":                                       "fftshift ifftshift",
    "n, /, *, d=1.0, dtype=None, device=None":                  "fftfreq rfftfreq",
}  # fmt: skip


# --- the standard's signatures ---------------------------------------------------------------------------------------


def tensors(result):
    """The arrays of a result, as Tensors."""
    if isinstance(result, TensorBase):
        return result
    if isinstance(result, tuple):
        parts = map(tensors, result)
        return type(result)(*parts) if hasattr(result, "_fields") else tuple(parts)
    return wrap(np.asarray(result), owned=False)


def given(device=None, **options):
    """The keywords that are not None; there is but one device."""
    if device not in (None, "cpu"):
        raise ValueError(f'device {device!r}: a Tensor lives on the "cpu"')
    return {name: value for name, value in options.items() if value is not None}


def standard(name, parameters, function):
    """The function, with the standard's parameters and Tensors for results."""
    named = signature(eval(f"lambda {parameters}: 0")).parameters.values()
    passed = ["*" * (p.kind is p.VAR_POSITIONAL) + p.name for p in named if p.kind is not p.KEYWORD_ONLY]
    passed += [f"{p.name}={p.name}" for p in named if p.kind is p.KEYWORD_ONLY and p.default is not None]
    perhaps = [f"{p.name}={p.name}" for p in named if p.kind is p.KEYWORD_ONLY and p.default is None]
    call = f"function({', '.join(passed)}, **given({', '.join(perhaps)}))"
    f = eval(f"lambda {parameters}: tensors({call})", {"function": function, "tensors": tensors, "given": given})  # as namedtuple does
    f.__name__ = f.__qualname__ = name
    f.__module__, f.__doc__ = __name__, f"The standard's `{name}({parameters})`, for Tensors."
    return f


def namespace(table, module, different=None):
    """The functions of a table, as the module has them but for those that are `different` in the standard."""
    different = different or {}
    return {name: standard(name, parameters, different.get(name) or getattr(module, name))
            for parameters, names in table.items() for name in names.split()}  # fmt: skip


def extension(name, table, module, different=None):
    """A module of its own."""
    made = ModuleType(f"{__name__}.{name}", f"The standard's extension `{name}`, for Tensors.")
    functions = namespace(table, module, different)
    vars(made).update(functions, __all__=sorted(functions))
    return made


# --- where NumPy's functions are different ---------------------------------------------------------------------------


def order(x, axis, descending, stable):
    """NumPy's `argsort`, which sorts upwards only; downwards, too, equal elements keep their order."""
    x = gn.asarray(x)._array
    if not descending or not x.ndim:
        return np.argsort(x, axis, stable=stable)
    return x.shape[axis] - 1 - np.flip(np.argsort(np.flip(x, axis), axis, stable=stable), axis)


def ordered(x, axis, descending, stable):
    """NumPy's `sort`, likewise."""
    return np.take_along_axis(x, order(x, axis, descending, stable), axis) if descending and x.ndim else np.sort(x, axis, stable=stable)


def clipped(x, min, max):
    """NumPy's `clip`; the result keeps the dtype of x."""
    return np.astype(np.clip(x, min, max), x.dtype, copy=False)


def sorted_values(x):
    """NumPy's `unique_values`, which are in any order, as the standard lets them; what is built on them counts on their order."""
    return np.sort(np.unique_values(x))


def frequencies(function):
    """NumPy's `fftfreq` or `rfftfreq`, with a dtype."""
    return lambda n, d, dtype=None: np.astype(function(n, d), float if dtype is None else dtype)


def dtype_of(x):
    return getattr(x, "dtype", x)


def finfo(type, /):
    """The limits of a floating-point dtype, or of an array's, in Python's numbers.

    >>> finfo(np.dtype("float32")).bits
    32
    """
    info = np.finfo(dtype_of(type))
    limits = {name: float(getattr(info, name)) for name in ("eps", "max", "min", "smallest_normal")}
    return SimpleNamespace(bits=info.bits, dtype=info.dtype, **limits)


def iinfo(type, /):
    """The limits of an integer dtype, or of an array's, as `np.iinfo`."""
    return np.iinfo(dtype_of(type))


def can_cast(from_, to, /):
    """Whether a dtype, or an array's, can be cast to another without loss."""
    return np.can_cast(dtype_of(from_), to)


@cache
def special_functions():
    """Those of gradnerve.special, as SciPy calls them from the function that it has put in front of each."""
    from gradnerve import special
    from gradnerve.ops.special import itself

    functions = {name: itself(getattr(special, name)) for name in special.__all__}
    functions["fdtrc"] = lambda n, m, x: special.betainc(m / 2, n / 2, m / (m + n * x))  # the p-value of an F test
    return SimpleNamespace(**functions)


broadcast_shapes, isdtype, result_type = np.broadcast_shapes, np.isdtype, np.result_type
linalg = extension("linalg", LINALG, gn.linalg)
fft = extension("fft", FFT, gn.fft, {name: frequencies(getattr(np.fft, name)) for name in ("fftfreq", "rfftfreq")})
_made = namespace(FUNCTIONS, gn, {"argsort": order, "sort": ordered, "clip": clipped, "asarray": partial(gn.array, copy=None), "vecdot": np.vecdot,
                                  "unique_values": sorted_values})  # fmt: skip
_made |= {name: getattr(np, name) for name in CONSTANTS.split()} | {name: np.dtype(name) for name in DTYPES.split()}
globals().update(_made)
__all__ = ["broadcast_shapes", "can_cast", "fft", "finfo", "iinfo", "isdtype", "linalg", "result_type"]
__all__.extend(_made)


def __getattr__(name):
    """What the standard has not: SciPy looks here for `special`, others for more of NumPy's functions, as `median`."""
    if name == "special":
        return special_functions()
    found = None if name.startswith("_") else getattr(gn, name, None)
    if not callable(found) or isinstance(found, type):
        raise AttributeError(f"the array API standard {__array_api_version__} has no {name}")
    return wraps(found)(lambda *args, **kwargs: tensors(found(*args, **kwargs)))

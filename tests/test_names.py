"""Every public name of NumPy's has a place: a derivative, a plain result, a maker of Tensors, or a reason why not.

A name that a new NumPy brings along is in none of the groups, and fails here until somebody has decided.
"""

import inspect
from types import ModuleType

import numpy as np
import pytest
from test_operations import ALIASES, CALLS, SAMPLES, found, leaf, samples

import gradnerve as gn
from gradnerve.ops import names
from gradnerve.ops.define import implementations, operations

NAMESPACES = {"": np, "linalg.": np.linalg, "fft.": np.fft}

DIFFERENTIABLE = {
    "unary": """sin cos tan arctan atan sinh cosh tanh arcsinh asinh exp exp2 expm1 negative positive square absolute abs fabs cbrt reciprocal
        deg2rad rad2deg degrees radians sinc i0 conj conjugate real log log2 log10 log1p sqrt arcsin asin arccos acos arctanh atanh
        arccosh acosh nan_to_num real_if_close imag angle frexp modf unwrap clip""",
    "binary": """add subtract multiply maximum minimum fmax fmin logaddexp logaddexp2 copysign divide true_divide arctan2 atan2 hypot
        remainder mod fmod power pow float_power ldexp divmod nextafter""",
    "zero gradient": "sign floor ceil trunc rint fix round around floor_divide heaviside",
    "reductions and scans": """sum mean prod max min amax amin std var ptp cumsum cumprod cumulative_sum cumulative_prod nansum nanmean nanprod
        nanmax nanmin nanstd nanvar nancumsum nancumprod median nanmedian average trapezoid diff quantile percentile nanquantile nanpercentile
        ediff1d gradient cov corrcoef interp bincount histogram sort partition sort_complex""",
    "shapes, indices and joins": """reshape ravel transpose permute_dims matrix_transpose swapaxes moveaxis rollaxis expand_dims squeeze
        atleast_1d atleast_2d atleast_3d broadcast_to broadcast_arrays repeat tile roll fliplr flipud flip rot90 pad split array_split hsplit
        vsplit dsplit unstack concatenate concat stack vstack row_stack hstack dstack column_stack block append insert delete where select
        choose piecewise take take_along_axis compress extract diag diagflat diagonal tril triu meshgrid full full_like linspace logspace
        geomspace array asarray copy astype resize trim_zeros vander apply_along_axis apply_over_axes ix_""",
    "products and polynomials": """dot matmul inner outer vdot vecdot matvec vecmat tensordot einsum kron cross trace convolve correlate
        polyval polyadd polysub polymul polyder polyint polyfit poly roots polydiv""",
    "linear algebra": """linalg.inv linalg.det linalg.slogdet linalg.solve linalg.cholesky linalg.eigh linalg.eigvalsh linalg.eig
        linalg.eigvals linalg.svd linalg.svdvals linalg.qr linalg.pinv linalg.lstsq linalg.norm linalg.vector_norm linalg.matrix_norm
        linalg.matrix_power linalg.multi_dot linalg.cond linalg.tensorsolve linalg.tensorinv linalg.trace linalg.diagonal
        linalg.matrix_transpose linalg.cross linalg.vecdot linalg.matmul linalg.outer linalg.tensordot""",
    "Fourier transforms": """fft.fft fft.ifft fft.rfft fft.hfft fft.ihfft fft.fft2 fft.ifft2 fft.rfft2 fft.fftn fft.ifftn fft.rfftn fft.irfft
        fft.irfft2 fft.irfftn fft.fftshift fft.ifftshift""",
    "in place": "copyto fill_diagonal place put put_along_axis putmask",
}
DIFFERENTIABLE = [name for group in DIFFERENTIABLE.values() for name in group.split() if found(np, name)]  # NumPy 2.0 has not all of them
SAME_VALUES = {  # second names, and functions of another namespace with the same code
    "row_stack": "vstack", "concat": "concatenate", "linalg.matmul": "matmul", "linalg.trace": "trace", "linalg.diagonal": "diagonal",
    "linalg.matrix_transpose": "matrix_transpose", "linalg.tensordot": "tensordot", "linalg.vecdot": "vecdot", "linalg.outer": "outer",
    "linalg.cross": "cross",
}  # fmt: skip


def test_every_public_name_has_a_group():
    groups = set(implementations) | names.BORROWED | names.NO_GRADIENT
    known = {*names.OUT_OF_SCOPE, *names.PLAIN.split(), "poly1d"}
    new = []
    for prefix, namespace in NAMESPACES.items():
        for name in dir(namespace):
            what = getattr(namespace, name)
            if name.startswith("_") or isinstance(what, ModuleType) or name in known:
                continue
            without_floats = isinstance(what, np.ufunc) and not any("d" in types for types in what.types)
            if not ((getattr(what, "__hash__", None) and what in groups) or without_floats or prefix + name in PLAIN_UFUNCS):
                new.append(prefix + name)
    assert not new, f"in no group of gradnerve/ops/names.py: {new}"


PLAIN_UFUNCS = {u.__name__ for u in vars(np).values() if isinstance(u, np.ufunc) and any(types[-1] == "?" for types in u.types)} | {
    "signbit", "spacing", "linalg.LinAlgError", "linalg.test", "fft.test",
}  # fmt: skip


def test_groups_do_not_overlap():
    assert not names.BORROWED & set(implementations)
    assert not names.NO_GRADIENT & (names.BORROWED | set(implementations))


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_every_differentiable_name_has_samples(name):
    """gn.f is there, np.f takes Tensors, and the samples say what is right."""
    assert callable(found(gn, name))
    name = SAME_VALUES.get(name, name)
    name = ALIASES.get(name, name)
    assert name in SAMPLES, f"write samples (tests/samples) for {name}"
    sample = samples(name)[0]
    assert all(isinstance(out, gn.Tensor) for out in sample.call(CALLS.get(name) or found(np, name), [leaf(a) for a in sample.arrays]))


SPECIAL = """erf erfc erfinv erfcinv erfcx expit logit log_expit gamma gammaln gammasgn rgamma digamma psi polygamma multigammaln beta betaln
    betainc gammainc gammaincc zeta i0 i0e i1 i1e iv ive j0 j1 jn y0 y1 yn k0 k1 ndtr log_ndtr ndtri xlogy xlog1py entr rel_entr kl_div
    logsumexp softmax log_softmax expm1 log1p sinc sici expi exp1 dawsn""".split()


@pytest.mark.parametrize("name", SPECIAL)
def test_every_special_function_has_samples(name):
    pytest.importorskip("scipy")
    assert callable(getattr(gn.special, name))
    numbered = [key for key in SAMPLES if key in (f"special.{name}", name, f"special.{name}_x", f"special.{name}_n")]
    assert ALIASES.get(f"special.{name}") in SAMPLES or numbered, f"write samples (tests/samples) for {name}"


# ---- methods -----------------------------------------------------------------------------------------------------------------------

METHODS = """all any argmax argmin argpartition argsort astype choose clip compress conj conjugate copy cumprod cumsum diagonal dot fill
    flatten item max mean min nonzero partition prod put ravel repeat reshape resize round searchsorted sort squeeze std sum swapaxes take tobytes
    tolist trace transpose var""".split()
ATTRIBUTES = "T mT data dtype flags flat imag itemsize nbytes ndim real shape size strides".split()
OF_MEMORY = """base byteswap ctypes device dump dumps getfield itemset newbyteorder ptp setfield setflags to_device tofile view""".split()


def test_tensor_has_what_ndarray_has():
    public = {name for name in dir(np.ndarray) if not name.startswith("_")}
    assert public <= {*METHODS, *ATTRIBUTES, *OF_MEMORY}, "a new attribute of ndarray: does it have a gradient?"
    t = gn.Tensor([[1.0, 2.0]])
    for name in {*METHODS, *ATTRIBUTES} & public:
        assert hasattr(t, name), name


# ---- no gradient -------------------------------------------------------------------------------------------------------------------

X, M = np.array([3.0, 1.0, 2.0, 1.0]), np.array([[2.0, 0.0], [1.0, 0.5]])
PLAIN_CALLS = {
    "allclose": (X, X), "array_equal": (X, X), "array_equiv": (X, X), "argpartition": (X, 2), "argwhere": (M,), "isclose": (X, X), "isin": (X, X),
    "digitize": (X, X[:1]), "histogram2d": (X, X), "histogramdd": (M,), "intersect1d": (X, X), "setdiff1d": (X, X[:1]), "setxor1d": (X, X[:1]),
    "union1d": (X, X), "lexsort": ((X, X),), "searchsorted": (np.sort(X), X), "may_share_memory": (X, X), "shares_memory": (X, X),
    "packbits": None, "unpackbits": None, "ravel_multi_index": None, "unravel_index": None, "mintypecode": None, "broadcast_shapes": None,
    "einsum_path": ("i,i", X, X), "can_cast": None, "tril_indices_from": (M,), "triu_indices_from": (M,), "diag_indices_from": (M,),
    "array_repr": (X,), "fftfreq": None, "rfftfreq": None, "matrix_rank": (M,), "typename": None,
}  # fmt: skip


@pytest.mark.parametrize("function", sorted(names.NO_GRADIENT, key=lambda f: f.__name__), ids=lambda f: f.__name__)
def test_names_without_gradient(function):
    """They take a tracked Tensor, and give what NumPy gives for its value; `None`: their arguments are no floating-point numbers."""
    arguments = PLAIN_CALLS.get(function.__name__, (X,))
    if arguments is None:
        return
    ours = function(*(leaf(a) if isinstance(a, np.ndarray) else tuple(map(leaf, a)) if isinstance(a, tuple) else a for a in arguments))
    plain = function(*arguments)
    assert type(ours) is type(plain)
    if not function.__name__.startswith("array_") and function is not np.array2string:  # a Tensor prints as one
        compare(ours, plain)


def compare(one, other):
    """Equal results: arrays, numbers, tuples and lists of them."""
    if isinstance(one, (tuple, list)):
        for x, y in zip(one, other, strict=True):
            compare(x, y)
    else:
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", "bitwise_and bitwise_or bitwise_xor left_shift right_shift gcd lcm bitwise_count invert".split())
def test_integer_ufuncs(name):
    function, x = getattr(np, name), np.array([5, 3])
    out = function(*[gn.Tensor(x)] * function.nin)
    assert np.array_equal(out.data, function(*[x] * function.nin)) and not out.requires_grad
    with pytest.raises(TypeError, match=name):
        function(*[leaf(X)] * function.nin)


# ---- out of scope ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(names.OUT_OF_SCOPE))
def test_names_out_of_scope_say_why(name):
    if name == "isnat":
        pytest.skip("a ufunc, which says itself that it takes dates")
    if name not in ("load", "save"):  # those of gn are for dicts of arrays
        with pytest.raises(AttributeError, match=rf"gradnerve has no {name}: .{{20,}}"):
            getattr(gn, name)
    function = getattr(np, name, None)
    if hasattr(function, "_implementation"):
        signature = inspect.signature(function).parameters.values()
        required = [p for p in signature if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)]
        with pytest.raises(TypeError, match=name):
            function(*[leaf(X)] * len(required))


def test_a_name_that_nobody_knows():
    with pytest.raises(AttributeError, match=r"gradnerve has no frobnicate$"):
        _ = gn.frobnicate


def test_every_operation_is_reached_by_a_name():
    """No derivative line without a public function: what is registered is NumPy's, ours or a part of one."""
    assert set(map(id, operations.values())) >= {id(f) for f in implementations.values() if hasattr(f, "lines")}

"""The namespace against array-api-strict, the standard's own implementation: names, signatures, and results in every dtype.

Each line of CALLS is run twice, with their namespace and with ours. Where theirs refuses a dtype, ours may do as NumPy does. Of
numbers with a fraction, the gradient is compared with finite differences.
"""

import inspect
import math
import re

import numpy as np
import pytest

import gradnerve as gn

array_api = pytest.importorskip("gradnerve.array_api", exc_type=ImportError)

strict = pytest.importorskip("array_api_strict")
pytestmark = [pytest.mark.usefixtures("rows_return"), pytest.mark.filterwarnings("ignore")]

UNARY = array_api.FUNCTIONS["x, /"].split()
BINARY = array_api.FUNCTIONS["x1, x2, /"].split()
CALLS = {
    **{f"{name}(x + 1)" if name == "acosh" else f"{name}(x)": name for name in UNARY},
    **{f"{name}(x, y)": name for name in set(BINARY) - {"matmul"}},
    **{f"{name}(x, v)": name for name in ("add", "atan2", "equal", "logaddexp", "maximum", "pow", "bitwise_xor")},
    **{f"{name}(x, 2)": name for name in ("add", "multiply", "divide", "pow", "less", "remainder")},
    **{f"{name}(x{options})": name for name in array_api.FUNCTIONS["x, /, *, axis=None, keepdims=False"].split()
       for options in ("", ", axis=0", ", axis=-1", ", axis=1, keepdims=True", ", keepdims=True")},
    **{f"{name}({x}, axis=(0, 2))": name for name in ("all", "any", "max", "mean", "min", "sum", "prod", "std", "count_nonzero") for x in "ez"},
    **{f"{name}(x{options})": name for name in ("std", "var") for options in ("", ", axis=0", ", axis=1, correction=1.0, keepdims=True")},
    **{f"{name}(x{options})": name for name in ("prod", "sum") for options in ("", ", axis=0", ", dtype=xp.float64", ", axis=-1, keepdims=True")},
    **{f"{name}({options})": name for name in ("cumulative_prod", "cumulative_sum")
       for options in ("v", "x, axis=0", "x, axis=1, include_initial=True", "v, dtype=xp.float32")},
    **{f"{name}({options})": name for name in ("argsort", "sort")
       for options in ("x", "x, axis=0", "x, descending=True", "x, axis=0, descending=True, stable=False", "e")},
    **{line: re.split(r"\(", line)[0] for line in """
        diff(v)                                     diff(x, n=2)
        diff(x, axis=0, prepend=x)                  diff(v, append=v, n=2)
        searchsorted(xp.sort(v), v)                 searchsorted(xp.sort(v), v, side="right")
        searchsorted(v, v, sorter=xp.argsort(v))    tensordot(x, y)
        tensordot(x, x, axes=((0,), (0,)))          tensordot(v, v, axes=0)
        vecdot(x, y)                                vecdot(x, v)
        vecdot(x, y, axis=-1)                       matmul(x, s)
        matmul(v, s)                                matmul(z, x)
        where(x > y, x, y)                          where(k, x, v)
        where(k, x, 1)                              clip(x, 1, 2)
        clip(x, min=1)                              clip(x, max=v)
        clip(x, v, v + 1)                           clip(x, 0.3, 0.5)
        clip(x)                                     clip(x, -1000, 1000)
        expand_dims(x, axis=0)                      expand_dims(x, axis=-1)
        squeeze(o, axis=0)                          squeeze(o, axis=(0, 2))
        permute_dims(x, (1, 0))                     permute_dims(z, axes=(2, 0, 1))
        broadcast_to(v, (2, 3))                     broadcast_to(o, shape=(2, 3, 3))
        reshape(x, (3, 2))                          reshape(x, shape=(-1,), copy=True)
        roll(x, 1)                                  roll(x, shift=(1, 2), axis=(0, 1))
        flip(x)                                     flip(x, axis=0)
        flip(x, axis=(0, 1))                        unstack(x)
        unstack(x, axis=1)                          unstack(z, axis=-2)
        moveaxis(z, 0, -1)                          moveaxis(z, (0, 1), (1, 2))
        repeat(x, 2)                                repeat(x, i + 1, axis=1)
        tile(x, (2,))                               tile(x, (2, 1, 2))
        take(v, i)                                  take(x, i, axis=1)
        take_along_axis(x, j)                       take_along_axis(x, j[:1, :] * 0, axis=0)
        concat([x, y])                              concat((x, y), axis=None)
        concat([x, s], axis=0)                      stack([x, y])
        stack([v, v, v], axis=-1)                   broadcast_arrays(x, v)
        broadcast_arrays(v)                         meshgrid(v, v)
        meshgrid(v, v, v, indexing="ij")            meshgrid()
        tril(x)                                     tril(z, k=-1)
        triu(x, k=1)                                triu(e)
        astype(x, xp.float32)                       astype(x, x.dtype, copy=False)
        astype(x, xp.bool)                          astype(x, xp.complex128, device=x.device)
        asarray(x)                                  asarray(x, copy=True)
        asarray(x, dtype=xp.float64)                asarray([[1, 2], [3, 4]])
        asarray(1.5, dtype=xp.float32)              asarray([True, False], device=x.device)
        asarray(2j)                                 asarray([], dtype=xp.int8)
        from_dlpack(x)                              zeros((2, 3))
        zeros(3, dtype=x.dtype, device=x.device)    zeros(shape=())
        ones(2, dtype=x.dtype)                      ones((0, 2))
        zeros_like(x)                               ones_like(x, dtype=xp.int16, device=x.device)
        full((2,), 3)                               full(3, True)
        full((), fill_value=2.5, dtype=x.dtype)     full(2, 1j)
        full_like(x, 1)                             full_like(x, fill_value=2, dtype=xp.float64)
        eye(3)                                      eye(2, 3, k=1, dtype=x.dtype)
        arange(5)                                   arange(1, 4)
        arange(1.0, stop=3, step=0.5)               arange(5, 0, -2, dtype=xp.float32)
        linspace(0, 1, 5)                           linspace(1, 2, num=3, endpoint=False, dtype=xp.float32)
        linspace(0, 5, 0)                           empty((2, 3)).shape
        empty(2, dtype=x.dtype).dtype               empty_like(x).shape
        nonzero(x > y)                              nonzero(v)
        matrix_transpose(z)                         unique_values(r)
        unique_all(r)                               unique_counts(r)
        unique_inverse(r)                           broadcast_shapes((2, 1), (3,))
        result_type(x, xp.int8)                     result_type(x, y, 1)
        result_type(xp.int8, xp.uint8)              can_cast(x, x.dtype)
        can_cast(xp.int8, xp.int16)                 isdtype(x.dtype, "numeric")
        isdtype(x.dtype, ("bool", xp.int8))         isdtype(x.dtype, "real floating")
        finfo(x)                                    finfo(x.dtype)
        iinfo(x)                                    iinfo(x.dtype)

        linalg.cholesky(s)                          linalg.cholesky(s, upper=True)
        linalg.cross(x, y)                          linalg.cross(x, v, axis=-1)
        linalg.det(s)                               linalg.diagonal(x)
        linalg.diagonal(z, offset=-1)               linalg.eigvalsh(s)
        linalg.eigh(s).eigenvalues                  linalg.inv(s)
        linalg.matmul(x, s)                         linalg.matrix_norm(x)
        linalg.matrix_norm(z, ord=1)                linalg.matrix_norm(x, ord=math.inf, keepdims=True)
        linalg.matrix_norm(s, ord="nuc")            linalg.matrix_power(s, 3)
        linalg.matrix_power(s, -2)                  linalg.matrix_rank(s)
        linalg.matrix_rank(s, rtol=0.1)             linalg.matrix_transpose(z)
        linalg.outer(v, v)                          linalg.pinv(x)
        linalg.pinv(s, rtol=1e-3)                   linalg.qr(x)
        linalg.qr(x, mode="complete")               linalg.slogdet(s)
        linalg.solve(s, s)                          linalg.solve(s, v)
        linalg.svd(x).S                             linalg.svd(x, full_matrices=False).S
        linalg.svdvals(x)                           linalg.tensordot(x, y, axes=1 * 2)
        linalg.trace(x)                             linalg.trace(z, offset=1)
        linalg.trace(s, dtype=xp.float64)           linalg.vecdot(x, y, axis=-1)
        linalg.vector_norm(x)                       linalg.vector_norm(z, axis=(0, 2), keepdims=True)
        linalg.vector_norm(x, axis=1, ord=1)        linalg.vector_norm(x, ord=math.inf)

        fft.fft(x)                                  fft.fft(x, n=4, axis=0, norm="ortho")
        fft.ifft(x)                                 fft.rfft(x)
        fft.rfft(x, n=2, norm="forward")            fft.irfft(x)
        fft.irfft(x, n=5, axis=0)                   fft.hfft(x)
        fft.ihfft(x)                                fft.fftn(x)
        fft.fftn(z, s=(2, 4), axes=(0, 1))          fft.ifftn(x, norm="ortho")
        fft.rfftn(x)                                fft.rfftn(z, axes=(0, 2))
        fft.irfftn(x)                               fft.irfftn(z, s=(3,), axes=(1,))
        fft.fftshift(x)                             fft.fftshift(x, axes=(0,))
        fft.ifftshift(z, axes=1)                    fft.fftfreq(5, d=0.5)
        fft.fftfreq(4, dtype=xp.float32)            fft.rfftfreq(5, d=0.5, device=x.device)
        """.replace("\n", "  ").strip().split("   ") for line in [line.strip()] if line},
}  # fmt: skip
DTYPES = array_api.DTYPES.split()
CONSTANT = """zeros ones full eye arange linspace empty zeros_like ones_like broadcast_shapes finfo iinfo isdtype can_cast result_type
    fft.fftfreq fft.rfftfreq""".split()


def arguments(dtype):
    """The arrays that the calls name: x and y of shape (2, 3), s square, z of three axes, v a vector, r with repeated elements, e empty."""
    rng = np.random.default_rng(7)

    def numbers(*shape):
        a = rng.permutation(np.arange(1, math.prod(shape) + 1)).reshape(shape)
        if dtype == "bool":
            return a % 3 > 0
        fraction = a / 16 + 0.01 * rng.random()  # between 0 and 1, away from kinks and ties
        return (a if "int" in dtype else fraction if "float" in dtype else fraction + 0.5j * np.sin(a)).astype(dtype)

    s = numbers(3, 3)
    s = s if dtype == "bool" else (s @ np.conj(s).T + np.eye(3)).astype(dtype)
    arrays = {"x": numbers(2, 3), "y": numbers(2, 3), "s": s, "z": numbers(2, 3, 2), "v": numbers(3), "o": numbers(1, 3, 1), "e": numbers(2, 0, 3)}
    repeated = {"r": arrays["x"][[0, 1, 0]]}
    return arrays | repeated | {"i": np.array([0, 2, 1]), "j": np.array([[0, 2, 1], [1, 1, 0]]), "k": np.array([True, False, True])}


def ours(call, arrays):
    names = {"xp": array_api, "math": math} | {name: gn.Tensor(a) for name, a in arrays.items()}
    return eval(f"xp.{call}", names)


def theirs(call, arrays):
    names = {"xp": strict, "math": math} | {name: strict.asarray(a) for name, a in arrays.items()}
    return eval(f"xp.{call}", names)


def flat(result):
    """The arrays of a result."""
    return [part for one in result for part in flat(one)] if isinstance(result, (tuple, list)) else [result]


# ---- names and signatures ----------------------------------------------------------------------------------------------------------

MINE = {"Device", "fft", "linalg", "set_array_api_strict_flags", "get_array_api_strict_flags", "reset_array_api_strict_flags",
        "ArrayAPIStrictFlags", "__version__"}  # fmt: skip
NEWER = {"isin"}  # of the standard after 2024.12


@pytest.mark.parametrize("extension", [None, "linalg", "fft"])
def test_every_name(extension):
    them, us = (getattr(xp, extension) if extension else xp for xp in (strict, array_api))
    for name in set(them.__all__) - MINE - NEWER:
        assert hasattr(us, name), name
    assert set(us.__all__) <= {*them.__all__, "broadcast_shapes"}


def parameters(function):
    """Names, kinds and defaults, without the annotations."""
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


DIFFERENT = {"from_dlpack", "astype", "expand_dims", "broadcast_shapes"}  # their own mark as default; the standard's default; NumPy's *args


@pytest.mark.parametrize("extension", [None, "linalg", "fft"])
def test_every_signature(extension):
    them, us = (getattr(xp, extension) if extension else xp for xp in (strict, array_api))
    for name in set(us.__all__):
        if inspect.isfunction(getattr(us, name)) and name not in DIFFERENT:
            assert parameters(getattr(us, name)) == parameters(getattr(them, name)), name


def test_every_function_is_called():
    made = {*array_api.__all__, *(f"linalg.{name}" for name in array_api.linalg.__all__), *(f"fft.{name}" for name in array_api.fft.__all__)}
    assert made - {*CALLS.values()} == {*array_api.CONSTANTS.split(), *DTYPES, "fft", "linalg"}


def test_every_call_is_right_in_some_dtype():
    def runs(call, dtype):
        try:
            return theirs(call, arguments(dtype)) is not None
        except (TypeError, ValueError):
            return False

    for call in CALLS:
        assert any(runs(call, dtype) for dtype in ("float64", "int8", "bool", "complex64")), call


# ---- results -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted(set(CALLS.values())))
def test_results(name, dtype):
    arrays = arguments(dtype)
    for call in (call for call in CALLS if CALLS[call] == name):
        try:
            expected = theirs(call, arrays)
        except (TypeError, ValueError):
            continue
        found = ours(call, arrays)
        assert len(flat(found)) == len(flat(expected)), call
        for f, e in zip(flat(found), flat(expected), strict=True):
            same(f, e, call)


def same(found, expected, call):
    if not isinstance(expected, strict._array_object.Array):
        plain = getattr(expected, "_np_dtype", expected)
        assert all(getattr(found, part) == getattr(expected, part) for part in ("bits", "max", "min")) if "info(" in call else found == plain, call
        return
    assert type(found) is gn.Tensor, call
    a = np.asarray(expected)
    assert (found.dtype, found.shape) == (a.dtype, a.shape), call
    if call in ("sign(x)", "linalg.cholesky(s, upper=True)") and a.dtype.kind == "c":  # composed in another way there
        np.testing.assert_allclose(found.data, a, rtol=4 * np.finfo(a.dtype).eps)
    else:
        np.testing.assert_array_equal(found.data, a, err_msg=call)


def test_inspection():
    info = array_api.__array_namespace_info__()
    assert info.default_device() == "cpu" and info.devices() == ["cpu"] and info.capabilities()["boolean indexing"]
    assert info.default_dtypes()["real floating"] == array_api.float64
    assert set(info.dtypes()) == set(DTYPES) and all(getattr(array_api, name) == dtype for name, dtype in info.dtypes().items())


def test_limits_are_numbers_of_python():
    limits = array_api.finfo(array_api.float32)
    assert all(type(getattr(limits, name)) is float for name in ("eps", "max", "min", "smallest_normal")) and limits.bits == 32


def test_devices():
    for make in (array_api.zeros, array_api.ones, array_api.empty):
        assert make(2, device="cpu").device == "cpu"
        with pytest.raises(ValueError, match='a Tensor lives on the "cpu"'):
            make(2, device="gpu")
    with pytest.raises(ValueError, match="device 'gpu'"):
        array_api.astype(gn.Tensor([1.0]), array_api.float32, device="gpu")


def test_equal_elements_keep_their_order_downwards():
    x = gn.Tensor([1.0, 2.0, 1.0, 2.0], requires_grad=True)
    assert array_api.argsort(x, descending=True).tolist() == [1, 3, 0, 2]
    (array_api.sort(x, descending=True) * np.arange(4.0)).sum().backward()
    assert x.grad.tolist() == [2, 0, 3, 1]


def test_ndarrays_become_tensors():
    """What NumPy makes of arrays alone, too, is a Tensor; views of them are not handed out as our own."""
    a = np.arange(6.0)
    t = array_api.reshape(a, (2, 3)).requires_grad_()
    y = (t * t).sum()
    a[:] = 7
    y.backward()
    assert t.grad.ravel().tolist() == [0, 2, 4, 6, 8, 10]


# ---- the array object --------------------------------------------------------------------------------------------------------------

OF_ARRAYS = """__abs__ __add__ __and__ __array_namespace__ __bool__ __complex__ __dlpack__ __dlpack_device__ __eq__ __float__ __floordiv__ __ge__
    __getitem__ __gt__ __index__ __int__ __invert__ __le__ __lshift__ __lt__ __matmul__ __mod__ __mul__ __ne__ __neg__ __or__ __pos__ __pow__
    __rshift__ __setitem__ __sub__ __truediv__ __xor__ to_device dtype device mT ndim shape size T""".split()
TWO_SIDED = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift".split()


def test_every_attribute_of_arrays():
    t = gn.Tensor([[1.0, 2.0]])
    missing = [name for name in [*OF_ARRAYS, *(f"__{side}{name}__" for name in TWO_SIDED for side in "ri")] if not hasattr(t, name)]
    assert not missing
    assert t.T.shape == t.mT.shape == (2, 1) and t.device == "cpu" and t.to_device("cpu") is t


@pytest.mark.parametrize("name", TWO_SIDED)
def test_operators_in_every_dtype(name):
    for dtype in DTYPES:
        x, y = (np.array(a, dtype) for a in ([[3, 2], [5, 7]], [[1, 0], [1, 1]]))
        for side in ("", "r", "i"):
            try:
                expected = getattr(np.array(x), f"__{side}{name}__")(y)
            except TypeError:
                continue
            with np.errstate(all="ignore"):
                t = gn.Tensor(x)
                found = getattr(t, f"__{side}{name}__")(gn.Tensor(y))
            assert found.dtype == expected.dtype and np.array_equal(found.data, expected, equal_nan=True), (name, side, dtype)
            assert side != "i" or found is t


def test_bits_in_place_are_seen_under_both_names():
    x = y = gn.Tensor([6, 3])
    x &= 2
    x |= gn.Tensor([1, 4])
    x ^= 1
    x <<= 2
    x >>= 1
    assert x is y and y.tolist() == [4, 14]


@pytest.mark.parametrize("version", [None, "2021.12", "2022.12", "2023.12", "2024.12"])
def test_namespace_of_a_tensor(version):
    assert gn.Tensor(1.0).__array_namespace__(api_version=version) is array_api


@pytest.mark.parametrize("version", ["2020.12", "2030.12", 2024.12, ""])
def test_unknown_versions(version):
    with pytest.raises(ValueError, match=re.escape(f"{version!r} is none of 2021.12, 2022.12, 2023.12, 2024.12")):
        gn.Tensor(1.0).__array_namespace__(api_version=version)


def test_compat_finds_the_namespace():
    compat = pytest.importorskip("array_api_compat")
    t = gn.Tensor([1.0, 2.0])
    assert compat.array_namespace(t) is array_api and compat.is_array_api_obj(t) and compat.device(t) == "cpu" and compat.to_device(t, "cpu") is t
    assert compat.size(t) == 2 and not compat.is_numpy_array(t)


def test_special_functions_are_found():
    pytest.importorskip("scipy")
    assert hasattr(array_api, "special") and not hasattr(array_api, "nothing_like_this")


# ---- gradients ---------------------------------------------------------------------------------------------------------------------

NUMBERS = sorted(set(CALLS.values()) - {*CONSTANT})


def weighed(call, arrays):
    """A number from all results, and the Tensors that were differentiated."""
    leaves = {name: gn.Tensor(a, requires_grad=a.dtype.kind in "fc") for name, a in arrays.items()}
    names = {"xp": array_api, "math": math} | leaves
    total = 0.0
    for k, part in enumerate(flat(eval(f"xp.{call}", names))):
        if isinstance(part, gn.Tensor) and part.dtype.kind in "fc" and part.size:
            weights = np.cos(np.arange(part.size) + k).reshape(part.shape)
            part = gn.real(part) + 0.5 * gn.imag(part) if part.dtype.kind == "c" else part
            total = total + (part * weights).sum()
    return total, leaves


def slope(call, arrays, directions):
    """The derivative along the directions, by a central difference of fourth order."""
    at = lambda h: float(weighed(call, arrays | {key: arrays[key] + h * v for key, v in directions.items()})[0])
    return (8 * (at(1e-4) - at(-1e-4)) - (at(2e-4) - at(-2e-4))) / 12e-4


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("name", NUMBERS)
def test_gradients(name, dtype):
    arrays = arguments(dtype)
    directions = {key: np.random.default_rng(3).standard_normal(a.shape).astype(a.dtype) for key, a in arrays.items() if a.dtype.kind in "fc"}
    directions["s"] = directions["s"] + np.conj(directions["s"]).T  # stays Hermitian
    for call in (call for call in CALLS if CALLS[call] == name and "float32" not in call):
        try:
            theirs(call, arrays)
        except (TypeError, ValueError):
            continue
        total, leaves = weighed(call, arrays)
        if not isinstance(total, gn.Tensor) or not total.requires_grad:
            continue
        total.backward()
        found = sum(float(np.sum(np.real(np.conj(leaves[key].grad) * v))) for key, v in directions.items())
        assert found == pytest.approx(slope(call, arrays, directions), rel=1e-7, abs=1e-7), call

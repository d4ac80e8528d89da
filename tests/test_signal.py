"""Fourier transforms and convolutions in programs: derivatives of derivatives, `out`, precision, and other libraries' gradients.

What holds for each function alone is checked on the samples of tests/samples/fft.py and tests/samples/signal.py.
"""

import itertools
from importlib import import_module

import numpy as np
import pytest
from samples.shapes import values

import gradnerve as gn

pytestmark = pytest.mark.usefixtures("rows_return")

REAL, COMPLEX = np.float64, np.complex128
NORMS = ("backward", "ortho", "forward")

# name, dtype, shape, arguments: each direction with even, odd, cropped and padded lengths
TRANSFORMS = [
    *[(name, dtype, (6,), {"n": n}) for name, dtype in itertools.product(("fft", "ifft", "irfft", "hfft"), (REAL, COMPLEX)) for n in (5, 6, 8)],
    *[(name, REAL, (6,), {"n": n}) for name in ("rfft", "ihfft") for n in (1, 2, 5, 6, 8)],
    *[(name, dtype, (3, 4), {"s": (4, 3), "axes": (0, 1)}) for name in ("fft2", "ifft2", "irfft2") for dtype in (REAL, COMPLEX)],
    *[(name, REAL, (3, 4), {"s": (4, n), "axes": (0, 1)}) for name in ("rfft2", "rfftn") for n in (3, 6)],
    *[(name, COMPLEX, (2, 3, 2), {"axes": (2, 0)}) for name in ("fftn", "ifftn", "irfftn")],
    *[(name, REAL, (3, 2), {"axes": 0}) for name in ("fftshift", "ifftshift")],
]
ID = [f"{name}-{np.dtype(dtype)}-{'-'.join(map(str, options.values()))}" for name, dtype, _, options in TRANSFORMS]


def real_part(a, b):
    """The sum of re(conj(a) * b): how a function of gradient `a` changes along `b`."""
    return np.real(np.conjugate(a) * b).sum()


def direction(x, seed):
    rng = np.random.default_rng(seed)
    v = rng.uniform(-1, 1, x.shape)
    return v + 1j * rng.uniform(-1, 1, x.shape) if x.dtype.kind == "c" else v


def energy(out):
    """A number whose derivatives of every order go through `out`."""
    weight = 1 + np.arange(out.size).reshape(out.shape) % 5
    return (weight * abs(out) ** 2).sum() + (out**3).real.sum()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("name", "dtype", "shape", "options"), TRANSFORMS, ids=ID)
def test_first_and_second_derivative_of_a_program(name, dtype, shape, options, norm):
    if "shift" in name:
        options = {"axes": 0}
    else:
        options = options | {"norm": norm}
    f = lambda x: energy(getattr(np.fft, name)(x, **options))
    x = values(*shape, dtype=dtype)
    u, v = direction(x, 0), direction(x, 1)
    h = 1e-5
    slope = (f(x + h * u) - f(x - h * u)) / (2 * h)
    g = gn.grad(f)
    assert g(x).dtype == dtype
    np.testing.assert_allclose(real_part(g(x).data, u), slope, rtol=1e-8)

    along = lambda x: real_part(g(x), u)
    second = real_part(gn.grad(along)(x).data, v)
    slope = (along(x + h * v) - along(x - h * v)).item() / (2 * h)
    np.testing.assert_allclose(second, slope, rtol=1e-7)


@pytest.mark.parametrize("norm", [None, *NORMS])
def test_there_and_back_again(norm):
    """The gradient of the identity is the identity, exactly where the transform is one of a power of two."""
    x = gn.Tensor(values(4, 8), requires_grad=True)
    seed = np.arange(32.0).reshape(4, 8)
    for there, back in (("fft", "ifft"), ("fft2", "ifft2"), ("rfft", "irfft"), ("rfft2", "irfft2"), ("fftshift", "ifftshift"), ("ihfft", "hfft")):
        x.zero_grad()
        options = {} if "shift" in there else {"norm": norm}
        y = getattr(gn.fft, back)(getattr(gn.fft, there)(x, **options), **options)
        y.backward(seed.astype(y.dtype))
        np.testing.assert_allclose(y.data, x.data, atol=1e-14)
        np.testing.assert_allclose(x.grad, seed, atol=1e-13)


def test_energy_is_that_of_the_spectrum():
    """Parseval: the gradient of sum(abs(fft(x))**2) is 2 n x."""
    for x in (values(7), values(8, dtype=COMPLEX)):
        g = gn.grad(lambda x: (np.abs(np.fft.fft(x)) ** 2).sum())(x)
        np.testing.assert_allclose(g.data, 2 * x.size * x, rtol=1e-13)


@pytest.mark.parametrize(("dtype", "spectrum"), [("e", "F"), ("f", "F"), ("F", "F"), ("d", "D"), ("g", "G"), ("G", "G")])
def test_precision_is_kept(dtype, spectrum):
    x = gn.Tensor(np.arange(1, 7).astype(dtype), requires_grad=True)
    y = np.fft.fft(x)
    assert y.dtype == np.dtype(spectrum)
    assert np.array_equal(y.data, np.fft.fft(x.data))
    y.backward(np.ones(6, spectrum))
    assert x.grad.dtype == np.dtype(dtype)
    np.testing.assert_allclose(x.grad, [6, 0, 0, 0, 0, 0], atol=1e-6)


def test_names_are_numpys():
    assert set(np.fft.__all__) == {name for name in vars(gn.fft) if not name.startswith("_")}
    for name in np.fft.__all__:
        assert getattr(gn.fft, name) is getattr(np.fft, name)


def test_frequencies():
    """Of a spacing that is tracked they are tracked; they are numbers otherwise."""
    assert type(gn.fft.fftfreq(4)) is np.ndarray
    d = gn.Tensor(2.0, requires_grad=True)
    for f in (np.fft.fftfreq, np.fft.rfftfreq):
        d.zero_grad()
        frequencies = f(5, d)
        assert np.array_equal(frequencies.data, f(5, 2.0))
        frequencies[2].backward()
        np.testing.assert_allclose(d.grad, -f(5, 2.0)[2] / 2)


# --- out -------------------------------------------------------------------------------------------------------------


# hfft, ifft2 and irfft2 are not here: NumPy forgets their `out`
@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "ihfft", "fft2", "rfft2", "fftn", "ifftn", "rfftn", "irfftn"])
@pytest.mark.parametrize("tracked", [True, False])
def test_out(name, tracked):
    x = values(4, 6, dtype=REAL if "r" in name or name == "ihfft" else COMPLEX)
    expected = getattr(np.fft, name)(x)
    t = gn.Tensor(x, requires_grad=tracked)
    target = gn.Tensor(np.zeros(expected.shape, expected.dtype))
    result = getattr(np.fft, name)(t, out=target)
    assert result is target
    assert np.array_equal(target.data, expected)
    assert target.requires_grad == tracked
    if tracked:
        energy(target).backward()
        np.testing.assert_allclose(t.grad, gn.grad(lambda x: energy(getattr(np.fft, name)(x)))(x).data)


def test_out_that_does_not_fit():
    x = gn.Tensor(values(4), requires_grad=True)
    with pytest.raises(ValueError, match=r"shape \(4,\), out \(3,\)"):
        np.fft.fft(x, out=gn.Tensor(np.zeros(3, complex)))
    with pytest.raises(TypeError, match="cannot put complex128 values into out of float64"):
        np.fft.fft(x, out=gn.Tensor(np.zeros(4)))
    with pytest.raises(TypeError, match="pass a Tensor"):
        np.fft.fft(x, out=np.zeros(4, complex))
    with pytest.raises(gn.GraphError, match="leaf"):
        np.fft.fft(x, out=gn.Tensor(np.zeros(4, complex), requires_grad=True))


# --- other libraries -------------------------------------------------------------------------------------------------

THEIRS = [(name, dtype, shape, options) for name, dtype, shape, options in TRANSFORMS if "shift" not in name]


def theirs(options, axis="dim"):
    return {axis if key in ("axis", "axes") else key: value for key, value in options.items()}


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("name", "dtype", "shape", "options"), THEIRS, ids=ID[: len(THEIRS)])
def test_against_torch(name, dtype, shape, options, norm):
    torch = pytest.importorskip("torch")
    x = values(*shape, dtype=dtype)
    seed = direction(getattr(np.fft, name)(x, **options), 0)
    t, their = gn.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    getattr(np.fft, name)(t, norm=norm, **options).backward(seed)
    getattr(torch.fft, name)(their, norm=norm, **theirs(options)).backward(torch.tensor(seed))
    np.testing.assert_allclose(t.grad, their.grad.numpy(), atol=1e-13)


@pytest.mark.parametrize(("name", "dtype", "shape", "options"), THEIRS[::3], ids=ID[: len(THEIRS) : 3])
def test_against_jax(name, dtype, shape, options):
    """JAX's gradient of a complex number is the conjugate of ours."""
    jax = pytest.importorskip("jax")
    x = values(*shape, dtype=dtype)
    with jax.enable_x64(True):
        their = jax.grad(lambda x: energy(getattr(jax.numpy.fft, name)(x, norm="ortho", **options)))(x)
    ours = gn.grad(lambda x: energy(getattr(np.fft, name)(x, norm="ortho", **options)))(x).data
    np.testing.assert_allclose(ours, np.conj(their), rtol=1e-12, atol=1e-12 * np.abs(ours).max())


# --- convolutions ----------------------------------------------------------------------------------------------------

PAIRS = [((5,), (3,)), ((3,), (5,)), ((300,), (200,)), ((4, 5), (2, 3)), ((2, 3), (4, 5)), ((4, 3), (2, 5)), ((2, 3, 4), (2, 2, 3)), ((1, 5), (3, 1)),
         ((), ())]
MODES = ("full", "same", "valid")


@pytest.fixture
def signal():
    """`gn.scipy.signal`."""
    pytest.importorskip("scipy")
    return import_module("gradnerve.scipy.signal")


def called(module, name, *args, **options):
    try:
        return getattr(module, name)(*args, **options)
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("name", ["convolve", "correlate", "fftconvolve", "oaconvolve"])
@pytest.mark.parametrize(("one", "two"), list(itertools.product("fdFD", "fdFDi")))
def test_values_are_scipys(signal, name, one, two):
    """To the last bit: it is SciPy's code that computes them."""
    from scipy import signal as scipys

    for (x, y), mode, method in itertools.product(PAIRS, MODES, ("auto", "direct", "fft")):
        x, y = values(*x, dtype=one), values(*y, dtype=two) if two != "i" else np.arange(int(np.prod(y))).reshape(y)
        options = {"mode": mode} | ({"method": method} if name.startswith("co") else {})
        expected = called(scipys, name, x, y, **options)
        for a in (x, gn.Tensor(x), gn.Tensor(x, requires_grad=True)):
            found = called(signal, name, a, y, **options)
            if isinstance(expected, str):
                assert expected in found
                continue
            assert type(found) is (gn.Tensor if isinstance(a, gn.Tensor) else type(expected))
            assert found.dtype == expected.dtype
            assert np.array_equal(getattr(found, "data", found) if isinstance(found, gn.Tensor) else found, expected)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["convolve", "correlate"])
@pytest.mark.parametrize("pair", [((7,), (3,)), ((3,), (7,)), ((6, 5), (2, 3)), ((2, 3), (6, 5)), ((3, 4, 2), (2, 2, 2))], ids=str)
def test_gradients_do_not_depend_on_the_method(signal, pair, name, mode):
    x, y = (values(*shape, dtype=COMPLEX) for shape in pair)
    one, two = (gn.grad(lambda x, y: energy(getattr(signal, name)(x, y, mode, method)), (0, 1))(x, y) for method in ("direct", "fft"))  # noqa: B023
    for g, e in zip(one, two, strict=True):
        np.testing.assert_allclose(g.data, e.data, rtol=1e-12, atol=1e-12 * np.abs(e.data).max())


@pytest.mark.parametrize("mode", ["full", "valid"])
@pytest.mark.parametrize("pair", [((7,), (3,)), ((6, 5), (2, 3)), ((3, 4, 5), (2, 2, 3))], ids=str)
def test_convolve_against_torch(signal, pair, mode):
    """PyTorch's `conv` is a correlation; "full" is its padding by the kernel's size less one."""
    torch = pytest.importorskip("torch")
    x, y = (values(*shape) for shape in pair)
    ours = [gn.Tensor(a, requires_grad=True) for a in (x, y)]
    out = signal.correlate(*ours, mode)
    seed = direction(out, 0)
    out.backward(seed)
    their = [torch.tensor(a, requires_grad=True) for a in (x, y)]
    conv = getattr(torch.nn.functional, f"conv{x.ndim}d")
    result = conv(their[0][None, None], their[1][None, None], padding=[n - 1 for n in y.shape] if mode == "full" else 0)[0, 0]
    np.testing.assert_allclose(out.data, result.detach().numpy(), atol=1e-13)
    result.backward(torch.tensor(seed))
    for t, e in zip(ours, their, strict=True):
        np.testing.assert_allclose(t.grad, e.grad.numpy(), atol=1e-13)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["convolve", "correlate", "fftconvolve"])
@pytest.mark.parametrize("pair", [((3,), (7,)), ((6, 5), (2, 3))], ids=str)
def test_convolutions_against_jax(signal, pair, name, mode):
    jax, theirs = pytest.importorskip("jax"), pytest.importorskip("jax.scipy.signal")
    x, y = (values(*shape) for shape in pair)
    with jax.enable_x64(True):
        their = jax.grad(lambda x, y: energy(getattr(theirs, name)(x, y, mode)), (0, 1))(x, y)
    ours = gn.grad(lambda x, y: energy(getattr(signal, name)(x, y, mode)), (0, 1))(x, y)
    for g, e in zip(ours, their, strict=True):
        np.testing.assert_allclose(g.data, e, rtol=1e-12, atol=1e-12 * np.abs(e).max())


def test_a_filter_is_found_by_descent(signal):
    """What blurred a signal comes out of the blurred signal: a least-squares fit through a convolution."""
    x, kernel = values(64), np.array([0.25, 0.5, 0.25])
    seen = signal.convolve(x, kernel, "same")
    guess = np.zeros(3)
    loss = lambda k: ((signal.convolve(x, k, "same") - seen) ** 2).sum()
    for _ in range(300):
        guess = guess - 0.005 * gn.grad(loss)(guess).data
    np.testing.assert_allclose(guess, kernel, atol=1e-8)

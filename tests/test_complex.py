"""Complex numbers in programs: gradients against PyTorch's and against differences of the real and the imaginary part.

The gradient of a real number L by z is dL/d(re z) + i dL/d(im z). Each program is written once and run on arrays, Tensors and
PyTorch's tensors; `xp` is the library. What holds for each function alone is checked in test_operations.py.
"""

import numpy as np
import pytest
from samples.shapes import values

import gradnerve as gn

pytestmark = pytest.mark.usefixtures("rows_return")

STEP = 1e-5
C, R = np.complex128, np.float64


def right(*shape, seed=0):
    """Complex numbers to the right of the imaginary axis, off the branch cuts of logarithm, root and power."""
    z = values(*shape, dtype=C, seed=seed)
    return np.abs(z.real) + 0.3 + 1j * z.imag


def small(*shape, seed=0):
    """Complex numbers in the unit circle, off the branch cuts of the inverse functions."""
    return right(*shape, seed=seed) * 0.4


def plane(*shape, seed=0):
    return values(*shape, dtype=C, seed=seed)


def line(*shape, seed=0):
    return values(*shape, seed=seed)


def above(*shape, seed=0):
    return np.abs(values(*shape, seed=seed)) + 0.2


# A program, and what it is called with.
PROGRAMS = {
    # elementwise
    "polynomial":           (lambda xp, z: z * z * z - (2 - 1j) * z + 3, plane(5)),
    "powers":               (lambda xp, z: z**2 + z**3 - z**-1 + z**1 + z**0, plane(5)),
    "roots":                (lambda xp, z: z**0.5 + xp.sqrt(z) + z ** (1 + 2j), right(5)),
    "power by power":       (lambda xp, z, w: z**w, right(3, 2), plane(2)),
    "real to the complex":  (lambda xp, x, z: x**z + 2**z + 2j**z, above(3), plane(3)),
    "complex to the real":  (lambda xp, z, x: z**x, right(3), line(3)),
    "quotient":             (lambda xp, z, w: z / w - w / z + 1 / z + w / 2j, plane(3, 1), right(2)),
    "mixed quotient":       (lambda xp, x, z: x / z + z / x, above(3), plane(3)),
    "mixed product":        (lambda xp, x, z: x * z + z - x * 1j - x, line(2, 3), plane(3)),
    "exp and log":          (lambda xp, z: xp.exp(z) * xp.log(z) + xp.log10(z) + xp.log2(z) + xp.log1p(z), right(4)),
    "circular":             (lambda xp, z: xp.sin(z) * xp.cos(z) + xp.tan(z), plane(4)),
    "hyperbolic":           (lambda xp, z: xp.sinh(z) * xp.cosh(z) + xp.tanh(z), small(4)),
    "inverse circular":     (lambda xp, z: xp.arcsin(z) + xp.arccos(z) * xp.arctan(z), small(4)),
    "inverse hyperbolic":   (lambda xp, z: xp.arcsinh(z) * xp.arctanh(z), small(4)),
    "arccosh":              (lambda xp, z: xp.arccosh(z) + xp.arccosh(-xp.conj(z)), right(4)),
    "squares":              (lambda xp, z: xp.square(z) + xp.reciprocal(z) - xp.negative(z) + xp.positive(z), plane(4)),
    "phase":                (lambda xp, x: xp.exp(1j * x), line(4)),
    "plane wave":           (lambda xp, k, x: xp.exp(1j * xp.outer(k, x)).sum(0), line(3), line(4)),
    "sigmoid":              (lambda xp, z: 1 / (1 + xp.exp(-z)), small(4)),
    # not holomorphic
    "absolute value":       (lambda xp, z: abs(z), plane(5)),
    "squared modulus":      (lambda xp, z: xp.abs(z) ** 2 - z * xp.conj(z), plane(5)),
    "angle":                (lambda xp, z: xp.angle(z) * xp.abs(z), right(5)),
    "parts":                (lambda xp, z: xp.real(z) ** 2 * xp.imag(z) + z.real * z.imag**3, plane(5)),
    "conjugates":           (lambda xp, z: xp.conj(z) * z**2 + xp.conj(z) / z, plane(5)),
    "polar and back":       (lambda xp, z: xp.abs(z) * xp.exp(1j * xp.angle(z)), right(5)),
    "from parts":           (lambda xp, x, y: (x + 1j * y) ** 2, line(3, 1), line(2)),
    "arctan of parts":      (lambda xp, z: xp.arctan2(xp.imag(z), xp.real(z)) + xp.hypot(xp.imag(z), xp.real(z)), right(4)),
    "log modulus":          (lambda xp, z: xp.log(xp.abs(z)) + xp.real(xp.log(z)), right(4)),
    "sign":                 (lambda xp, z: xp.sign(z) * z, plane(5)),
    "mod relu":             (lambda xp, z: z / xp.abs(z) * xp.maximum(xp.abs(z) - 0.7, z.real * 0), plane(6)),
    "parts of real":        (lambda xp, x: xp.real(x) * xp.conj(x) + xp.abs(x), line(4)),
    "real, then complex":   (lambda xp, x, z: xp.real(xp.sin(x) * z) * xp.exp(1j * x), line(4), plane(4)),
    "where":                (lambda xp, z, x: xp.where(z.real > 0, z * x, xp.conj(z)), plane(6), line(6)),
    "where, mixed":         (lambda xp, z, x: xp.where(x > 0, z, x * (1 + 0j)) + xp.where(x > 0, xp.log(z), 0 * z), right(6), line(6)),
    # shapes
    "rows and columns":     (lambda xp, z: z[:, 1:] * xp.conj(z[:1, [0, 0]]) + z.T[0, 1], plane(2, 3)),
    "joined":               (lambda xp, z, w: xp.concatenate([z, xp.conj(w), z * w]) * xp.stack([w, z, w]).reshape(-1), plane(3), plane(3)),
    "broadcast":            (lambda xp, z, x: z + x - z * x, plane(2, 1, 3), line(4, 1)),
    "a tensor twice":       (lambda xp, z: z * z + xp.conj(z) * xp.flip(z, (0,)), plane(5)),
    # sums and products
    "sum":                  (lambda xp, z: z.sum(0) * xp.conj(z.sum(1)[0]) + xp.mean(z, 0), plane(2, 3)),
    "product":              (lambda xp, z: xp.prod(z) + xp.prod(z, 0).sum(), plane(3, 2)),
    "running":              (lambda xp, z: xp.cumsum(z, 0) * xp.cumprod(z, 1), plane(3, 2)),
    "variance":             (lambda xp, z: (xp.abs(z - z.mean()) ** 2).mean(), plane(6)),
    "norm":                 (lambda xp, z: xp.sqrt((z * xp.conj(z)).real.sum()), plane(6)),
    # matrices
    "matrix product":       (lambda xp, a, b: xp.conj(a).T @ a @ b, plane(2, 3), plane(3, 2)),
    "mixed matrix product": (lambda xp, a, x: xp.matmul(a, x * (1 + 0j)) + a @ (1j * x), plane(2, 3), line(3)),
    "real times complex matrix": (lambda xp, a, x: (a @ x) * (x @ a.T), plane(2, 3), line(3)),
    "quadratic form":       (lambda xp, z, a: (xp.conj(z) @ a @ z).real, plane(3), plane(3, 3)),
    "stack of matrices":    (lambda xp, a, b: a @ b + xp.matmul(a, xp.conj(b)), plane(2, 2, 3), plane(3, 2)),
    "einsum":               (lambda xp, a, b, x: xp.einsum("ij,jk,k->i", a, b, x * (1 + 0j)), plane(2, 3), plane(3, 2), line(2)),
    "outer product":        (lambda xp, z, w: xp.outer(z, xp.conj(w)), plane(3), plane(2)),
    "vdot":                 (lambda xp, z, w: xp.vdot(z, w), plane(3), plane(3)),
    "tensordot":            (lambda xp, a, b: xp.tensordot(a, b, 1), plane(2, 3), plane(3, 2)),
    "kron":                 (lambda xp, a, b: xp.kron(a, xp.conj(b)), plane(2, 2), plane(2, 3)),
    "solve":                (lambda xp, a, b: xp.linalg.solve(a + 3j * xp.eye(3), b), plane(3, 3), plane(3, 2)),
    "inverse":              (lambda xp, a: xp.linalg.inv(a + 3j * xp.eye(3)), plane(3, 3)),
    "determinant":          (lambda xp, a: xp.linalg.det(a), plane(3, 3)),
    "matrix norm":          (lambda xp, a: xp.linalg.norm(a) + xp.linalg.norm(a[0]), plane(2, 3)),
    "cholesky":             (lambda xp, a: xp.linalg.cholesky(a @ xp.conj(a).T + 3 * xp.eye(3)), plane(3, 3)),
    "eigenvalues":          (lambda xp, a: xp.linalg.eigvalsh(a + xp.conj(a).T), plane(3, 3)),
    "logarithmic volume":   (lambda xp, a: xp.linalg.slogdet(a)[1] + xp.real(xp.linalg.slogdet(a)[0]), plane(3, 3)),
    "singular values":      (lambda xp, a: xp.linalg.svdvals(a), plane(3, 2)),
    "pseudo-inverse":       (lambda xp, a: xp.linalg.pinv(a), plane(3, 2)),
    "powers of a matrix":   (lambda xp, a: xp.linalg.matrix_power(a, 3), plane(2, 2)),
    "covariance":           (lambda xp, z: xp.cov(z), plane(2, 4)),
    "triangles":            (lambda xp, a: xp.tril(a) @ xp.triu(a) + xp.diagonal(a) * xp.trace(a), plane(3, 3)),
    "differences":          (lambda xp, z: xp.diff(z) * xp.roll(z, 1)[1:] * xp.flip(z, (0,))[:-1], plane(5)),
    "product with zeros":   (lambda xp, z: xp.prod(z * xp.where(xp.abs(z) > xp.abs(z[2]), 1, 0)) + xp.cumprod(z, 0), plane(4)),
    # Fourier
    "power spectrum":       (lambda xp, z: xp.abs(xp.fft.fft(z)) ** 2, plane(6)),
    "filter":               (lambda xp, z, x: xp.fft.ifft(xp.fft.fft(z) * xp.fft.fft(x)), plane(6), line(6)),
    "real spectrum":        (lambda xp, x, z: xp.fft.irfft(xp.fft.rfft(x) * z), line(6), plane(4)),
    "phases of a spectrum": (lambda xp, x: xp.angle(xp.fft.rfft(x))[1:3] * xp.exp(1j * x[0]), line(6)),
    "two axes":             (lambda xp, z: xp.abs(xp.fft.fftshift(xp.fft.fft2(z))), plane(2, 3)),
}  # fmt: skip


def run(name, xp, args):
    return PROGRAMS[name][0](xp, *args)


def arguments(name):
    return PROGRAMS[name][1:]


def drawn(like, seed):
    """Random numbers in the shape and of the kind of these."""
    rng = np.random.default_rng(seed)
    v = rng.uniform(-1, 1, np.shape(like))
    return v + 1j * rng.uniform(-1, 1, np.shape(like)) if np.iscomplexobj(like) else v


def real_part(a, b):
    """The sum of re(conj(a) * b): how a number of gradient `a` changes along `b`."""
    return np.real(np.conjugate(a) * b).sum()


def gradients(name, args, seed):
    leaves = [gn.Tensor(a, requires_grad=True) for a in args]
    run(name, np, leaves).backward(seed)
    return [t.grad for t in leaves]


def by_differences(f, a):
    """dL/d(re) + i dL/d(im) of every element, by central differences; f takes an array like `a`."""
    g = np.zeros_like(a)
    for i in np.ndindex(a.shape):
        for unit in (1, 1j) if a.dtype.kind == "c" else (1,):
            step = np.zeros_like(a)
            step[i] = unit * STEP
            g[i] += unit * (8 * (f(a + step) - f(a - step)) - (f(a + 2 * step) - f(a - 2 * step))) / (12 * STEP)
    return g


@pytest.mark.parametrize("name", PROGRAMS)
def test_against_differences(name):
    args = arguments(name)
    out = run(name, np, args)
    seed = np.asarray(drawn(out, 0))
    found = gradients(name, args, seed)
    for k, (g, a) in enumerate(zip(found, args, strict=True)):
        f = lambda moved: real_part(seed, run(name, np, [*args[:k], moved, *args[k + 1:]]))  # noqa: B023
        assert (g.shape, g.dtype) == (a.shape, a.dtype)
        np.testing.assert_allclose(g, by_differences(f, a), rtol=1e-7, atol=1e-8 * max(1, np.abs(g).max()), err_msg=f"argument {k}")


@pytest.mark.parametrize("name", PROGRAMS)
def test_values_are_those_of_arrays(name):
    args = arguments(name)
    expected = np.asarray(run(name, np, args))
    for make in (gn.Tensor, lambda a: gn.Tensor(a, requires_grad=True)):
        found = run(name, np, [make(a) for a in args])
        assert isinstance(found, gn.Tensor)
        assert found.dtype == expected.dtype
        assert np.array_equal(found.data, expected), f"{found} is not {expected}"


@pytest.mark.parametrize("name", PROGRAMS)
def test_second_derivative(name):
    """The gradient, differentiated along random directions."""
    args = arguments(name)
    seed = np.asarray(drawn(run(name, np, args), 0))
    numbers = tuple(range(len(args)))
    g = gn.grad(lambda *xs: real_part(seed, run(name, np, xs)), numbers)
    along, moves = [drawn(a, 1) for a in args], [drawn(a, 2) for a in args]
    slope = lambda *xs: sum(real_part(u, share) for u, share in zip(along, g(*xs), strict=True))
    found = sum(real_part(s.data, v) for s, v in zip(gn.grad(slope, numbers)(*args), moves, strict=True))
    at = lambda h: slope(*(a + h * v for a, v in zip(args, moves, strict=True))).item()
    expected = (8 * (at(STEP) - at(-STEP)) - (at(2 * STEP) - at(-2 * STEP))) / (12 * STEP)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", PROGRAMS)
def test_single_precision(name):
    """complex64 and float32 stay what they are, and the gradient is that of the same numbers in double precision."""
    args = [a.astype(a.dtype.char.lower().replace("d", "f") if a.dtype.kind == "f" else "F") for a in arguments(name)]
    wide = [a.astype(a.dtype.char.replace("f", "d").replace("F", "D")) for a in args]
    out = run(name, np, args)
    seed = np.asarray(drawn(out, 0)).astype(out.dtype)
    for g, e, a in zip(gradients(name, args, seed), gradients(name, wide, seed.astype(run(name, np, wide).dtype)), args, strict=True):
        assert g.dtype == a.dtype
        np.testing.assert_allclose(g, e, rtol=1e-4, atol=1e-4 * max(1, np.abs(e).max()))


# --- PyTorch ---------------------------------------------------------------------------------------------------------

NOT_TORCH = {"real times complex matrix", "sign"}  # PyTorch's products take one dtype; its sign has no derivative


@pytest.mark.parametrize("name", sorted(set(PROGRAMS) - NOT_TORCH))
def test_against_torch(name):
    torch = pytest.importorskip("torch")
    args = arguments(name)
    tensors = [torch.tensor(a, requires_grad=True) for a in args]
    out = run(name, torch, tensors)
    seed = np.asarray(drawn(run(name, np, args), 0))
    out.backward(torch.tensor(seed))
    for g, t in zip(gradients(name, args, seed), tensors, strict=True):
        expected = t.grad.resolve_conj().numpy()
        np.testing.assert_allclose(g, expected, rtol=1e-10, atol=1e-11 * max(1, np.abs(expected).max()))


def test_descent_takes_the_steps_of_pytorch():
    """A least-squares fit of complex parameters to complex data: the same path, and the solution of linear algebra at its end."""
    torch = pytest.importorskip("torch")
    a, x = plane(12, 3), plane(3, seed=1)
    b = a @ x + 0.1 * plane(12, seed=2)
    ours, theirs = gn.Tensor(np.zeros(3, C), requires_grad=True), torch.zeros(3, dtype=torch.complex128, requires_grad=True)
    matrix, right_side = torch.tensor(a), torch.tensor(b)
    for step in range(400):
        left = a @ ours - b
        loss = (left * left.conj()).real.sum()
        ours.zero_grad()
        loss.backward()
        ours.data -= 0.02 * ours.grad
        if step < 50:
            theirs.grad = None
            (matrix @ theirs - right_side).abs().square().sum().backward()
            with torch.no_grad():
                theirs -= 0.02 * theirs.grad
            np.testing.assert_allclose(ours.data, theirs.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(ours.data, np.linalg.lstsq(a, b)[0], rtol=1e-9)


# --- where the formulas have no value --------------------------------------------------------------------------------


@pytest.mark.parametrize(("f", "z", "expected"), [
    (lambda z: np.abs(z), [0, 3 + 4j], [0, 0.6 + 0.8j]),
    (lambda z: np.abs(z) ** 2, [0, 3 + 4j], [0, 6 + 8j]),
    (lambda z: np.angle(z), [0, 2j], [0, -0.5]),
    (lambda z: np.real(np.sign(z)), [0, 2j], [0, 0.5]),
    (lambda z: np.real(z**2 + z**1 + z**0), [0, 1j], [1, 1 - 2j]),
    (lambda z: np.real(z ** np.array([2, 0])), [0, 0], [0, 0]),
    (lambda z: np.sqrt((z * z.conj()).real.sum()) + 0 * z.real, [0, 3j], [0, 2j]),
    (lambda z: np.where(z == 0, 0, np.real(np.log(np.where(z == 0, 1, z)))), [0, 2j], [0, 0.5j]),
    (lambda z: np.real(np.where(z == 0, 0, np.log(z))), [0, 2j], [0, 0.5j]),
], ids=["abs", "abs squared", "angle", "sign", "powers", "powers of an array", "norm", "where, safe", "where, masked"])  # fmt: skip
def test_gradient_of_the_sum(f, z, expected):
    z = gn.Tensor(np.array(z, C), requires_grad=True)
    with np.errstate(all="ignore"):
        f(z).sum().backward()
    np.testing.assert_allclose(z.grad, expected, rtol=1e-15)


# --- dtypes ----------------------------------------------------------------------------------------------------------


def test_a_real_leaf_has_a_real_gradient():
    """Of what comes back to it, only the real part can move it."""
    x, z = gn.Tensor([1.0, 2.0], requires_grad=True), gn.Tensor([1 + 1j, 2j], requires_grad=True)
    (x * z).backward(np.array([1j, 1.0]))
    assert x.grad.dtype == R
    assert x.grad.tolist() == [1.0, 0.0]
    assert z.grad.tolist() == [1j, 2.0]


@pytest.mark.parametrize(("x", "y", "expected"), [
    ("F", 2j, "F"), ("f", 2j, "F"), ("F", 2.5, "F"), ("f", "F", "F"), ("F", "d", "D"), ("f", "D", "D"), ("D", "e", "D"), ("i", 2j, "D"),
    ("G", "F", "G"),
])  # fmt: skip
def test_promotion_is_numpys(x, y, expected):
    a, b = (np.ones(2, k) if isinstance(k, str) else k for k in (x, y))
    for f in (np.add, np.multiply, np.divide, np.power, lambda p, q: np.subtract(q, p)):
        t = gn.Tensor(a, requires_grad=x != "i")
        out = f(t, b)
        assert out.dtype == f(a, b).dtype == np.dtype(expected)
        if x != "i":
            out.backward(np.ones(2, expected))
            assert t.grad.dtype == np.dtype(x)


def test_in_place():
    z, w = gn.Tensor([1 + 2j, 3j], requires_grad=True), gn.Tensor([1j, 2.0], requires_grad=True)
    y = z * 2
    y *= w
    y -= z
    y /= w
    y[0] = w[0] * 1j
    (y * y.conj()).real.sum().backward()
    expected = gn.grad(lambda z, w: (np.abs(np.stack([w[0] * 1j, 2 * z[1] - z[1] / w[1]])) ** 2).sum(), (0, 1))(z.data, w.data)
    np.testing.assert_allclose(z.grad, expected[0].data)
    np.testing.assert_allclose(w.grad, expected[1].data)
    x = gn.Tensor([1.0, 2.0], requires_grad=True) * 1
    with pytest.raises(TypeError, match="cannot put complex128 values into a tensor of float64"):
        x += z


def test_seeds():
    z = gn.Tensor([1 + 2j, 3j], requires_grad=True)
    (z * 2).backward(np.ones(2))
    assert z.grad.tolist() == [2, 2]
    with pytest.raises(TypeError, match="the seed has dtype complex128, the output float64"):
        np.abs(z).backward(np.ones(2, C))
    with pytest.raises(gn.GraphError, match="no real scalar"):
        z.sum().backward()


def test_parts_and_methods():
    z = gn.Tensor(plane(2, 3), requires_grad=True)
    assert z.T.conj().shape == (3, 2)
    assert np.array_equal(z.conj().data, z.conjugate().data)
    assert (z.real.dtype, z.imag.dtype, abs(z).dtype, np.angle(z).dtype) == (R,) * 4
    assert np.iscomplexobj(z)
    assert complex(z[0, 0]) == z.item(0) == z.data[0, 0]
    assert f"{z[0, 0]:.3f}" == f"{z.data[0, 0]:.3f}"
    with pytest.raises(TypeError):
        float(z[0, 0])


def test_sigmoid():
    """Our own function, which takes another way to its value so that nothing overflows, is the holomorphic one."""
    z = gn.Tensor([1 + 1j, -2 + 0.5j, 0.3j, -0.1 - 3j], requires_grad=True)
    y = gn.sigmoid(z)
    expected = 1 / (1 + np.exp(-z.data))
    np.testing.assert_allclose(y.data, expected, rtol=1e-14)
    y.backward(np.ones(4, complex))
    np.testing.assert_allclose(z.grad, np.conj(expected * (1 - expected)), rtol=1e-13)

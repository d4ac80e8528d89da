"""Forward mode and pullbacks: `jvp` and `vjp`.

Forward mode has no derivative lines of its own. On every operation there is, it is held against reverse mode by inner products,
``<u, J v> == <J^T u, v>``, and against the values. Read next: test_operations.py, where the samples come from.
"""

import numpy as np
import pytest
import test_operations as operations
from test_functional import DIRECTION, POINT, close, leaf, refusal, says
from test_operations import HOLOMORPHIC, NAMES, each, exact, floating, gradients, inner_product, ours, sizes, value

import gradnerve as gn

pytestmark = pytest.mark.usefixtures("rows_return")


# ---- every operation -------------------------------------------------------------------------------------------------------


def pushed(sample, arrays, directions):
    """The values of an operation, and how they move."""
    function = lambda *arrays: sample.call(ours(sample.name), arrays)
    with np.errstate(all="ignore"):
        out, tangent = gn.jvp(function, tuple(arrays), tuple(directions))
    for t, moved in zip(out, tangent, strict=True):
        assert (type(moved), moved.shape, moved.dtype, moved.requires_grad) == (gn.Tensor, t.shape, t.dtype, False)
    return [value(t) for t in out], [value(t) for t in tangent]


def has_arrays(sample):
    return sample.arrays and all(a.dtype != np.float16 for a in sample.arrays)


@pytest.mark.parametrize("name", NAMES)
def test_forward_mode_is_the_transpose_of_reverse_mode(name):
    """In double precision, real and complex; the inner product is the real one."""

    def check(sample):
        arrays = sample.doubled()
        weights, directions = sample.draw(sample.reference(arrays)), sample.draw(arrays)
        with np.errstate(all="ignore"):
            pulled = gradients(sample, arrays, weights)
        found = inner_product(weights, pushed(sample, arrays, directions)[1])
        operations.close(found, inner_product(pulled, directions), sizes(pulled, directions), 1e-6, 1e-9)

    each(name, check, has_arrays)


@pytest.mark.parametrize("name", NAMES)
def test_forward_mode_in_single_precision(name):
    def check(sample):
        _, found = pushed(sample, sample.arrays, directions := sample.draw(sample.arrays))
        _, expected = pushed(sample, sample.doubled(), [v.astype(np.result_type(v, float)) for v in directions])
        for moved, wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose(moved, wanted, rtol=3e-4, atol=1e-6 + 3e-4 * np.abs(wanted).max(initial=0))

    each(name, check, lambda sample: has_arrays(sample) and not exact(sample) and sample.rng.random() < 0.3)


@pytest.mark.parametrize("name", HOLOMORPHIC)
def test_forward_mode_is_a_complex_step(name):
    """All numbers of the result, nearly to the last bit."""

    def check(sample):
        directions = sample.draw(sample.arrays)
        with np.errstate(all="ignore"):
            moved = sample.call(operations.REFERENCE[name], [a + 1e-30j * v for a, v in zip(sample.arrays, directions, strict=True)])
        for found, out in zip(pushed(sample, sample.arrays, directions)[1], moved, strict=True):
            expected = np.imag(out) / 1e-30
            np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13 * np.abs(expected).max(initial=0))

    each(name, check, lambda sample: exact(sample) and all(isinstance(a, float) or (floating(a) and a.dtype == np.float64) for a in sample.args))


@pytest.mark.parametrize("name", NAMES)
def test_forward_mode_is_a_difference(name):
    """All numbers of the result, on some of the samples."""

    def check(sample):
        directions, h = sample.draw(sample.arrays), 3e-4
        at = lambda h: sample.reference([a + h * v for a, v in zip(sample.arrays, directions, strict=True)])
        for found, *steps in zip(pushed(sample, sample.arrays, directions)[1], at(-2 * h), at(-h), at(h), at(2 * h), strict=True):
            expected = (8 * (steps[2] - steps[1]) - (steps[3] - steps[0])) / (12 * h)
            noise = np.abs(steps[0]).max(initial=1)
            np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8 * np.abs(expected).max(initial=0) + 1e-11 * noise)

    each(name, check, lambda sample: has_arrays(sample) and exact(sample) and sample.rng.random() < 0.3)


def real_parts(out):
    return [out.real, out.imag] if out.dtype.kind == "c" else [out]


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_a_jacobian_are_gradients(name):
    """All numbers of the result: each row, times the directions, is how it moves."""

    def check(sample):
        arrays = sample.doubled()
        directions, everything = sample.draw(arrays), tuple(range(len(arrays)))
        f = lambda *arrays: [part for out in sample.call(ours(name), arrays) for part in real_parts(out)]
        with np.errstate(all="ignore"):
            rows = gn.jacobian(f, everything)(*arrays)
            _, moved = gn.jvp(f, tuple(arrays), tuple(directions))
        for blocks, expected in zip(rows, moved, strict=True):
            found = sum(np.real(np.tensordot(np.conj(value(block)), v, v.ndim)) for block, v in zip(blocks, directions, strict=True))
            assert [block.shape for block in blocks] == [expected.shape + a.shape for a in arrays]
            np.testing.assert_allclose(found, value(expected), rtol=1e-9, atol=1e-9 * np.abs(value(expected)).max(initial=1e-6))

    each(name, check, lambda sample: has_arrays(sample) and sample.rng.random() < 0.1)


@pytest.mark.parametrize("name", NAMES)
def test_hessian_vector_products_in_three_ways(name):
    """Reverse over reverse, forward over reverse and reverse over forward agree."""

    def check(sample):
        arrays = sample.doubled()
        weights, v, everything = sample.draw(sample.reference(arrays)), tuple(sample.draw(arrays)), tuple(range(len(arrays)))
        f = lambda *arrays: sum(np.real(np.sum(np.conj(w) * out)) for w, out in zip(weights, sample.call(ours(name), arrays), strict=True))
        with np.errstate(all="ignore"):
            expected = gn.hvp(f, everything)(*arrays, v)
            first, forward = gn.jvp(gn.grad(f, everything), tuple(arrays), v)
            backward = gn.grad(lambda *arrays: gn.jvp(f, arrays, v)[1], everything)(*arrays)
        scale = max(np.abs(value(g)).max(initial=0) for g in (*expected, *first))
        for e, one, two in zip(expected, forward, backward, strict=True):
            np.testing.assert_allclose(value(one), value(e), rtol=1e-9, atol=1e-9 * scale)
            np.testing.assert_allclose(value(two), value(e), rtol=1e-9, atol=1e-9 * scale)

    each(name, check, lambda sample: has_arrays(sample) and sample.rng.random() < 0.1)


# ---- forward mode ----------------------------------------------------------------------------------------------------------


def test_tangents_of_single_numbers():
    functions = [(lambda x, y: x + y, 12), (lambda x, y: x * y, 14), (lambda x, y: x, 2), (lambda x, y: y - x, 8), (lambda x, y: x + x, 4)]
    for x, y in ((1.0, 2.0), (np.array(1.0), gn.Tensor(2.0)), (leaf(1.0), np.float64(2))):
        for f, expected in functions:
            assert float(gn.jvp(f, (x, y), (2.0, 10.0))[1]) == expected


def test_a_result_that_is_named_twice():
    _, tangent = gn.jvp(lambda x: (lambda y: [y, (y, x)])(x * x), (3.0,), (1.0,))
    assert [float(t) for t in (tangent[0], *tangent[1])] == [6, 6, 1]
    for x, one in ((3.0, 1.0), (POINT, np.ones((2, 3))), (leaf(3.0), 1.0)):
        _, pullback = gn.vjp(lambda x: (lambda y: [y, y, x])(x * x), x)
        close(pullback([one, one, one])[0], 4 * np.asarray(value(x)) + 1)
        assert all(g.requires_grad == isinstance(x, gn.Tensor) for g in pullback([one, one, one]))


def test_containers_in_and_out():
    f = lambda p, x: {"y": p["w"] @ x, "rest": (p["b"][0] * x, None, 3.0, 7)}
    primals = ({"w": POINT, "b": [2.0]}, np.array([1.0, 2.0, 3.0]))
    tangents = ({"b": [0.5], "w": DIRECTION}, np.array([0.1, 0.0, -0.1]))
    out, moved = gn.jvp(f, primals, tangents)
    close(moved["y"], DIRECTION @ primals[1] + POINT @ tangents[1])
    close(moved["rest"][0], 0.5 * primals[1] + 2 * tangents[1])
    assert moved["rest"][1] is None and float(moved["rest"][2]) == 0 and float(moved["rest"][3]) == 0
    assert float(out["rest"][2]) == 3 and int(out["rest"][3]) == 7


def test_tangents_are_taken_in_the_dtype_of_the_arguments():
    x = np.ones(2, np.float32)
    for v in (np.array([1.0, 2.0]), np.array([1, 2]), gn.Tensor([1.0, 2.0]), np.array([1, 2], np.int8), np.array([1, 2], np.float16)):
        _, tangent = gn.jvp(lambda x: x * x, (x,), (v,))
        assert tangent.dtype == np.float32 and tangent.data.tolist() == [2, 4]
    _, tangent = gn.jvp(lambda z: z * z, (1 + 1j,), (1.0,))
    assert tangent.dtype == complex and tangent.data == 2 + 2j
    assert gn.jvp(lambda x: (x.astype(np.float32), x * 1j), (x.astype(float),), (x,))[1][0].dtype == np.float32


def test_forward_mode_is_linear_in_the_tangent():
    f = lambda x: np.exp(x) @ x.T
    one, two, both = (gn.jvp(f, (POINT,), (v,))[1] for v in (DIRECTION, POINT, 2 * DIRECTION - 3 * POINT))
    close(both, 2 * one.data - 3 * two.data)
    close(gn.jvp(f, (POINT,), (0 * POINT,))[1], np.zeros((2, 2)))
    pulled = gn.grad(lambda v: (gn.jvp(f, (POINT,), (v,))[1] ** 2).sum())(DIRECTION)
    rows = gn.jacobian(f)(POINT).data.reshape(4, 6)
    close(pulled, (2 * rows.T @ rows @ DIRECTION.ravel()).reshape(2, 3))


def test_forward_mode_where_a_derivative_is_infinite():
    """The branch that was taken counts, the other does not."""
    x = np.array([0.0, 4.0])
    with np.errstate(all="ignore"):
        taken = gn.jvp(lambda x: np.where(x >= 0, np.sqrt(x), 0.0), (x,), (np.ones(2),))[1]
        left_out = gn.jvp(lambda x: np.where(x > 0, np.sqrt(x), 0.0), (x,), (np.ones(2),))[1]
    assert taken.data.tolist() == [np.inf, 0.25] and left_out.data.tolist() == [0, 0.25]


def test_complex_tangents():
    z, v = np.array([0.5 + 1j, -0.3 + 0.2j]), np.array([1 - 1j, 0.5j])
    close(gn.jvp(lambda z: z * z.conj(), (z,), (v,))[1], 2 * np.real(z.conj() * v) + 0j)
    close(gn.jvp(np.abs, (z,), (v,))[1], np.real(z.conj() * v) / np.abs(z))
    close(gn.jvp(np.exp, (z,), (v,))[1], np.exp(z) * v)
    close(gn.jvp(lambda x: np.exp(1j * x), (0.5,), (2.0,))[1], 2j * np.exp(0.5j))


def test_tangents_of_tracked_arguments():
    w = leaf(2.0)
    out, tangent = gn.jvp(lambda x: w * x**3, (2.0,), (1.0,))
    tangent.backward()
    assert w.grad == 12
    out.backward()
    assert w.grad == 12 + 8
    v = leaf(1.0)
    out, tangent = gn.jvp(lambda x: x**3, (2.0,), (v,))
    assert tangent.requires_grad and not out.requires_grad
    tangent.backward()
    assert v.grad == 12


# ---- pullbacks -------------------------------------------------------------------------------------------------------------


def test_a_pullback_can_be_called_again():
    x, y = np.array([1.0, 2.0]), gn.Tensor([3.0, 4.0])
    out, pullback = gn.vjp(lambda x, y: np.exp(x) * y, x, y)
    first = pullback(np.array([1.0, 10.0]))
    close(first[0], np.exp([1, 2]) * [3, 40])
    x[:], y.data[:] = 0, 0
    y += 7
    first[0].data[:] = 0
    out.data[:] = 0
    second = pullback(np.array([1.0, 10.0]))
    close(second[0], np.exp([1, 2]) * [3, 40])
    close(second[1], np.exp([1, 2]) * [1, 10])
    close(pullback(np.zeros(2))[1], [0, 0])


def test_a_pullback_after_a_tracked_argument_has_changed():
    x = leaf([1.0, 2.0]) * 1
    out, pullback = gn.vjp(lambda x: x**3, x)
    x += 5
    x.data[...] = 0
    close(pullback(np.ones(2))[0], [3, 12])
    out.backward(np.ones(2), retain_graph=True)
    close(pullback(np.ones(2))[0], [3, 12])


@pytest.mark.parametrize("made", [float, leaf])
def test_results_are_tensors_of_their_own(made):
    """What is changed in place after the call has no part in the derivatives."""
    x = made(2.0)
    for f, slope in ((lambda x: x**2, 4), (lambda x: x, 1)):
        out, pullback, aux = gn.vjp(lambda x: (f(x),) * 2, x, has_aux=True)  # noqa: B023
        out *= 3
        aux += out
        assert float(pullback(1.0)[0]) == slope
        out, g = gn.value_and_grad(f)(x)
        out += g
        assert float(g) == slope


@pytest.mark.parametrize("seed", [2, 2.0, np.float32(2), np.int8(2), gn.Tensor(2.0), np.array(2)], ids=lambda seed: type(seed).__name__)
def test_any_kind_of_seed(seed):
    _, pullback = gn.vjp(lambda x: x**3, 2.0)
    assert float(pullback(seed)[0]) == 24 and pullback(seed)[0].dtype == float


def test_the_derivative_of_a_pullback_by_its_seed():
    f = lambda x: np.exp(x) @ x.T
    _, pullback = gn.vjp(f, POINT)
    seed, rows = np.array([[1.0, 2.0], [-1.0, 0.5]]), gn.jacobian(f)(POINT).data.reshape(4, 6)
    close(gn.jacobian(lambda g: pullback(g)[0])(seed), rows.T.reshape(2, 3, 2, 2))
    close(gn.jvp(lambda g: pullback(g)[0], (seed,), (seed,))[1], pullback(seed)[0].data)
    g = leaf(seed)
    (pullback(g)[0] ** 2).sum().backward()
    np.testing.assert_allclose(g.grad, (2 * rows @ rows.T @ seed.ravel()).reshape(2, 2), rtol=1e-12)


def test_a_pullback_stands_beside_backward():
    w = leaf(2.0)
    out, pullback = gn.vjp(lambda x: w * x**2, 3.0)
    assert out.requires_grad and float(pullback(1.0)[0]) == 12
    pullback(1.0)[0].backward(retain_graph=True)
    assert w.grad == 6
    out.backward(retain_graph=True)
    assert w.grad == 15 and float(pullback(1.0)[0]) == 12
    with gn.no_grad():
        assert not pullback(1.0)[0].requires_grad
    out.backward()
    says(refusal(gn.GraphError, pullback, 1.0), "released", "retain_graph=True")


def test_results_of_a_pullback_that_does_not_reach_all_arguments():
    _, pullback = gn.vjp(lambda x, y, z: (x * 2, 5.0, np.array([1, 2])), 1.0, np.ones(2), leaf([1.0]))
    g = pullback((1.0, 3.0, np.array([1, 1])))
    assert [t.data.tolist() for t in g] == [2, [0, 0], [0]]
    assert gn.vjp(lambda: 3.0)[1](1.0) == ()
    assert float(gn.vjp(lambda x: x, 3.0)[1](5.0)[0]) == 5

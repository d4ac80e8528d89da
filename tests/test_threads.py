"""Threads that share a loop, threads of the user's, and processes."""

import os
import threading

import numpy as np
import pytest

import gradnerve as gn
from gradnerve._engine import wrap
from gradnerve._loops import empty_pool, keep_arrays
from gradnerve._program import set_threads

SIZES = [1, 1000, 32767, 32768, 8192 * 5, 8192 * 5 + 1, 100_001, 1_000_003]


@pytest.fixture
def threads():
    before = set_threads(1)
    yield set_threads
    set_threads(before)


def gradients(n, dtype=np.float64):
    """A bit of everything that threads share: lines of one and several instructions, sums in place, a broadcast gradient."""
    rng = np.random.default_rng(n)
    x, w = (gn.Tensor(rng.normal(size=n), requires_grad=True, dtype=dtype) for _ in range(2))
    y = gn.tanh(x * w + 0.5) * w + x / (2 + w * w)
    y.sum().backward()
    return y.data, x.grad, w.grad


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_number_of_threads_gives_the_same_bits(threads, n, dtype):
    alone = gradients(n, dtype)
    for k in (2, 3, 7):
        threads(k)
        for one, shared in zip(alone, gradients(n, dtype), strict=True):
            np.testing.assert_array_equal(one, shared)


def test_warnings_come_from_every_thread(threads):
    threads(4)
    x = gn.Tensor(np.ones(200_000))
    x[150_000] = 0.0
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        gn.log(x)
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        gn.log(x)
    with np.errstate(all="raise"):
        gn.exp(x)  # and no flag is left behind


def test_users_threads_share_the_helpers(threads):
    expected = [gradients(n) for n in (50_000, 90_000)]
    threads(3)
    wrong = []

    def work(k):
        for _ in range(20):
            for one, other in zip(expected[k % 2], gradients((50_000, 90_000)[k % 2]), strict=True):
                if not np.array_equal(one, other):
                    wrong.append(k)

    users = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork_leaves_the_helpers_behind(threads):
    threads(2)
    expected = gradients(100_000)
    child = os.fork()
    if child == 0:
        same = all(np.array_equal(a, b) for a, b in zip(expected, gradients(100_000), strict=True))
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert np.array_equal(gradients(100_000)[1], expected[1])


@pytest.mark.parametrize("wrong", [0, -1, 17, 10**6])
def test_number_of_threads_is_checked(threads, wrong):
    with pytest.raises(ValueError, match="1 to 16"):
        threads(wrong)


def test_an_array_of_the_pool_is_as_a_new_one():
    """Along an axis of length 1, NumPy's arrays have all kinds of steps."""
    kept = keep_arrays(True)
    for shape in (1, 4), (4, 1), (1, 1, 3, 1):
        empty_pool()
        odd = wrap(np.ones(shape, order="F"), owned=True)
        assert odd._array.strides != np.ones(shape).strides
        del odd
        assert (gn.Tensor(np.ones(shape)) * 2).data.strides == np.ones(shape).strides
    keep_arrays(kept)


def test_pool_is_bounded_and_can_be_emptied():
    kept = keep_arrays(True)
    for _ in range(3):
        for n in (10, 1000, 100_000, 1_000_000):
            x = gn.Tensor(np.ones(n), requires_grad=True)
            (x * x + x).backward(np.ones(n))
    assert 0 < empty_pool() <= 64 << 20
    assert empty_pool() == 0
    keep_arrays(kept)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_share_a_product(threads, dtype):
    rng = np.random.default_rng(0)
    x, weight = (rng.normal(size=(250, 256)).astype(dtype) for _ in range(2))
    threads(3)
    np.testing.assert_allclose(gn.nn.functional.linear(x, weight), x @ weight.T, rtol=1e-4 if dtype == np.float32 else 1e-12, atol=1e-4)

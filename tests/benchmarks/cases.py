"""What is timed: small programs, each written once and run by every library, and what we aim at.

A case's `loss(ops, *constants, *arrays)` uses operators, methods that all libraries share, and `ops` for the functions
whose names differ. `forward` and `by_hand` are the same in plain NumPy: what one would write without any library.

Read next: cases_of_functions.py, the same for Hessians, simulations and the like.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

NUMPYS_NAMES = frozenset({"gradnerve", "PyTorch", "HIPS autograd", "JAX", "JAX jit"})  # for linalg, fft and einsum, too
EVERY_LIBRARY = frozenset({"gradnerve", "PyTorch", "HIPS autograd", "MyGrad", "JAX", "JAX jit"})


@dataclass
class Case:
    """A loss, its differentiated arguments, what is computed of it, and the aims: how many times faster than whom."""

    name: str
    what: str
    loss: Callable
    arrays: list
    operations: int  # in the forward pass: for the time per operation
    aims: dict = field(default_factory=dict)
    constants: tuple = ()  # what is not differentiated; each library gets it as an array of its own kind
    libraries: frozenset = EVERY_LIBRARY
    forward: Callable | None = None  # plain NumPy, nothing recorded
    by_hand: Callable | None = None  # plain NumPy, returns the gradients
    computes: str = "gradient"  # or a name in the tables of rivals.py
    further: tuple = ()  # arguments behind the differentiated ones: the vector, the examples, the momentum


def chain(size, aims, steps=200):
    rng = np.random.default_rng(0)
    start, w = rng.normal(size=size), rng.uniform(0.5, 1.5, size=size)
    b = 0.1 * rng.normal(size=size)  # larger ones saturate tanh: the gradients would be denormal, and slow in every library

    def loss(ops, start, w, b):
        y = start
        for _ in range(steps):
            y = ops.tanh(y * w + b)
        return y.sum()

    def forward(w, b):
        y = start
        for _ in range(steps):
            y = np.tanh(y * w + b)
        return y

    def by_hand(w, b):
        ys = [start]
        for _ in range(steps):
            ys.append(np.tanh(ys[-1] * w + b))
        g, gw, gb = np.ones_like(start), np.zeros_like(w), np.zeros_like(b)
        for y in range(steps, 0, -1):
            g = g * (1 - ys[y] * ys[y])
            gw += g * ys[y - 1]
            gb += g
            g = g * w
        return gw, gb

    what = f"y = tanh(y*w + b), {steps} steps, {size:,} float64 elements"
    return Case(f"chain_{size}", what, loss, [w, b], 3 * steps, aims, (start,), forward=forward, by_hand=by_hand)


def scalars(aims):
    """micrograd's own network, every weight a value of its own."""
    sizes, rng = [2, 16, 16, 1], np.random.default_rng(0)
    shapes = list(pairwise(sizes))
    weights = [rng.uniform(-1, 1) for n, m in shapes for _ in range((n + 1) * m)]

    def neuron(x, w):
        return sum((wi * xi for wi, xi in zip(w, x, strict=False)), w[-1])

    def loss(ops, *weights):
        x, position = [0.3, -0.7], 0
        for n, m in shapes:
            neurons = [weights[position + i * (n + 1) : position + (i + 1) * (n + 1)] for i in range(m)]
            position += (n + 1) * m
            x = [neuron(x, w) for w in neurons]
            if m > 1:
                x = [ops.relu(value) for value in x]
        return (x[0] - 1.0) ** 2

    operations = sum(2 * n * m + (m if m > 1 else 0) for n, m in shapes) + 2
    libraries = (EVERY_LIBRARY | {"micrograd"}) - {"JAX", "JAX jit"}  # JAX is made for few large operations
    what = f"micrograd's 2-16-16-1 net scalar by scalar, {len(weights)} weights"
    return Case("scalars", what, loss, weights, operations, aims, libraries=libraries)


def broadcast(aims):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape) for shape in [(8, 16), (16,), (8, 1)]]

    def loss(ops, x, w, b):
        return ((x * w + b) * 0.5).sum()

    def forward(x, w, b):
        return ((x * w + b) * 0.5).sum()

    def by_hand(x, w, b):
        forward(x, w, b)
        g = np.full(x.shape, 0.5)
        return g * w, (g * x).sum(axis=0), g.sum(axis=1, keepdims=True)

    what = "((x*w + b) * 0.5).sum(), (8,16) x (16,) x (8,1)"
    return Case("broadcast", what, loss, arrays, 4, aims, forward=forward, by_hand=by_hand)


def small_mlp(aims):
    rng = np.random.default_rng(0)
    images, target = rng.normal(size=(32, 2)), rng.normal(size=(32, 1))
    shapes = [(2, 16), (16,), (16, 16), (16,), (16, 1), (1,)]
    arrays = [rng.normal(size=shape) / np.sqrt(shape[0]) for shape in shapes]

    def loss(ops, images, target, w1, b1, w2, b2, w3, b3):
        h = ops.tanh(ops.linear(images, w1, b1))
        h = ops.tanh(ops.linear(h, w2, b2))
        return ops.mean_squared_error(ops.linear(h, w3, b3), target)

    def forward(w1, b1, w2, b2, w3, b3):
        h = np.tanh(np.tanh(images @ w1 + b1) @ w2 + b2)
        return ((h @ w3 + b3 - target) ** 2).mean()

    def by_hand(w1, b1, w2, b2, w3, b3):
        h1 = np.tanh(images @ w1 + b1)
        h2 = np.tanh(h1 @ w2 + b2)
        error = h2 @ w3 + b3 - target
        (error**2).mean()
        g3 = error * (2 / error.size)
        g2 = (g3 @ w3.T) * (1 - h2 * h2)
        g1 = (g2 @ w2.T) * (1 - h1 * h1)
        return images.T @ g1, g1.sum(axis=0), h1.T @ g2, g2.sum(axis=0), h2.T @ g3, g3.sum(axis=0)

    what = "MLP 2-16-16-1, batch 32, tanh, mean squared error, float64"
    libraries = EVERY_LIBRARY | {"PyTorch fused"}
    return Case("mlp_small", what, loss, arrays, 11, aims, (images, target), libraries, forward, by_hand)


def large_mlp(aims):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(128, 784)).astype(np.float32)
    labels = rng.integers(10, size=128)
    shapes = [(784, 512), (512,), (512, 10), (10,)]
    arrays = [(rng.normal(size=shape) / np.sqrt(shape[0])).astype(np.float32) for shape in shapes]

    def loss(ops, images, labels, w1, b1, w2, b2):
        h = ops.relu(ops.linear(images, w1, b1))
        return ops.cross_entropy(ops.linear(h, w2, b2), labels)

    def by_hand(w1, b1, w2, b2):
        h = np.maximum(images @ w1 + b1, 0)
        g2 = softmax(h @ w2 + b2)
        g2[np.arange(len(labels)), labels] -= 1
        g2 /= len(labels)
        g1 = (g2 @ w2.T) * (h > 0)
        return images.T @ g1, g1.sum(axis=0), h.T @ g2, g2.sum(axis=0)

    what = "MLP 784-512-10, batch 128, relu, cross entropy, float32"
    libraries = EVERY_LIBRARY | {"PyTorch fused"}
    return Case("mlp_large", what, loss, arrays, 6, aims, (images, labels), libraries, by_hand=by_hand)


def softmax(x):
    p = np.exp(x - x.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return p


def elementwise(dtype, aims):
    rng = np.random.default_rng(0)
    x, c = rng.normal(size=(2, 1_000_000)).astype(dtype)

    def loss(ops, c, x):
        return ((ops.tanh(x * c) + ops.exp(x / 10)) ** 2).sum()

    def forward(x):
        return ((np.tanh(x * c) + np.exp(x / 10)) ** 2).sum()

    def by_hand(x):
        t, e = np.tanh(x * c), np.exp(x / 10)
        s = t + e
        (s**2).sum()
        g = 2 * s
        return (g * (1 - t * t) * c + g * e / 10,)

    name = np.dtype(dtype).name
    what = f"sum((tanh(x*c) + exp(x/10))**2), 1,000,000 {name} elements"
    return Case(f"elementwise_{name}", what, loss, [x], 7, aims, (c,), forward=forward, by_hand=by_hand)


def gaussian(size):
    """What fitting the covariance of a Gaussian process asks for."""
    rng = np.random.default_rng(0)
    a, y, eye = rng.normal(size=(size, size)), rng.normal(size=size), size * np.eye(size)

    def loss(ops, y, eye, a):
        k = a @ a.T + eye
        return ops.slogdet(k)[1] + (y * ops.solve(k, y)).sum()

    def forward(a):
        k = a @ a.T + eye
        return np.linalg.slogdet(k)[1] + (y * np.linalg.solve(k, y)).sum()

    what = f"log det K + y K^-1 y of K = A A^T + n, {size} x {size}"
    return Case(f"gaussian_{size}", what, loss, [a], 7, {}, (y, eye), NUMPYS_NAMES, forward)


def spectrum(size):
    x, w = np.random.default_rng(0).normal(size=(2, size // 2 * 2))
    w = w[: size // 2 + 1]

    def loss(ops, w, x):
        return (ops.abs(ops.rfft(x)) ** 2 * w).sum()

    def forward(x):
        return (np.abs(np.fft.rfft(x)) ** 2 * w).sum()

    return Case(f"spectrum_{size}", f"sum(w * abs(rfft(x))**2), {size} elements", loss, [x], 5, {}, (w,), NUMPYS_NAMES, forward)


def einsum(size):
    arrays = list(np.random.default_rng(0).normal(size=(3, size, size)))

    def loss(ops, a, b, c):
        return (ops.einsum("ij,jk->ik", a, b) * ops.einsum("ij,kj->ik", c, b)).sum()

    def forward(a, b, c):
        return (np.einsum("ij,jk->ik", a, b) * np.einsum("ij,kj->ik", c, b)).sum()

    return Case(f"einsum_{size}", f"two products of matrices as einsum, {size} x {size}", loss, arrays, 4, {}, (), NUMPYS_NAMES, forward)


def all_cases():
    fast_as_numpy = {"PyTorch": 1, "NumPy by hand": 1}
    yield chain(8, {"NumPy forward": 1, "PyTorch": 10, "HIPS autograd": 25, "MyGrad": 25})
    yield chain(1_000, {})
    yield chain(100_000, fast_as_numpy)
    yield scalars({"micrograd": 3, "PyTorch": 8})
    yield broadcast({"PyTorch": 8})
    yield small_mlp({"PyTorch": 3, "HIPS autograd": 3, "NumPy by hand": 1})
    yield large_mlp({"PyTorch": 1})
    yield elementwise(np.float64, fast_as_numpy)
    yield elementwise(np.float32, fast_as_numpy)
    yield gaussian(8)
    yield gaussian(200)
    yield spectrum(1024)
    yield einsum(8)

"""What is timed beyond one gradient of a network: Hessians, Jacobians, products with them, per-example gradients, simulations.

The cases are written as those of cases.py; `computes` says what each library makes of the loss. The second half resembles
examples 06 to 09.

Read next: cases_of_networks.py.
"""

from functools import partial

import numpy as np

from tests.benchmarks.cases import NUMPYS_NAMES, Case

FUNCTIONS = frozenset({"gradnerve", "PyTorch func", "PyTorch autograd", "HIPS autograd", "JAX", "JAX jit"})


def rosenbrock(ops, x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def rosenbrock_gradient(size, aims):
    x = np.random.default_rng(0).normal(size=size)
    forward = partial(rosenbrock, None)

    def by_hand(x):
        forward(x)
        valley, g = x[1:] - x[:-1] ** 2, np.zeros_like(x)
        g[:-1] = -400 * x[:-1] * valley - 2 * (1 - x[:-1])
        g[1:] += 200 * valley
        return (g,)

    what = f"Rosenbrock's function of {size} variables"
    return Case(f"rosenbrock_{size}", what, rosenbrock, [x], 11, aims, (), NUMPYS_NAMES, forward, by_hand)


def rosenbrock_hessian(size, aims):
    x = np.random.default_rng(0).normal(size=size)
    what = f"Hessian of Rosenbrock's function of {size} variables"
    return Case(f"hessian_{size}", what, rosenbrock, [x], 11, aims, (), FUNCTIONS, computes="hessian")


def jacobian_mlp(aims):
    rng = np.random.default_rng(0)
    w1, w2 = rng.normal(size=(2, 64, 64)) / 8
    b1, b2, x = rng.normal(size=(3, 64))

    def outputs(ops, w1, b1, w2, b2, x):
        return ops.tanh(x @ w1 + b1) @ w2 + b2

    what = "Jacobian of MLP 64-64-64, tanh, by its input"
    return Case("jacobian_mlp", what, outputs, [x], 5, aims, (w1, b1, w2, b2), FUNCTIONS, computes="jacobian")


def digits(rng, batch):
    """A network for images of 8 x 8 pixels, a batch of images, and their labels."""
    shapes = [(64, 32), (32,), (32, 10), (10,)]
    weights = [rng.normal(size=shape) / np.sqrt(shape[0]) for shape in shapes]
    return weights, rng.uniform(size=(batch, 64)), rng.integers(10, size=batch)


def digits_loss(ops, images, labels, w1, b1, w2, b2):
    h = ops.tanh(ops.linear(images, w1, b1))
    return ops.cross_entropy(ops.linear(h, w2, b2), labels)


def hvp_mlp(aims):
    rng = np.random.default_rng(0)
    weights, images, labels = digits(rng, 128)
    vector = tuple(rng.normal(size=w.shape) for w in weights)
    what = "Hessian-vector product, MLP 64-32-10, batch 128, tanh, cross entropy, by all weights"
    return Case("hvp_mlp", what, digits_loss, weights, 6, aims, (images, labels), FUNCTIONS, computes="hvp", further=vector)


def per_example(aims):
    weights, images, labels = digits(np.random.default_rng(0), 64)

    def loss(ops, w1, b1, w2, b2, image, label):
        return digits_loss(ops, image[None], label[None], w1, b1, w2, b2)

    what = "a gradient for each of 64 images, MLP 64-32-10, tanh, cross entropy"
    libraries = FUNCTIONS - {"PyTorch autograd"}  # it has no vmap
    return Case("per_example", what, loss, weights, 6 * 64, aims, (), libraries, computes="per_example", further=(images, labels))


def logistic_surprise(ops, signed, w):
    """Minus the logarithm of the posterior density; `signed` are the rows of data, times their labels of 1 and -1."""
    return ops.log1p(ops.exp(-(signed @ w))).sum() + (w**2).sum() / 2


def logistic(aims):
    rng = np.random.default_rng(0)
    signed, w = rng.normal(size=(200, 5)), rng.normal(size=5)
    what = "value and gradient of a logistic regression's likelihood, 200 rows of 5"
    return Case("logistic", what, logistic_surprise, [w], 9, aims, (signed,), FUNCTIONS, computes="value_and_gradient")


def leapfrog(aims):
    rng = np.random.default_rng(0)
    signed, w, momentum = rng.normal(size=(200, 5)), rng.normal(size=5), rng.normal(size=5)
    what = "leapfrog of Hamiltonian Monte Carlo, 20 steps, 21 gradients, on the same"
    return Case("leapfrog", what, logistic_surprise, [w], 9 * 21, aims, (signed,), FUNCTIONS, computes="trajectory", further=(momentum,))


def simulation(steps, aims):
    """Without JAX, for which one would write another program (lax.scan): it takes five seconds, and jit would compile for minutes."""
    masses = np.array([1, 3.003e-6, 3.227e-7, 9.546e-4, 1e-9])
    angles, radii = np.radians([0, 0, 200, 20, 100]), np.array([0, 1, 1.524, 5.203, 2.5])
    away = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    start = radii[:, None] * away
    gravity = 0.01720209895**2  # in astronomical units, days and masses of the sun
    speeds = np.sqrt(gravity / np.maximum(radii, 1)) * (radii > 0)
    velocities = speeds[:, None] * away[:, ::-1] * [-1, 1]

    def acceleration(masses, eye, positions):
        apart = positions - positions[:, None]
        squared = (apart**2).sum(2) + eye  # no body is at the distance 0 of itself
        return gravity * (masses[:, None] * apart / squared[:, :, None] ** 1.5).sum(1)

    def loss(ops, masses, eye, positions, velocities):
        pull = acceleration(masses, eye, positions)
        for _ in range(steps):
            velocities = velocities + pull / 2
            positions = positions + velocities
            pull = acceleration(masses, eye, positions)
            velocities = velocities + pull / 2
        return ((positions[4] - positions[3]) ** 2).sum()

    constants = masses, np.eye(5), start
    what = f"5 bodies under gravity, leapfrog, {steps:,} steps, by the velocities at the start"
    libraries = frozenset({"gradnerve", "PyTorch", "HIPS autograd"})
    return Case("simulation", what, loss, [velocities], 16 * steps, aims, constants, libraries, forward=partial(loss, None, *constants))


def gaussian_process(size, aims):
    """The three numbers of a Matérn covariance, as logarithms."""
    rng = np.random.default_rng(0)
    places = np.sort(rng.uniform(0, 10, size=size))
    heights = np.sin(places) + 0.1 * rng.normal(size=size)
    distances = np.sqrt(3) * np.abs(places[:, None] - places)
    theta = np.log([1.0, 2.0, 0.1])

    def loss(ops, distances, eye, heights, theta):
        numbers = ops.exp(theta)
        scaled = distances / numbers[1]
        covariance = numbers[0] ** 2 * (1 + scaled) * ops.exp(-scaled) + numbers[2] ** 2 * eye
        triangle = ops.cholesky(covariance)
        return (ops.solve(triangle, heights) ** 2).sum() / 2 + ops.log(ops.diag(triangle)).sum()

    what = f"likelihood of a Gaussian process, {size} points, by its three parameters"
    return Case("gaussian_process", what, loss, [theta], 23, aims, (distances, np.eye(size), heights), NUMPYS_NAMES)


def all_cases():
    yield rosenbrock_gradient(100, {"PyTorch": 3, "HIPS autograd": 3})
    yield rosenbrock_hessian(20, {"PyTorch func": 3, "PyTorch autograd": 3, "HIPS autograd": 3})
    yield jacobian_mlp({})
    yield hvp_mlp({})
    yield per_example({})
    yield logistic({})
    yield leapfrog({})
    yield simulation(1_000, {"HIPS autograd": 5})
    yield gaussian_process(100, {})

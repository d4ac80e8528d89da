"""What the examples simulate, differentiated by others: the same NumPy code under JAX and HIPS autograd, and the laws of mechanics."""

import numpy as np
import pytest
from helpers import example

import gradnerve as gn

for needed in ("matplotlib", "sklearn"):
    pytest.importorskip(needed)


pytestmark = pytest.mark.usefixtures("rows_return")

orbits, monte_carlo = example("07_orbits"), example("09_hamiltonian_monte_carlo")
LAUNCH = np.array([1e-3, 0.0222])
PLACES = [(monte_carlo.banana, np.array([0.7, -1.3])), (monte_carlo.regression, np.append(np.cos(np.arange(11)), -0.3))]


def by_jax(f, *args):
    import jax

    with jax.enable_x64(True):
        return jax.value_and_grad(f, argnums=tuple(range(len(args))))(*args)


def by_hips(f, *args):
    import autograd

    return f(*args), [autograd.grad(f, k)(*args) for k in range(len(args))]


def compare(module, numpy, theirs, f, *args, rtol, monkeypatch):
    """Value, and gradients by all arguments, of one function by GradNerve and, with the module's np replaced, by others."""
    value, gradients = gn.value_and_grad(f, argnums=tuple(range(len(args))))(*args)
    assert float(value) == float(f(*args))  # plain NumPy's, to the last bit
    monkeypatch.setattr(module, "np", pytest.importorskip(numpy))
    their_value, their_gradients = theirs(f, *args)
    np.testing.assert_allclose(value.data, their_value, rtol=rtol)
    for ours, expected in zip(gradients, their_gradients, strict=True):
        np.testing.assert_allclose(ours.data, expected, rtol=rtol)


@pytest.mark.parametrize("numpy, theirs, days", [("jax.numpy", by_jax, 100), ("autograd.numpy", by_hips, 1000)])
def test_flight_has_the_same_derivatives_elsewhere(numpy, theirs, days, monkeypatch):
    """By the launch and by the masses of all bodies; few days for JAX, which calls every operation of every step on its own."""
    monkeypatch.setattr(orbits, "DAYS", days)
    compare(orbits, numpy, theirs, orbits.distance, LAUNCH, orbits.MASSES, rtol=1e-11, monkeypatch=monkeypatch)


@pytest.mark.parametrize("numpy, theirs", [("jax.numpy", by_jax), ("autograd.numpy", by_hips)])
@pytest.mark.parametrize("energy, at", PLACES)
def test_energies_have_the_same_derivatives_elsewhere(energy, at, numpy, theirs, monkeypatch):
    compare(monte_carlo, numpy, theirs, energy, at, rtol=1e-12, monkeypatch=monkeypatch)


def test_arrival_by_launch_agrees_with_flights_nearby():
    """The whole Jacobian through 1,000 steps, by central differences of flights in plain NumPy."""
    h = 1e-7
    nearby = [(orbits.miss(LAUNCH + step) - orbits.miss(LAUNCH - step)) / (2 * h) for step in h * np.eye(2)]
    np.testing.assert_allclose(gn.jacobian(orbits.miss)(LAUNCH).data, np.transpose(nearby), rtol=1e-6)


def test_planets_without_mass_follow_their_circles():
    """The simulation integrates Newton's law: the error is that of the leapfrog rule, in proportion to the square of a step's angle."""
    last = orbits.fly(LAUNCH, np.array([1.0, 0, 0, 0, 0]))[-1]
    speeds = np.sqrt(orbits.GRAVITY / orbits.RADII[1:4] ** 3)
    angles = orbits.ANGLES[1:4] + speeds * orbits.DAYS
    exact = (orbits.RADII[1:4] * [np.cos(angles), np.sin(angles)]).T
    assert np.all(np.linalg.norm(last[1:4] - exact, axis=1) < 0.5 * orbits.RADII[1:4] * speeds**3 * orbits.DAYS)


@pytest.mark.parametrize("energy, at", PLACES)
def test_leapfrog_is_differentiable_and_keeps_the_volume(energy, at):
    """The derivative of a roll, itself made of gradients, is a symplectic matrix: that is why the draws need no correction for volume."""
    n = len(at)

    def roll(state):
        way, push = monte_carlo.leapfrog(gn.grad(energy), state[:n], state[n:], 0.02, 10)
        return np.concatenate([way[-1], push])

    moved = gn.jacobian(roll)(np.concatenate([at, np.sin(np.arange(n))])).data
    turn = np.block([[np.zeros((n, n)), np.eye(n)], [-np.eye(n), np.zeros((n, n))]])
    np.testing.assert_allclose(moved.T @ turn @ moved, turn, atol=1e-9)


def test_leapfrog_back_in_time_arrives_at_the_start():
    slope = gn.grad(monte_carlo.banana)
    at, push = PLACES[0][1], np.array([0.4, -0.2])
    way, after = monte_carlo.leapfrog(lambda x: slope(x).data, at, push, 0.1, 20)
    back, before = monte_carlo.leapfrog(lambda x: slope(x).data, way[-1], -after, 0.1, 20)
    np.testing.assert_allclose((back[-1], -before), (at, push), rtol=1e-9)

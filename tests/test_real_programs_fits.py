"""What the examples fit, differentiated by others: the same NumPy code under JAX and HIPS autograd, and the formulas of scikit-learn."""

import numpy as np
import pytest
from helpers import example

import gradnerve as gn

for needed in ("matplotlib", "scipy", "sklearn"):
    pytest.importorskip(needed)


def tumours():
    fits = example("06_fits")
    features, labels, names = fits.load()
    return fits, np.linspace(-1, 1, len(names) + 1), (features, labels)


def heights():
    process = example("08_gaussian_process")
    km, _, visited, measured = process.load(np.random.default_rng(0))
    return process, process.START + [0.3, -0.2, 0.1], (km[visited], measured - measured.mean())


def derivatives(module, theta, data):
    """Value, gradient, and the product of the Hessian and a vector, by GradNerve."""
    value, gradient = gn.value_and_grad(module.surprise)(theta, *data)
    return float(value), np.asarray(gradient), np.asarray(gn.hvp(module.surprise)(theta, *data, np.cos(theta)))


def by_jax(module, theta, data):
    import jax

    f = lambda theta: module.surprise(theta, *data)
    with jax.enable_x64(True):
        return *jax.value_and_grad(f)(theta), jax.jvp(jax.grad(f), (theta,), (np.cos(theta),))[1]


def by_hips(module, theta, data):
    import autograd

    return *autograd.value_and_grad(module.surprise)(theta, *data), autograd.hessian_vector_product(module.surprise)(theta, *data, np.cos(theta))


@pytest.mark.parametrize("numpy, theirs", [("jax.numpy", by_jax), ("autograd.numpy", by_hips)])
@pytest.mark.parametrize("program", [tumours, heights])
def test_the_same_code_has_the_same_derivatives_elsewhere(program, numpy, theirs, monkeypatch):
    module, theta, data = program()
    found = derivatives(module, theta, data)
    monkeypatch.setattr(module, "np", pytest.importorskip(numpy))
    for ours, expected in zip(found, theirs(module, theta, data), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-9)


@pytest.mark.parametrize("program", [tumours, heights])
def test_products_with_the_hessian_are_those_of_the_whole_hessian(program):
    module, theta, data = program()
    whole = np.asarray(gn.hessian(module.surprise)(theta, *data))
    assert whole.shape == (len(theta), len(theta))
    np.testing.assert_allclose(whole @ np.cos(theta), derivatives(module, theta, data)[2], rtol=1e-11)
    np.testing.assert_allclose(whole, whole.T, rtol=1e-11)


def test_hessian_of_logistic_regression_is_the_textbooks():
    module, theta, (features, labels) = tumours()
    inputs = np.column_stack([np.ones(len(features)), features])
    probability = 1 / (1 + np.exp(-inputs @ theta))
    expected = (inputs.T * probability * (1 - probability)) @ inputs
    np.testing.assert_allclose(np.asarray(gn.hessian(module.surprise)(theta, features, labels)), expected, rtol=1e-11)


def test_gaussian_process_is_that_of_scikit_learn():
    module, theta, (places, heights_) = heights()
    amplitude, length, noise = np.exp(theta)
    kernel = module.ConstantKernel(amplitude**2) * module.Matern(length, nu=1.5) + module.WhiteKernel(noise**2)
    theirs = module.GaussianProcessRegressor(kernel, alpha=0, optimizer=None).fit(places[:, None], heights_)
    likelihood, slopes = theirs.log_marginal_likelihood(theirs.kernel_.theta, eval_gradient=True)
    value, gradient, _ = derivatives(module, theta, (places, heights_))
    np.testing.assert_allclose(value, -likelihood, rtol=1e-12)
    np.testing.assert_allclose(gradient, -slopes * [2, 1, 2], rtol=1e-9)  # by the logarithms of squares, but for the length

    elsewhere = np.linspace(0, 30, 50)
    mean, sigma = module.predict(theta, places, heights_, elsewhere)
    theirs.kernel_ = theirs.kernel_.k1  # the land, without the barometer's noise
    np.testing.assert_allclose((mean, sigma), theirs.predict(elsewhere[:, None], return_std=True), rtol=1e-8)

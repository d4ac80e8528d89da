"""A Gaussian process: how high is the land between the places where somebody has measured, and how sure can one be?

What one learns: three numbers say what to expect between measurements (how much the land rises and falls, over what distance it
does so, how wrong a measurement is), and nobody has to guess them: the measurements are likelier with some than with others.
The likelihood goes through a Cholesky factor; its gradient takes SciPy's L-BFGS to the likeliest numbers, and its Hessian
there says how certain they are. The data are real heights along 30 km across the Jacksboro fault in Tennessee, which matplotlib
ships, read at 80 places by a simulated barometer; that it errs by 20 m, the fit has to find out.

Needs scikit-learn, SciPy and matplotlib: pip install 'gradnerve[examples]'
Run: python examples/08_gaussian_process.py [--seed 0] [--picture heights.png]
Read next: 09_hamiltonian_monte_carlo.py, the leapfrog of 07_orbits.py among probabilities.
"""

import argparse

import numpy as np

import gradnerve as gn

try:
    import matplotlib.pyplot as plt
    from matplotlib.cbook import get_sample_data
    from scipy.optimize import minimize
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
except ImportError as error:
    raise SystemExit(f"this example needs {error.name}: pip install 'gradnerve[examples]'") from None

ROW, PLACES, BAROMETER = 250, 80, 20.0  # of the map; how many are visited; error in m
START = np.log([100.0, 1.0, 5.0])  # amplitude in m, length in km, noise in m: logarithms, for all three are positive


def load(rng):
    """The land, km and m (n,); which of its places are visited; what the barometer says there."""
    land = get_sample_data("jacksboro_fault_dem.npz")["elevation"][ROW].astype(float)
    km = 0.0745 * np.arange(len(land))  # three seconds of arc, at this latitude
    visited = np.sort(rng.choice(len(land), PLACES, replace=False))
    return km, land, visited, land[visited] + BAROMETER * rng.normal(size=PLACES)


def covariance(a, b, amplitude, length):
    """Of the heights at places a (n,) and b (m,), by Matérn (nu = 3/2): near places are alike, and slopes may change."""
    distance = np.sqrt(3) * np.abs(a[:, None] - b) / length
    return amplitude**2 * (1 + distance) * np.exp(-distance)


def factor(theta, places):
    """The Cholesky factor of the covariance of what is measured, which is the land and the noise."""
    amplitude, length, noise = np.exp(theta)
    return np.linalg.cholesky(covariance(places, places, amplitude, length) + noise**2 * np.eye(len(places)))


def surprise(theta, places, heights):
    """Minus the logarithm of the likelihood of all the measurements together."""
    triangle = factor(theta, places)
    white = np.linalg.solve(triangle, heights)
    return np.sum(white**2) / 2 + np.sum(np.log(np.diag(triangle))) + len(heights) / 2 * np.log(2 * np.pi)


def predict(theta, places, heights, elsewhere):
    """Mean and standard deviation of the land's height elsewhere, given the measurements."""
    amplitude, length, _ = np.exp(theta)
    triangle = factor(theta, places)
    known = np.linalg.solve(triangle, covariance(places, elsewhere, amplitude, length))
    return known.T @ np.linalg.solve(triangle, heights), np.sqrt(amplitude**2 - np.sum(known**2, axis=0))


def draw(km, land, places, measured, mean, sigma, title, path):
    figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
    axes.fill_between(km, mean - 2 * sigma, mean + 2 * sigma, alpha=0.25, linewidth=0, label="± 2 standard deviations")
    axes.plot(km, mean, label="mean of the Gaussian process")
    axes.plot(km, land, color="black", linewidth=0.8, label="the land itself")
    axes.plot(places, measured, ".", color="C3", label="measured")
    axes.set(xlabel="km, from west to east", ylabel="height in m", xlim=(km[0], km[-1]), title=title)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper right")
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description="Fit a Gaussian process to real heights.")
    parser.add_argument("--seed", type=int, default=0, help="of the places and the barometer's errors (default: 0)")
    parser.add_argument("--picture", default="heights.png", help="where the profile goes (default: heights.png)")
    options = parser.parse_args()

    km, land, visited, measured = load(np.random.default_rng(options.seed))
    level = measured.mean()
    data = km[visited], measured - level
    objective = lambda theta: [np.asarray(x) for x in gn.value_and_grad(surprise)(theta, *data)]  # SciPy wants arrays
    fit = minimize(objective, START, jac=True, method="L-BFGS-B")
    error = np.sqrt(np.diag(np.linalg.inv(np.asarray(gn.hessian(surprise)(fit.x, *data)))))

    mean, sigma = predict(fit.x, *data, km)
    inside = np.delete(np.abs(land - level - mean) < 2 * sigma, visited).mean()
    title = f"{PLACES} measurements, each wrong by {BAROMETER:.0f} m or so; the band holds {inside:.0%} of the other heights"
    draw(km, land, km[visited], measured, mean + level, sigma, title, options.picture)

    amplitude, length, noise = np.exp(fit.x)
    kernel = ConstantKernel(amplitude**2) * Matern(length, nu=1.5) + WhiteKernel(noise**2)
    theirs = GaussianProcessRegressor(kernel, alpha=0, optimizer=None).fit(data[0][:, None], data[1])

    print(f"picture: {options.picture}")
    for name, unit, x, dx in zip(("amplitude", "length", "noise"), ("m", "km", "m"), fit.x, error, strict=True):
        print(f"{name:10}{np.exp(x):7.2f} {unit:3} 95 % sure: {np.exp(x - 2 * dx):.2f} to {np.exp(x + 2 * dx):.2f}")
    print(f"other heights inside the band: {inside:.1%}")
    print(f"log marginal likelihood: {-fit.fun:.6f}, by scikit-learn: {theirs.log_marginal_likelihood_value_:.6f}")


if __name__ == "__main__":
    main()

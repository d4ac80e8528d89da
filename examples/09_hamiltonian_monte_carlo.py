"""Hamiltonian Monte Carlo: draw from a distribution of which only the density's gradient is known.

What one learns: take minus the logarithm of a density as the height of a landscape, give a ball a random push, let it roll for a
while (that needs the gradient), and keep where it is: the places kept follow the density. We draw from a banana, and from what 442
diabetes patients tell about the weights of a linear regression and its noise. For both, mean and covariance are known exactly.

Needs scikit-learn and matplotlib: pip install 'gradnerve[examples]'
Run: python examples/09_hamiltonian_monte_carlo.py [--seed 0] [--picture draws.png]
On why it works: Betancourt, "A conceptual introduction to Hamiltonian Monte Carlo" (2017).

Read next: 10_convolutions.py, a network of layers.
"""

import argparse

import numpy as np

import gradnerve as gn

try:
    import matplotlib.pyplot as plt
    from sklearn.datasets import load_diabetes
except ImportError as error:
    raise SystemExit(f"this example needs {error.name}: pip install 'gradnerve[examples]'") from None

FEATURES, PROGRESS = load_diabetes(return_X_y=True)
FEATURES = np.column_stack([FEATURES / FEATURES.std(axis=0), np.ones(len(FEATURES))])  # the last weight is the constant
PROGRESS = PROGRESS / PROGRESS.std()
COUNT, WARM_UP = 2500, 100
CHOLESTEROL, LDL = 4, 5  # columns that say nearly the same


def banana(at):
    """Height of the landscape: x is normal with the width 1, and y normal around x**2 / 2 with the width 1/2."""
    x, y = at
    return x**2 / 2 + 2 * (y - x**2 / 2) ** 2


def regression(at):
    """The same for the weights and the logarithm of the noise, where the data alone count: nothing is known before."""
    weights, log_noise = at[:-1], at[-1]
    errors = PROGRESS - FEATURES @ weights
    return np.sum(errors**2) * np.exp(-2 * log_noise) / 2 + len(PROGRESS) * log_noise


def leapfrog(slope, at, push, step, steps):
    """Roll: the places on the way, and the speed at the last of them."""
    way, push = [at], push - step / 2 * slope(at)
    for _ in range(steps):
        way.append(way[-1] + step * push)
        push = push - step * slope(way[-1])
    return way, push + step / 2 * slope(way[-1])


def sample(energy, at, step, steps, rng):
    """Draws from the density exp(-energy), the share of rolls that were accepted, and the last roll."""
    gradient = gn.grad(energy)
    draws, accepted = [], 0
    for _ in range(COUNT):
        push = rng.normal(size=at.shape)
        before = energy(at) + push @ push / 2
        way, push = leapfrog(lambda x: gradient(x).data, at, push, step * rng.uniform(0.8, 1.2), steps)
        after = energy(way[-1]) + push @ push / 2  # what it differs by is the error of the steps, corrected in the next line
        if rng.uniform() < np.exp(min(0, before - after)):
            at, accepted = way[-1], accepted + 1
        draws.append(at)
    return np.array(draws), accepted / COUNT, np.array(way)


def posterior():
    """Exact mean and covariance of the weights: least squares, and Student's t distribution around it."""
    mean, (rest,), *_ = np.linalg.lstsq(FEATURES, PROGRESS)
    n, m = FEATURES.shape
    return mean, rest / (n - m - 2) * np.linalg.inv(FEATURES.T @ FEATURES)


def report(name, draws, accepted, mean, covariance):
    """Print the largest errors of the draws' mean and covariance, in units of the exact standard deviations."""
    width = np.sqrt(np.diag(covariance))
    of_mean = np.abs(draws.mean(axis=0) - mean) / width
    of_covariance = np.abs(np.cov(draws.T) - covariance) / np.outer(width, width)
    print(f"{name}: accepted: {accepted:.1%}, error of the mean: {of_mean.max():.3f}, error of the covariance: {of_covariance.max():.3f}")


def draw(bananas, way, weights, path):
    figure, axes = plt.subplot_mosaic([["banana", "pair"], ["trace", "trace"]], figsize=(10, 7.5), height_ratios=[2, 1], layout="constrained")
    dots = {"marker": ".", "markersize": 3, "alpha": 0.4, "linestyle": "", "color": "tab:blue"}
    mean, covariance = posterior()

    x, y = np.meshgrid(np.linspace(-3.7, 3.7, 200), np.linspace(-1.8, 6, 200))
    axes["banana"].plot(*bananas.T, **dots)
    axes["banana"].contour(x, y, np.exp(-banana([x, y])), levels=[0.01, 0.1, 0.5], colors="black", linewidths=1)
    axes["banana"].plot(*way.T, "o-", color="tab:orange", markersize=3, label="one roll")
    axes["banana"].set(xlabel="x", ylabel="y", title="banana: draws, and lines of equal density")
    axes["banana"].legend(loc="upper center")

    pair, angles = [CHOLESTEROL, LDL], np.linspace(0, 2 * np.pi, 200)
    edge = np.sqrt(-2 * np.log(0.05)) * np.linalg.cholesky(covariance[np.ix_(pair, pair)]) @ [np.cos(angles), np.sin(angles)]
    axes["pair"].plot(*weights[WARM_UP:, pair].T, **dots)
    axes["pair"].plot(*(mean[pair] + edge.T).T, color="black", label="95 % of the exact distribution")
    axes["pair"].set(xlabel="weight of cholesterol", ylabel="weight of LDL", title="regression: only their sum is well known")
    axes["pair"].legend()

    middle, width = mean[LDL], np.sqrt(covariance[LDL, LDL])
    axes["trace"].plot(weights[:600, LDL], color="tab:blue", linewidth=0.8)
    axes["trace"].axhline(middle, color="black")
    axes["trace"].axhspan(middle - 2 * width, middle + 2 * width, color="black", alpha=0.08)
    axes["trace"].set(xlabel="draw", ylabel="weight of LDL", xlim=(0, 600), title="the first draws, and the exact mean ± 2 standard deviations")
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description="Draw from two distributions by Hamiltonian Monte Carlo.")
    parser.add_argument("--seed", type=int, default=0, help="of all that is random (default: 0)")
    parser.add_argument("--picture", default="draws.png", help="where the draws go (default: draws.png)")
    options = parser.parse_args()

    rng = np.random.default_rng(options.seed)
    bananas, accepted, way = sample(banana, np.zeros(2), 0.2, 15, rng)
    report("banana    ", bananas[WARM_UP:], accepted, np.array([0, 0.5]), np.diag([1, 0.75]))
    weights, accepted, _ = sample(regression, np.zeros(FEATURES.shape[1] + 1), 0.022, 20, rng)
    report("regression", weights[WARM_UP:, :-1], accepted, *posterior())
    draw(bananas, way, weights, options.picture)
    print(f"draws: {options.picture}")


if __name__ == "__main__":
    main()

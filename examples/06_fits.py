"""Fits with SciPy: what in the look of a cell says that it is malignant, and how sure is that?

What one learns: the model is one function in plain NumPy, and SciPy's optimisers need nothing else. L-BFGS asks for its gradient,
and guesses the curvature from how that changes; trust-ncg asks for the curvature as well, as products of the Hessian and
a vector, and needs far fewer steps. At the optimum the inverse of the Hessian is the covariance of the parameters, which gives
their error bars. The data are eight measurements of each of 569 breast tumours, which scikit-learn ships; the model is logistic
regression, which scikit-learn has as well, so the result can be checked.

Needs scikit-learn, SciPy and matplotlib: pip install 'gradnerve[examples]'
Run: python examples/06_fits.py [--picture fits.png]
Read next: 07_orbits.py, derivatives through a simulation.
"""

import argparse

import numpy as np

import gradnerve as gn

try:
    import matplotlib.pyplot as plt
    from scipy.optimize import minimize
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
except ImportError as error:
    raise SystemExit(f"this example needs {error.name}: pip install 'gradnerve[examples]'") from None

COLUMNS = [0, 1, 4, 5, 6, 7, 8, 9]  # perimeter and area, 2 and 3, are the radius again


def load():
    """Measurements (569, 8) in standard deviations from the mean, labels (569,) with 1 for malignant, names of the measurements."""
    data = load_breast_cancer()
    features = data.data[:, COLUMNS]
    return (features - features.mean(axis=0)) / features.std(axis=0), 1.0 - data.target, [data.feature_names[k][5:] for k in COLUMNS]


def surprise(theta, features, labels):
    """Minus the logarithm of the likelihood of all labels, if the odds for malignant are exp(theta[0] + features @ theta[1:])."""
    log_odds = theta[0] + features @ theta[1:]
    return np.sum(np.logaddexp(0, log_odds) - labels * log_odds)


def fit(data, **options):
    """What SciPy finds, from zero, and the length of the gradient wherever it asked for one."""
    lengths = []

    def objective(theta):
        value, gradient = gn.value_and_grad(surprise)(theta, *data)
        lengths.append(float(np.linalg.norm(gradient)))
        return float(value), np.asarray(gradient)  # SciPy's compiled code takes nothing else

    return minimize(objective, np.zeros(len(COLUMNS) + 1), jac=True, **options), lengths


def draw(fits, names, found, error, theirs, path):
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for method, (_, lengths) in fits.items():
        left.semilogy(lengths, ".-", label=method)
    left.set(xlabel="gradients computed", ylabel="length of the gradient", title="Two ways to the same optimum")
    order = np.argsort(found)
    right.axvline(0, color="black", linewidth=0.8)
    right.errorbar(found[order], range(len(names)), xerr=2 * error[order], fmt="o", capsize=3, label="± 2 standard errors")
    right.plot(theirs[order], range(len(names)), "s", color="C3", markersize=10, fillstyle="none", label="scikit-learn")
    right.set_yticks(range(len(names)), np.array(names)[order])
    right.set(xlabel="log odds for malignant, per standard deviation", title="What speaks for malignant, and how surely")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description="Fit a logistic regression to real data with SciPy's optimisers.")
    parser.add_argument("--picture", default="fits.png", help="where the picture goes (default: fits.png)")
    options = parser.parse_args()

    features, labels, names = load()
    data = features, labels
    curvature = lambda theta, vector: np.asarray(gn.hvp(surprise)(theta, *data, vector))
    fits = {
        "L-BFGS": fit(data, method="L-BFGS-B", options={"ftol": 0, "gtol": 1e-6}),
        "trust-ncg": fit(data, method="trust-ncg", hessp=curvature, options={"gtol": 1e-6}),
    }
    first, second = (result.x for result, _ in fits.values())
    error = np.sqrt(np.diag(np.linalg.inv(np.asarray(gn.hessian(surprise)(second, *data)))))
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12).fit(features, labels)
    theirs = np.append(model.intercept_, model.coef_)
    draw(fits, names, second[1:], error[1:], theirs[1:], options.picture)

    print(f"picture: {options.picture}")
    for name, weight, width in zip(["(constant)", *names], second, error, strict=True):
        print(f"{name:18}{weight:7.3f} ± {width:.3f}")
    for method, (result, lengths) in fits.items():
        print(f"{method}: {len(lengths)} gradients, {result.get('nhev', 0)} products with the Hessian")
    print(f"L-BFGS and trust-ncg differ by {np.abs(first - second).max():.1e}")
    print(f"largest difference from scikit-learn: {np.abs(second - theirs).max():.1e}")


if __name__ == "__main__":
    main()

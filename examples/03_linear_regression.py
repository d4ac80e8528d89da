"""Linear regression on real data: does gradient descent find what algebra finds?

What one learns: the loop that trains every model (forward, backward, step, clear the gradient), on the records of 442
diabetes patients: ten measurements each, and how far the illness had come a year later. For a linear model the best
answer is known exactly, so the result can be checked.

Needs scikit-learn: pip install 'gradnerve[examples]'
Read next: 04_digits.py, a network that reads handwriting.
"""

import numpy as np

import gradnerve as gn

try:
    from sklearn.datasets import load_diabetes
except ImportError as error:
    raise SystemExit(f"this example needs {error.name}: pip install 'gradnerve[examples]'") from None

features, progress = load_diabetes(return_X_y=True)
features /= features.std(axis=0)

w = gn.Tensor(np.zeros(10), requires_grad=True)
b = gn.Tensor(0.0, requires_grad=True)

for step in range(5001):
    error = features @ w + b - progress
    loss = (error**2).mean()
    loss.backward()
    for p in (w, b):
        p.data -= 0.2 * p.grad
        p.grad = None
    if step % 1000 == 0:
        print(f"step {step:5,}: mean squared error {loss:.3f}")

with_ones = np.column_stack([features, np.ones(len(features))])
exact, *_ = np.linalg.lstsq(with_ones, progress)
found = np.append(w.data, b.data)

print("weights found by gradient descent:", found.round(2))
print("weights by least squares:         ", exact.round(2))
print(f"largest difference: {np.abs(found - exact).max():.1e}")

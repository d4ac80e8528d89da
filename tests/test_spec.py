"""The three programs of the specification, word for word, and the walk that every tutorial shows."""

import contextlib
import io

import numpy as np
import pytest

import gradnerve as gn

FIRST_GRADIENT = """
import gradnerve.tensor as gn
import numpy as np

# Create two tensors with requires_grad=True
x = gn.Tensor([2.0], requires_grad=True)
y = gn.Tensor([3.0], requires_grad=True)

# Perform an operation
z = x * y

# Compute the gradients
z.backward()

# Print the gradients
print(x.grad)
print(y.grad)
"""

LINEAR_REGRESSION = """
import gradnerve.tensor as gn
import numpy as np

# Generate some sample data
X = np.array([[1, 2], [2, 3], [3, 4]], dtype=np.float64)
y = np.array([6, 8, 10], dtype=np.float64)

# Define the model
class LinearRegression:
    def __init__(self, n_features):
        self.weights = gn.Tensor(np.zeros((n_features, 1), dtype=np.float64), requires_grad=True)
        self.bias = gn.Tensor(np.zeros(1, dtype=np.float64), requires_grad=True)

    def forward(self, X):
        return X @ self.weights + self.bias

# Initialize the model
model = LinearRegression(n_features=2)

# Define the loss function
def mse_loss(y_pred, y_true):
    return ((y_pred - y_true)**2).mean()

# Train the model
learning_rate = 0.01
num_epochs = 100

for epoch in range(num_epochs):
    # Forward pass
    X_tensor = gn.Tensor(X, requires_grad=False)
    y_pred = model.forward(X_tensor)
    y_true = gn.Tensor(y, requires_grad=False)

    # Calculate the loss
    loss = mse_loss(y_pred, y_true)

    # Backward pass
    loss.backward()

    # Update the parameters
    model.weights.data -= learning_rate * model.weights.grad
    model.bias.data -= learning_rate * model.bias.grad

    # Zero the gradients
    model.weights.grad = np.zeros_like(model.weights.data)
    model.bias.grad = np.zeros_like(model.bias.data)

    if (epoch+1) % 10 == 0:
        print(f'Epoch [{epoch+1}/{num_epochs}], Loss: {loss.data:.4f}')

# Print the learned parameters
print(f'Learned weights: {model.weights.data}')
print(f'Learned bias: {model.bias.data}')
"""

FIRST_TENSOR = """
import gradnerve.tensor as gn
import numpy as np

# Create a tensor
x = gn.Tensor([1.0, 2.0, 3.0])

# Perform an operation
y = x + 1

# Print the result
print(y.data)
"""


def run(program):
    """The lines that a program prints, and the names it leaves behind."""
    names, printed = {"__name__": "__main__"}, io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program, "<specification>", "exec"), names)
    return printed.getvalue().splitlines(), names


def test_first_gradient():
    lines, _ = run(FIRST_GRADIENT)
    assert lines == ["[3.]", "[2.]"]


def test_first_tensor():
    lines, _ = run(FIRST_TENSOR)
    assert lines == ["[2. 3. 4.]"]


def regression_by_hand():
    """The specification's training loop in plain NumPy: its (3, 1) predictions less (3,) targets are (3, 3) errors."""
    X, y = np.array([[1.0, 2.0], [2.0, 3.0], [3.0, 4.0]]), np.array([6.0, 8.0, 10.0])
    weights, bias, losses = np.zeros((2, 1)), np.zeros(1), []
    for _ in range(100):
        errors = X @ weights + bias - y
        losses.append((errors**2).mean())
        g = (2 * errors / errors.size).sum(axis=1, keepdims=True)
        weights, bias = weights - 0.01 * (X.T @ g), bias - 0.01 * g.sum()
    return losses, weights, bias


def test_linear_regression():
    lines, names = run(LINEAR_REGRESSION)
    losses, weights, bias = regression_by_hand()
    assert lines[:10] == [f"Epoch [{n}/100], Loss: {losses[n - 1]:.4f}" for n in range(10, 101, 10)]
    assert lines[10].startswith("Learned weights: [[")
    assert lines[-1].startswith("Learned bias: [")
    np.testing.assert_allclose(names["model"].weights.data, weights, rtol=1e-12)
    np.testing.assert_allclose(names["model"].bias.data, bias, rtol=1e-12)


def walk(result):
    """Backpropagation as tutorials write it: order the tensors by `_prev`, then call `_backward` from the result down."""
    order, seen = [], set()

    def visit(tensor):
        if tensor not in seen:
            seen.add(tensor)
            for parent in tensor._prev:
                visit(parent)
            order.append(tensor)

    visit(result)
    result.grad = np.ones_like(result.data)
    for tensor in reversed(order):
        tensor._backward()


def chain(x, y):
    return np.tanh(np.exp(x * 0.1) * y).sum()


def reused(x, y):
    a = x * y
    return (a * a + a / y - x).sum()


def broadcast(x, y):
    return ((x + y[0]) * y.sum() - 3.0).mean()


def matrices(x, y):
    return (gn.relu(x.reshape(3, 2) @ y.reshape(2, 3)) ** 2).sum()


def parameters_of_all_kinds(x, y):
    return np.concatenate([x, y])[1:].max() + np.where(x > 0, x, y).var()


@pytest.mark.parametrize("function", [chain, reused, broadcast, matrices, parameters_of_all_kinds])
def test_walk_by_hand_equals_backward(function):
    rng = np.random.default_rng(0)
    values = rng.normal(size=6), rng.uniform(1, 2, size=6)
    by_hand = [gn.Tensor(v, requires_grad=True) for v in values]
    swept = [gn.Tensor(v, requires_grad=True) for v in values]
    walk(function(*by_hand))
    function(*swept).backward()
    for hand, sweep in zip(by_hand, swept, strict=True):
        np.testing.assert_allclose(hand.grad, sweep.grad, rtol=1e-14, atol=1e-15)


def test_prev_holds_the_callers_own_tensors():
    x, y = gn.Tensor([2.0], requires_grad=True), gn.Tensor([3.0], requires_grad=True)
    z = x * y
    assert z._prev == {x, y}
    assert x._prev == set()


def test_an_operation_made_by_hand():
    """A tutorial's own operation: a child with `_prev`, and a function that hands its gradient on."""
    x = gn.Tensor([1.0, 2.0], requires_grad=True)
    cube = gn.Tensor(x.data**3, _prev=(x,))

    def backward():
        x.grad += 3 * x.data**2 * cube.grad

    cube._backward = backward
    (cube * 2.0).sum().backward()
    np.testing.assert_allclose(x.grad, [6.0, 24.0])

"""One neuron: how much does each number matter?

What one learns: a Tensor is a NumPy array that remembers how it was made; after `backward()` every tensor that asked for
it holds in `.grad` how fast the result changes with each of its numbers; a small step against the gradient makes the
result smaller. That is all there is to training.

Read next: 02_see_the_graph.py, which shows what is remembered.
"""

import numpy as np

import gradnerve as gn

x = gn.Tensor([2.0, 0.0], requires_grad=True)
w = gn.Tensor([-3.0, 1.0], requires_grad=True)
b = gn.Tensor(6.8813735870195432, requires_grad=True)

out = np.tanh(x @ w + b)
out.backward()

print(f"the neuron says      {out:.4f}")
print("gradient of inputs  ", x.grad)
print("gradient of weights ", w.grad)
print(f"gradient of the bias {b.grad:.4f}")

# The gradient predicts what a small step does; the closer to the start, the better.
step = 0.001
promised = -step * (np.sum(w.grad**2) + b.grad**2)
w.data -= step * w.grad
b.data -= step * b.grad
happened = np.tanh(x @ w + b).item() - out.item()

print(f"a small step changes the output by {happened:.6f}; the gradient promised {promised:.6f}")

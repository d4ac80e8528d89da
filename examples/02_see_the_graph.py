"""See the graph: what a Tensor remembers, and backpropagation by hand.

What one learns: every operation is a row in a table that can be printed; `_prev` leads from a tensor to those it was
made from, `_backward` hands its gradient on to them; calling `_backward` from the result down to the leaves, each
tensor after all that use it, is the whole of backpropagation. `backward()` does the same in compiled code.

Read next: 03_linear_regression.py, gradients put to use.
"""

import numpy as np

import gradnerve as gn


def in_order(tensor, seen, order):
    """Append to `order` all tensors below `tensor`, parents before children, and then `tensor` itself."""
    if tensor not in seen:
        seen.add(tensor)
        for parent in tensor._prev:
            in_order(parent, seen, order)
        order.append(tensor)
    return order


def make_loss(w):
    x = np.array([1.0, 2.0, 3.0])
    h = np.exp(-(w * x))
    return ((h - 0.5) ** 2 + w).sum()  # w is used twice: two edges lead to its row


w = gn.Tensor(0.3, requires_grad=True)
loss = make_loss(w)
print(gn.graph(loss))

# By hand: the result's gradient with respect to itself is 1; each tensor hands its own on to its parents.
tensors = in_order(loss, set(), [])
loss.grad = np.ones_like(loss.data)
for tensor in reversed(tensors):
    tensor._backward()
by_hand = float(w.grad)

w.grad = None
make_loss(w).backward()

print(f"{len(tensors)} tensors below the loss")
print(f"gradient by hand {by_hand:.6f}, by backward() {w.grad:.6f}")

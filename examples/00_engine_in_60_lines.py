"""The whole engine in about sixty lines of NumPy, and a table of derivatives.

What one learns: an autograd engine is two tables and one loop. Every operation adds a row to the table of nodes, and for
each argument that wants a gradient a row to the table of edges: who the parent is, and the one-line derivative that leads
to it. `backward` walks the rows from the result to the leaves and adds up what arrives. Nothing here is compiled and
nothing is left out of the idea; the tests hold the compiled engine against this file.

What the compiled engine adds: rows are given back when nobody can reach them (here the tables only grow), saved values are
safe from later writes, derivatives can be differentiated again, all of NumPy's functions are there, and it is fast.

Read next: 01_one_neuron.py, the same thing with `import gradnerve`.
"""

import inspect
from collections import Counter
from weakref import WeakValueDictionary

import numpy as np

# The table of nodes, one row per operation or leaf: the shape of its result, and where its edges begin and end.
nodes = []
# The table of edges, one row per argument that wants a gradient: the parent's row, the rule that leads there, what it reads.
edges = []
# The Tensor of a node, as long as somebody holds it: only what can be looked at needs a gradient.
handles = WeakValueDictionary()


def edges_of(node):
    _, begin, end = nodes[node]
    return edges[begin:end]


def operation(forward, **rules):
    """Make `forward` differentiable by one rule per argument; a rule's parameter names say which values it reads."""
    signature = inspect.signature(forward)
    reads = {name: list(inspect.signature(rule).parameters)[1:] for name, rule in rules.items()}

    def apply(*args, **options):
        call = signature.bind(*args, **options)
        call.apply_defaults()
        values = {name: x.data if isinstance(x, Tensor) else x for name, x in call.arguments.items()}
        values["out"] = forward(**values)
        begin = len(edges)
        for name, rule in rules.items():
            if getattr(call.arguments[name], "requires_grad", False):
                edges.append((call.arguments[name].node, rule, [values[read] for read in reads[name]]))
        return Tensor(values["out"], requires_grad=len(edges) > begin, begin=begin)

    return apply


def unbroadcast(g, shape):
    """Sum `g` over the axes that broadcasting added or stretched, so that it has `shape` again."""
    g = np.sum(g, axis=tuple(range(g.ndim - len(shape))))
    return np.sum(g, axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)


def spread(g, x, axis):
    """Undo a sum: every element of `x` along `axis` took part once."""
    return np.broadcast_to(g if axis is None else np.expand_dims(g, axis), x.shape)


add       = operation(lambda x, y: x + y,  x=lambda g: g,           y=lambda g: g)
subtract  = operation(lambda x, y: x - y,  x=lambda g: g,           y=lambda g: -g)
multiply  = operation(lambda x, y: x * y,  x=lambda g, y: g * y,    y=lambda g, x: g * x)
divide    = operation(lambda x, y: x / y,  x=lambda g, y: g / y,    y=lambda g, out, y: -g * out / y)
matmul    = operation(lambda x, y: x @ y,  x=lambda g, y: g @ y.mT, y=lambda g, x: x.mT @ g)
power     = operation(lambda x, y: x ** y, x=lambda g, x, y: g * y * x ** (y - 1), y=lambda g, out, x: g * out * np.log(x))
tanh      = operation(lambda x: np.tanh(x),                x=lambda g, out: g * (1 - out * out))
exp       = operation(lambda x: np.exp(x),                 x=lambda g, out: g * out)
log       = operation(lambda x: np.log(x),                 x=lambda g, x: g / x)
relu      = operation(lambda x: np.maximum(x, 0),          x=lambda g, x: g * (x > 0))
sum       = operation(lambda x, axis=None: x.sum(axis),    x=spread)
mean      = operation(lambda x, axis=None: x.mean(axis),   x=lambda g, out, x, axis: spread(g, x, axis) * (out.size / x.size))
reshape   = operation(lambda x, shape: x.reshape(shape),   x=lambda g, x: g.reshape(x.shape))
transpose = operation(lambda x: x.transpose(),             x=lambda g: g.transpose())


def count_users(root):
    """How many edges lead to each node below `root`: a node is ready when all its users have sent their share."""
    users, stack = Counter([root]), [root]
    while stack:
        for parent, _, _ in edges_of(stack.pop()):
            if parent not in users:
                stack.append(parent)
            users[parent] += 1
    return users


class Tensor:
    """An array, and the row of the operation that made it."""

    __array_ufunc__ = None  # so that `ndarray * tensor` asks the tensor

    def __init__(self, data, requires_grad=False, begin=None):
        self.data, self.requires_grad, self.grad = np.array(data, dtype=float), requires_grad, None
        if requires_grad:
            self.grad, self.node = np.zeros_like(self.data), len(nodes)
            nodes.append((self.data.shape, len(edges) if begin is None else begin, len(edges)))
            handles[self.node] = self

    def backward(self, gradient=1.0):
        """Add to the `.grad` of every tensor below this one the gradient of sum(self * gradient)."""
        users, ready = count_users(self.node), [self.node]
        arrived = {self.node: np.broadcast_to(gradient, self.data.shape)}
        while ready:
            node = ready.pop()
            g = arrived.pop(node)
            if node in handles:
                handles[node].grad += g
            for parent, rule, values in edges_of(node):
                share = unbroadcast(rule(g, *values), nodes[parent][0])
                arrived[parent] = arrived.get(parent, 0) + share
                users[parent] -= 1
                if users[parent] == 0:
                    ready.append(parent)

    __add__, __sub__, __mul__, __truediv__, __pow__, __matmul__ = add, subtract, multiply, divide, power, matmul
    __radd__, __rmul__ = add, multiply
    __rsub__ = lambda self, other: subtract(other, self)
    __rtruediv__ = lambda self, other: divide(other, self)
    __rmatmul__ = lambda self, other: matmul(other, self)
    __neg__ = lambda self: subtract(0.0, self)


def main():
    rng = np.random.default_rng(0)
    x, target, weights = rng.normal(size=(5, 3)), rng.normal(size=(5, 1)), rng.normal(size=(3, 1))

    def loss(w):
        return mean((tanh(x @ w) - target) ** 2)

    w = Tensor(weights, requires_grad=True)
    loss(w).backward()
    print("gradient by backward:          ", w.grad.ravel())

    nudges = 1e-6 * np.eye(3)[:, :, None]
    slopes = [(loss(Tensor(weights + e)).data - loss(Tensor(weights - e)).data) / 2e-6 for e in nudges]
    print("gradient by finite differences:", np.array(slopes))
    print(f"largest difference: {np.abs(w.grad.ravel() - slopes).max():.0e}")


if __name__ == "__main__":
    main()

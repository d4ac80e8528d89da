"""What programs do over and over, also what goes wrong in them: one iteration of each loop, which must leave nothing behind.

A function here prepares a loop; it returns the iteration, and the objects whose reference counts must be the same after it.

Read next: test_leaks.py, which runs each a few hundred times; benchmarks/endurance.py, a hundred thousand times.
"""

import copy
import ctypes
import functools
import os
import pickle
import signal
import tempfile
import threading
import warnings
from pathlib import Path

import numpy as np

import gradnerve as gn
from gradnerve import nn, optim

LOOPS, RNG = {}, np.random.default_rng(0)
CYCLES = {"archives"}  # with garbage for the collector: NumPy reads the head of an array with ast.literal_eval, whose functions name each other


def loop(prepare):
    LOOPS[prepare.__name__] = prepare
    return prepare


def fails(function, *errors):
    """Call it; it has to fail."""
    try:
        function()
    except errors:
        return
    raise AssertionError(f"none of {errors} was raised")


def leaf(*shape):
    return gn.Tensor(RNG.normal(size=shape), requires_grad=True)


def layer(x):
    return np.tanh(x * x + x)


# ---- training ------------------------------------------------------------------------------------------------------


@loop
def training():
    """The network 2-16-16-1, by hand."""
    images, target = RNG.normal(size=(32, 2)), RNG.normal(size=(32, 1))
    parameters = w1, b1, w2, b2, w3, b3 = [leaf(*shape) for shape in [(2, 16), (16,), (16, 16), (16,), (16, 1), (1,)]]

    def step():
        h = np.tanh(np.tanh(images @ w1 + b1) @ w2 + b2)
        ((h @ w3 + b3 - target) ** 2).mean().backward()
        for p in parameters:
            p.data -= 0.01 * p.grad
            p.grad = None

    return step, [images, target, *parameters]


def network(*layers):
    """Training of layers with Adam."""
    model, x = nn.Sequential(*layers), np.float32(RNG.normal(size=(2, 1, 12, 12)))
    optimizer, labels = optim.Adam(model.parameters(), 1e-3), np.array([1, 2])

    def step():
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()

    return step, [x, labels, *model.parameters()]


@loop
def convolutions():
    return network(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, stride=2), nn.Flatten(),
                   nn.Dropout(0.1), nn.Linear(16, 5))  # fmt: skip


@loop
def sequences():
    """A recurrent layer, attention and an embedding."""
    words, embedding, lstm, attention = RNG.integers(9, size=(3, 4)), nn.Embedding(9, 8), nn.LSTM(8, 8), nn.TransformerEncoderLayer(8, 2, 16)

    def step():
        (attention(lstm(embedding(words))[0]) ** 2).sum().backward()
        for module in embedding, lstm, attention:
            module.zero_grad()

    return step, [words, *embedding.parameters(), *lstm.parameters()]


@loop
def optimizers():
    """A step of each."""
    w, g = [nn.Parameter(RNG.normal(size=(3, 5))) for _ in range(11)], RNG.normal(size=(3, 5))
    kinds = "SGD Adam AdamW Adamax NAdam RAdam Adagrad Adadelta RMSprop Rprop ASGD".split()
    each = [getattr(optim, kind)([p], lr=1e-3) for kind, p in zip(kinds, w, strict=True)]

    def step():
        for p, optimizer in zip(w, each, strict=True):
            p.grad = g
            optimizer.step()
            optimizer.zero_grad()

    return step, [g, *w]


@loop
def lbfgs():
    p = nn.Parameter(RNG.normal(size=6))
    optimizer = optim.LBFGS([p], history_size=3, max_iter=2)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        p.data += 1.0  # so that there is always something to do
        return loss

    return lambda: optimizer.step(closure), [p]


# ---- graphs --------------------------------------------------------------------------------------------------------


@loop
def dropped():
    """Forward passes without a backward."""
    x, w = leaf(4, 4), leaf(4)

    def step():
        h = layer(x @ w)
        h[1] = w[0]
        np.stack([h, np.where(h > 0, h, w)]).sum()
        with gn.no_grad():
            layer(x) + w

    return step, [x, w, x.data]


@loop
def seeds():
    """A seed of one's own, twice through a graph that is kept, and .grad looked at."""
    x, seed = leaf(3), np.ones(3)

    def step():
        y = layer(x)
        y.backward(seed, retain_graph=True)
        y.backward(seed)
        _ = x.grad, y.grad, y._prev, x.data, gn.graph(y)
        x.zero_grad()

    return step, [x, x.data, seed]


@loop
def results():
    """Many dimensions, complex numbers, several results, indices, whole numbers and mixed precisions."""
    x, z, index = leaf(2, 1, 1, 1, 1, 2), gn.Tensor([1 + 2j, 3 - 1j], requires_grad=True), np.array([0, 1, 0])

    def step():
        u, s, v = np.linalg.svd(np.reshape(x, (2, 2)))
        y = (u * s).sum() + v.trace() + np.abs(z * z).sum() + x[index].astype(np.float32).sum() * 3
        (y + np.sort(z.real).max() + np.fft.rfft(x.ravel()).imag.sum()).backward()
        x.grad = z.grad = None

    return step, [x, z, index]


@loop
def in_place():
    x = leaf(3)

    def step():
        h = x * 1
        v = h[1:]
        h[0] = x[1] * 2
        h += x
        np.multiply(h, v.sum(), out=h)
        x.data[0] += 0.0
        h.sum().backward()
        x.grad = None

    return step, [x, x.data]


@loop
def by_hand():
    """Children made by hand, the tutorials' loop and hooks."""
    x = leaf(3)

    def step():
        out = gn.Tensor(2 * x.data, _prev=(x,))
        out._backward = lambda: setattr(x, "grad", x.grad + 2 * out.grad)
        handle = out.register_hook(lambda g: 2 * g)
        loss = (out * x).sum()
        loss.backward()
        handle.remove()
        y = x * x
        y.grad = np.ones(3)
        y._backward()
        x.zero_grad()

    return step, [x]


# ---- errors --------------------------------------------------------------------------------------------------------


@loop
def shape_errors():
    x, w, a = leaf(3), leaf(4, 2), np.ones(5)

    def step():
        for wrong in (lambda: x + w, lambda: x @ w, lambda: np.concatenate([x, w]), lambda: a * x, lambda: (x * 2).backward(a), lambda: x.reshape(7),
                      lambda: (x * 2).backward(), lambda: x[9], lambda: x.sum(axis=5), lambda: setattr(x, "grad", a),
                      lambda: nn.functional.cross_entropy(w, a), lambda: np.einsum("ij,jk", x, w)):  # fmt: skip
            fails(wrong, ValueError, TypeError, IndexError, gn.GraphError)

    return step, [x, w, a]


@loop
def freed():
    """Backward once more through what has been released."""
    x = leaf(3)

    def step():
        y = layer(x).sum()
        y.backward()
        fails(y.backward, gn.GraphError)
        x.zero_grad()

    return step, [x]


class Double(gn.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * 2

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * 2 + x * 0


class Failing(Double):
    @staticmethod
    def backward(ctx, g):
        raise ArithmeticError(f"as told, for {ctx.saved_tensors}")


@loop
def failing_derivatives():
    x, seed = leaf(3), np.ones(3)

    def refuse(*_):
        raise ArithmeticError("as told")

    failing = gn.custom_gradient(lambda x: (x * 2, refuse))
    misshapen = gn.custom_gradient(lambda x: (x * 2, lambda g: g[:1]))

    def step():
        for function in failing, Failing.apply, misshapen:
            fails(lambda f=function: (f(x * x) + x).backward(seed), ArithmeticError, gn.ShapeError)
        out = gn.Tensor(x.data, _prev=(x,))
        out._backward = refuse
        fails(lambda: (out + x).backward(seed), ArithmeticError)
        fails(lambda: gn.grad(lambda x: failing(x).sum())(x), ArithmeticError)
        fails(lambda: gn.checkpoint(failing, x * x).backward(seed), ArithmeticError)
        y = x * 2
        y.register_hook(refuse)
        fails(lambda: y.backward(seed), ArithmeticError)

    return step, [x, seed]


def interrupts():
    """Ctrl-C in a derivative, and from C, where no Python code sees it and the sweep has to look."""
    x, number = leaf(2), int(signal.SIGINT)
    bells = functools.partial(signal.raise_signal, number), functools.partial(ctypes.CDLL(None)["raise"], number)
    signal.signal(number, signal.default_int_handler)  # also where it is ignored

    def step():
        for bell in bells:
            rung = gn.Tensor(np.zeros(2), _prev=(x,))
            rung._backward = bell
            y = rung + functools.reduce(lambda h, _: h * 1.5, range(1200), x)  # signals are polled every 1,000 nodes
            fails(y.sum().backward, KeyboardInterrupt)

    return step, [x]


if os.name == "posix":
    loop(interrupts)


@loop
def no_memory():
    """Results that no computer has room for."""
    x = leaf(1)

    def step():
        huge = np.broadcast_to(x, (10**15,))
        for wrong in (lambda: huge * 2, lambda: np.maximum(x, huge), lambda: np.exp(huge), lambda: np.repeat(x, 10**15), lambda: huge.copy()):
            fails(wrong, MemoryError)

    return step, [x]


# ---- functions of functions ----------------------------------------------------------------------------------------


@loop
def derivatives():
    x, v, matrix = RNG.normal(size=3), np.ones(3), RNG.normal(size=(3, 3))
    f = lambda x: (layer(matrix @ x) ** 2).sum()

    def step():
        gn.grad(f)(x), gn.value_and_grad(f)(x), gn.grad(lambda x: (gn.grad(f)(x) ** 2).sum())(x)
        gn.hessian(f)(x), gn.hvp(f)(x, v), gn.jvp(f, (x,), (v,)), gn.jacobian(layer)(x), gn.elementwise_grad(layer)(x)
        gn.vjp(layer, x)[1](v)

    return step, [x, v, matrix]


@loop
def vmap():
    x, w = RNG.normal(size=(4, 3)), leaf(3)
    f = lambda x, w: (layer(x * w) ** 2).sum()

    def step():
        gn.vmap(f, in_axes=(0, None))(x, w).sum().backward()
        gn.vmap(gn.grad(f), in_axes=(0, None))(x, w)
        fails(lambda: gn.vmap(lambda x: x + np.ones(7))(x), ValueError)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            gn.vmap(lambda x: x if x[0] > 0 else -x)(x)
        w.zero_grad()

    return step, [x, w]


@loop
def checkpoints():
    x, v = leaf(3), np.zeros(3)

    def step():
        gn.checkpoint_sequential([layer] * 4, 2, x).sum().backward()
        gn.hvp(lambda x: gn.checkpoint(layer, x).sum())(x.data, v)
        x.zero_grad()

    return step, [x, v]


@loop
def equations():
    """Solutions, differentiated."""
    x, start = leaf(3), np.zeros(3)

    def step():
        gn.fixed_point(lambda u, x: u / 100 + x, start, x, tol=1e-4).sum().backward()
        gn.root(lambda u, x: 2 * u - x, start, x).sum().backward()
        x.zero_grad()

    return step, [x, start]


@loop
def own_operations():
    """To the second order."""
    x, square = leaf(3), gn.custom_gradient(lambda x: (x * x, lambda g: 2 * x * g))

    def step():
        (Double.apply(x) * square(x)).sum().backward()
        gn.grad(lambda x: (gn.grad(lambda x: (Double.apply(x) * square(x)).sum())(x) ** 2).sum())(x)
        x.zero_grad()

    return step, [x]


# ---- around a training loop ----------------------------------------------------------------------------------------


@loop
def epochs():
    """Epochs of loaders, read to the end, left in the middle and failing."""
    x, y = RNG.normal(size=(8, 3)), np.arange(8)
    loader = gn.data.DataLoader(gn.data.TensorDataset(x, y), batch_size=3, shuffle=True, generator=np.random.default_rng(0))
    failing = gn.data.DataLoader([1.0, 2.0, "three"], batch_size=3)

    def step():
        for _ in loader:
            pass
        next(iter(loader))
        fails(lambda: list(failing), TypeError, ValueError)

    return step, [x, y]


@loop
def workers():
    """Epochs that threads load."""
    x = RNG.normal(size=(8, 3))
    loader = gn.data.DataLoader(gn.data.TensorDataset(x), batch_size=2, num_workers=2)

    def step():
        for _ in loader:
            pass

    return step, [x]


def saved(name):
    """Parameters written and read, and a file that is none."""
    model, place = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), tempfile.TemporaryDirectory()
    path, wrong = Path(place.name) / name, Path(place.name) / f"wrong_{name}"
    wrong.write_bytes(b"no file")

    def step(_=place):
        gn.save(model.state_dict(), path)
        model.load_state_dict(gn.load(path))
        fails(lambda: gn.load(wrong), gn.LoadError)

    return step, list(model.parameters())


@loop
def archives():
    return saved("a.npz")


@loop
def safetensors():
    return saved("a.safetensors")


@loop
def copies():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))

    def step():
        pickle.loads(pickle.dumps(model[0].weight))
        copy.deepcopy(model)

    return step, list(model.parameters())


@loop
def debugging():
    x = gn.Tensor([1.0, 4.0], requires_grad=True)

    def step():
        with gn.debug():
            (np.sqrt(x) * x).sum().backward()
            with np.errstate(divide="ignore"):
                fails(lambda: np.sqrt(x - 1).sum().backward(), FloatingPointError)
        x.zero_grad()

    return step, [x]


@loop
def verifying():
    x = leaf(1)

    def step():
        with gn.debug():
            y = x * x
        gn.verify(y)

    return step, [x]


@loop
def threads():
    """A thread for each pass: what the core keeps for each goes with it."""
    x = leaf(3)

    def work():
        with gn.no_grad():
            layer(x)
        with gn.debug():
            layer(x).sum().backward()
        gn.vmap(layer)(x)
        gn.checkpoint(layer, x)
        x.zero_grad()

    def step():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    return step, [x]

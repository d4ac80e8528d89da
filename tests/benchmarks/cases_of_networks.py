"""What is timed of deep learning: one training step (forward, loss, backward) of networks whose layers have the same names in PyTorch.

A case's `loss(nn, model, *constants, *arrays)` and `model(nn)` are written once; `nn` is `gradnerve.nn` or `torch.nn`. All weights are
the same, drawn from a seed.

Read next: rivals.py, which runs a case in each library.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.cases import Case

NETWORKS = frozenset({"gradnerve", "PyTorch"})


@dataclass
class Network(Case):
    """A case with layers: `model(nn)` makes them."""

    model: Callable = lambda nn: nn.Module()
    dtype: str = "float32"


def network(name, what, model, loss, arrays, constants, operations, aim, dtype):
    """The same in both precisions: arrays are drawn by shape, whole numbers below a limit are given as (limit, shape)."""
    rng = np.random.default_rng(0)
    arrays = [(rng.normal(size=shape) / np.sqrt(shape[0] if len(shape) == 2 else 1)).astype(dtype) for shape in arrays]
    constants = tuple(rng.integers(c[0], size=c[1]) if isinstance(c[1], tuple) else rng.normal(size=c).astype(dtype) for c in constants)
    suffix, what = ("", what) if dtype == "float32" else ("_64", f"{what}, {dtype}")
    return Network(name + suffix, what, loss, arrays, operations, {"PyTorch": aim}, constants, NETWORKS, computes="network", model=model, dtype=dtype)


def lenet(dtype):
    def model(nn):
        return nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
                             nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))  # fmt: skip

    def loss(nn, model, images, labels):
        return nn.functional.cross_entropy(model(images), labels)

    return network("lenet", "LeNet, 32 images of 28 x 28", model, loss, [], [(32, 1, 28, 28), (10, (32,))], 13, 1, dtype)


def residual_block(dtype):
    def model(nn):
        layers = [layer for _ in range(2) for layer in (nn.Conv2d(64, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64))]
        return nn.Sequential(*layers)

    def loss(nn, model, target, x):
        conv1, norm1, conv2, norm2 = model
        relu = nn.functional.relu
        return nn.functional.mse_loss(relu(x + norm2(conv2(relu(norm1(conv1(x)))))), target)

    shape, what = (8, 64, 16, 16), "two 3 x 3 convolutions of 64 channels with batch norm, (8, 64, 16, 16)"
    return network("residual_block", what, model, loss, [shape], [shape], 8, 1, dtype)


def lstm(dtype):
    def loss(nn, model, target, x):
        return nn.functional.mse_loss(model(x)[0], target)

    shape = (32, 16, 64)
    return network("lstm", "LSTM of 64 units, 32 steps, batch 16", lambda nn: nn.LSTM(64, 64), loss, [shape], [shape], 32, 1, dtype)


def rnn_loop(dtype):
    def loss(nn, model, h, x, w, u, b):
        for t in range(32):
            h = nn.functional.tanh(x[t] @ w + h @ u + b)
        return (h * h).sum()

    shapes = [(32, 16, 64), (64, 64), (64, 64), (64,)]
    return network("rnn_loop", "a Python loop h = tanh(x[t] @ w + h @ u + b), 32 steps, batch 16, 64 units", Network.model, loss, shapes, [(16, 64)],
                   32 * 6, 3, dtype)  # fmt: skip


def transformer(dtype):
    def loss(nn, model, target, x):
        return nn.functional.mse_loss(model(x), target)

    shape = (8, 64, 64)
    layer = lambda nn: nn.TransformerEncoderLayer(64, 4, 256, dropout=0.0, batch_first=True)
    return network("transformer", "a Transformer's encoder layer, (8, 64, 64), 4 heads, 256 inside", layer, loss, [shape], [shape], 12, 1, dtype)


def cross_entropy(dtype):
    def loss(nn, model, labels, scores):
        return nn.functional.cross_entropy(scores, labels)

    return network("cross_entropy", "cross entropy of (4096, 1000)", Network.model, loss, [(4096, 1000)], [(1000, (4096,))], 1, 1, dtype)


def embedding(dtype):
    def loss(nn, model, target, words):
        return nn.functional.mse_loss(model(words), target)

    return network("embedding", "2048 rows of an embedding (10000, 64)", lambda nn: nn.Embedding(10000, 64), loss, [], [(2048, 64), (10000, (2048,))],
                   2, 1, dtype)  # fmt: skip


def all_cases():
    for dtype in ("float32", "float64"):
        for case in (lenet, residual_block, lstm, rnn_loop, transformer, cross_entropy, embedding):
            yield case(dtype)

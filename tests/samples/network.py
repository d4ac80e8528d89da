"""Samples of relu, sigmoid, softmax and the cross entropy. What a sample file holds is said in elementwise.py."""

from functools import partial

import numpy as np

from .shapes import ANY, BOX, DTYPES, cross, plain, values

REAL = DTYPES[:2]
FULL = [(1,), (5,), (2, 3), (3, 1, 4), (0, 3)]
ALONG = [plain(), plain(0, shape=(2, 3)), plain(axis=1, shape=BOX), plain(-2, shape=BOX), plain(axis=(0, 2), shape=BOX), plain(1, shape=(3, 0))]


def cross_entropy():
    samples = []
    for k in range(42):
        classes, rest, reduction = 1 + k % 4, [None, (), (2,), (2, 2)][k // 3 % 4], ("mean", "sum", "none")[k % 3]
        n = 1 + k % 5
        shape, labels = ((classes,), ()) if rest is None else ((n, classes, *rest), (n, *rest))
        logits = values(*shape, dtype=REAL[k % 2], seed=k) * 3
        if k % 2:
            target = np.random.default_rng(k).integers(0, classes, labels).astype((np.int64, np.int32, np.uint8)[k % 3])
        else:
            weights = np.random.default_rng(k).uniform(0.1, 1, shape)
            target = (weights / weights.sum(1 if rest is not None else 0, keepdims=True)).astype(logits.dtype)
        samples.append(((logits, target), {} if k < 6 and reduction == "mean" else {"reduction": reduction}))
    return samples


SAMPLES = {
    "relu":          partial(cross, ANY, [plain()], REAL),
    "sigmoid":       partial(cross, ANY, [plain()], DTYPES),
    "softmax":       partial(cross, FULL, ALONG, REAL),
    "log_softmax":   partial(cross, FULL, ALONG, REAL),
    "logsumexp":     partial(cross, [(), *FULL[:4]], [*ALONG[:-1], plain(axis=None, shape=BOX), plain(0, True, shape=(2, 3)), plain(keepdims=True)],
                             REAL),
    "cross_entropy": cross_entropy,
}

inf = np.inf
far = np.array([1000.0, -1000.0])
TIES = {
    "relu": [((np.array([-1.0, 0.0, -0.0, 2.0, inf, -inf]),), {}, ([0.0, 0.0, 0.0, 1.0, 1.0, 0.0],))],
    "sigmoid": [((np.array([1000.0, -1000.0, 0.0, inf, -inf]),), {}, ([0.0, 0.0, 0.25, 0.0, 0.0],)),
                ((np.array([1000.0, -1000.0, 0.0], np.float32),), {}, ([0.0, 0.0, 0.25],))],
    "softmax": [((far,), {}, ([0.0, 0.0],)), ((np.array([0.0, -inf]),), {}, ([0.0, 0.0],))],
    "log_softmax": [((far,), {}, ([-1.0, 1.0],)), ((far.astype(np.float32),), {}, ([-1.0, 1.0],))],
    "logsumexp": [((far,), {}, ([1.0, 0.0],)), ((np.array([-inf, -inf]),), {}, ([0.0, 0.0],)), ((np.array([1000.0, 1000.0]),), {}, ([0.5, 0.5],)),
                  ((np.zeros(0),), {}, ([],))],
    "cross_entropy": [((far[None], np.array([1])), {}, ([[1.0, -1.0]], None)), ((far[None], np.array([0])), {}, ([[0.0, 0.0]], None)),
                      ((np.zeros((2, 2)), np.array([0, 1])), {}, ([[-0.25, 0.25], [0.25, -0.25]], None)),
                      ((np.zeros((1, 2)), np.array([[1.0, 0.0]])), {}, ([[-0.5, 0.5]], [[np.log(2), np.log(2)]]))],
}

x = values(4, 3)
ERRORS = {
    "softmax": [((x, 2), {}, ValueError, "axis 2")], "log_softmax": [((x, -3), {}, ValueError, "axis -3")],
    "logsumexp": [((x, 2), {}, ValueError, "axis 2")],
    "cross_entropy": [((x, np.zeros(5, int)), {}, ValueError, r"shape \(4,\)[^$]*target  \(5,\)"),
                      ((x, np.array([0, 1, 2, 3])), {}, IndexError, "class 3; there are 3 classes"),
                      ((x, np.array([0, 1, -1, 2])), {}, IndexError, "class -1"), ((x, np.zeros(4)), {}, ValueError, "pass integers"),
                      ((x, np.array(["a"] * 4)), {}, TypeError, "target must hold"), ((x, np.zeros(4, bool)), {}, TypeError, "target must hold"),
                      ((x, np.zeros(4, int), "average"), {}, ValueError, "reduction must be"),
                      ((np.array(1.0), np.array(0)), {}, ValueError, "class axis"),
                      ((x, np.zeros((4, 3), int)), {}, ValueError, r"one class number")],
}

"""Recurrent networks: one direction of one layer, over all steps of a sequence, as one operation.

The rows of all steps lie one after the other: first those of step 0, as many as there are sequences, then those of step 1. Sequences of
different lengths are sorted, the longest first; the short ones just end earlier, so that a step never has more rows than the one before.

`composed` says what is computed, with recorded operations. The first derivative comes from a kernel that runs through the steps; where that
is differentiated again, `composed` runs, and the graph of it does the rest.

Read next: ../nn/rnn.py, the layers; csrc/kernels/recurrent.pyx.
"""

from itertools import accumulate, pairwise

import numpy as np

from gradnerve import _sweep
from gradnerve._engine import Recording, TensorBase, wrap
from gradnerve._general import Custom
from gradnerve.kernels import recurrent as kernels
from gradnerve.ops.indexing import getitem
from gradnerve.ops.linear import linear, linear_bias, linear_input, linear_weight
from gradnerve.ops.network import relu, sigmoid
from gradnerve.ops.shapes import reshape
from gradnerve.ops.values import batched, tracked, value, wanted

# --- steps: from what the inputs and the states before give to the gates, to the new states --------------------------


def tanh_step(ahead, inner, h):
    return (np.tanh(ahead + inner),)


def relu_step(ahead, inner, h):
    return (relu(ahead + inner),)


def lstm_step(ahead, inner, h, c):
    i, f, g, o = gates_of(ahead + inner, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru_step(ahead, inner, h):
    (xr, xz, xn), (hr, hz, hn) = gates_of(ahead, 3), gates_of(inner, 3)
    r, z = sigmoid(xr + hr), sigmoid(xz + hz)
    n = np.tanh(xn + r * hn)
    return (n + z * (h - n),)


def gates_of(x, n):
    size = x.shape[-1] // n
    return [x[..., k * size : (k + 1) * size] for k in range(n)]


STEPS = {"tanh": tanh_step, "relu": relu_step, "lstm": lstm_step, "gru": gru_step}


# --- sequences -------------------------------------------------------------------------------------------------------


def sequence(kind, x, sizes, states, weights, reverse=False):
    """The outputs of all steps, and the states after the last one (the first one, if it runs in reverse).

    kind     'tanh', 'relu', 'lstm' or 'gru'
    x        (rows, inputs), the rows of all steps
    sizes    how many rows each step has, never more than the step before
    states   h (B, outputs), and for 'lstm' c (B, hidden), where B is the number of rows of the first step
    weights  w_ih (gates * hidden, inputs), w_hh (gates * hidden, outputs), b_ih and b_hh (gates * hidden) or None, w_hr (outputs, hidden) or None
    """
    sizes = np.ascontiguousarray(sizes, np.intp)
    if len(sizes) == 1 and kind in ("tanh", "relu"):
        return composed(kind, x, sizes, states, weights, reverse)  # two products: nothing to gain
    return fused(kind, x, sizes, states, weights, reverse) or composed(kind, x, sizes, states, weights, reverse)


def composed(kind, x, sizes, states, weights, reverse):
    """The reference: recorded operations, step by step."""
    w_ih, w_hh, b_ih, b_hh, w_hr = weights
    ahead, ends, outputs = linear(x, w_ih, b_ih), np.cumsum(sizes), [None] * len(sizes)
    for t in reversed(range(len(sizes))) if reverse else range(len(sizes)):
        n, before = sizes[t], states
        running = before if n == sizes[0] else [state[:n] for state in before]
        states = STEPS[kind](ahead[ends[t] - n : ends[t]], linear(running[0], w_hh, b_hh), *running)
        if w_hr is not None:
            states = (states[0] @ w_hr.T, *states[1:])
        outputs[t] = states[0]
        if n < sizes[0]:
            states = [np.concatenate((new, old[n:])) for new, old in zip(states, before, strict=True)]
    return np.concatenate(outputs), tuple(states)


# --- the same as one operation ---------------------------------------------------------------------------------------

FEW = 4  # steps
OPERATIONS = {kind: Custom(f"{kind} sequence") for kind in STEPS}


def fused(kind, x, sizes, states, weights, reverse):
    """What `sequence` gives, by the kernel; None where that declines: for examples of vmap, mixed or rare dtypes, infinities to be warned of."""
    given = (x, *states, *weights)
    if batched(*given):
        return None
    dtype = value(x).dtype
    if dtype not in (np.float32, np.float64) or any(value(a).dtype != dtype for a in given if a is not None):
        return None
    keeps = tracked(*given)
    run = Run(kind, [frozen(a) for a in given] if keeps else given, len(states), sizes, reverse)
    row = run.forward()
    if row is None:
        return None
    whole = OPERATIONS[kind].record(row, given, run.shares)
    outputs, *ends = (reshape(getitem(whole, place), shape) for place, shape in run.parts)
    return outputs, tuple(ends)


def frozen(a):
    """An argument as it is now, whatever happens to it later."""
    return a._link() if isinstance(a, TensorBase) else a if a is None else a.copy()


class Run:
    """A call of the kernel, and what the way back reads of it.

    links  the arguments: x, the states, and the weights
    parts  where the outputs and the last states lie in the row that they form together, and their shapes
    kept   the gates of all steps, and what else the kernel has computed
    """

    kept = []  # for the end of a run that found no memory to begin

    def __init__(self, kind, links, n_states, sizes, reverse):
        self.kind, self.links, self.n_states, self.sizes, self.reverse, self.kept = kind, links, n_states, sizes, reverse, []
        arrays = [value(a) for a in links]
        self.x, self.states, (self.w_ih, self.w_hh, self.b_ih, self.b_hh, self.w_hr) = arrays[0], arrays[1 : 1 + n_states], arrays[1 + n_states :]
        shapes = [(len(self.x), self.w_hh.shape[1]), *(state.shape for state in self.states)]
        ends = list(accumulate([rows * columns for rows, columns in shapes], initial=0))
        self.parts = [(slice(*place), shape) for place, shape in zip(pairwise(ends), shapes, strict=True)]

    def __del__(self):
        kernels.give_back(self.kept)

    def matrix(self, rows, columns, needed=True):
        return kernels.matrix(rows, columns, self.x.dtype == np.float64) if needed else None

    def parts_of(self, row):
        """The outputs, the h and the c of a row; None where there is no c."""
        y, h, *c = [row[place].reshape(shape) for place, shape in self.parts]
        return y, h, c[0] if c else None

    def forward(self):
        """The row of the results, or None."""
        rows, (batch, hidden), width, lstm = len(self.x), self.states[-1].shape, len(self.w_hh), self.kind == "lstm"
        row = np.empty(self.parts[-1][0].stop, self.x.dtype)
        y, h, c = self.parts_of(row)
        for out, state in zip((h, c), self.states, strict=False):
            out[...] = state
        self.kept += [linear(self.x, self.w_ih), self.matrix(*y.shape), self.matrix(rows, hidden, lstm),
                      self.matrix(rows, hidden, lstm or self.kind == "gru"), self.matrix(rows, hidden, self.w_hr is not None)]  # fmt: skip
        scratch = [self.matrix(batch, width)]
        w_hh, w_hr = self.transposed(self.w_hh), self.transposed(self.w_hr)
        done = kernels.forward(self.kind, self.reverse, self.sizes, w_hh, self.bias(), w_hr, h, c, y, *scratch, self.kept)
        kernels.give_back(scratch)
        return row if done else None

    def transposed(self, w):
        """As the kernel reads it; in C order, which BLAS multiplies by twice as fast, where there are steps enough to be worth it."""
        return w if w is None else np.ascontiguousarray(w.T) if len(self.sizes) > FEW else w.T

    def bias(self):
        """Of both, what is the same for inputs and states in one; of 'gru', the part of n for inputs, then for states."""
        if self.kind != "gru":
            return np.zeros(len(self.w_hh), self.x.dtype) if self.b_ih is None else self.b_ih + self.b_hh
        if self.b_ih is None:
            return np.zeros(len(self.w_hh) // 3 * 4, self.x.dtype)
        n = len(self.w_hh) // 3 * 2
        return np.concatenate((self.b_ih[:n] + self.b_hh[:n], self.b_ih[n:], self.b_hh[n:]))

    def shares(self, g, _):
        """The gradients of the arguments, from those of the row."""
        return (None if isinstance(g, TensorBase) else self.back(g)) or self.recorded(g)

    def back(self, g):
        """The gradients of the arguments, or None."""
        dy, dh, dc = self.parts_of(g)
        dh, dc = dh.copy(), None if dc is None else dc.copy()  # the kernel changes them, and may decline after all
        rows, width, projects = len(dy), len(self.w_hh), self.w_hr is not None
        room = [self.matrix(len(dh), width), self.matrix(rows, width), self.matrix(rows, width, self.kind == "gru"), self.matrix(*dy.shape, projects)]
        done = kernels.back(self.kind, self.reverse, self.sizes, self.w_hh, self.w_hr, dh, dc, dy, self.kept, *room)
        shares = self.products([dh, dc][: self.n_states], *room[1:]) if done else None
        kernels.give_back(room)
        return shares

    def products(self, d_states, d_gates, d_inner, d_projected):
        """The gradients of the arguments, from those of all that came from the inputs, and from the states if that is something else."""
        _, before, _, _, unprojected = self.kept
        from_x, from_w_ih, from_w_hh = (wanted(self.links[k]) for k in (0, -5, -4))
        d_bias = d_inner_bias = None if self.b_ih is None else linear_bias(d_gates)
        if d_inner is None:
            d_inner = d_gates
        elif self.b_ih is not None:
            d_inner_bias = linear_bias(d_inner)
        return [
            linear_input(d_gates, self.x.shape, self.w_ih) if from_x else None,
            *d_states,
            linear_weight(d_gates, self.x) if from_w_ih else None,
            linear_weight(d_inner, before) if from_w_hh else None,
            d_bias,
            d_inner_bias,
            None if d_projected is None else linear_weight(d_projected, unprojected),
        ]

    def recorded(self, g):
        """The same by way of `composed`, for gradients that are differentiated again and for NumPy's warnings."""
        again = isinstance(g, TensorBase)
        with Recording(True):
            x, states, weights = self.links[0], self.links[1 : 1 + self.n_states], self.links[1 + self.n_states :]
            outputs, ends = composed(self.kind, x, self.sizes, states, weights, self.reverse)
            row = np.concatenate([reshape(part, -1) for part in (outputs, *ends)])
        inputs = list({a._row: a for a in self.links if wanted(a)}.values())
        found = _sweep.gradients([row], inputs, [g if again else wrap(g, owned=True)], recorded=again, ends=inputs)
        by_row = {t._row: share for t, share in zip(inputs, found, strict=True)}
        return [by_row.pop(a._row, None) if isinstance(a, TensorBase) else None for a in self.links]  # once, where one is two arguments

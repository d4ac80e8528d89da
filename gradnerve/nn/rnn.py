"""Recurrent layers: `RNN`, `LSTM` and `GRU` over whole sequences, and their cells, which make one step; as those of `torch.nn`.

Read next: utils/rnn.py, for sequences of different lengths; ../ops/recurrent.py, what a layer computes.
"""

import math
import warnings

import numpy as np

from gradnerve.nn import functional, init
from gradnerve.nn.functional.checks import require
from gradnerve.nn.module import Module
from gradnerve.nn.parameter import Parameter, factory
from gradnerve.nn.utils.rnn import PackedSequence
from gradnerve.ops.recurrent import sequence
from gradnerve.ops.shapes import concatenate, reshape, stack, swapaxes
from gradnerve.ops.values import array_of, of_all_examples

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNBase", "RNNCell", "RNNCellBase"]

GATES = {"tanh": 1, "relu": 1, "lstm": 4, "gru": 3}
MODES = {"RNN_TANH": "tanh", "RNN_RELU": "relu", "LSTM": "lstm", "GRU": "gru"}
WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")


def check_size(name, what, n, least=1):
    if not hasattr(n, "__index__") or isinstance(n, bool):
        raise TypeError(f"{name}: {what} must be a whole number, not {n!r}")
    if n < least:
        raise ValueError(f"{name}: {what} must be at least {least}, not {n}")


def nonlinearity_of(name, nonlinearity):
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"{name}: nonlinearity must be 'tanh' or 'relu', not {nonlinearity!r}")
    return nonlinearity


class Recurrent(Module):
    """What layers and cells share: weights by the names of `WEIGHTS`, drawn from [-1/sqrt(hidden_size), 1/sqrt(hidden_size))."""

    def _add_weights(self, kind, suffix, inputs, outputs, dtype):
        rows, bias = GATES[kind] * self.hidden_size, self.bias
        shapes = {"weight_ih": (rows, inputs), "weight_hh": (rows, outputs)} | ({"bias_ih": (rows,), "bias_hh": (rows,)} if bias else {})
        if outputs != self.hidden_size:
            shapes["weight_hr"] = (outputs, self.hidden_size)
        for name, shape in shapes.items():
            setattr(self, name + suffix, Parameter(np.empty(shape, dtype)))

    def _weights(self, suffix):
        return [getattr(self, name + suffix, None) for name in WEIGHTS]

    def reset_parameters(self):
        """Draw new weights."""
        bound = 1 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound, generator=self.generator)


# --- layers ----------------------------------------------------------------------------------------------------------


class RNNBase(Recurrent):
    """The base class of `RNN`, `LSTM` and `GRU`, which `mode` names: 'RNN_TANH', 'RNN_RELU', 'LSTM' or 'GRU'."""

    def __init__(self, mode, input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False, proj_size=0,
                 device=None, dtype=None, *, generator=None):  # fmt: skip
        super().__init__()
        if mode not in MODES:
            raise ValueError(f"RNNBase: mode must be one of {', '.join(map(repr, MODES))}, not {mode!r}")
        name = mode.partition("_")[0]
        for what, n in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
            check_size(name, what, n)
        check_size(name, "proj_size", proj_size, least=0)
        if proj_size >= hidden_size:
            raise ValueError(f"{name}: proj_size must be smaller than hidden_size, {hidden_size}, not {proj_size}")
        if not isinstance(dropout, (int, float)) or isinstance(dropout, bool) or not 0 <= dropout <= 1:
            raise ValueError(f"{name}: dropout must be a probability, from 0 to 1, not {dropout!r}")
        for what, flag in (("bias", bias), ("batch_first", batch_first)):
            if not isinstance(flag, bool):
                raise TypeError(f"{name}: {what} must be True or False, not {flag!r}")
        if dropout > 0 and num_layers == 1:
            warnings.warn(f"{name}: dropout comes between layers, and there is only one, so dropout={dropout} does nothing", stacklevel=3)
        self.mode, self.input_size, self.hidden_size, self.num_layers, self.bias = mode, input_size, hidden_size, num_layers, bias
        self.batch_first, self.dropout, self.bidirectional, self.proj_size = batch_first, float(dropout), bidirectional, proj_size
        self.generator, dtype = generator, factory(device, dtype)
        outputs, suffixes = proj_size or hidden_size, self._suffixes()
        for k, suffix in enumerate(suffixes):
            inputs = input_size if k <= bidirectional else outputs * (1 + bidirectional)
            self._add_weights(MODES[mode], suffix, inputs, outputs, dtype)
        self.reset_parameters()

    def _suffixes(self):
        """What the names of the weights end with: layer by layer, in each first forward, then backward."""
        return [f"_l{layer}{end}" for layer in range(self.num_layers) for end in ("", "_reverse")[: 1 + bool(self.bidirectional)]]

    @property
    def all_weights(self):
        """The weights, a list for each layer and direction."""
        return [[w for w in self._weights(suffix) if w is not None] for suffix in self._suffixes()]

    def flatten_parameters(self):
        """Does nothing; programs written for PyTorch call it."""

    def extra_repr(self):
        defaults = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0, "bidirectional": False}
        changed = [f"{name}={getattr(self, name)}" for name, default in defaults.items() if getattr(self, name) != default]
        return ", ".join([f"{self.input_size}, {self.hidden_size}", *changed])

    def forward(self, input, hx=None):
        """The outputs of the last layer at all steps, and the states of all layers and directions after their last step."""
        packed = isinstance(input, PackedSequence)
        name, x = self.mode.partition("_")[0], array_of(input.data if packed else input)
        self._check_input(name, x, packed)
        single = not packed and x.ndim == 2
        if packed:
            sizes, order = np.asarray(of_all_examples(input.batch_sizes)), input.sorted_indices
        else:
            order, by_step = None, x[:, None] if single else swapaxes(x, 0, 1) if self.batch_first else x
            steps, batch, _ = by_step.shape
            sizes, x = np.full(steps, batch), reshape(by_step, (steps * batch, self.input_size))
        require(len(sizes), f"{name}: input must have one or more steps", input=input)
        states = self._first_states(name, hx, x, int(sizes[0]), order, single)
        x, states = self._run(x, sizes, states)
        if packed:
            back = input.unsorted_indices
            return PackedSequence(x, input.batch_sizes, order, back), self._states(states if back is None else [s[:, back] for s in states])
        if single:
            return x, self._states([s[:, 0] for s in states])
        x = reshape(x, (len(sizes), sizes[0], x.shape[-1]))
        return swapaxes(x, 0, 1) if self.batch_first else x, self._states(states)

    def _states(self, states):
        return tuple(states) if self.mode == "LSTM" else states[0]

    def _check_input(self, name, x, packed):
        n, axes = self.input_size, "B, T" if self.batch_first else "T, B"
        shapes = f"(rows, {n}), packed" if packed else f"({axes}, {n}), or (T, {n}) without a batch"
        require(x.ndim in ((2,) if packed else (2, 3)) and x.shape[-1] == n, f"{name}: input must be {shapes}", input=x)

    def _first_states(self, name, hx, x, batch, order, single):
        """The states before the first step, (layers * directions, B, size), sorted as the sequences are."""
        number = self.num_layers * (1 + bool(self.bidirectional))
        sizes = {"h_0": self.proj_size or self.hidden_size} | ({"c_0": self.hidden_size} if self.mode == "LSTM" else {})
        if hx is None:
            dtype = np.result_type(x.dtype, self.weight_hh_l0.dtype)
            return [np.zeros((number, batch, size), dtype) for size in sizes.values()]
        if self.mode == "LSTM" and not (isinstance(hx, (tuple, list)) and len(hx) == 2):
            raise TypeError(f"LSTM: hx must be a pair (h_0, c_0), not {type(hx).__name__}")
        states = dict(zip(sizes, map(array_of, hx if self.mode == "LSTM" else [hx]), strict=True))
        for what, size in sizes.items():
            wanted = (number, size) if single else (number, batch, size)
            words = "(layers * directions, size)" if single else "(layers * directions, B, size)"
            require(states[what].shape == wanted, f"{name}: {what} must be {wanted}: {words}", input=x, **states)
        if single:
            return [state[:, None] for state in states.values()]
        return list(states.values()) if order is None else [state[:, of_all_examples(order)] for state in states.values()]

    def _run(self, x, sizes, states):
        """All layers; rows and states in, rows and states out."""
        kind, directions, ends = MODES[self.mode], 1 + bool(self.bidirectional), []
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = functional.dropout(x, self.dropout, self.training, generator=self.generator)
            outputs = []
            for k in range(layer * directions, (layer + 1) * directions):
                rows, end = sequence(kind, x, sizes, [s[k] for s in states], self._weights(self._suffixes()[k]), reverse=k % directions)
                outputs.append(rows)
                ends.append(end)
            x = outputs[0] if directions == 1 else concatenate(outputs, -1)
        return x, [stack(state) for state in zip(*ends, strict=True)]


class RNN(RNNBase):
    """Layers of the simplest recurrent network, as `torch.nn.RNN`: ``h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh)``.

    input          (T, B, input_size), (B, T, input_size) with `batch_first`, (T, input_size), or a `PackedSequence`
    hx             (layers * directions, B, hidden_size), without B for an input without it; zeros if None
    nonlinearity   'tanh' or 'relu'
    dropout        the probability with which outputs of a layer but the last are dropped, in training mode
    bidirectional  each layer runs forward and backward; its output has both, ``2 * hidden_size``
    generator      where weights and dropout come from; by default what `gn.manual_seed` seeds

    Returns the outputs of the last layer, in the form of `input`, and the last states, in that of `hx`.

    >>> import numpy as np, gradnerve as gn
    >>> y, h = gn.nn.RNN(3, 4)(np.zeros((5, 2, 3), np.float32))
    >>> y.shape, h.shape
    ((5, 2, 4), (1, 2, 4))
    """

    def __init__(self, input_size, hidden_size, num_layers=1, nonlinearity="tanh", bias=True, batch_first=False, dropout=0.0, bidirectional=False,
                 device=None, dtype=None, *, generator=None):  # fmt: skip
        mode = f"RNN_{nonlinearity_of('RNN', nonlinearity).upper()}"
        super().__init__(mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype, generator=generator)
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Layers of long short-term memory, as `torch.nn.LSTM`; the gates are i, f, g, o.

    ``c_t = sigmoid(f) * c_(t-1) + sigmoid(i) * tanh(g)``, ``h_t = sigmoid(o) * tanh(c_t)``; with `proj_size`, ``W_hr h_t`` of that size.

    hx    a pair (h_0, c_0) of (layers * directions, B, proj_size or hidden_size) and (layers * directions, B, hidden_size); zeros if None

    All other arguments are those of `RNN`. Returns the outputs and (h_n, c_n).

    >>> import numpy as np, gradnerve as gn
    >>> y, (h, c) = gn.nn.LSTM(3, 4, proj_size=2)(np.zeros((5, 2, 3), np.float32))
    >>> y.shape, h.shape, c.shape
    ((5, 2, 2), (1, 2, 2), (1, 2, 4))
    """

    def __init__(self, input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False, proj_size=0,
                 device=None, dtype=None, *, generator=None):  # fmt: skip
        super().__init__("LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device, dtype,
                         generator=generator)  # fmt: skip


class GRU(RNNBase):
    """Layers of gated recurrent units, as `torch.nn.GRU`; the gates are r, z, n.

    ``n = tanh(W_in x_t + b_in + sigmoid(r) * (W_hn h_(t-1) + b_hn))``, ``h_t = (1 - sigmoid(z)) * n + sigmoid(z) * h_(t-1)``

    Arguments and results are those of `RNN`.

    >>> import numpy as np, gradnerve as gn
    >>> y, h = gn.nn.GRU(3, 4, bidirectional=True, batch_first=True)(np.zeros((2, 5, 3), np.float32))
    >>> y.shape, h.shape
    ((2, 5, 8), (2, 2, 4))
    """

    def __init__(self, input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False, device=None,
                 dtype=None, *, generator=None):  # fmt: skip
        super().__init__("GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype, generator=generator)


# --- cells -----------------------------------------------------------------------------------------------------------


class RNNCellBase(Recurrent):
    """The base class of the cells, of `num_chunks` gates."""

    def __init__(self, input_size, hidden_size, bias, num_chunks, device=None, dtype=None, *, generator=None):
        super().__init__()
        name = type(self).__name__
        check_size(name, "input_size", input_size)
        check_size(name, "hidden_size", hidden_size)
        self.input_size, self.hidden_size, self.bias, self.generator = input_size, hidden_size, bias, generator
        kind = next(kind for kind, gates in GATES.items() if gates == num_chunks)
        self._add_weights(kind, "", input_size, hidden_size, factory(device, dtype))
        if not bias:
            self.register_parameter("bias_ih", None)
            self.register_parameter("bias_hh", None)
        self.reset_parameters()

    def extra_repr(self):
        bias = "" if self.bias is True else f", bias={self.bias}"
        nonlinearity = "" if getattr(self, "nonlinearity", "tanh") == "tanh" else f", nonlinearity={self.nonlinearity}"
        return f"{self.input_size}, {self.hidden_size}{bias}{nonlinearity}"

    def _step(self, kind, input, states, names):
        """The states after one step, from `input` and the states before, or None for zeros."""
        name, x = type(self).__name__, array_of(input)
        require(x.ndim in (1, 2) and x.shape[-1] == self.input_size, f"{name}: input must be (B, {self.input_size}) or ({self.input_size},)", input=x)
        wanted = (*x.shape[:-1], self.hidden_size)
        if states is None:
            states = [np.zeros(wanted, np.result_type(x.dtype, self.weight_hh.dtype))] * len(names)
        states = dict(zip(names, map(array_of, states), strict=True))
        for what, state in states.items():
            require(state.shape == wanted, f"{name}: {what} must be {wanted}", input=x, **states)
        states = list(states.values())
        if x.ndim == 2:
            return sequence(kind, x, [len(x)], states, self._weights(""))[1]
        ends = sequence(kind, x[None], [1], [state[None] for state in states], self._weights(""))[1]
        return tuple(state[0] for state in ends)


class RNNCell(RNNCellBase):
    """One step of `RNN`, as `torch.nn.RNNCell`: takes input (B, input_size) and hx (B, hidden_size), or both without B, and returns the next hx.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.RNNCell(3, 4)(np.zeros((2, 3), np.float32)).shape
    (2, 4)
    """

    def __init__(self, input_size, hidden_size, bias=True, nonlinearity="tanh", device=None, dtype=None, *, generator=None):
        super().__init__(input_size, hidden_size, bias, 1, device, dtype, generator=generator)
        self.nonlinearity = nonlinearity_of("RNNCell", nonlinearity)

    def forward(self, input, hx=None):
        """The next state."""
        return self._step(self.nonlinearity, input, hx if hx is None else [hx], ["hx"])[0]


class LSTMCell(RNNCellBase):
    """One step of `LSTM`, as `torch.nn.LSTMCell`: takes input (B, input_size) and hx, a pair (h, c) of (B, hidden_size), and returns the next pair.

    >>> import numpy as np, gradnerve as gn
    >>> h, c = gn.nn.LSTMCell(3, 4)(np.zeros((2, 3), np.float32))
    >>> h.shape, c.shape
    ((2, 4), (2, 4))
    """

    def __init__(self, input_size, hidden_size, bias=True, device=None, dtype=None, *, generator=None):
        super().__init__(input_size, hidden_size, bias, 4, device, dtype, generator=generator)

    def forward(self, input, hx=None):
        """The next states."""
        if hx is not None and not (isinstance(hx, (tuple, list)) and len(hx) == 2):
            raise TypeError(f"LSTMCell: hx must be a pair (h, c), not {type(hx).__name__}")
        return self._step("lstm", input, hx, ["h", "c"])


class GRUCell(RNNCellBase):
    """One step of `GRU`, as `torch.nn.GRUCell`: takes input (B, input_size) and hx (B, hidden_size), or both without B, and returns the next hx.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.GRUCell(3, 4)(np.zeros(3, np.float32)).shape
    (4,)
    """

    def __init__(self, input_size, hidden_size, bias=True, device=None, dtype=None, *, generator=None):
        super().__init__(input_size, hidden_size, bias, 3, device, dtype, generator=generator)

    def forward(self, input, hx=None):
        """The next state."""
        return self._step("gru", input, hx if hx is None else [hx], ["hx"])[0]

"""`summary`: what is in a network, and what it costs, as a table.

Read next: module.py, for the hooks by which the shapes are found.
"""

import math
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from gradnerve import tree
from gradnerve.nn.parameter import get_default_dtype
from gradnerve.tensor import asarray, no_grad

__all__ = ["summary"]


def summary(model, *inputs, **kwargs):
    """The layers of a network with the shapes of their outputs, their parameters and their multiply-adds, as a table that can be printed.

    inputs, kwargs  what the network takes: arrays, or in place of arrays their shapes, as tuples of whole numbers

    The network runs once, in evaluation mode. Parameters count where they are registered, and once if they are shared; multiply-adds count
    as often as the layer is called: those of matrix products, convolutions, recurrent layers and attention, and two for each element of
    what is normalized. The totals are attributes: `parameters`, `trainable`, `multiply_adds`, and `bytes` of the parameters.

    >>> import gradnerve as gn
    >>> net = gn.nn.Sequential(gn.nn.Linear(3, 4), gn.nn.ReLU(), gn.nn.Linear(4, 2))
    >>> summary(net, (5, 3))
    layer          output shape  parameters  multiply-adds
    ------------------------------------------------------
    Sequential     (5, 2)
      (0): Linear  (5, 4)                16             60
      (1): ReLU    (5, 4)
      (2): Linear  (5, 2)                10             40
    ------------------------------------------------------
    26 parameters (26 trainable), 104 bytes; 100 multiply-adds
    """
    dtype = next((p.dtype for p in model.parameters()), get_default_dtype())
    rows = {module: Row(path, type(module).__name__) for path, module in model.named_modules()}
    handles = [module.register_forward_hook(lambda *call: rows[call[0]].called(*call), with_kwargs=True) for module in rows]
    modes = [(module, module.training) for module in rows]
    try:
        with no_grad():
            model.eval()
            model(*[array_of(x, dtype) for x in inputs], **{name: array_of(x, dtype) for name, x in kwargs.items()})
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
    seen = set()
    for module, row in rows.items():
        own = {id(p): p for p in module.parameters(recurse=False) if id(p) not in seen}
        row.parameters = sum(p.size for p in own.values())
        seen |= own.keys()
    return Summary(list(rows.values()), list(model.parameters()))


def array_of(x, dtype):
    """The input, or zeros if it is a shape."""
    return asarray(np.zeros(x, dtype)) if isinstance(x, tuple) and all(isinstance(n, int) for n in x) else x


@dataclass
class Row:
    """A line of the table."""

    path: str
    kind: str
    shapes: str = ""
    parameters: int = 0
    multiply_adds: int = 0

    def called(self, module, args, kwargs, output):
        shapes = [str(tuple(x.shape)) for x in tree.flatten(output)[0] if hasattr(x, "shape")]
        self.shapes = ", ".join(shapes[:3]) + (", ..." if len(shapes) > 3 else "")
        count = next((COUNTS[kind.__name__] for kind in type(module).__mro__ if kind.__name__ in COUNTS), None)
        if count is not None:
            given = [x for x in tree.flatten((args, kwargs))[0] if hasattr(x, "shape")]
            self.multiply_adds += int(count(module, given, next(x for x in tree.flatten(output)[0] if hasattr(x, "shape"))))

    def cells(self):
        depth, name = (self.path.count(".") + 1, self.path.rpartition(".")[2]) if self.path else (0, "")
        numbers = [f"{n:,}" if n else "" for n in (self.parameters, self.multiply_adds)]
        return ["  " * depth + (f"({name}): " if name else "") + self.kind, self.shapes, *numbers]


class Summary(SimpleNamespace):
    """What `summary` gives.

    rows           the lines of the table: path, kind, shapes, parameters and multiply_adds of each module
    parameters     how many numbers all parameters have, and `trainable`, those that require grad
    multiply_adds  how many one call takes
    bytes          the memory of the parameters
    """

    def __init__(self, rows, parameters):
        super().__init__(rows=rows, multiply_adds=sum(row.multiply_adds for row in rows), parameters=sum(p.size for p in parameters),
                         trainable=sum(p.size for p in parameters if p.requires_grad), bytes=sum(p.nbytes for p in parameters))  # fmt: skip

    def __repr__(self):
        table = [["layer", "output shape", "parameters", "multiply-adds"], *(row.cells() for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join([a.ljust(v), b.ljust(w), c.rjust(x), d.rjust(y)]).rstrip() for (a, b, c, d) in table for v, w, x, y in [widths]]
        rule = "-" * (sum(widths) + 6)
        totals = f"{self.parameters:,} parameters ({self.trainable:,} trainable), {memory(self.bytes)}; {self.multiply_adds:,} multiply-adds"
        return "\n".join([lines[0], rule, *lines[1:], rule, totals])


def memory(n):
    """A number of bytes, for people."""
    for unit in ("bytes", "KiB", "MiB"):
        if n < 1024:
            break
        n, unit = n / 1024, "GiB"
    return f"{n:,.0f} {unit}" if unit == "bytes" else f"{n:,.1f} {unit}"


# --- multiply-adds of a layer, from what it was given and what it gave -----------------------------------------------


def matrices(module):
    """The elements of all its matrices."""
    return sum(p.size for p in module.parameters(recurse=False) if p.ndim == 2)


def attention(module, given, out):
    """The projections of all three inputs and of the output, the products of queries and keys, and those of weights and values."""
    query, key, value = given[:3]
    width, positions = module.embed_dim, query.size // query.shape[-1]
    projected = (2 * query.size + key.size + value.size) * width
    return projected + 2 * positions * key.shape[0 if key.ndim == 2 or not module.batch_first else 1] * width


COUNTS = {
    "Linear": lambda layer, given, out: out.size * layer.in_features,
    "Bilinear": lambda layer, given, out: out.size * layer.in1_features * layer.in2_features,
    "RNNBase": lambda layer, given, out: out.size // out.shape[-1] * matrices(layer),
    "RNNCellBase": lambda layer, given, out: out.size // out.shape[-1] * matrices(layer),
    "MultiheadAttention": attention,
}
for _n in (1, 2, 3):
    COUNTS[f"Conv{_n}d"] = lambda layer, given, out: out.size * math.prod(layer.weight.shape[1:])
    COUNTS[f"ConvTranspose{_n}d"] = lambda layer, given, out: given[0].size * math.prod(layer.weight.shape[1:])
    COUNTS[f"BatchNorm{_n}d"] = COUNTS[f"InstanceNorm{_n}d"] = lambda layer, given, out: 2 * out.size
for _name in ("LayerNorm", "GroupNorm", "RMSNorm", "SyncBatchNorm", "LocalResponseNorm"):
    COUNTS[_name] = COUNTS["BatchNorm1d"]

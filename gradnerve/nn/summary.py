"""`summary`: what is in a network, and what it costs, as a table.

Read next: module.py, for the hooks by which the layers are watched; csrc/memory.pyx, which counts bytes.
"""

import gc
import math
from bisect import bisect_left
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace

import numpy as np

from gradnerve import _engine, _graph, _sweep, tree
from gradnerve._engine import GraphError, TensorBase
from gradnerve._memory import Count
from gradnerve.nn.module import Module
from gradnerve.nn.parameter import Parameter, get_default_dtype
from gradnerve.nn.utils.stateless import swapped
from gradnerve.ops.values import tracked, value
from gradnerve.recompute import Surroundings, generators_of
from gradnerve.tensor import Tensor, enable_grad

__all__ = ["summary"]

WIDTH = 110  # of the table, unless the names of layers are long


def summary(model, *inputs, **kwargs):
    """The layers of a network, with their parameters, their multiply-adds and the memory that they need for training: a table to print.

    inputs, kwargs  what the network takes: arrays, or in place of arrays their shapes, as tuples of whole numbers

    Parameters count where they are registered, and once if they are shared. Multiply-adds count as often as the layer is called: those of
    matrix products, convolutions, recurrent layers and attention, and two for each element of what is normalized.

    Memory is measured. "kept" are the bytes of the arrays that the graph has saved for the backward pass while the layer ran, and none of
    the layers in it: each array once, where it was saved first, without parameters, buffers and inputs. (Results of up to 4 KiB are always
    saved, to be looked at.) A training step is a forward pass and a backward pass from all outputs, without a loss and an optimiser; its
    peak may grow with the number of threads, and leaves out the arrays that the core holds ready to be used again, up to 64 MiB.

    The network runs once, in training mode, with copies of its parameters, buffers and inputs; a network that is in training mode has its
    layers each in their own. Generators are put back, and no `.grad` changes. The result has the totals as attributes:

    parameters, trainable  how many numbers all parameters have, and those that require grad
    multiply_adds          how many one call takes
    bytes, gradient_bytes  the memory of the parameters, and of the gradients of those that require grad
    forward_bytes          what the forward pass keeps for the backward pass: the sum over `rows`, the lines of the table
    output_bytes           the memory of the outputs, some of which may be kept, too
    backward_bytes         the most that the backward pass needs beyond what is there when it starts: for all gradients, those of parameters, too
    peak_bytes             the most that is there at a time during a step: parameters, buffers, inputs, and all that is made

    >>> import gradnerve as gn
    >>> net = gn.nn.Sequential(gn.nn.Linear(30, 40), gn.nn.ReLU(), gn.nn.Linear(40, 20))
    >>> summary(net, (200, 30))
    layer          output shape  parameters  multiply-adds      kept
    ----------------------------------------------------------------
    Sequential     (200, 20)
      (0): Linear  (200, 40)          1,240        240,000
      (1): ReLU    (200, 40)                                31.2 KiB
      (2): Linear  (200, 20)            820        160,000
    ----------------------------------------------------------------
    2,060 parameters (2,060 trainable), 8.0 KiB; gradients 8.0 KiB
    400,000 multiply-adds; forward 31.2 KiB kept for backward, outputs 15.6 KiB
    backward up to 65.7 KiB more; peak of a training step 144.1 KiB
    """
    dtype = next((p.dtype for p in model.parameters()), get_default_dtype())
    leaves, rebuild = tree.flatten(([array_of(x, dtype) for x in inputs], {name: array_of(x, dtype) for name, x in kwargs.items()}))
    private = {id(x): private_copy(x) for x in leaves}
    leaves = [private[id(x)] for x in leaves]
    args, kwargs = rebuild(leaves)
    rows = {module: Row(path, type(module).__name__) for path, module in model.named_modules()}
    with undone(model, leaves):
        costs = step(model, args, kwargs, rows, [*model.parameters(), *model.buffers(), *filter(is_array, leaves)])
    seen = set()
    for module, row in rows.items():
        own = {id(p): p for p in module.parameters(recurse=False) if id(p) not in seen}
        row.parameters = sum(p.size for p in own.values())
        seen |= own.keys()
    return Summary(list(rows.values()), list(model.parameters()), **costs)


def array_of(x, dtype):
    """The input, or zeros if it is a shape."""
    return np.zeros(x, dtype) if isinstance(x, tuple) and all(isinstance(n, int) for n in x) else x


def private_copy(x):
    """An input as a tensor that nobody else holds: the network may change it, and layers keep it without a copy."""
    numbers = is_array(x) and value(x).dtype.kind in "biufc"
    return Tensor(value(x), requires_grad=getattr(x, "requires_grad", False)) if numbers else x


@contextmanager
def undone(model, inputs):
    """A block in which the network is in training mode, and after which all is as before: parameters, buffers, modes and generators."""
    around = Surroundings(generators_of(model.forward, [model, *inputs]))
    modes = [(module, module.training) for module in model.modules()]
    copies = {path: Parameter(p._array, p.requires_grad) for path, p in model.named_parameters()}
    copies |= {path: Tensor(b._array) for path, b in model.named_buffers()}
    try:
        with swapped(model, copies, True, False):
            if not model.training:
                model.train()
            yield
    finally:
        around.put_back()
        for module, training in modes:
            module.training = training


# --- memory ----------------------------------------------------------------------------------------------------------


def step(model, args, kwargs, rows, there):
    """The bytes that a forward and a backward pass take, where `there` is what is there before. Fills the rows."""
    with Count() as count, enable_grad():
        with watched(rows) as layer_at:
            outputs = [x for x in tree.flatten(model(*args, **kwargs))[0] if is_array(x)]
        live, forward_peak = count.live, count.peak
        add_kept(outputs, layer_at, count)
        roots, targets = [t for t in outputs if tracked(t)], [t for t in there if tracked(t)]
        seeds, before = [np.broadcast_to(np.ones((), t.dtype), t.shape) for t in roots], count.live
        count.restart()
        if roots and targets:
            _sweep.gradients(roots, targets, seeds, recorded=False)
        backward = count.peak - before
    made = {id(a): a.nbytes for a in owners(outputs) if count.made(a)}
    always = {id(a): a.nbytes for a in owners(there)}
    return {"output_bytes": sum(made.values()), "backward_bytes": backward,
            "peak_bytes": sum(always.values()) + max(forward_peak, live + backward)}  # fmt: skip


@contextmanager
def watched(rows):
    """A block in which the rows see the calls of their modules; gives a function that finds the row of a node by its number."""
    stack, marks, running = [None], [], []

    def mark():
        marks.append(_engine.last_node())
        running.append(stack[-1])

    def enter(module, args):
        stack.append(rows[module])
        mark()

    def leave(module, args, kwargs, output):
        stack.pop()
        mark()
        rows[module].called(module, args, kwargs, output)

    handles = [module.register_forward_pre_hook(enter, prepend=True) for module in rows]
    handles += [module.register_forward_hook(leave, with_kwargs=True) for module in rows]
    try:
        yield lambda number: running[bisect_left(marks, number) - 1]  # before all calls as after them: None
    finally:
        for handle in handles:
            handle.remove()


def add_kept(outputs, layer_at, count):
    """Add to each row the bytes of what its nodes have saved, if it was made while counting."""
    nodes, seen = {}, set()
    for t in outputs:
        if tracked(t):
            table = _graph.read_tables(t._row)[0]
            nodes.update(zip(table["number"].tolist(), table["row"].tolist(), strict=True))
    for number, node in sorted(nodes.items()):
        row = layer_at(number)
        for a in owners(arrays_in(_graph.saved_by(node))) if row else ():
            if id(a) not in seen and count.made(a):
                seen.add(id(a))
                row.forward_bytes += a.nbytes


def arrays_in(saved):
    """The arrays and tensors behind what a node has saved, wherever they are: in containers, known to functions, as attributes."""
    found, seen = list(saved), set()
    for x in found:
        if is_array(x):
            yield x
        elif id(x) not in seen and not is_program(x):
            seen.add(id(x))
            found += gc.get_referents(x)


def is_program(x):
    """Classes, networks, and modules of Python with their names: what they hold is not there for backward."""
    return isinstance(x, (type, ModuleType, Module)) or (type(x) is dict and "__builtins__" in x)


def owners(found):
    """The arrays that own the memory of arrays and tensors."""
    for x in found:
        with suppress(GraphError):  # for a tensor without its value
            a = value(x)
            while isinstance(a.base, np.ndarray):
                a = a.base
            yield a


def is_array(x):
    return isinstance(x, (np.ndarray, TensorBase))


# --- the table -------------------------------------------------------------------------------------------------------


@dataclass
class Row:
    """A line of the table."""

    path: str
    kind: str
    shapes: str = ""
    parameters: int = 0
    multiply_adds: int = 0
    forward_bytes: int = 0

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
        kept = memory(self.forward_bytes) if self.forward_bytes else ""
        return ["  " * depth + (f"({name}): " if name else "") + self.kind, self.shapes, *numbers, kept]


class Summary(SimpleNamespace):
    """What `summary` gives: its attributes are described there."""

    def __init__(self, rows, parameters, **costs):
        super().__init__(rows=rows, multiply_adds=sum(row.multiply_adds for row in rows), parameters=sum(p.size for p in parameters),
                         trainable=sum(p.size for p in parameters if p.requires_grad), bytes=sum(p.nbytes for p in parameters),
                         gradient_bytes=sum(p.nbytes for p in parameters if p.requires_grad),
                         forward_bytes=sum(row.forward_bytes for row in rows), **costs)  # fmt: skip

    def __repr__(self):
        table = [["layer", "output shape", "parameters", "multiply-adds", "kept"], *(row.cells() for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        widths[1] = min(widths[1], max(WIDTH + widths[1] - sum(widths) - 2 * len(widths) + 2, 12))
        lines = [line_of(cells, widths) for cells in table]
        rule = "-" * (sum(widths) + 2 * len(widths) - 2)
        weights, gradients, kept, outputs, backward, peak = map(memory, (
            self.bytes, self.gradient_bytes, self.forward_bytes, self.output_bytes, self.backward_bytes, self.peak_bytes))  # fmt: skip
        totals = [f"{self.parameters:,} parameters ({self.trainable:,} trainable), {weights}; gradients {gradients}",
                  f"{self.multiply_adds:,} multiply-adds; forward {kept} kept for backward, outputs {outputs}",
                  f"backward up to {backward} more; peak of a training step {peak}"]  # fmt: skip
        return "\n".join([lines[0], rule, *lines[1:], rule, *totals])


def line_of(cells, widths):
    """A line of the table: names and shapes, of which the end may not fit, to the left, and numbers to the right."""
    name, shapes, *numbers = cells
    shapes = shapes if len(shapes) <= widths[1] else shapes[: widths[1] - 3] + "..."
    return "  ".join([name.ljust(widths[0]), shapes.ljust(widths[1]), *map(str.rjust, numbers, widths[2:])]).rstrip()


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
    query, key, value = [*given, given[-1], given[-1]][:3]
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

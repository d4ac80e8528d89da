"""The graph behind a tensor, as tables to read.

Read next: csrc/graph.pyx, where the rows live.
"""

from dataclasses import dataclass

import numpy as np

from gradnerve import _graph
from gradnerve._engine import GraphError


@dataclass(frozen=True)
class Graph:
    """The rows of a graph: `nodes` and `edges` are structured arrays, children before parents."""

    nodes: np.ndarray
    edges: np.ndarray

    def __len__(self):
        return len(self.nodes)

    def parents(self, row):
        """The rows that a row was computed from, in the order of the arguments."""
        return self.edges["parent"][self.edges["child"] == row].tolist()

    def __str__(self):
        head = ("row", "operation", "parents", "shape", "dtype", "uses")
        parents = {}
        for child, parent in zip(self.edges["child"].tolist(), self.edges["parent"].tolist(), strict=True):
            parents.setdefault(child, []).append(str(parent))
        lines = []
        for n in self.nodes:
            operation = n["operation"] + (" (released)" if n["freed"] else "")
            lines.append((str(n["row"]), operation, " ".join(parents.get(int(n["row"]), "-")), n["shape"], n["dtype"], str(n["uses"])))
        widths = [max(len(line[k]) for line in [head, *lines]) for k in range(len(head))]
        return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in [head, *lines])

    __repr__ = __str__


def graph(t):
    """The rows reachable from a tensor: operation, parents, shape, dtype and number of uses of each.

    Raises GraphError if the tensor is not tracked.

    >>> import gradnerve as gn
    >>> x = gn.Tensor([1.0, 2.0], requires_grad=True)
    >>> gn.graph((x * x).sum()).nodes["operation"].tolist()
    ['sum', 'multiply', 'leaf']
    """
    if not t.requires_grad:
        raise GraphError("graph: this tensor is not tracked: nothing that it was made from requires grad")
    return Graph(*_graph.read_tables(t._row))

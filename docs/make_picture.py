"""Draws docs/graph.svg: README's first lines of code, the graph that they record, and its two tables.

Every number in the picture is read from a run of that code. Needs matplotlib; run: python docs/make_picture.py
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

import gradnerve as gn

CODE = """import numpy as np, gradnerve as gn

w = gn.Tensor(0.5, requires_grad=True)
b = gn.Tensor(-1.0, requires_grad=True)
y = np.tanh(w * 3.0 + b)
y.backward()
print(w.grad, b.grad)"""
PLACES = {"w": (0.4, 0.6), "b": (3.3, 2.1), "w * 3.0": (0.4, 2.1), "w * 3.0 + b": (1.85, 3.6), "y": (1.85, 5.1)}  # centres of the boxes
LINKS = [("w", "w * 3.0"), ("w * 3.0", "w * 3.0 + b"), ("b", "w * 3.0 + b"), ("w * 3.0 + b", "y")]
WIDTH, HEIGHT = 1.9, 0.92
BLUE, ORANGE, GREY, EDGE = "#dbe9f6", "#b3541e", "#666666", "#33658a"


def run():
    """The tensors of CODE, all of them held, so that every gradient stays."""
    w, b = gn.Tensor(0.5, requires_grad=True), gn.Tensor(-1.0, requires_grad=True)
    tables = gn.graph(np.tanh(w * 3.0 + b))  # as CODE leaves them: nobody holds what is in between
    product = w * 3.0  # in the rows that were free again
    total = product + b
    y = np.tanh(total)
    y.backward()
    return {"w": w, "b": b, "w * 3.0": product, "w * 3.0 + b": total, "y": y}, tables


def box(axes, name, tensor):
    x, y = PLACES[name]
    axes.add_patch(FancyBboxPatch((x - WIDTH / 2, y - HEIGHT / 2), WIDTH, HEIGHT, boxstyle="round,pad=0,rounding_size=0.12",
                                  facecolor="white" if tensor.is_leaf else BLUE, edgecolor=EDGE, linewidth=1.2))  # fmt: skip
    made = "leaf" if tensor.is_leaf else tensor._operation.name
    axes.text(x, y + 0.27, f"{name if name in 'wby' else made}", ha="center", va="center", fontsize=11, weight="bold")
    axes.text(x, y - 0.03, f"value {tensor.item():.3f}", ha="center", va="center", fontsize=9.5)
    axes.text(x, y - 0.29, f"grad {tensor.grad.item():.3f}", ha="center", va="center", fontsize=9.5, color=ORANGE)
    axes.text(x - WIDTH / 2 - 0.1, y + 0.3, f"row {tensor._row}", fontsize=8.5, color=GREY, va="center", ha="right")


def arrow(axes, parent, child, sideways, color):
    (x0, y0), (x1, y1) = PLACES[parent], PLACES[child]
    ends = ((x0 + sideways, y0 + HEIGHT / 2), (x1 + sideways + 0.45 * np.sign(x0 - x1), y1 - HEIGHT / 2))
    ends = ends if color == EDGE else ends[::-1]
    axes.add_patch(FancyArrowPatch(*ends, arrowstyle="-|>", mutation_scale=11, shrinkA=1, shrinkB=1, color=color, linewidth=1.3))


def panel(axes, x, y, title, text, size):
    axes.text(x, y, title, fontsize=11, weight="bold", va="top")
    axes.text(x, y - 0.42, text, family="monospace", fontsize=size, va="top", linespacing=1.45)


def edge_table(edges):
    rows = [("edge", "child", "argument", "parent"), *((str(e["edge"]), str(e["child"]), "xy"[e["argument"]], str(e["parent"])) for e in edges)]
    return "\n".join("  ".join(cell.ljust(8) for cell in row).rstrip() for row in rows)


def draw(path):
    mpl.rcParams.update({"svg.hashsalt": "gradnerve", "font.family": "DejaVu Sans"})  # the same file from every run
    tensors, tables = run()
    figure, axes = plt.subplots(figsize=(11.6, 4.9))
    panel(axes, -6.35, 5.55, "Plain NumPy code ...", CODE, 9.5)
    gradients = f"{tensors['w'].grad} {tensors['b'].grad}"
    axes.text(-6.35, 3.05, gradients, family="monospace", fontsize=9.5, va="top", color=ORANGE)
    axes.text(-6.35, 2.0, "blue: computed on the way forward\norange: swept back by backward()", fontsize=9, va="top", color=GREY, linespacing=1.5)
    for parent, child in LINKS:
        arrow(axes, parent, child, -0.12, EDGE)
        arrow(axes, parent, child, 0.12, ORANGE)
    for name, tensor in tensors.items():
        box(axes, name, tensor)
    panel(axes, 4.9, 5.55, "... is recorded: a row for every result,", str(tables), 9)
    panel(axes, 4.9, 2.75, "and an edge for every tracked argument", edge_table(tables.edges), 9)
    axes.set(xlim=(-6.5, 10.1), ylim=(0, 5.7))
    axes.axis("off")
    figure.subplots_adjust(0, 0, 1, 1)
    figure.savefig(path, facecolor="white", dpi=130, metadata={"Date": None} if Path(path).suffix == ".svg" else None)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Draw the picture in README.")
    parser.add_argument("--to", default=Path(__file__).with_name("graph.svg"), help="an .svg or .png file (default: docs/graph.svg)")
    draw(parser.parse_args().to)

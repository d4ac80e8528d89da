"""Length and memory: a chain of a million nodes, and a million training steps.

Both must cost per step what a short run costs, and leave nothing behind: resident memory flat, rows of the graph given back.

Read next: report.py.
"""

import gc
from time import perf_counter

import numpy as np

import gradnerve as gn
from gradnerve import _graph


def resident_mib():
    """The process's resident memory; 0.0 where the system does not say."""
    try:
        with open("/proc/self/statm") as f:
            return int(f.read().split()[1]) * 4096 / 2**20
    except OSError:
        return 0.0


def build(nodes):
    x = gn.Tensor(1.0, requires_grad=True)
    y = x
    for _ in range(nodes):
        y = y * 1.0000001
    return x, y


def time_chain(nodes):
    """Nanoseconds per node to build, differentiate and free a chain, and resident memory while it stands, in bytes per node."""
    before = resident_mib()
    start = perf_counter()
    x, y = build(nodes)
    built = perf_counter()
    standing = resident_mib() - before
    again = perf_counter()
    y.backward()
    swept = perf_counter()
    np.testing.assert_allclose(x.grad, 1.0000001**nodes, rtol=1e-6)
    end = perf_counter()
    del y
    freed = perf_counter()
    seconds = {"build": built - start, "backward": swept - again, "free": freed - end}
    return {name: 1e9 * s / nodes for name, s in seconds.items()} | {"bytes_per_node": standing * 2**20 / nodes}


def total(chain):
    return chain["build"] + chain["backward"] + chain["free"]


def best_chain(nodes, times):
    return min((time_chain(nodes) for _ in range(times)), key=total)


def long_chain(quick):
    """A chain of 1e6 nodes (quick: 1e5) against one of 1e4."""
    nodes = 100_000 if quick else 1_000_000
    short = best_chain(10_000, 20)
    rows, long = sum(_graph.live_rows()), [time_chain(nodes)]
    gc.collect()
    resident = resident_mib()
    long += [time_chain(nodes) for _ in range(3)]
    gc.collect()
    best = min(long, key=total)
    return {
        "nodes": nodes,
        "short_ns_per_node": short,
        "long_ns_per_node": best,
        "per_node_ratio": total(best) / total(short),
        "bytes_per_node": long[0]["bytes_per_node"],
        "resident_growth_mib": resident_mib() - resident,
        "rows_left": sum(_graph.live_rows()) - rows,
    }


def training_step(parameters, images, target):
    w1, b1, w2, b2, w3, b3 = parameters
    h = np.tanh(np.tanh(images @ w1 + b1) @ w2 + b2)
    loss = ((h @ w3 + b3 - target) ** 2).mean()
    loss.backward()
    for p in parameters:
        p.data -= 0.01 * p.grad
        p.grad = None


def training(quick, samples=20):
    """Training steps of the 2-16-16-1 network: 1e6 (quick: 20,000); memory and rows after each twentieth."""
    steps = 20_000 if quick else 1_000_000
    rng = np.random.default_rng(0)
    images, target = rng.normal(size=(32, 2)), rng.normal(size=(32, 1))
    shapes = [(2, 16), (16,), (16, 16), (16,), (16, 1), (1,)]
    parameters = [gn.Tensor(rng.normal(size=shape) / np.sqrt(shape[0]), requires_grad=True) for shape in shapes]
    for _ in range(1_000):
        training_step(parameters, images, target)
    resident, rows = [resident_mib()], [sum(_graph.live_rows())]
    start = perf_counter()
    for _ in range(samples):
        for _ in range(steps // samples):
            training_step(parameters, images, target)
        resident.append(resident_mib())
        rows.append(sum(_graph.live_rows()))
    return {
        "steps": steps,
        "us_per_step": 1e6 * (perf_counter() - start) / steps,
        "resident_growth_mib": resident[-1] - resident[0],
        "resident_peak_mib": max(resident) - resident[0],
        "rows": [min(rows), max(rows)],
    }

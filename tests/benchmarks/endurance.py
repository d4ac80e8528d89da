"""Length and memory: a chain of a million nodes, a million training steps, and everything of loops.py for a hundred thousand times.

All must cost per step what a short run costs, and leave nothing behind: resident memory flat, rows of the graph given back.
`python -m tests.benchmarks.endurance` runs the loops and prints a table (an hour; ``--quick``: seconds).

Read next: report.py.
"""

import argparse
import gc
import sys
from time import perf_counter

import numpy as np

import gradnerve as gn
from gradnerve import _graph
from tests.loops import CYCLES, LOOPS

ITERATIONS = dict.fromkeys(["training", "failing_derivatives", "interrupts"], 10**6) | dict.fromkeys(["archives", "safetensors", "verifying"], 10**4)
MANY = 100_000  # of the others
FLAT = 1.0  # MiB by which resident memory moves without anything being kept


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


def loop(name, quick, samples=20):
    """A loop of loops.py: resident memory in MiB after a tenth of the iterations and at the end, its slope between, and the fewest and most rows."""
    step, _ = LOOPS[name]()
    n = ITERATIONS.get(name, MANY) // (100 if quick else 1)
    start, resident, rows = perf_counter(), [], []
    for k in range(1, samples + 1):
        for _ in range(n // samples):
            step()
        if k >= samples // 10:
            resident.append(resident_mib())
            rows.append(sum(_graph.live_rows()))
    slope = np.polyfit(np.arange(len(resident)) * (n // samples), np.multiply(resident, 2**20), 1)[0]
    return {"iterations": n, "us": 1e6 * (perf_counter() - start) / n, "before": resident[0], "after": resident[-1], "slope": slope,
            "rows": (min(rows), max(rows))}  # fmt: skip


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.endurance", description="Run each loop for long: nothing may be left behind.")
    parser.add_argument("names", nargs="*", metavar="LOOP", help=f"only these: {', '.join(LOOPS)}")
    parser.add_argument("--quick", action="store_true", help="a hundredth of the iterations")
    parser.add_argument("--no-gc", action="store_true", help=f"without the cyclic garbage collector (which {', '.join(CYCLES)} needs)")
    options = parser.parse_args(arguments)
    if options.no_gc:
        gc.disable()
    print(f"{'loop':22}{'iterations':>12}{'µs each':>10}{'resident MiB':>16}{'after':>9}{'bytes/iteration':>17}{'live rows':>12}   flat?")
    failed = 0
    for name in options.names or LOOPS:
        with np.errstate(all="ignore"):
            found = loop(name, options.quick)
        low, high = found["rows"]
        flat = found["after"] - found["before"] < FLAT and low == high
        failed += not flat
        rows = str(low) if low == high else f"{low} to {high}"
        print(f"{name:22}{found['iterations']:12,}{found['us']:10,.0f}{found['before']:16.2f}{found['after']:9.2f}{found['slope']:17.3f}{rows:>12}"
              f"   {'yes' if flat else 'NO'}", flush=True)  # fmt: skip
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()

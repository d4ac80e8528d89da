"""Do two threads of the user's get twice as much done on two cores? `python -m tests.benchmarks.threads`

Each thread makes the same number of calls, forward and back (NumPy: forward). The ratio is the time of two threads over that of one: 1 where
they do not disturb each other, 2 where only one of them runs at a time. No library uses threads of its own. The best of some rounds counts,
and the median stands beside it.
"""

import argparse
import os

os.environ["GRADNERVE_THREADS"] = "1"  # these are read when the libraries are imported
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import threading
from functools import partial
from statistics import median
from time import perf_counter

import numpy as np

import gradnerve as gn
import gradnerve.nn.functional as F

try:
    import torch

    torch.set_num_threads(1)
except ImportError:
    torch = None

LIBRARIES = ("gradnerve", "numpy", "pytorch")
SIZE, ROWS, SQUARE, IMAGES = 10**6, (1000, 1000), (500, 500), (4, 16, 64, 64)


def numbers(*shape):
    return np.random.default_rng(0).uniform(0.5, 1.5, shape).astype(np.float32)


def chain(m, x, w):
    """Five operations, of an element each."""
    return m.tanh(x * w + 0.5) * w + m.exp(-x)


def swept(f, make, *shapes):
    """The call that computes f of leaves that only this thread knows, and its gradients."""
    leaves = [make(numbers(*shape)) for shape in shapes]

    def call():
        f(*leaves).sum().backward()
        for t in leaves:
            t.grad = None

    return call


def plain(f, make, *shapes):
    arrays = [make(numbers(*shape)) for shape in shapes]
    return lambda: f(*arrays)


ours, theirs = partial(gn.Tensor, requires_grad=True), lambda a: torch.tensor(a, requires_grad=True)
norm = lambda m, x: (x - x.mean(1)[:, None]) / m.sqrt(x.var(1)[:, None] + 1e-5)
CASES = {  # name: shapes, what GradNerve, NumPy and PyTorch compute; NumPy the values alone
    "chain of 5": ([(SIZE,)] * 2, partial(chain, gn), partial(chain, np), lambda *a: chain(torch, *a)),
    "broadcast": ([ROWS, ROWS[1:]], lambda x, b: x * b + b, lambda x, b: x * b + b, lambda x, b: x * b + b),
    "sum of squares": ([(SIZE,)], lambda x: (x * x).sum(), lambda x: (x * x).sum(), lambda x: (x * x).sum()),
    "matmul": ([SQUARE] * 2, lambda x, y: x @ y, lambda x, y: x @ y, lambda x, y: x @ y),
    "norm by hand": ([ROWS], partial(norm, gn), partial(norm, np), lambda x: norm(torch, x)),
    "softmax": ([ROWS], lambda x: F.softmax(x, 1), None, lambda x: torch.softmax(x, 1)),
    "convolution": ([IMAGES, (16, 16, 3, 3)], F.conv2d, None, lambda *a: torch.nn.functional.conv2d(*a)),
    "sort": ([(SIZE // 5,)], np.sort, np.sort, lambda x: torch.sort(x)[0]),
    "chain of 5, 8 elements": ([(8,)] * 2, lambda x, w: chain(gn, x, w), lambda x, w: chain(np, x, w), lambda x, w: chain(torch, x, w)),
}  # fmt: skip


def runners(shapes, gradnerve, numpy, pytorch):
    """By library: a function that makes the call for one thread."""
    found = {"gradnerve": lambda: swept(gradnerve, ours, *shapes)}
    if numpy is not None:
        found["numpy"] = lambda: plain(numpy, np.array, *shapes)
    if torch is not None:
        found["pytorch"] = lambda: swept(pytorch, theirs, *shapes)
    return found


def seconds(calls, n):
    """How long it takes until each of the calls has been made n times, each in a thread."""
    ready = threading.Barrier(len(calls) + 1)

    def work(call):
        ready.wait()
        for _ in range(n):
            call()

    threads = [threading.Thread(target=work, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    ready.wait()
    start = perf_counter()
    for thread in threads:
        thread.join()
    return perf_counter() - start


def ratios(make, rounds, slot):
    """The time of two threads over that of one, in each round, which takes some `slot` seconds; and of the best times."""
    calls = [make(), make()]
    for call in calls:
        call()
    n = max(1, round(slot / seconds(calls[:1], 1)))
    times = [(seconds(calls[:1], n), seconds(calls, n)) for _ in range(rounds)]
    best = [min(column) for column in zip(*times, strict=True)]
    return best[1] / best[0], median(two / one for one, two in times)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.threads", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: to see that all is well")
    rounds, slot = (3, 0.02) if parser.parse_args(arguments).quick else (11, 0.3)
    load = f"; load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"two threads / one thread, best (median) of {rounds} rounds on {os.cpu_count()} cores{load}\n")
    print(f"{'':24}" + "".join(f"{library:>16}" for library in LIBRARIES))
    for name, case in CASES.items():
        makers = runners(*case)
        cells = {library: "{:.2f} ({:.2f})".format(*ratios(make, rounds, slot)) for library, make in makers.items()}
        print(f"{name:24}" + "".join(f"{cells.get(library, '-'):>16}" for library in LIBRARIES), flush=True)


if __name__ == "__main__":
    main()

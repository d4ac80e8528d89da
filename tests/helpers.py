"""What the hostile tests share: a process of its own for a test, and a small graph that saves all there is to save."""

import ctypes
import gc
import os
import subprocess
import sys
import tracemalloc
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

import gradnerve as gn
from gradnerve import _graph, _loops
from gradnerve.ops.define import implementations, operations

SANITIZED = "asan" in os.environ.get("LD_PRELOAD", "")  # by .ci/sanitize: needs terabytes of addresses, and many times as long
sized = pytest.mark.skipif(SANITIZED, reason="a sanitizer takes memory of its own")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
HERE, ROOT = os.path.dirname(os.path.abspath(__file__)), os.path.dirname(os.path.dirname(os.path.abspath(gn.__file__)))
PREAMBLE = """
import sys
sys.path[:0] = {path!r}
try:
    import resource
    if {limited}:
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, resource.getrlimit(resource.RLIMIT_AS)[1]))
except ImportError:
    pass
"""


@contextmanager
def forgetting_operations():
    """A block, after which the operations that were defined in it are not known any more."""
    tables = operations, implementations
    before = [dict(table) for table in tables]
    try:
        yield
    finally:
        for table, then in zip(tables, before, strict=True):
            table.clear()
            table.update(then)


def process(program, seconds=120):
    """Run a program in a process of its own, which has to end well and in silence."""
    program = PREAMBLE.format(path=[HERE, ROOT], limited=not SANITIZED) + program
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    seconds *= 10 if SANITIZED else 1
    done = subprocess.run([sys.executable, "-X", "faulthandler", "-c", program], capture_output=True, text=True, timeout=seconds, env=environment)
    assert done.returncode == 0 and not done.stderr, f"exit code {done.returncode}\n{done.stderr[-3000:]}"


def settled_rows():
    """The live rows, without those that an earlier test's traceback still holds."""
    gc.collect()
    return _graph.live_rows()


def alone(test):
    """Decorator: run the test in a process of its own."""
    program = f"import {test.__module__.rpartition('.')[2]} as tests\ntests.{test.__name__}.body()"
    run = lambda: process(program)
    run.body, run.__name__, run.__doc__ = test, test.__name__, test.__doc__
    return run


def pages():
    """The size of the process in bytes: reserved and resident."""
    with open("/proc/self/statm") as file:
        return [int(n) * os.sysconf("SC_PAGE_SIZE") for n in file.read().split()[:2]]


# ---- graphs ----------------------------------------------------------------------------------------------------------------


def leaf(values):
    return gn.Tensor(values, requires_grad=True)


def chain(x, n):
    y = x
    for _ in range(n):
        y = y * 1.0000001
    return y


def works(rows=None):
    """The library is in order: a small step gives the right gradient and, if told what was there before, no row is left."""
    x = leaf([1.0, 2.0])
    y = (x * x + x).sum()
    y.backward()
    del y
    assert x.grad.tolist() == [3.0, 5.0]
    del x
    assert rows is None or _graph.live_rows() == rows


START = np.array([[0.9, 0.1], [0.5, 0.3]])


def forward(x, watch=lambda **made: None):
    """A result that saves inputs, outputs and views; `watch` is shown every tensor before the next one is made from it."""
    watch(x=x)
    h = x * x + 0.5 * x
    watch(h=h)
    e = np.exp(h)
    watch(e=e)
    v = e[:]
    watch(v=v)
    return (v * v + h @ e + np.tanh(x) / v).sum()


def expected():
    x = leaf(START)
    forward(x).backward()
    return x.grad


VALUES = np.cos(np.arange(16.0) ** 1.3).reshape(4, 4)


def odd_address(a):
    """The same numbers at an address that is no multiple of anything."""
    return np.frombuffer(b"x" + a.tobytes(), a.dtype, offset=1).reshape(a.shape)


class Sub(np.ndarray):
    pass


NAMES = {"np": np, "gn": gn, "ctypes": ctypes, "Sub": Sub}


def example(name):
    """The example as a module."""
    spec = spec_from_file_location(name, Path(__file__).parents[1] / "examples" / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def assert_flat(step, times):
    """However often it runs, it leaves no more memory and no more rows than at first."""

    def in_use():
        for _ in range(times):
            step()
        gc.collect()
        _loops.empty_pool()
        return tracemalloc.get_traced_memory()[0], _graph.live_rows()

    tracemalloc.start()
    try:
        before, rows = in_use()
        now, rows_now = [in_use() for _ in range(4)][-1]
    finally:
        tracemalloc.stop()
    assert now - before < 40_000 and rows_now == rows

"""Whatever a loop does, and however it fails, nothing is left: no object, no byte of C's, no row, no reference. And without the garbage collector.

Each loop of loops.py runs a while to fill caches, and then again and again until in one of the rounds next to nothing has come to stay. A
loop that loses something in every iteration has no such round. Read next: loops.py; benchmarks/endurance.py, for hours.
"""

import ctypes
import gc
import sys

import numpy as np
import pytest
from helpers import sized
from loops import CYCLES, LOOPS

import gradnerve as gn
from gradnerve import _graph, _loops
from gradnerve.ops import arithmetic, reductions

CHEAP, DEAR = "training dropped seeds in_place by_hand freed no_memory epochs".split(), "sequences verifying archives safetensors".split()
OURS = None, gn.Tensor, arithmetic.multiply, arithmetic.add, reductions.sum
ROUNDS = 8


class Heap(ctypes.Structure):
    """What glibc tells of its memory."""

    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]


def bytes_of_c():
    """In use by malloc, where it is known: NumPy's arrays and our tables are there, and Python's small objects are not."""
    ask = getattr(ctypes.CDLL(None), "mallinfo2", None) if sys.platform == "linux" else None
    if ask is None:
        return 0
    ask.restype = Heap
    heap = ask()
    return heap.uordblks + heap.hblkhd


def empty_free_lists(garbage):
    """Python's and ours. Frozen objects are not looked at, so that no garbage is collected unless it should."""
    _loops.empty_pool()
    if not garbage:
        gc.freeze()
    gc.collect()
    gc.unfreeze()


def in_use(garbage):
    empty_free_lists(garbage)
    return np.array([sys.getallocatedblocks(), bytes_of_c() / 32, *map(sys.getrefcount, OURS)]), _graph.live_rows()


def left_by(step, watched, n, garbage=False):
    """How much more there is after a round of n iterations, in that of the rounds which leaves least, and what must not have changed at all."""
    for _ in range(n // 2):
        step()
    least = np.full(2 + len(OURS), np.inf)
    before, rows = in_use(garbage)
    references = [sys.getrefcount(x) for x in watched]
    for _ in range(ROUNDS):
        for _ in range(n):
            step()
        now, rows_now = in_use(garbage)
        least, before = np.minimum(least, abs(now - before)), now
        if (least < n / 2).all():
            break
    return least, [rows_now, *(sys.getrefcount(x) for x in watched)] == [rows, *references]


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("name", LOOPS)
def test_leaves_nothing(name, no_collector):
    n = 3000 if name in CHEAP else 200 if name in DEAR else 500  # more pieces of 32 bytes than malloc holds ready
    with np.errstate(all="ignore"):
        least, unchanged = left_by(*LOOPS[name](), n, garbage=name in CYCLES)
    assert (least < n / 2).all(), f"after {n} iterations more blocks, bytes / 32, references to {OURS}: {least}"
    assert unchanged, "rows, or references to arguments"


class Lost:
    """One of something for each iteration."""

    def __init__(self):
        self.kept, self.x = [], gn.Tensor([1.0, 2.0], requires_grad=True)

    def an_object(self):
        self.kept.append(object())

    def a_cycle(self):
        cycle = []
        cycle.append(cycle)

    def memory(self):
        np.ones(200).__array_interface__, ctypes.CDLL(None).malloc(8)

    def a_large_array(self):
        self.kept.append(np.ones(200))

    def a_row(self):
        self.kept.append(self.x * 2)

    def a_reference_to_an_argument(self):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.x))

    def a_reference_to_an_operation(self):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(arithmetic.multiply))


@sized
@pytest.mark.skipif(sys.platform != "linux", reason="needs glibc")
@pytest.mark.parametrize("what", [name for name in vars(Lost) if not name.startswith("_")])
def test_one_lost_in_each_iteration_is_seen(what, no_collector):
    lost, n = Lost(), 100
    step, watched = LOOPS["seeds"]()
    lose = getattr(lost, what)
    least, unchanged = left_by(lambda: (step(), lose()), [lost.x, *watched], n)
    assert not unchanged or (least >= n / 2).any()

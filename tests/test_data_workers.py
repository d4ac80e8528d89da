"""Threads that load batches: the order is right, errors come where they belong, and threads end with the loop, however that ends.

Read next: test_process.py, other ways to end badly.
"""

import gc
import os
import signal
import sys
import threading
import time
import traceback
import weakref

import numpy as np
import pytest
from helpers import alone, process

import gradnerve as gn
from gradnerve import data
from gradnerve.data import workers as threads


def rng(seed=0):
    return np.random.default_rng(seed)


class Numbers(data.Dataset):
    """The numbers themselves, after an action."""

    def __init__(self, n, act=lambda k: None):
        self.n, self.act = n, act

    def __len__(self):
        return self.n

    def __getitem__(self, k):
        self.act(k)
        return k


def ints(loader):
    """The batches of numbers as lists."""
    return [batch.tolist() for batch in loader]


# --- workers ---------------------------------------------------------------------------------------------------------


def workers():
    """The threads that are alive."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("gn.data worker") and thread.is_alive()]


def wait_until(condition):
    """Fails if it does not come true in many seconds."""
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("waited in vain")


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    wait_until(lambda: not workers())


def naps(seed):
    """Sleeps for random times of up to 0.2 ms."""
    generator = rng(seed)
    return lambda k: time.sleep(generator.random() * 2e-4)


def test_the_order_is_always_right():
    """200 epochs, 4 workers that take different times for each batch."""
    loader = data.DataLoader(Numbers(24, naps(0)), 2, shuffle=True, num_workers=4, generator=rng(1))
    same = data.DataLoader(Numbers(24), 2, shuffle=True, generator=rng(1))
    for _ in range(200):
        assert ints(loader) == ints(same)


def test_workers_load_at_the_same_time():
    """Each waits for the other one."""
    meeting = threading.Barrier(2)
    loader = data.DataLoader(Numbers(4, lambda k: meeting.wait(60)), num_workers=2)
    assert ints(loader) == [[0], [1], [2], [3]]


def test_no_more_batches_are_loaded_ahead_than_allowed():
    loaded, most = [], 0
    batches = iter(data.DataLoader(Numbers(60, loaded.append), num_workers=2, prefetch_factor=3))
    wait_until(lambda: len(loaded) == 6)
    for taken, _ in enumerate(batches, start=1):
        most = max(most, len(loaded) - taken)
        if taken == 10:
            wait_until(lambda: len(loaded) == 16)
    assert most <= 6 and len(loaded) == 60


def test_several_loops_at_the_same_time():
    loader = data.DataLoader(Numbers(12, naps(0)), 3, num_workers=2)
    pairs = [(a.tolist(), b.tolist()) for a, b in zip(loader, loader, strict=True)]
    assert pairs == [(each, each) for each in ints(loader)]
    found = []
    threads = [threading.Thread(target=lambda: found.append(ints(loader))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [ints(loader)] * 4


def test_worker_info():
    seen, begun = {}, []

    def look(k):
        info = data.get_worker_info()
        assert info.num_workers == 3 and info.dataset is numbers
        seen.setdefault(info.id, []).append(k)

    numbers = Numbers(9, look)
    ints(data.DataLoader(numbers, num_workers=3, worker_init_fn=begun.append))
    assert {k: sorted(own) for k, own in seen.items()} == {0: [0, 3, 6], 1: [1, 4, 7], 2: [2, 5, 8]}  # always the same
    assert sorted(begun) == [0, 1, 2] and data.get_worker_info() is None
    assert ints(data.DataLoader(Numbers(1, lambda k: begun.append(data.get_worker_info())))) == [[0]] and begun[-1] is None


def test_workers_run_in_the_modes_of_the_loop():
    divide = lambda k: np.ones(1) / np.zeros(1)
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        ints(data.DataLoader(Numbers(1, divide), num_workers=1))
    with np.errstate(divide="ignore"):
        assert ints(data.DataLoader(Numbers(1, divide), num_workers=1)) == [[0]]


def fails(at, make):
    def act(k):
        if k == at:
            raise make()

    return act


@pytest.mark.parametrize("num_workers", [0, 3])
@pytest.mark.parametrize("kind", [KeyError, IndexError, StopIteration, GeneratorExit, SystemExit])
def test_errors_come_where_their_batch_would_come(num_workers, kind):
    batches = iter(data.DataLoader(Numbers(20, fails(9, kind)), 2, num_workers=num_workers))
    assert [next(batches).tolist() for _ in range(4)] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    with pytest.raises(RuntimeError if kind is StopIteration else kind) as caught:
        next(batches)
    error = caught.value
    frames = traceback.extract_tb((error.__cause__ or error).__traceback__)
    assert frames[-1].name == "act"  # the traceback goes to the line of the dataset
    if issubclass(kind, Exception):
        where = "the Numbers of 20 examples"
        assert error.__notes__[:2] == [f"in example 9 of {where}", f"in the batch of the examples [8, 9] of {where}"]
        assert num_workers == 0 or error.__notes__[2] == "in worker 1 of 3"
    assert next(batches, None) is None


@pytest.mark.parametrize("num_workers", [0, 2])
def test_errors_name_the_examples(num_workers):
    sizes = [3, 3, 3, 4, 3]
    with pytest.raises(gn.ShapeError, match="0 and 2 of the batch") as caught:
        list(data.DataLoader([np.ones(n) for n in sizes], 3, sampler=[4, 0, 3], num_workers=num_workers))
    assert caught.value.__notes__[:2] == ["these are the examples 4 and 3 of the dataset",
                                          "in the batch of the examples [4, 0, 3] of the list of 5 examples"]  # fmt: skip
    for dataset in [1, 2, 3], np.ones(3), data.TensorDataset(np.ones(3)), data.Subset("abc", [2, 0, 1]):
        with pytest.raises(IndexError) as caught:
            list(data.DataLoader(dataset, 4, sampler=[0, 1, 2, 7], num_workers=num_workers))
        assert any("[0, 1, 2, 7]" in note and "3 examples" in note for note in caught.value.__notes__)
    with pytest.raises(ZeroDivisionError) as caught:
        list(data.DataLoader(Numbers(20), 10, collate_fn=lambda batch: 1 / 0, num_workers=num_workers))
    assert "[0, 1, 2, 3, 4, 5, 6, 7, ...] (10)" in caught.value.__notes__[0]


def test_errors_elsewhere_come_too():
    def broken():
        yield from (0, 1, 2)
        raise KeyError("sampler")

    for num_workers in 0, 2:
        batches = iter(data.DataLoader(Numbers(3), sampler=broken(), num_workers=num_workers))
        assert [next(batches).tolist() for _ in range(3)] == [[0], [1], [2]]
        with pytest.raises(KeyError, match="sampler"):
            next(batches)
    for kind in ValueError, StopIteration:
        with pytest.raises((ValueError, RuntimeError)) as caught:
            list(data.DataLoader(Numbers(3), num_workers=2, worker_init_fn=fails(0, kind)))
        assert caught.value.__notes__ == ["in worker_init_fn", "in worker 0 of 2"]


def test_timeout():
    stuck = threading.Event()
    batches = iter(data.DataLoader(Numbers(3, lambda k: stuck.wait(60)), num_workers=1, timeout=0.01))
    with pytest.raises(TimeoutError, match=r"batch 0 was not there after 0\.01 seconds"):
        next(batches)
    stuck.set()


# --- the end of the threads ------------------------------------------------------------------------------------------


def leave_by_break(loader):
    for _ in loader:
        break


def leave_by_error(loader):
    with pytest.raises(ZeroDivisionError):
        for _ in loader:
            1 / 0


def leave_by_losing_it(loader):
    next(iter(loader))


def leave_before_the_first(loader):
    iter(loader)


def leave_at_the_end(loader):
    assert len(ints(loader)) == 50


def leave_by_close(loader):
    batches = iter(loader)
    next(batches)
    batches.close()
    assert next(batches, None) is None


def leave_to_the_garbage_collector(loader):
    ring = [iter(loader)]
    ring.append(ring)
    next(ring[0])
    assert workers()
    del ring
    gc.collect()


LEAVE = [leave_by_break, leave_by_error, leave_by_losing_it, leave_before_the_first, leave_at_the_end, leave_by_close, leave_to_the_garbage_collector]


@pytest.mark.parametrize("leave", LEAVE)
def test_threads_end_with_the_loop(leave):
    before = threading.enumerate()
    for epoch in range(5):
        leave(data.DataLoader(Numbers(100, naps(epoch)), 2, num_workers=4))
    wait_until(lambda: threading.enumerate() == before)


def test_batches_are_freed_with_the_loop():
    """Neither the batches that were loaded for nothing nor the dataset wait for the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            arrays = [np.ones(1000) for _ in range(20)]
            counts = [sys.getrefcount(a) for a in arrays]
            batches = iter(data.DataLoader(arrays, 2, num_workers=2, collate_fn=list))
            next(batches)
            del batches
            wait_until(lambda: not workers())
            assert [sys.getrefcount(a) for a in arrays] == counts
    finally:
        gc.enable()


def test_a_forgotten_worker_ends_after_its_example(monkeypatch):
    """One that is deep in the dataset when the loop is left is not waited for very long, and reads no other example."""
    monkeypatch.setattr(threads, "PATIENCE", 0.01)
    seen, go_on = [], threading.Event()

    def act(k):
        seen.append(k)
        go_on.wait(60)

    batches = iter(data.DataLoader(Numbers(100, act), 10, num_workers=2))
    wait_until(lambda: len(seen) == 2)
    batches.close()
    assert len(workers()) == 2
    go_on.set()
    wait_until(lambda: not workers())
    assert sorted(seen) == [0, 10]


@alone
def test_a_worker_finds_its_own_iterator():
    """An iterator is part of a cycle, and the garbage collector runs in the thread that would have to wait for itself."""
    gc.disable()
    for _ in range(20):
        lost = threading.Event()

        def act(k, lost=lost):
            if k > 1:
                lost.wait(60)
                gc.collect()

        ring = [iter(data.DataLoader(Numbers(50, act), 2, num_workers=3))]
        ring.append(ring)
        next(ring[0])
        gone = weakref.ref(ring[0])
        del ring
        lost.set()
        wait_until(lambda gone=gone: gone() is None and not workers())


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@alone
def test_interrupt_while_waiting():
    """Ctrl-C in the thread that waits for a batch which would take an hour."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    begun = threading.Event()

    def act(k):
        begun.set()
        time.sleep(0.005)

    def interrupt():
        begun.wait()
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        next(iter(data.DataLoader(Numbers(10**6, act), 10**6, num_workers=3)))
    wait_until(lambda: not workers())
    assert ints(data.DataLoader(Numbers(3), num_workers=3)) == [[0], [1], [2]]


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@alone
def test_interrupts_at_any_time():
    """Many loops, each interrupted at another point, and Python's own start of a thread at none: no thread is left, and nothing hangs."""
    loader, left = data.DataLoader(Numbers(10**6), 50, num_workers=3), 0
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    for k in range(150):
        batches = iter(loader)
        try:
            signal.setitimer(signal.ITIMER_REAL, 1e-4 + k * 2e-5)
            for _ in batches:
                pass
        except KeyboardInterrupt:
            left += 1
        del batches
    assert left == 150
    wait_until(lambda: not workers())


PROGRAM = """
import time
from gradnerve import data
from test_data_workers import Numbers
loader = data.DataLoader(Numbers(100, lambda k: time.sleep({seconds} if k > 3 else 0)), num_workers=3)
batches = iter(loader)
next(batches)
{end}
"""


@pytest.mark.parametrize("end", ["", "raise SystemExit", "ring = [batches]; ring.append(ring); del batches"])
@pytest.mark.parametrize("seconds", [0.001, 3600])
def test_the_process_ends_while_a_loop_is_alive(end, seconds):
    process(PROGRAM.format(end=end, seconds=seconds), seconds=60)

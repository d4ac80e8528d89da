"""A hostile process: memory that runs out, interrupts, objects in odd states, and all that has to stay as it was.

No input makes the process crash. What could (`alone`) runs in one of its own, with limits of time and memory. Read next:
helpers.py, how that is done.
"""

import contextlib
import ctypes
import functools
import gc
import os
import signal
import sys
import threading
import traceback
import weakref

import numpy as np
import pytest
from helpers import NAMES, START, alone, chain, expected, forward, leaf, pages, process, settled_rows, works

import gradnerve as gn
from gradnerve import _graph

# ---- failing memory --------------------------------------------------------------------------------------------------------


@alone
def test_huge_broadcast():
    rows = settled_rows()
    a, b = leaf(np.ones((10**6, 1))), leaf(np.ones((1, 10**6)))
    for operation in np.multiply, np.maximum, np.matmul, np.outer:
        with pytest.raises(MemoryError):
            operation(a, b)
    with pytest.raises(MemoryError):
        np.broadcast_to(a, (10**6, 10**6)) * 2
    del a, b
    works(rows)


def memory_left(mib):
    """Let the process grow by so many MiB from here; None: as much as it was allowed."""
    import resource

    most = resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = most if mib is None else pages()[0] + (mib << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, most))


needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc and limits of the address space")


@needs_proc
@alone
def test_memory_error_in_kernel():
    """Arrays of 32 MiB and a process that may grow by less and less: MemoryError or the right result, and then all is as before."""
    x = leaf(np.ones(1 << 22))
    (x * 0).sum().backward()
    rows, failed = _graph.live_rows(), 0
    for mib in 400, 250, 160, 130, 100, 80, 65, 50, 35, 20, 5:
        before = x.grad[:2].copy()
        memory_left(mib)
        y = z = None
        try:
            y = x * x * 0.5 + x
            z = np.exp(y - 1.5).sum()
            z.backward()
            change = 2.0
        except MemoryError:
            change, failed = 0.0, failed + 1
        memory_left(None)
        del y, z
        assert (x.grad[:2] == before + change).all() and (x.grad == x.grad[0]).all() and _graph.live_rows() == rows, mib
    assert 3 < failed < 11
    works(rows)


@needs_proc
@alone
def test_memory_error_in_backward():
    """The forward pass fits, the sweep does not: no gradient has changed."""
    a, b = leaf(np.ones(1 << 22)), leaf(np.ones(1 << 22))
    failed = 0
    for mib in 20, 50, 80, 120:
        y = (a * b * a * b).sum()
        memory_left(mib)
        try:
            y.backward()
        except MemoryError:
            failed += 1
            memory_left(None)
            assert not a.grad.any() and not b.grad.any()
        memory_left(None)
        a.grad = b.grad = None
    assert failed > 1
    (a * b * a * b).sum().backward()
    assert (a.grad == 2).all() and (b.grad == 2).all()


@needs_proc
@alone
def test_memory_error_in_tables():
    """The tables of nodes and edges cannot grow any more: MemoryError, and what was built before can still be differentiated."""
    x = leaf(1.0)
    y = x
    memory_left(60)
    with pytest.raises(MemoryError):
        while True:
            y = y * 1.0
    memory_left(None)
    y.backward()
    assert x.grad == 1
    del y
    assert _graph.live_rows() == (1, 0)


def small_step():
    """A bit of everything that allocates; the gradients of two leaves."""
    x, w = leaf([[1.0, 2.0], [3.0, 4.0]]), leaf([0.5, -0.5])
    h = np.tanh(x @ w + w) * x[0]
    h[0] = w[1] * 2
    loss = (np.stack([h, np.where(h > 0, h, w)]) ** 2).sum() + np.exp(w).mean()
    loss.backward()
    x.data -= 0.1 * x.grad
    twice = gn.grad(lambda v: gn.grad(lambda u: (u**3).sum())(v).sum())(w.detach())
    return np.concatenate([x.grad.ravel(), w.grad, twice.data, x.data.ravel()])


def attempt(n, right):
    """The step with its n-th allocation failing; what is wrong, or None."""
    import _testcapi

    found, error = right, None
    try:
        _testcapi.set_nomemory(n, n + 1)
        found = small_step()
    except BaseException as caught:
        error = caught
    finally:
        _testcapi.remove_mem_hooks()
    forgot = isinstance(error, SystemError) and "without" in str(error)  # NumPy fails without an exception in a few places
    if error is not None and type(error) is not MemoryError and not forgot:
        return "".join(traceback.format_exception(error))
    said, error = repr(error), None
    gc.collect()
    if not np.array_equal(found, right):
        return "wrong numbers"
    if not np.array_equal(small_step(), right):
        return f"wrong numbers in the next step, after {said}"
    return None


def fail_allocations(places):
    """Each attempt in a forked child, as a failure may come in the way of the next one."""
    small_step()
    gc.collect()
    right, wrong = small_step(), []
    for n in places:
        child = os.fork()
        if child == 0:
            try:
                problem = attempt(n, right)
            except BaseException:
                problem = traceback.format_exc()
            if problem:
                print(f"---- allocation {n}: {problem}", file=sys.stderr, flush=True)
            os._exit(bool(problem))
        if os.waitpid(child, 0)[1]:
            wrong.append(n)
    if wrong:
        sys.exit(f"{len(wrong)} failed: {wrong}")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_one_failing_allocation():
    """One allocation of Python's fails, at each of 600 places: MemoryError or the right result, and all is well afterwards."""
    pytest.importorskip("_testcapi")
    process("import test_process\ntest_process.fail_allocations(range(600))")


# ---- interrupts ------------------------------------------------------------------------------------------------------------


def interrupted(end):
    """Sweep the graph behind `end` with a SIGINT that arrives, from C, before the first of its nodes is visited."""
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def sweep(end, call):
        bell = gn.Tensor(np.zeros(end.shape), _prev=(end,))
        bell._backward = call
        (end + bell).sum().backward()

    sweep(chain(leaf(end.data), 1), dict)  # the derivatives are traced, by Python code, which would see the signal
    with pytest.raises(KeyboardInterrupt):
        sweep(end, functools.partial(ctypes.CDLL(None)["raise"], int(signal.SIGINT)))


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@alone
def test_keyboard_interrupt():
    """Many small nodes: the sweep ends long before its end, which its untouched leaf shows."""
    x = leaf(1.0)
    interrupted(chain(x, 10000))
    assert x.grad == 0
    works()


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@alone
def test_keyboard_interrupt_large_nodes():
    """A few nodes that take long each."""
    x = leaf(np.ones(10**6))
    interrupted(chain(x, 50))
    assert not x.grad.any()
    works()


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@alone
def test_keyboard_interrupt_in_python():
    """The derivative itself is interrupted."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    x = leaf([1.0, 2.0])
    out = gn.Tensor(x.data, _prev=(x,))
    out._backward = lambda: signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        (out * 2 + x).sum().backward()
    assert not x.grad.any()
    works()


# ---- threads ---------------------------------------------------------------------------------------------------------------


@alone
def test_data_assigned_while_another_thread_computes():
    """Large arrays are computed without the GIL: what is read and saved stays alive, although its tensor has another array by now."""
    n, done = 2 * 10**6, threading.Event()
    t, u = leaf(np.full(n, 2.0)), gn.Tensor(np.full(n, 3.0))

    def assign():
        while not done.is_set():
            for value in 3.0, 5.0, 2.0:
                t.data = np.full(n, value)

    thread = threading.Thread(target=assign)
    thread.start()
    try:
        for _ in range(4):
            for y, slope in (t**u, lambda y: 3 * np.cbrt(y) ** 2), (np.log(t), lambda y: np.exp(-y)):
                t.zero_grad()
                y.backward(np.ones(n))
                assert (y.data == y.data[0]).all() and np.allclose(t.grad, slope(y.data[0]))
    finally:
        done.set()
        thread.join()
    works()


# ---- objects in odd states -------------------------------------------------------------------------------------------------


def try_everything(make):
    """Get every attribute and call it with a few arguments: errors are fine, crashes are not."""
    other = gn.Tensor([1.0, 2.0], requires_grad=True)
    for name in dir(make()):
        if name in ("__init_subclass__", "__subclasshook__", "__enter__", "dump", "tofile"):  # no files, and no mode that is not left
            continue
        for args in (), (0,), (other,), (make(),), (make(), make()), (None,), ("a",), (0, 0), (slice(None), other), (-(2**63),), ((),):
            t = make()
            try:
                attribute = getattr(t, name)
                if callable(attribute):
                    attribute(*args)
                elif args:
                    setattr(t, name, args[0])
                repr(t), t.data, t.grad, t._prev
            except (Exception, SystemExit):
                pass


@alone
def test_uninitialised_object():
    import warnings

    from gradnerve import _engine

    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    classes = {gn.Tensor, _engine.TensorBase, type("Derived", (gn.Tensor,), {})}
    for module in [m for n, m in sys.modules.items() if n.startswith("gradnerve._")]:
        classes |= {c for c in vars(module).values() if isinstance(c, type) and c.__module__.startswith("gradnerve")}
    for c in classes:
        if not issubclass(c, Exception):
            try_everything(lambda c=c: c.__new__(c))
    try_everything(lambda: gn.Tensor([1.0, 2.0], requires_grad=True))
    try_everything(lambda: gn.Tensor([1.0, 2.0], requires_grad=True) * 2)
    try_everything(lambda: gn.Tensor([1, 2]))
    works()


@alone
def test_uninitialised_operand():
    """An object that __init__ has not seen takes part in operations, as a result and as a parent."""
    x, empty = leaf([1.0, 2.0]), gn.Tensor.__new__(gn.Tensor)
    uses = "x + e; e @ x; np.concatenate([x, e]); gn.Tensor([1.0], _prev=(e,)); e.backward(); e._backward(); gn.graph(e); np.sin(e); x[e]; x[0] == e"
    for use in uses.split("; "):
        with contextlib.suppress(Exception):
            eval(use, {**NAMES, "x": x, "e": empty})
    empty.data = np.zeros(0)
    works()


AGAIN = ["x.__init__(np.full((2, 2), 9.0), requires_grad=True)", "x.__init__(np.ones(3))", "x.__init__('a')", "x.__init__(x)"]


@pytest.mark.parametrize("again", AGAIN)
def test_reinit_live_tensor(again):
    """The graph still gives the gradient of what it saw: to the parent of the tensor that was made anew."""
    first = leaf(START)
    x = first * 1
    loss = forward(x)
    with contextlib.suppress(TypeError):
        exec(again, {**NAMES, "x": x})
    loss.backward()
    assert np.array_equal(first.grad, expected())


def test_reinit_live_leaf():
    x = leaf(START)
    loss = forward(x)
    x.__init__([1.0, 2.0], requires_grad=True)
    loss.backward()
    assert x.grad.tolist() == [0.0, 0.0]
    (x * x).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]


@alone
def test_gc_stress():
    gc.set_threshold(1, 1, 1)
    for _ in range(200):
        x = leaf(START)
        forward(x).backward()
        assert np.array_equal(x.grad, expected())
    gc.set_threshold(700, 10, 10)
    assert _graph.live_rows()[0] == 1


def test_freed_by_refcount():
    rows = settled_rows()
    gc.disable()
    try:
        x = leaf([1.0, 2.0])
        h = x * x
        y = np.exp(h).sum()
        watched = [weakref.ref(t) for t in (x, h, y)] + [weakref.ref(x.data), weakref.ref(h.data)]
        y.backward()
        watched.append(weakref.ref(x.grad))
        assert all(w() is not None for w in watched)
        del x, h, y
        assert [w() for w in watched] == [None] * len(watched) and _graph.live_rows() == rows
    finally:
        gc.enable()


def test_freed_in_the_middle():
    """The last name of an intermediate goes before backward: it is not kept, and the gradient still flows through it."""
    x = leaf([1.0, 2.0])
    h = np.exp(x)
    gone = weakref.ref(h)
    y = (h * h).sum()
    del h
    assert gone() is None
    y.backward()
    assert np.allclose(x.grad, 2 * np.exp(2 * x.data))


# ---- what the process keeps ------------------------------------------------------------------------------------------------

STATE = """
import gc, locale, os, random, signal, sys, threading, warnings
import numpy as np

def state():
    handlers = [str(signal.getsignal(s)) for s in signal.valid_signals()]
    return {
        "np.geterr": np.geterr(), "np.geterrcall": np.geterrcall(), "print options": np.get_printoptions(), "buffer": np.getbufsize(),
        "np.random": str(np.random.get_state()), "random": random.getstate(), "recursion": sys.getrecursionlimit(),
        "signals": handlers, "locale": locale.setlocale(locale.LC_ALL), "cwd": os.getcwd(), "gc": (gc.isenabled(), gc.get_threshold()),
        "warnings": list(map(str, warnings.filters)),
        "hooks": (sys.excepthook, sys.displayhook, sys.gettrace(), sys.getprofile(), sys.unraisablehook),
        "environment": dict(os.environ), "threads": threading.active_count(), "path": list(sys.path), "stack": threading.stack_size(),
        "switch": sys.getswitchinterval(), "digits": sys.get_int_max_str_digits(), "streams": (sys.stdout, sys.stderr), "umask": os.umask(18),
        "add": repr(np.add), "denormals": 5e-324 * np.ones(1)[0], "builtins": len(dir(__builtins__)),
    }

os.umask(18)
before = state()
import gradnerve as gn
imported = state()
x = gn.Tensor([1.0, 2.0, 0.0], requires_grad=True)
with np.errstate(all="ignore"):
    y = (np.log(x) / x + x @ x).sum()
    y.backward()
gn.grad(lambda v: v ** 3)(2.0)
repr(x), gn.graph(y)
try:
    x + np.ones(4)
except ValueError:
    pass
used = state()
for later in imported, used:
    changed = [name for name in before if before[name] != later[name]]
    assert not changed, changed
"""


def test_global_state_untouched():
    process(STATE)


@alone
def test_denormals_kept():
    """-ffast-math, even when only linked, would switch denormal numbers off: in this thread, in others and in the kernels."""
    tiny, found = 5e-324, []
    step = lambda: found.append((np.float64(tiny) * 1, (gn.Tensor([tiny] * 9) * 1).data.min(), (leaf([tiny] * 9) + 0).sum().item()))
    step()
    thread = threading.Thread(target=step)
    thread.start()
    thread.join()
    assert found == [(tiny, tiny, 9 * tiny)] * 2
    x = leaf([1.0] * 9)
    (x * tiny).sum().backward()
    assert (x.grad == tiny).all()


def test_invisible_to_the_collector():
    """A Tensor holds nothing that could hold it, so the cyclic collector need not look at millions of them; but for those behind functions."""
    x = leaf([1.0])
    y = x * 2
    z = gn.custom_gradient(lambda a: (a, lambda g: g))(y)
    assert [gc.is_tracked(t) for t in (x, y, z, z * 2, x.detach())] == [False, False, True, True, False]
    y.register_hook(print)
    assert gc.is_tracked(y) and not gc.is_tracked(x)


@pytest.mark.parametrize("wanted", ["0", "17", "two", ""])
def test_a_wrong_number_of_threads_is_told_when_imported(wanted, monkeypatch):
    monkeypatch.setenv("GRADNERVE_THREADS", wanted)
    with pytest.raises(ImportError, match=f"GRADNERVE_THREADS is '{wanted}'; it must be a number from 1 to 16"):
        gn.tensor.threads_wanted()

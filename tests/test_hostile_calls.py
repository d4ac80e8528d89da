"""Hostile calls: of everything that the package has, objects that `__init__` has not seen and kernels that are given anything among them.

No crash, and the process stays as it was; where one allocation fails, MemoryError or the right result. Read next: test_process.py, which does
the same with the core alone.
"""

import contextlib
import copy
import importlib
import inspect
import io
import os
import pkgutil
import sys
import types
import warnings

import numpy as np
import pytest
from helpers import VALUES, alone, leaf, needs_fork, odd_address, process, works
from test_process import STATE

import gradnerve as gn
from gradnerve import kernels
from gradnerve.kernels import pooling
from gradnerve.ops.pooling import sliding

F = gn.nn.functional
LABELS = np.array([0, 1, 2, -100])

# ---- objects and kernels ---------------------------------------------------------------------------------------------------


def everything():
    """All modules of the package that can be imported here."""
    for module in pkgutil.walk_packages(gn.__path__, "gradnerve."):
        with contextlib.suppress(ImportError):  # of another library
            yield importlib.import_module(module.name)


CALLS = (), (None,), (0, "a")


@alone
def test_uninitialised_public_object():
    """An object of any class of the package that `__init__` has not seen, and then every method: an exception or a value."""
    classes = {c for module in everything() for c in vars(module).values() if isinstance(c, type) and c.__module__.startswith("gradnerve")}
    warnings.simplefilter("ignore")
    assert len(classes) > 150
    with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing), contextlib.redirect_stderr(nothing):
        for c in sorted(classes, key=lambda c: (c.__module__, c.__name__)):
            for name in set(dir(c)) - {"__enter__", "__init_subclass__", "__subclasshook__", "dump", "tofile"}:
                for args in CALLS:
                    with contextlib.suppress(Exception):
                        made = c.__new__(c)
                        attribute = getattr(made, name)
                        attribute(*args) if callable(attribute) else repr(made)
    works()


def kernel_functions():
    """What the compiled kernels show to Python, by name."""
    modules = [importlib.import_module(f"gradnerve.kernels.{module.name}") for module in pkgutil.iter_modules(kernels.__path__)]
    public = [(module, name, f) for module in modules for name, f in vars(module).items() if type(f).__name__ == "cython_function_or_method"]
    return {f"{module.__name__.rpartition('.')[2]}.{name}": f for module, name, f in public}


class Recorded:
    """Calls of the kernels by the layers, with their arguments as they were."""

    def __init__(self, functions):
        self.calls, self.was = [], []
        names = {id(f): name for name, f in functions.items()}
        for module in [m for name, m in sys.modules.items() if name.startswith("gradnerve") and ".kernels." not in name]:
            for name, value in list(vars(module).items()):
                if id(value) in names:
                    self.replace(module, name, self.recorder(names[id(value)], value))
                elif isinstance(value, types.ModuleType) and value.__name__.startswith("gradnerve.kernels."):
                    own = {n: self.recorder(names[id(f)], f) if id(f) in names else f for n, f in vars(value).items()}
                    self.replace(module, name, types.SimpleNamespace(**own))

    def replace(self, module, name, value):
        self.was.append((module, name, getattr(module, name)))
        setattr(module, name, value)

    def recorder(self, name, function):
        def call(*args):
            self.calls.append((name, copy.deepcopy(args)))
            return function(*args)

        return call

    def end(self):
        for module, name, value in self.was:
            setattr(module, name, value)
        return self.calls


def use_kernels():
    """A call of each kernel that is reached through its module, forward and back."""
    images, small = leaf(VALUES.reshape(1, 1, 4, 4).repeat(8, 1).repeat(5, 2)), leaf(VALUES.reshape(1, 1, 4, 4))
    filters, rows, words = leaf(np.ones((8, 8, 3, 3))), leaf(VALUES), np.array([[0, 1], [2, 2]])
    heads = rows.reshape(1, 2, 4, 2)
    results = [
        F.conv2d(images, filters, padding=1), F.conv2d(small, filters[:, :1], stride=2, padding=1), F.conv_transpose2d(small, filters[:1]),
        F.unfold(small, 2), F.fold(F.unfold(small, 2), (4, 4), 2), F.max_pool2d(small, 2), F.max_pool2d(small, 3, 2, 1), F.avg_pool2d(small, 2),
        F.avg_pool2d(small, 3, 1, 1), F.adaptive_avg_pool2d(small, 3), F.batch_norm(rows, None, None, training=True), F.linear(rows, rows, rows[0]),
        F.layer_norm(rows, (4,), rows[0], rows[1]), F.embedding(words, rows), F.cross_entropy(rows, LABELS), F.softmax(rows, -1),
        F.log_softmax(rows, -1), F.batch_norm(small, None, None, leaf([1.0]), leaf([1.0]), training=True),
        F.scaled_dot_product_attention(heads, heads, heads), F.scaled_dot_product_attention(heads, heads, heads, words[:1, :1] > 0),
        F.interpolate(small, scale_factor=2, mode="bilinear"), F.grid_sample(small, rows.reshape(1, 4, 2, 2)),
        gn.nn.LSTM(4, 3, dtype=float)(rows[None])[0], gn.nn.GRU(4, 3, dtype=float)(rows[None])[0], gn.nn.RNN(4, 3, dtype=float)(rows[None])[0],
    ]  # fmt: skip
    sum((out * out).sum() for out in results).backward()
    for optimizer in gn.optim.Adam, gn.optim.SGD, gn.optim.Adagrad:
        optimizer([rows], lr=0.1).step()


def direct_calls():
    """Calls of the kernels that an operation holds itself, and of those that want many channels."""
    image, part, pixels, results = VALUES.reshape(1, 1, 4, 4), VALUES[:2, :2].reshape(1, 1, 2, 2), VALUES[None], VALUES[None, :, :3].copy()
    windows = sliding((4, 4), (2, 2), (2, 2), (0, 0), (1, 1), False)
    places, taps, weights = pooling.max_places(image, windows), np.array([[[0, 1, -1], [2, 2, 3]]]), np.ones((1, 2, 3))
    return {
        "pooling.max_places": (image, windows), "pooling.window_sum": (image, windows), "pooling.window_spread": (part, windows),
        "pooling.take_planes": (image, places, 2), "pooling.put_planes": (part, places, (4, 4)),
        "softmax.softmax": (VALUES, -1), "softmax.log_softmax": (VALUES, -1), "softmax.label_entropy": (VALUES, LABELS, -100, "mean", 1),
        "sampling.blend": (pixels, weights, taps), "sampling.spread": (results, weights, taps, 4), "sampling.match": (results, pixels, taps),
        "winograd.product": (VALUES, VALUES), "winograd.convolve": (image, np.ones((16, 3, 1)), 1, 1, 4, 4),
        "winograd.sums": (image, image.repeat(3, 1), 1, 1), "rows.sum_rows": ((5, 4), np.array([0, 0, 4, 1]), VALUES),
    }.items()  # fmt: skip


def changed(value, depth=0):
    """What a caller could mistake for it."""
    yield from (None, "x", -1, 2**62, (), (2**62, -1, 0), np.zeros(0), np.zeros((1,) * 64, np.float32), np.array([None]), VALUES > 0)
    if isinstance(value, np.ndarray):
        value = np.atleast_1d(value)
        yield from (value[..., :-1].copy(), value[:0], value[None], value.T, value.reshape(-1), value[..., ::-1])
        yield from (value.astype("f4"), value.astype("c16"))
        yield from (odd_address(value), value.astype(value.dtype.newbyteorder()), value.view(type("Sub", (np.ndarray,), {})), np.full_like(value, 99))
        yield from (np.concatenate([value, value]), np.full_like(value, -99))
    elif isinstance(value, int):
        yield from (0, value + 1, -value, 2**31, -(2**63), 2**63, 1.5)
    elif isinstance(value, (tuple, list)) and value:
        yield from (value[:-1], type(value)([*value, value[0]]))
        if depth < 2:
            yield from (type(value)([*value[:k], new, *value[k + 1 :]]) for k in range(len(value)) for new in changed(value[k], depth + 1))
    elif isinstance(value, dict):
        yield from (value | {key: new} for key in value for new in changed(value[key], depth + 1))
    elif hasattr(value, "__dict__") and depth == 0:
        for name in list(vars(value)):
            for new in changed(getattr(value, name), depth + 1):
                made = copy.copy(value)
                setattr(made, name, new)
                yield made


@alone
def test_kernels_take_anything():
    """A kernel looks at what it is given: one argument of each recorded call is another, or all are, and it declines, raises or computes."""
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    functions = kernel_functions()
    recorded = Recorded(functions)
    use_kernels()
    calls = [*recorded.end(), *direct_calls()]
    assert functions.keys() == {name for name, _ in calls} | {"winograd.threads"}
    for function in functions.values():
        n = len(inspect.signature(function).parameters)
        for value in changed(VALUES):
            with contextlib.suppress(Exception):
                function(*[value] * n)
    each = {(name, str([getattr(a, "shape", a) for a in args])): (functions[name], args) for name, args in calls}
    for function, args in each.values():
        for k, value in enumerate(args):
            for new in changed(value):
                try:
                    function(*copy.deepcopy(args[:k]), new, *copy.deepcopy(args[k + 1 :]))
                except SystemError:
                    raise
                except Exception:
                    continue
    works()


# ---- what the process keeps ------------------------------------------------------------------------------------------------

MORE_STATE = """
import atexit, builtins, ctypes, decimal, logging, multiprocessing, sys
import numpy as np

def processor():
    if not (sys.platform == "linux" and platform.machine() == "x86_64"):
        return None
    environment = (ctypes.c_uint32 * 16)()
    ctypes.CDLL("libm.so.6").fegetenv(environment)
    return environment[0] & 0xFFFF, environment[7] & 0xFFC0  # rounding, hidden exceptions, denormals; not the flags of what has happened

def more_state():
    return {
        "excepthook of threads": threading.excepthook, "showwarning": (warnings.showwarning, warnings.formatwarning), "callbacks": list(gc.callbacks),
        "import": (list(map(str, sys.meta_path)), len(sys.path_hooks), builtins.__import__), "debugging": (gc.get_debug(), sys.breakpointhook),
        "logging": (logging.getLogger().level, len(logging.getLogger().handlers), logging.root.manager.disable), "decimal": str(decimal.getcontext()),
        "memory of arrays": np._core.multiarray.get_handler_name(), "processor": processor(), "timer": signal.getitimer(signal.ITIMER_REAL),
        "processes": multiprocessing.get_start_method(allow_none=True), "at exit": atexit._ncallbacks(), "dict of ndarray": len(dir(np.ndarray)),
        "types": [len(vars(c)) for c in (object, list, dict, type, float)], "ufuncs": (np.add.types, np.sin.ntypes),
    }

os.umask(18)
import platform
before = state() | more_state()
import gradnerve as gn
imported = state() | more_state()
heavy = {"scipy", "matplotlib", "torch", "sklearn", "pandas", "tqdm", "safetensors", "pytest"} & set(sys.modules)
assert not heavy, f"import gradnerve imports {heavy}"
import io
nn, F = gn.nn, gn.nn.functional
model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.5), nn.Linear(18, 3))
images, labels = np.random.default_rng(0).normal(size=(6, 1, 8, 8)).astype("f4"), np.array([0, 1, 2, 0, 1, 2])
loader = gn.data.DataLoader(gn.data.TensorDataset(images, labels), batch_size=2, shuffle=True)
gn.fit.Trainer(model, nn.CrossEntropyLoss(), gn.optim.Adam(model.parameters(), lr=0.1), progress=False).fit(loader, epochs=2)
str(nn.summary(model, (1, 1, 8, 8)))
file = io.BytesIO()
gn.save(model.state_dict(), file)
file.seek(0)
model.load_state_dict(gn.load(file))
gn.hessian(lambda x: (x**3).sum())(np.ones(2)), gn.jacobian(np.tanh)(np.ones(2)), gn.vmap(gn.grad(np.sin))(np.ones(3)), gn.jvp(np.exp, (1.0,), (1.0,))
gn.check_gradients(lambda x: (x * x).sum(), np.ones(3))
x = gn.Tensor(np.linspace(-1, 1, 100_000), requires_grad=True)
with np.errstate(all="ignore"):
    (np.log(x) / x + np.sqrt(x)).sum().backward()
nn.LSTM(2, 3)(np.ones((4, 1, 2), "f4"))[0].sum().backward()
gn.checkpoint(np.tanh, x).sum().backward()
gn.random.normal(0, 1, 3)
for wrong in (lambda: x.reshape(7), lambda: x + np.ones(3), lambda: model(np.ones(3)), lambda: gn.load(io.BytesIO(b"no")), lambda: x.backward(),
              lambda: nn.summary(model, (2, 2)), lambda: gn.grad(lambda x: 1 / 0)(1.0), lambda: gn.vmap(lambda x: x.reshape(9))(np.ones((2, 2)))):
    try:
        wrong()
    except Exception:
        continue
    raise AssertionError(wrong)
used = state() | more_state()
for later in imported, used:
    changed = [name for name in before if before[name] != later[name]]
    assert not changed, [(name, before[name], later[name]) for name in changed]
"""


def test_global_state_untouched_by_everything():
    """More of the process than test_process.py looks at, after training, saving, functions of functions, and errors in the middle of all."""
    process(STATE.partition("os.umask(18)\nbefore")[0] + MORE_STATE)


# ---- failing memory --------------------------------------------------------------------------------------------------------


def layers():
    model = gn.nn.Sequential(gn.nn.Linear(3, 4, dtype=float), gn.nn.Tanh(), gn.nn.LayerNorm(4, dtype=float))
    for k, p in enumerate(model.parameters()):
        p.data[...] = np.sin(np.arange(p.size) + k).reshape(p.shape)
    F.cross_entropy(model(VALUES[:, :3]), np.array([0, 1, 1, 0])).backward()
    return np.concatenate([p.grad.ravel() for p in model.parameters()])


def images():
    x, w = leaf(VALUES.reshape(1, 1, 4, 4)), leaf(VALUES[:3, :3].reshape(1, 1, 3, 3))
    y = F.max_pool2d(F.conv2d(x, w, padding=1), 2)
    (F.softmax(F.avg_pool2d(y, 2, 1).reshape(1, -1), 1) * F.interpolate(y, scale_factor=2).sum()).sum().backward()
    return np.concatenate([x.grad.ravel(), w.grad.ravel()])


def sequences():
    x, model = leaf(VALUES[None]), gn.nn.GRU(4, 4, dtype=float)
    for k, p in enumerate(model.parameters()):
        p.data[...] = np.sin(np.arange(p.size) + k).reshape(p.shape)
    y = F.embedding(np.array([[0, 1, 1]]), model(x)[0][0])[None]
    F.scaled_dot_product_attention(y, y, y).sum().backward()
    return x.grad.ravel()


def optimizer_steps():
    parameters = [leaf(VALUES), leaf(VALUES[0])]
    optimizer = gn.optim.Adam(parameters, lr=0.1)
    schedule = gn.optim.lr_scheduler.StepLR(optimizer, 1)
    for _ in range(2):
        optimizer.zero_grad()
        ((parameters[0] @ parameters[1]) ** 2).sum().backward()
        optimizer.step(), schedule.step()
    return np.concatenate([p.data.ravel() for p in parameters])


def functions_of_functions():
    f, x = lambda x: (np.sin(x) * x**3).sum(), VALUES[0]
    g = gn.grad(lambda x: (gn.grad(f)(x) ** 2).sum())(x)
    return np.concatenate([g.data, gn.hessian(f)(x).data.ravel(), gn.jacobian(np.tanh)(x).data.ravel(), [float(gn.jvp(f, (x,), (x,))[1])]])


def many_examples():
    f = lambda x, y: np.linalg.norm(x * y)
    return np.concatenate([gn.vmap(gn.grad(lambda x: np.exp(x) @ np.tanh(x)))(VALUES).data.ravel(), gn.vmap(f, (0, None))(VALUES, VALUES[0]).data])


def training():
    model = gn.nn.Linear(4, 1, dtype=float)
    for p in model.parameters():
        p.data[...] = 0.5
    trainer = gn.fit.Trainer(model, gn.nn.MSELoss(), gn.optim.SGD(model.parameters(), lr=0.1), progress=False)
    trainer.fit(gn.data.DataLoader(gn.data.TensorDataset(VALUES, VALUES[:, :1]), batch_size=2), epochs=2)
    return np.concatenate([p.data.ravel() for p in model.parameters()])


def files():
    file = io.BytesIO()
    gn.save({"a": VALUES, "b": [1, 2.0, "x"]}, file)
    file.seek(0)
    return gn.load(file)["a"].ravel()


def own_code():
    double = gn.custom_gradient(lambda a: (a * 2, lambda g: g * 2))
    x = leaf(VALUES)
    y = gn.checkpoint(lambda x: np.tanh(double(x)), x)
    y.register_hook(lambda g: g * 3)
    y.sum().backward()
    return x.grad.ravel()


STEPS = (layers, images, sequences, optimizer_steps, functions_of_functions, many_examples, training, files, own_code)
FAIL = """
import sys, zipfile
import test_process
import test_hostile_calls as tests
report = sys.unraisablehook
sys.unraisablehook = lambda what: what.object is zipfile.ZipFile.__del__ or report(what)  # of an archive that was not begun
for k, test_process.small_step in enumerate(tests.STEPS):
    test_process.fail_allocations(range(11 * k, 600, 7 if test_process.small_step is tests.files else 131))  # libraries have other errors for it
"""


@needs_fork
def test_one_failing_allocation():
    """In all that stands on the core, at some places; the other places are as good, if `fail_allocations` is given them."""
    pytest.importorskip("_testcapi")
    process(FAIL)

"""Hostile data: memory, sizes, sequences and numbers that NumPy allows and hardly anybody tries.

The right result or a clear error, never a crash or a silently wrong number. What could kill the process (`alone`) runs in one of its own.
Read next: test_hostile_calls.py.
"""

import contextlib
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from helpers import NAMES, VALUES, alone, leaf, odd_address, works

import gradnerve as gn

F = gn.nn.functional
ONES = np.ones(3)


def gradient(f, a, seed=None):
    """The gradient of f at an array, in whatever memory that is."""
    x = gn.asarray(a).requires_grad_()
    out = f(x)
    out.backward(np.ones(out.shape, out.dtype) if seed is None else seed)
    return x.grad


# ---- dtypes and memory -----------------------------------------------------------------------------------------------------

OBJECTS = [[Decimal(1)], Decimal(1), [Fraction(1, 2)], [None], [10**30], 10**30, [10**400, 1.0], np.array([1.0, None]), [object()],
           np.array([[]], object)]  # fmt: skip


@pytest.mark.parametrize("data", OBJECTS, ids=lambda data: str(data)[:30])
def test_object_dtype(data):
    """Nowhere taken for numbers: as data, as an argument, as a gradient or as a seed."""
    x = leaf([1.0])
    for take in gn.Tensor, gn.asarray, leaf, gn.array, (x * 1).backward, lambda d: setattr(x, "data", d), lambda d: setattr(x, "grad", d):
        with pytest.raises((TypeError, gn.ShapeError), match=r"object|shape"):
            take(data)
    assert x.data.tolist() == [1.0] and x.grad.tolist() == [0.0]


def test_byteswapped():
    """Arrays in the other order of bytes, wherever an array can come in."""
    swapped, native = np.array([1.0, 2.5], ">f8"), np.array([1.0, 2.5])
    for make in leaf, lambda a: gn.asarray(a).requires_grad_():
        x = make(swapped)
        y = x * swapped + swapped * 2
        y.backward(swapped)
        assert x.data.tolist() == [1.0, 2.5] and y.data.tolist() == [3.0, 11.25] and x.grad.tolist() == [1.0, 6.25]
    x = leaf(native)
    x.grad = swapped
    assert x.grad.tolist() == [1.0, 2.5]
    x.data = swapped * 2
    assert x.data.tolist() == [2.0, 5.0] and x.data.dtype.isnative
    assert gradient(lambda t: t[np.array([1, 1], ">i8")], native).tolist() == [0.0, 2.0]
    assert gradient(lambda t: np.where(np.array([1, 0], ">i4"), t, swapped), native).tolist() == [1.0, 0.0]
    assert gradient(lambda t: F.embedding(np.array([1, 1], ">i8"), t.reshape(2, 1)), native).tolist() == [0.0, 2.0]
    assert gn.optim.SGD([x], lr=0.1).step() is None and np.array_equal(x.data, [2 - 0.1, 5 - 0.25])


FUNCTIONS = {
    "elementwise": lambda x: np.exp(x) * x,
    "sum": lambda x: (x * x).sum(axis=-1),
    "cumsum": lambda x: np.cumsum(x, axis=0) ** 2,
    "matmul": lambda x: x @ np.swapaxes(x, -1, -2),
    "softmax": lambda x: F.softmax(x, -1),
    "layer_norm": lambda x: F.layer_norm(x, x.shape[-1:]) * x,
    "linear": lambda x: F.linear(x, x),
    "conv2d": lambda x: F.conv2d(x[None, None], x[None, None, :2, :2]),
    "max_pool2d": lambda x: F.max_pool2d(x[None], 2),
    "avg_pool2d": lambda x: F.avg_pool2d(x[None], 2) * 2,
    "attention": lambda x: F.scaled_dot_product_attention(x[None, None], x[None, None], x[None, None]),
    "interpolate": lambda x: F.interpolate(x[None, None], scale_factor=2, mode="bilinear"),
    "embedding": lambda x: F.embedding(np.array([2, 0, 2]), x),
    "cross_entropy": lambda x: F.cross_entropy(x, np.array([1, 0, 3, 2])[: len(x)]),
    "sort": lambda x: np.sort(x, axis=0) * x,
    "fft": lambda x: np.abs(np.fft.rfft(x)) ** 2,
    "inv": lambda x: np.linalg.inv(x @ np.swapaxes(x, -1, -2) + np.eye(4)),
}
LINE = np.cos(np.arange(8.0) ** 1.7)
MEMORY = {
    "reversed": VALUES[::-1, ::-1],
    "transposed": VALUES.T,
    "steps": np.cos(np.arange(96.0) ** 1.3).reshape(8, 12)[::2, 1::3],
    "windows": np.lib.stride_tricks.sliding_window_view(LINE, 4)[:4],
    "repeated rows": np.broadcast_to(LINE[:4], (4, 4)),
    "repeated columns": np.broadcast_to(LINE[:4, None], (4, 4)),
    "one number": np.broadcast_to(0.5, (4, 4)),
    "fortran": np.asfortranarray(VALUES),
    "read-only": np.lib.stride_tricks.as_strided(VALUES, writeable=False),
    "odd address": odd_address(VALUES),
}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_strided_layouts(function):
    """Memory that overlaps with itself, runs backwards or begins at an odd address: what the same numbers in C order give, and nothing is written."""
    f = FUNCTIONS[function]
    for name, a in MEMORY.items():
        for dtype in np.float64, np.float32:
            b = a if dtype == np.float64 else odd_address(a.astype(dtype)) if name == "odd address" else a.astype(dtype, order="K")
            before, flags = b.tobytes(), (b.flags.writeable, b.flags.aligned)
            value, expected = f(gn.asarray(b)), f(gn.Tensor(np.array(b, order="C")))
            rough = {"rtol": 1e-10, "atol": 1e-12} if dtype == np.float64 else {"rtol": 2e-3, "atol": 1e-4}
            np.testing.assert_allclose(value.data, expected.data, err_msg=name, **rough)
            np.testing.assert_allclose(gradient(f, b), gradient(f, np.array(b, order="C")), err_msg=name, **rough)
            assert b.tobytes() == before and (b.flags.writeable, b.flags.aligned) == flags, name


def test_noncontiguous_matmul():
    """All pairs of memory, and seeds in it: the gradients are g @ y.T and x.T @ g."""
    for one, a in MEMORY.items():
        for two, b in MEMORY.items():
            for seed in VALUES, VALUES.T[::-1], np.broadcast_to(1.0, (4, 4)), odd_address(VALUES):
                x, y = gn.asarray(a).requires_grad_(), gn.asarray(b).requires_grad_()
                (x @ y).backward(seed)
                np.testing.assert_allclose(x.grad, seed @ b.T, rtol=1e-13, atol=1e-14, err_msg=f"{one} {two}")
                np.testing.assert_allclose(y.grad, a.T @ seed, rtol=1e-13, atol=1e-14, err_msg=f"{one} {two}")


def test_read_only_input():
    """Accepted, unchanged and still read-only; a tensor around it can get other data, and does not write to it."""
    a = np.array([1.0, 2.0])
    a.flags.writeable = False
    copied, shared = leaf(a), gn.asarray(a).requires_grad_()
    for x in copied, shared:
        (x * x * a).sum().backward()
        assert x.grad.tolist() == [2.0, 8.0]
    copied.data -= 0.5 * copied.grad
    with pytest.raises(ValueError, match="read-only"):
        shared.data -= 0.5 * shared.grad
    with pytest.raises(ValueError, match="read-only"), gn.no_grad():
        shared += 1
    shared.data = shared.data - 0.5 * shared.grad
    assert copied.data.tolist() == shared.data.tolist() == [0.0, -2.0]
    assert a.tolist() == [1.0, 2.0] and not a.flags.writeable


def test_memmap_input(tmp_path):
    path = tmp_path / "numbers"
    np.arange(4.0).tofile(path)
    before = path.read_bytes()
    for make in leaf, lambda a: gn.asarray(a).requires_grad_():
        x = make(np.memmap(path, mode="r", dtype=float, shape=(2, 2)))
        (x @ x).sum().backward()
        assert type(x.data) is type(x.grad) is np.ndarray and x.grad.tolist() == [[3.0, 7.0], [5.0, 9.0]]
        with contextlib.suppress(ValueError):  # of an array that is read-only, where it is not a copy
            x.data[...] = 7
        assert path.read_bytes() == before


# ---- shapes, indices, sequences --------------------------------------------------------------------------------------------

TOO_LARGE = """
x.reshape(2**32, 2**32)
x.reshape(2**63)
x.reshape(-(2**63), -1)
x.reshape(2**31, 2**33, 0)
np.broadcast_to(x, (2**40, 2**40, 6))
np.broadcast_to(x, (2**62, 6))
np.broadcast_to(x, (2**64, 6))
x[2**63]
x[2**64]
x[[2**63]]
x[np.array([2**63], np.uint64)]
np.take(x, 2**63)
np.repeat(x, 2**62)
np.tile(x, (2**33, 2**33))
np.resize(x, (2**33, 2**33))
np.pad(x, 2**62)
np.pad(x, 2**63 - 1)
np.expand_dims(x, 2**31)
np.sum(x, axis=2**31)
np.sum(x, axis=-(2**63))
np.transpose(m, (2**63, 0))
np.split(x, 2**62)
np.diag(x, 2**31)
np.diag(x, -(2**62))
np.diagonal(m, 2**31)
np.bincount([2**62], x[:1])
np.linspace(x[0], x[1], 2**62)
np.lib.stride_tricks.sliding_window_view(x, 2**63)
np.vander(x, 2**62)
np.outer(np.broadcast_to(1.0, (2**61,)), x)
np.matmul(np.broadcast_to(m, (2**40, 2, 3)), np.broadcast_to(m.T, (2**40, 3, 2)))
np.concatenate([np.broadcast_to(x[:1], (2**62,))] * 4)
np.add.at(t, [2**63], 1.0)
t.put([2**63], 1.0)
t.resize((2**40, 2**40))
gn.zeros((2**31, 2**33))
gn.eye(2**40)
gn.Tensor(np.broadcast_to(1.0, (2**40, 2**30)))
gn.random.normal(0, 1, (2**40, 2**40))
gn.fft.fft(x, 2**62)
gn.vmap(lambda x: x, 2**63)(m)
F.one_hot(np.array([2**62]))
F.embedding(np.array([2**62]), m)
F.embedding_bag(np.array([0]), m, np.array([2**62]))
F.cross_entropy(m, np.array([-(2**63), 0]))
F.softmax(m, 2**31)
F.pad(im, (2**62,) * 4)
F.pad(im, (-(2**62),) * 4)
F.conv2d(im, k, padding=2**62)
F.conv2d(im, k, padding=2**31)
F.conv2d(im, k, stride=2**63)
F.conv2d(im, k, dilation=2**62)
F.conv2d(im, k, groups=2**62)
F.conv_transpose2d(im, k.T, stride=2**31)
F.conv_transpose2d(im, k.T, output_padding=2**62)
F.max_pool2d(im, 2**62)
F.max_pool2d(im, 2, dilation=2**62)
F.adaptive_avg_pool2d(im, 2**62)
F.max_unpool2d(im, np.full((1, 2, 5, 5), -(2**63)), 2)
F.interpolate(im, size=(2**62, 2**62))
F.interpolate(im, scale_factor=2.0**62)
F.unfold(im, 2, padding=2**62)
F.fold(im.reshape(1, 2, 25), 2**62, 2)
F.pixel_shuffle(im, 2**62)
F.layer_norm(m, (2**62,))
gn.nn.Linear(2**40, 2**40)
gn.nn.Embedding(2**62, 4)
""".strip().splitlines()


@alone
def test_int_overflow_shapes():
    """Sizes and places whose products do not fit into 64 bits, in all that takes sizes."""
    warnings.simplefilter("ignore")
    x, m, im = leaf(np.ones(6)), leaf(np.ones((2, 3))), leaf(np.ones((1, 2, 5, 5)))
    names = {**NAMES, "F": F, "x": x, "m": m, "im": im, "k": np.ones((1, 2, 3, 3)), "t": gn.Tensor(np.ones(6))}
    for code in TOO_LARGE:
        with pytest.raises((ValueError, IndexError, OverflowError, MemoryError)):
            eval(code, names)
            pytest.fail(code)
    found = F.avg_pool2d(im, 2**62, padding=2**61)  # all elements lie in the one window
    assert found.shape == (1, 2, 1, 1) and F.max_pool2d(im, 2, 2**62).shape == (1, 2, 1, 1)
    assert np.diagonal(m, -(2**31)).shape == (0,) and np.trace(m, -(2**31)).item() == 0  # NumPy's own crashes,
    assert gn.trace(m.data, -(2**31)) == 0 and gn.diagonal(m.data, -(2**31)).shape == gn.diag(m.data, -(2**31)).shape == (0,)  # also of plain arrays
    works()


MANY_AXES = """
x.reshape(-1)
x.T
x[0]
x[..., None, 0]
x[..., np.array([0, 0])]
x[np.array([0, 0])]
x[np.array([[0]])] if x.ndim < 64 else x
x.sum()
x.sum(axis=5)
x.max(axis=tuple(range(x.ndim)))
np.cumsum(x, axis=-1)
np.where(x > 0, x, 0)
np.concatenate([x, x], axis=3)
np.sort(x, axis=0)
np.squeeze(x)
np.broadcast_to(x[..., :1], x.shape)
np.flip(x)
np.roll(x, 1, axis=2)
np.repeat(x, 2, axis=0)
np.linalg.norm(x)
np.linalg.inv(x) if x.shape[-1] == 1 == x.shape[-2] else x
np.fft.ifftshift(x, axes=[-1])
F.softmax(x, -1)
F.layer_norm(x, x.shape[-1:])
F.linear(x, np.ones((3, x.shape[-1])))
x @ np.ones((x.shape[-1], 2))
written(x * 1)
added(x * 1)
""".strip().splitlines()


def written(h):
    h[..., [0, 0]] = 5.0
    return h


def added(h):
    np.add.at(h, (..., np.array([0, 0])), 1.0)
    return h


def slopes(f, a, step=1e-6):
    """The gradient of the sum of f's squares, by differences, a number after the other."""
    moved = np.eye(a.size).reshape((a.size, *a.shape)) * step
    return [((f(gn.asarray(a + h)) ** 2).sum().item() - (f(gn.asarray(a - h)) ** 2).sum().item()) / (2 * step) for h in moved]


@alone
def test_max_ndim():
    """33 axes, for which much of NumPy's older code has no room, and 64: the right gradient or an error; 65 is an error."""
    done = 0
    for a in (np.arange(1.0, 5).reshape((2,) + (1,) * (ndim - 2) + (2,)) for ndim in (33, 63)):
        for code in MANY_AXES:
            f = eval(f"lambda x: {code}", {**NAMES, "F": F, "written": written, "added": added})
            with contextlib.suppress(ValueError, RuntimeError, IndexError):
                found = gradient(lambda x, f=f: f(x) ** 2, a)
                np.testing.assert_allclose(found.reshape(-1), slopes(f, a), rtol=1e-6, atol=1e-6, err_msg=code)
                done += 1
    assert done > 40
    x = leaf(np.ones((1,) * 64))
    (x * x)[..., np.array([0])].sum().backward()
    assert x.grad.item() == 2
    for code in "x[None]", "x[..., None]", "np.expand_dims(x, 0)", "x.reshape((1,) * 65)", "np.broadcast_to(x, (1,) * 65)", "np.stack([x, x])":
        with pytest.raises((ValueError, IndexError)):
            eval(code, {**NAMES, "x": x})
    works()


class Lying:
    """A sequence whose length and elements are what it likes."""

    def __init__(self, length, element):
        self.length, self.element = length, element

    def __len__(self):
        return self.length()

    def __getitem__(self, k):
        if k >= 4:
            raise IndexError
        return self.element(self, k)


class Given:
    """Its array is what it likes."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array(self)


class LongList(list):
    def __len__(self):
        return 2**63 - 1


class Emptied(list):
    def __iter__(self):
        self.clear()
        return super().__iter__()


def interface(**fields):
    return type("Interface", (), {"__array_interface__": {"shape": (3,), "typestr": "<f8", "version": 3, "data": (0, False), **fields}})()


def fails():
    raise ZeroDivisionError("on purpose")


def nested(levels):
    data = 1.0
    for _ in range(levels):
        data = [data]
    return data


def itself(*more):
    data = [*more]
    data.append(data)
    return data


HOSTILE = {
    "a list that contains itself": itself(),
    "a list with a number that contains itself": itself(1.0),
    "a list with a tensor that contains itself": itself(leaf(1.0)),
    "65 levels": nested(65),
    "100,000 levels": nested(100_000),
    "an array that raises": Given(lambda _: fails()),
    "an array that is a list": Given(lambda _: [1.0]),
    "an array that is itself": Given(lambda self: self),
    "an array of objects": Given(lambda _: np.array([object()])),
    "a length that raises": Lying(fails, lambda *_: 1.0),
    "a negative length": Lying(lambda: -1, lambda *_: 1.0),
    "a length that is no integer": Lying(lambda: 1.5, lambda *_: 1.0),
    "elements that raise": Lying(lambda: 3, lambda *_: fails()),
    "elements that are longer and longer": Lying(lambda: 3, lambda _, k: [1.0] * k),
    "memory at 0": interface(),
    "memory of objects": interface(typestr="|O8"),
    "memory of a negative size": interface(shape=(-3,)),
    "memory beyond all sizes": interface(shape=(2**62, 2**62)),
    "a structure that is none": type("Struct", (), {"__array_struct__": 12345})(),
    "a number that raises": type("Number", (), {"__float__": lambda _: fails(), "__index__": lambda _: fails()})(),
    "every attribute raises": type("Raising", (), {"__getattr__": lambda _, name: fails()})(),
    "memory that was released": memoryview(b""),
}
HOSTILE["memory that was released"].release()
LYING_LENGTHS = {"a list that says it is long": LongList([1.0, 2.0, 3.0]), "a list that loses its elements": Emptied([1.0, 2.0, 3.0])}
TAKE = """
gn.Tensor(o)
gn.asarray(o)
gn.array(o)
leaf(o)
x + o
o * x
x @ o
np.where(x > 0, x, o)
np.concatenate([x, o])
np.stack([x, o])
x[o]
x.reshape(o)
x.sum(axis=o)
h.__setitem__(0, o)
h.__setitem__(o, 1)
(x * 2).backward(o)
setattr(x, "grad", o)
setattr(x, "data", o)
gn.grad(lambda v: v.sum())(o)
gn.vmap(np.sin)(o)
""".strip().splitlines()


@alone
def test_hostile_sequence():
    """An error, wherever data can come in; or the numbers that it has, where the object lies about its length alone."""
    warnings.simplefilter("ignore")
    for name, hostile in (HOSTILE | LYING_LENGTHS).items():
        for code in TAKE:
            x = leaf(ONES)
            try:
                eval(code, {**NAMES, "leaf": leaf, "x": x, "h": x * 1, "o": hostile})
            except Exception:
                continue
            assert name in LYING_LENGTHS or not code.startswith(("gn.", "leaf")), f"{code} takes {name}"
    for name in "a list that contains itself", "a list with a number that contains itself", "65 levels", "100,000 levels":
        for make in gn.Tensor, gn.asarray, leaf:
            with pytest.raises(ValueError, match=r"dimension|inhomogeneous"):
                make(HOSTILE[name])
    with pytest.raises(TypeError, match="stack"):
        gn.Tensor(HOSTILE["a list with a tensor that contains itself"])
    with pytest.raises(ZeroDivisionError, match="on purpose"):
        gn.Tensor(HOSTILE["an array that raises"])
    works()


ENDLESS = """
np.stack([o, x])
np.stack(t)
np.array(t, like=x)
np.einsum("i,i", x, o)
np.searchsorted(x, o)
np.linalg.multi_dot([o, m])
gn.array(t)
gn.asarray(t)
gn.grad(lambda v: 0.0)(o)
gn.vmap(np.sin)(d)
gn.jvp(np.sin, (o,), (o,))
gn.vjp(lambda v: o, x)
gn.checkpoint(lambda v: d, x)
gn.tree.paths(d)
gn.tree.leaves_like(o, o, "x")
gn.data.default_collate([o, o])
gn.data.default_collate([d, d])
gn.data.default_convert(d)
""".strip().splitlines()


@pytest.mark.parametrize("code", ENDLESS)
def test_what_contains_itself_says_so(code):
    """Wherever lists and dicts are walked through, not by NumPy: a ValueError, no RecursionError, and the same for what only is very deep."""
    x, endless = leaf(ONES), {}
    endless["d"] = endless
    deep = nested(10_000)
    for o, t, d in (itself(), itself(x), endless), (deep, itself(x), {"d": deep}):
        with pytest.raises(ValueError, match=r"a (list|dict) contains itself, or is nested too deeply"):
            eval(code, {**NAMES, "x": x, "m": leaf(np.eye(3)), "o": o, "t": t, "d": d})


@alone
def test_counting_up_to_the_largest_integer():
    """NumPy makes an array of one number more, which is none, and writes beyond it; so does vmap's row of many examples."""
    largest = np.iinfo(np.intp).max
    for numbers in [largest], [1, largest], np.array([1, largest]), gn.Tensor([1, largest]):
        for weights in None, leaf(np.ones(len(numbers))):
            with pytest.raises(ValueError, match=f"bincount.*{largest}"):
                gn.bincount(numbers, weights)
    with pytest.raises(ValueError, match=f"bincount.*{largest}"):
        gn.vmap(lambda k: gn.bincount(k, ONES[:2], minlength=4))(np.array([[1, largest]]))


@pytest.mark.parametrize("place", [99, -99, 5, -6, 2**31, -(2**63), 2**63 - 1])
def test_index_oob_array(place):
    """Refused before anything is read, in all that takes numbers of rows."""
    x, wrong = leaf(np.ones((5, 2))), np.array([0, place])
    reads = [x.__getitem__, lambda k: x[k, 0], lambda k: np.take(x, k, axis=0), lambda k: F.embedding(k, x), lambda k: F.embedding_bag(k[None], x)]
    for take in reads:
        with pytest.raises(IndexError):
            take(wrong)
    for write in lambda h: h.__setitem__(wrong, 1.0), lambda h: np.add.at(h, wrong, 1.0), lambda h: np.put_along_axis(h, wrong[None], 1.0, 0):
        h = x * 1
        with pytest.raises(IndexError):
            write(h)
        assert (h.data == 1).all()
    with pytest.raises(IndexError):
        F.cross_entropy(x, np.array([0, place, 0, 0, 0]), ignore_index=-100)


# ---- numbers ---------------------------------------------------------------------------------------------------------------


def test_nan_inf_propagate():
    a = np.array([np.nan, np.inf, -np.inf, 1.0])
    x = leaf(a)
    y = x * 2
    y.sum().backward()
    assert np.array_equal(y.data, a * 2, equal_nan=True) and x.grad.tolist() == [2.0] * 4
    x = leaf(a)
    with np.errstate(all="ignore"):
        np.exp(x).sum().backward()
    assert np.array_equal(x.grad, [np.nan, np.inf, 0.0, np.e], equal_nan=True)


def test_div_log_edge():
    x = leaf([0.0, -0.0, 2.0])
    with np.errstate(all="ignore"):
        y = 1 / x
        y.sum().backward()
        assert y.data.tolist() == [np.inf, -np.inf, 0.5] and x.grad.tolist() == [-np.inf, -np.inf, -0.25]
        x.zero_grad()
        y = np.log(x - [0, 0, 3])
        y.sum().backward()
    assert y.data[:2].tolist() == [-np.inf] * 2 and np.isnan(y.data[2]) and x.grad.tolist() == [np.inf, -np.inf, -1.0]


def test_float32_accumulation():
    """A float32 that counts in ones stops at 2**24."""
    n = 2 * 10**7
    x = leaf(np.float32(1))
    y = np.broadcast_to(x, (n,)).sum()
    y.backward()
    assert y.dtype == x.grad.dtype == np.float32 and y.item() == n == x.grad
    ones = gn.Tensor(np.ones(n, np.float32))
    assert ones.sum().item() == n and ones.mean().item() == 1
    x.zero_grad()
    (ones * x).sum().backward()
    assert x.grad == n


def test_large_argument_trig():
    """sin and cos of 1e22, to the last bits, in vectors and in traced lines."""
    sine, cosine = -0.8522008497671888, 0.5232147853951389  # by mpmath
    for n in 1, 7, 1000, 40_000:
        x = leaf(np.full(n, 1e22))
        (np.sin(x) + 2 * np.cos(x)).sum().backward()
        np.testing.assert_allclose(np.sin(x).data, sine, rtol=1e-15)
        np.testing.assert_allclose(x.grad, cosine - 2 * sine, rtol=1e-15)

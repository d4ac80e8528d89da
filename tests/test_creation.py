"""Makers of Tensors, functions and methods that write in place, and functions that select: what the samples cannot say."""

import numpy as np
import pytest

import gradnerve as gn
from gradnerve._engine import GraphError

pytestmark = pytest.mark.usefixtures("rows_return")

nan, inf = np.nan, np.inf


def leaf(values):
    return gn.Tensor(values, requires_grad=True)


def same(found, expected):
    expected = np.asarray(expected)
    assert isinstance(found, gn.Tensor)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.data.tobytes() == expected.tobytes()


# ---- makers ------------------------------------------------------------------------------------------------------------------------

MAKERS = [
    ("arange", (5,), {}), ("arange", (1, 2, 0.25), {}), ("arange", (3,), {"dtype": np.float32}), ("zeros", ((2, 3),), {}), ("zeros", (2, int), {}),
    ("ones", ((2, 3), np.complex128, "F"), {}), ("eye", (3,), {}), ("eye", (2, 4, 1), {"dtype": np.float32}), ("identity", (3,), {}),
    ("identity", (2, int), {}),
    ("tri", (3, 4, 1), {}), ("full", ((2, 2), 7), {}), ("full", (3, [1.0, 2.0, 3.0]), {}), ("full", ((), 1), {"dtype": np.float32}),
    ("frombuffer", (np.arange(3.0).tobytes(),), {}), ("frombuffer", (b"\1\0\2\0", np.int16, 1, 2), {}), ("fromiter", ([1, 2, 3], float), {}),
    ("fromiter", (range(9), np.int32, 4), {}), ("fromfunction", (np.add, (2, 3)), {}),
    ("fromfunction", (lambda i, j: i == j, (2, 2)), {"dtype": int}),
    ("array", ([[1, 2], [3, 4]],), {}), ("array", ([1.0],), {"ndmin": 3, "dtype": np.float32}), ("asarray", ((1, 2.5),), {}),
    ("asanyarray", (3,), {}),
    ("ascontiguousarray", (2.0,), {}), ("ascontiguousarray", (np.ones((2, 3)).T,), {}), ("asfortranarray", ([[1, 2], [3, 4]],), {}),
    ("asfortranarray", (1,), {}),
    ("require", ([[1, 2], [3, 4]], float, ["F"]), {}),
]  # fmt: skip
WITHOUT_LIKE = [
    ("bartlett", (5,), {}), ("blackman", (5,), {}), ("hamming", (5,), {}), ("hanning", (5,), {}), ("kaiser", (5, 2.0), {}),
    ("indices", ((2, 3),), {}),
    ("indices", ((2, 3), float), {}), ("asarray_chkfinite", ([1.0, 2.0],), {}), ("from_dlpack", (np.arange(3.0),), {}),
    *[(f"{name}_like", (np.arange(6).reshape(2, 3).T,), kwargs) for name in ("zeros", "ones")
      for kwargs in ({}, {"dtype": float}, {"shape": (4,)}, {"order": "F"})],
    ("full_like", (np.arange(3), 2.5), {}), ("full_like", (np.arange(3.0), [1, 2, 3]), {"dtype": np.complex128}),
]  # fmt: skip


def called(name):
    return pytest.mark.parametrize(("name", "args", "kwargs"), MAKERS + WITHOUT_LIKE if name == "all" else MAKERS)


@called("all")
def test_makers(name, args, kwargs):
    expected = getattr(np, name)(*args, **kwargs)
    made = getattr(gn, name)(*args, **kwargs)
    same(made, expected)
    assert made.data.strides == expected.strides
    assert made.is_leaf and not made.requires_grad
    t = getattr(gn, name)(*args, **kwargs, requires_grad=True)
    assert t.is_leaf and t.requires_grad and t.dtype == (expected.dtype if expected.dtype.kind in "fc" else float)
    (t * 2).backward(np.ones_like(t.data))
    np.testing.assert_array_equal(t.grad, np.full(t.shape, 2, t.dtype))


@called("with like")
def test_like(name, args, kwargs):
    """NumPy's own makers make a Tensor where `like` is one."""
    like = leaf(0.0)  # held: NumPy's frombuffer and fromiter let go of it before they ask it
    same(getattr(np, name)(*args, **kwargs, like=like), getattr(np, name)(*args, **kwargs))


def test_makers_of_uninitialised_memory():
    for made in (gn.empty((2, 3), np.float32), np.empty((2, 3), np.float32, like=leaf(0.0)), gn.empty_like(np.ones((2, 3), np.float32))):
        assert isinstance(made, gn.Tensor) and (made.shape, made.dtype) == ((2, 3), np.float32)
    assert gn.empty(2, requires_grad=True).requires_grad


@pytest.mark.parametrize("name", ["zeros_like", "ones_like", "empty_like", "full_like"])
def test_makers_of_the_same_shape(name):
    x = leaf(np.ones((2, 3), np.float32))
    fill = (5.0,) if name == "full_like" else ()
    for package in (np, gn):
        made = getattr(package, name)(x, *fill)
        assert isinstance(made, gn.Tensor) and (made.shape, made.dtype, made.requires_grad) == ((2, 3), np.float32, False)


def test_sparse_indices():
    for found, expected in zip(gn.indices((2, 3), sparse=True), np.indices((2, 3), sparse=True), strict=True):
        same(found, expected)


INDEX_MAKERS = [
    ("diag_indices", (3,)), ("diag_indices", (2, 3)), ("tril_indices", (3, 1)), ("triu_indices", (2,)), ("mask_indices", (3, np.triu)),
    ("ix_", ([0, 1], [2])),
    ("unravel_index", ([1, 2], (2, 3))), ("broadcast_shapes", ((2, 1), (3,))), ("mgrid", None), ("ogrid", None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args"), INDEX_MAKERS)
def test_index_makers_give_integers(name, args):
    call = lambda package: getattr(package, name)[:2, :3] if args is None else getattr(package, name)(*args)
    for found, expected in zip(call(gn), call(np), strict=True):
        assert type(found) is type(expected) and np.array_equal(found, expected)


@pytest.mark.parametrize("name", ["diag_indices_from", "tril_indices_from", "triu_indices_from"])
def test_index_makers_for_a_tensor(name):
    x = np.ones((3, 3))
    assert np.array_equal(getattr(np, name)(leaf(x)), getattr(np, name)(x))
    assert leaf(x)[getattr(gn, name)(leaf(x))].sum().item() >= 3


def test_constants_do_not_depend_on_tracked_tensors():
    t = leaf(3.0)
    with pytest.raises(TypeError, match="arange makes constants"):
        gn.arange(t)
    same(gn.arange(t.detach()), np.arange(3.0))
    with gn.no_grad():
        same(gn.arange(t), np.arange(3.0))


@pytest.mark.parametrize("data", ["text", [None], np.array(["2020-01-01"], "M8[D]")])
def test_makers_take_numbers_only(data):
    for make in (gn.array, gn.asarray, lambda data: gn.full(2, data)):
        with pytest.raises(TypeError, match="can have no gradient"):
            make(data)


def test_array_copies_and_asarray_does_not():
    a = np.zeros(2)
    assert gn.asarray(a).data is a and gn.array(a, copy=None).data is a and gn.array(a, copy=False).data is a
    assert not np.shares_memory(gn.array(a).data, a)
    assert not np.shares_memory(gn.asarray(a, copy=True).data, a)
    t = gn.Tensor(a)
    assert gn.asarray(t) is t and gn.array(t) is not t and gn.ascontiguousarray(t) is t
    with pytest.raises(ValueError, match="copy"):
        gn.array(t, np.float32, copy=False)
    with pytest.raises(ValueError, match="copy"):
        gn.array([1.0], copy=False)


@pytest.mark.parametrize("make", [gn.array, gn.asarray, gn.tensor.asarray, gn.ascontiguousarray])
def test_another_dtype_keeps_the_gradient(make):
    x = leaf(np.ones(2))
    y = make(x, np.float32)
    assert y.dtype == np.float32
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_a_leaf_of_an_untracked_tensor_is_a_new_one():
    t = gn.Tensor([1.0, 2.0])
    assert gn.asarray(t, requires_grad=True).requires_grad and not t.requires_grad
    assert gn.array([1, 2], requires_grad=True).dtype == float


def test_tensors_in_nested_lists():
    x = leaf(2.0)
    y = gn.array([[x, 1.0], [x * x, 3.0]])
    (y * [[1.0, 10.0], [100.0, 1000.0]]).sum().backward()
    assert x.grad == 1 + 100 * 4
    same(np.array([[1.0, 2.0]], like=x), [[1.0, 2.0]])


def test_joined_in_brackets():
    x = leaf([1.0, 2.0])
    y = gn.r_[x, 0.5, 1:3, x[0]]
    (y * [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).sum().backward()
    assert x.grad.tolist() == [7.0, 2.0]
    for index in [(1.0, 2), np.s_[0:3:2], ("0,2", [1], [2]), (np.float32(1), 2)]:
        found, expected = gn.r_[index], np.r_[index]
        assert type(found) is type(expected) and found.dtype == expected.dtype and np.array_equal(found, expected)
    with pytest.raises(TypeError, match=r"gn\.r_"):
        np.r_[x, 1.0]


# ---- tensors where NumPy does not look for them --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("call", "expected"), [
    (lambda t: gn.select([np.array([True, False])], [np.ones(2)], default=t), 1.0),
    (lambda t: gn.piecewise(np.ones(2), [np.array([True, False])], [t, 5.0]), 1.0),
    (lambda t: gn.pad(np.ones(2), 1, constant_values=t), 2.0),
    (lambda t: gn.pad(np.ones(2), 1, constant_values=[t, 3 * t]), 4.0),
    (lambda t: gn.pad([t, 2.0], 1, "edge"), 2.0),
    (lambda t: gn.full((2, 2), t), 4.0),
    (lambda t: gn.full_like(np.ones(3), t), 3.0),
    (lambda t: gn.take([t, 1.0], [0, 0]), 2.0),
    (lambda t: gn.choose([0, 1], [[t, 1.0], np.ones(2)]), 1.0),
    (lambda t: gn.kaiser(3, t), None),
])  # fmt: skip
def test_tensors_in_any_place(call, expected):
    t = leaf(2.0)
    call(t).sum().backward()
    assert t.grad == expected or (expected is None and t.grad < 0)


# ---- what is not taken contributes exactly 0 ---------------------------------------------------------------------------------------


def put_where(x):
    y = x * 0
    np.copyto(y, np.log(x), where=x > 0)
    return y


def put_mask(x):
    y = x * 0
    np.putmask(y, x > 0, np.log(x))
    return y


SELECTIONS = {
    "select":         lambda x: np.select([x > 0], [np.log(x)], 0.0),
    "select default": lambda x: np.select([x <= 0], [x * 0], np.log(x)),
    "choose":         lambda x: np.choose((x > 0).astype(int), [x * 0, np.log(x)]),
    "piecewise":      lambda x: np.piecewise(x, [x > 0], [np.log, 0.0]),
    "copyto":         put_where,
    "putmask":        put_mask,
    "triu":           lambda x: np.triu(np.log(x) * np.ones((2, 2)), 1),
}


@pytest.mark.parametrize("name", SELECTIONS)
def test_what_is_not_taken_contributes_exactly_zero(name):
    """At 0 the derivatives of the logarithm are infinite."""
    f = lambda x: SELECTIONS[name](x).sum()
    with np.errstate(all="ignore"):
        first, second = gn.grad(f), gn.grad(lambda x: gn.grad(f)(x).sum())
        assert first(np.array([0.0, 4.0])).tolist() == [0.0, 0.25]
        assert second(np.array([0.0, 4.0])).tolist() == [0.0, -1 / 16]


# ---- in place ----------------------------------------------------------------------------------------------------------------------

WRITES = {
    "copyto":         lambda x, v: np.copyto(x, v),
    "put":            lambda x, v: np.put(x, [0, 3], v),
    "place":          lambda x, v: np.place(x, np.eye(2, dtype=bool), v),
    "putmask":        lambda x, v: np.putmask(x, np.eye(2, dtype=bool), v),
    "put_along_axis": lambda x, v: np.put_along_axis(x, np.array([[0], [1]]), v, 1),
    "fill_diagonal":  lambda x, v: gn.fill_diagonal(x, v),
}


@pytest.mark.parametrize("name", WRITES)
def test_in_place(name):
    """What was computed from the old value keeps its gradient; what is written, too."""
    x, v = leaf([[1.0, 2.0], [3.0, 4.0]]), leaf(5.0)
    h = x * 1.0
    before = (h * h).sum()
    assert WRITES[name](h, v) is None
    expected = x.data.copy()
    WRITES[name](expected, 5.0)
    assert np.array_equal(h.data, expected)
    (before + h.sum()).backward()
    kept = expected != 5
    assert np.array_equal(x.grad, 2 * x.data + kept)
    assert v.grad == 4 - kept.sum()


@pytest.mark.parametrize("name", WRITES)
def test_in_place_refuses_what_would_lose_a_gradient(name):
    x = leaf(np.ones((2, 2)))
    with pytest.raises(GraphError, match=f"{name} in place on a leaf"):
        WRITES[name](x, 5.0)
    with pytest.raises(TypeError, match=f"{name}: .* cannot be written into an ndarray: its gradient would be lost"):
        WRITES[name](np.ones((2, 2)), leaf(5.0))
    with pytest.raises(TypeError, match=f"{name}: a tensor of int64 cannot take a tracked value"):
        WRITES[name](gn.Tensor([[1, 2], [3, 4]]), leaf(5.0))
    assert x.data.tolist() == [[1.0, 1.0], [1.0, 1.0]]


@pytest.mark.parametrize("name", WRITES)
def test_in_place_without_tracking(name):
    """The array itself is written into, as NumPy does it."""
    expected = np.ones((2, 2))
    WRITES[name](expected, 5.0)
    a, x = np.ones((2, 2)), leaf(np.ones((2, 2)))
    WRITES[name](gn.asarray(a), gn.Tensor(5.0))
    with gn.no_grad():
        WRITES[name](x, leaf(5.0))
        WRITES[name](b := np.ones((2, 2)), leaf(5.0))
    assert np.array_equal(a, expected) and np.array_equal(x.data, expected) and np.array_equal(b, expected) and x.is_leaf


def test_in_place_by_the_names_of_the_arguments():
    x = leaf([1.0, 2.0])
    y = x * 1
    np.copyto(dst=y, src=7.0, where=[True, False])
    np.put(a=y, ind=[1], v=x[:1])
    assert y.data.tolist() == [7.0, 1.0]
    np.copyto(src=x.detach(), dst=y)
    assert y.data.tolist() == [1.0, 2.0] and y.requires_grad


def test_tensors_in_lists_are_written():
    x, t = leaf([1.0, 2.0, 3.0]), leaf(4.0)
    y = x * 2
    np.put(y, [0, 2], [t, 3 * t])
    y.sum().backward()
    assert t.grad == 4 and x.grad.tolist() == [0.0, 2.0, 0.0]


def test_methods_in_place():
    x = leaf([[3.0, 1.0], [2.0, 4.0]])
    y = x * 1
    y.shape = (4,)
    y.resize(2, 3)
    assert y.data.tolist() == [[3.0, 1.0, 2.0], [4.0, 0.0, 0.0]]
    y.flat[-2:] = x[0] * 10
    y.sort()
    assert y.data.tolist() == [[1.0, 2.0, 3.0], [4.0, 10.0, 30.0]]
    (y * y).sum().backward()
    assert np.array_equal(x.grad, 2 * x.data + [[2 * 30 * 10, 2 * 10 * 10], [0, 0]])
    for change in (lambda: x.resize(4), lambda: setattr(x, "shape", (4,)), lambda: x.fill(0.0), lambda: x.flat.__setitem__(0, 1.0),
                   lambda: x.put([0], 1.0)):
        with pytest.raises(GraphError, match="in place on a leaf"):
            change()
    plain = gn.Tensor([1.0, 2.0])
    plain.resize((3,))
    plain.shape = (3, 1)
    assert plain.data.tolist() == [[1.0], [2.0], [0.0]]


def test_flat():
    x = leaf([[3.0, 1.0], [2.0, 4.0]])
    assert len(x.flat) == 4 and [t.item() for t in x.flat] == [3.0, 1.0, 2.0, 4.0] and next(x.flat).item() == 3
    sum(t * t for t in x.flat).backward()
    assert np.array_equal(x.grad, 2 * x.data)
    with pytest.raises(TypeError, match=r"t\.ravel\(\)"):
        np.sum(x.flat)
    plain = gn.Tensor([[3.0, 1.0]])
    plain.flat = 7
    assert plain.data.tolist() == [[7.0, 7.0]]


def test_view_and_choose():
    x = leaf([1.0, 2.0])
    (x.view() * gn.Tensor([0, 1]).choose([x, x * x])).sum().backward()
    assert x.grad.tolist() == [2.0, 12.0]
    with pytest.raises(TypeError, match="astype"):
        x.view(np.int64)
    with pytest.raises(AttributeError, match=r"t\.data\.byteswap"):
        x.byteswap()


@pytest.mark.parametrize(("function", "shape"), [
    (lambda x, out: np.take(x, [0, 2], out=out), (2,)), (lambda x, out: gn.take(x, [0, 2], out=out), (2,)),
    (lambda x, out: np.choose([0, 1, 0], [x, x], out), (3,)),
    (lambda x, out: np.compress([True, True], x, out=out), (2,)), (lambda x, out: np.concatenate([x, x], out=out), (6,)),
    (lambda x, out: np.stack([x, x], out=out), (2, 3)),
])  # fmt: skip
def test_out(function, shape):
    x, out = leaf([1.0, 2.0, 3.0]), gn.zeros(shape)
    assert function(x, out) is out
    out.sum().backward()
    assert x.grad.sum() == out.size
    with pytest.raises(TypeError, match="ndarray"):
        function(x, np.zeros(shape))


# ---- PyTorch -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "theirs"), [("reflect", "reflect"), ("edge", "replicate"), ("wrap", "circular"), ("constant", "constant")])
def test_pad_against_torch(mode, theirs):
    torch = pytest.importorskip("torch")
    a, seed = np.random.default_rng(0).normal(size=(2, 1, 4, 5)), np.random.default_rng(1).normal(size=(2, 1, 7, 8))
    x, t = leaf(a), torch.tensor(a, requires_grad=True)
    np.pad(x, ((0, 0), (0, 0), (1, 2), (3, 0)), mode).backward(seed)
    torch.nn.functional.pad(t, (3, 0, 1, 2), theirs).backward(torch.tensor(seed))
    np.testing.assert_allclose(x.grad, t.grad.numpy(), rtol=1e-12)


def test_writing_against_torch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    a, v, seed = rng.normal(size=(3, 4)), rng.normal(size=(3, 2)), rng.normal(size=(3, 4))
    places = np.argsort(rng.random((3, 4)))[:, :2]
    x, y, t, u = leaf(a), leaf(v), torch.tensor(a, requires_grad=True), torch.tensor(v, requires_grad=True)
    h = x * 2
    np.put_along_axis(h, places, y * y, 1)
    h.backward(seed)
    torch.scatter(t * 2, 1, torch.tensor(places), u * u).backward(torch.tensor(seed))
    np.testing.assert_allclose(x.grad, t.grad.numpy(), rtol=1e-12)
    np.testing.assert_allclose(y.grad, u.grad.numpy(), rtol=1e-12)

"""Errors about names that PyTorch has and gradnerve has not: what they say to write here runs, and has PyTorch's value.

Read next: test_names.py.
"""

import contextlib
import re

import numpy as np
import pytest
from as_torch import torch
from helpers import process

import gradnerve as gn
from gradnerve import idioms, nn

ROWS = {theirs: (name, ours) for table in (idioms.METHODS, idioms.FUNCTIONS) for name, rows in table.items() for theirs, ours in rows}
DRAWN = set("bernoulli bernoulli_ uniform_ normal_ multinomial new_empty normal rand rand_like randint randn randn_like randperm".split())
NO_VALUE = set("cuda Generator inference_mode set_grad_enabled get_default_dtype set_default_dtype".split())
FRACTIONS = {"histogram", "ldexp", "ldexp_"}  # of which NumPy's functions know whole numbers only, where PyTorch's have fractions
DTYPES = {"FloatTensor", "DoubleTensor", "LongTensor", "IntTensor", "BoolTensor"}
PLAIN = {"axis": 1, "n": 2, "size": 3, "start": 1, "low": 0.2, "high": 0.5, "mean": 0.2, "std": 0.5, "value": 0.3, "flag": False,
         "device": "cpu"}  # fmt: skip


def arrays(name):
    """The names in the expressions: `t` is symmetric and positive definite, with elements from 0 to 1."""
    rng = np.random.default_rng(0)
    t = rng.uniform(0.02, 0.1, (4, 4))
    names = {key: rng.uniform(0.1, 0.9, (4, 4)) for key in ("other", "a", "b")}
    names |= {"t": t + t.T + np.diag([0.5, 0.6, 0.4, 0.7]), "rows": rng.random((2, 4)), "v": np.array([0.1, 0.2, 0.5, 0.6])}
    if name in ("bmm", "baddbmm", "baddbmm_"):
        names = {key: np.stack([x, 2 * x]) for key, x in names.items()}
    if name == "ger":
        names["t"] = names["t"][0]
    return names


def numbers():
    """The names that stand for what has no gradient."""
    rng = np.random.default_rng(1)
    return {"mask": rng.random((4, 4)) > 0.5, "index": np.array([0, 2]), "indices": rng.permuted(np.tile(range(4), (4, 1)), axis=1)}


def value(text, names):
    """The value of an expression, or of the tensor that the last one of some statements makes or changes."""
    *statements, last = text.split("; ")
    for statement in statements:
        exec(statement, names)
    with contextlib.suppress(SyntaxError):
        result = eval(last, names)
        return names["u"] if statements else result
    exec(last, names)
    return names["u" if statements else "t"]


def here(name, text):
    """The value of what stands here for a name, and the tensor afterwards."""
    make = nn.Parameter if name.endswith("_") else gn.Tensor
    names = {key: (make if key == "t" else gn.Tensor)(a) for key, a in arrays(name).items()} | numbers() | PLAIN
    names |= {"np": np, "gn": gn, "dtype": np.float32, "shape": (2, 4, 4) if name == "expand" else (2, 3), "array": np.ones((2, 3))}
    with gn.no_grad() if name.endswith("_") else contextlib.nullcontext():
        return value(text, names), names["t"]


def there(name, text):
    """The value of PyTorch's expression, and its tensor afterwards."""
    names = {key: torch.from_numpy(a) for key, a in (arrays(name) | numbers()).items()} | PLAIN
    names |= {"torch": torch, "dtype": torch.float32, "shape": (2, 4, 4) if name == "expand" else (2, 3)}
    names["array"] = np.ones((2, 3)).tolist() if name in DTYPES else np.ones((2, 3))
    return value(text, names), names["t"]


def same(ours, theirs):
    if isinstance(theirs, tuple | list):
        for one, other in zip(ours, theirs, strict=True):
            same(one, other)
    elif isinstance(theirs, torch.Tensor):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(np.asarray(getattr(ours, "data", ours)), theirs.resolve_conj().numpy(), rtol=1e-12, atol=1e-14)
    elif isinstance(theirs, torch.dtype):
        assert f"torch.{np.dtype(ours).name}" == str(theirs)
    else:
        assert ours == theirs


@pytest.mark.parametrize("theirs", ROWS)
def test_what_stands_here_runs(theirs):
    if "gn.special" in ROWS[theirs][1]:
        pytest.importorskip("scipy")
    try:
        here(*ROWS[theirs])
    finally:
        nn.set_default_dtype(np.float32)


@pytest.mark.filterwarnings("ignore:torch.* is deprecated:UserWarning")
@pytest.mark.parametrize("theirs", [theirs for theirs, (name, _) in ROWS.items() if name not in NO_VALUE])
def test_what_stands_here_has_pytorchs_value(theirs):
    name, ours = ROWS[theirs]
    (found, changed), (wanted, wanted_changed) = here(name, ours), there(name, theirs)
    if name in DRAWN:
        assert found.shape == wanted.shape and (name == "bernoulli" or found.dtype.name in str(wanted.dtype))
    elif name.endswith("_"):
        same(changed, wanted_changed)
    else:
        same(found, wanted)
        if isinstance(wanted, torch.Tensor) and wanted.dtype != torch.int64:
            same(found.dtype, wanted.dtype)


# --- names that follow a rule ----------------------------------------------------------------------------------------


def by_rule(name):
    """Whether a method of PyTorch's has no line in the tables, and yet a hint with an expression."""
    return not name.startswith("_") and not hasattr(gn.Tensor, name) and name not in idioms.METHODS and "; here it is" in idioms.of_tensor(name)


def arguments():
    """What a method may take: the first that PyTorch accepts is compared."""
    t, v, whole = arrays("")["t"], arrays("")["v"], np.array([1, 3, 2, 5])
    for own, *rest in [t], [t, t[::-1].copy()], [t, 0.5], [t, 1], [t, (4, 4)], [t, 1, 1], [t, [1, 2]], [t, 0, 1], [whole], [whole, whole], [v, v], \
                      [v, whole], [v[:3], v[1:]], [np.stack([t, t], 2), 2]:  # fmt: skip
        yield [own, *rest]


def as_theirs(x):
    return torch.from_numpy(x.copy()) if isinstance(x, np.ndarray) else x


@pytest.mark.filterwarnings("ignore:Using torch.cross without specifying:UserWarning")
def test_names_that_follow_a_rule_have_pytorchs_value():
    """NumPy's functions of the same name, and methods with a _ at their end."""
    names = {name for name in dir(torch.Tensor) if by_rule(name)} - FRACTIONS
    assert len(names) > 200
    written = {name for name in names if name[:-1] in idioms.METHODS}
    for name in written:
        theirs, _ = idioms.METHODS[name[:-1]][0]
        _, changed = here(name, expression(name))
        same(changed, there(name, theirs.replace("(", "_(", 1))[1])
    for name in names - written:
        for own, *rest in arguments():
            tensor = as_theirs(own)
            try:
                wanted = getattr(tensor, name)(*map(as_theirs, rest))
            except (TypeError, RuntimeError, IndexError):
                continue
            same(followed(name, own, rest), tensor if name.endswith("_") else wanted)
            break
        else:
            raise AssertionError(f"{name}: PyTorch takes none of these arguments")


def expression(name):
    """The code in a hint that a rule gives."""
    return re.search(r"here it is ([^;]*)", idioms.of_tensor(name))[1]


def followed(name, own, rest):
    """What it gives for these arguments."""
    text = expression(name).replace("t, ...", "t, *rest").replace("(...)", "(*rest)")
    with np.errstate(invalid="ignore"):
        return value(text, {"np": np, "gn": gn, "t": gn.Tensor(own), "rest": rest})


# --- the errors ------------------------------------------------------------------------------------------------------


def message(function, kind=AttributeError):
    with pytest.raises(kind) as caught:
        function()
    return str(caught.value)


@pytest.mark.parametrize(("name", "words"), [
    ("unsqueeze", "Tensor has no unsqueeze; PyTorch's t.unsqueeze(axis) is np.expand_dims(t, axis) here"),
    ("cuda", "Tensor has no cuda; PyTorch's t.cuda() can be left out"),
    ("to", "Tensor has no to; PyTorch's t.to(dtype) is t.astype(dtype) here; PyTorch's t.to(device) can be left out"),
    ("abs", "Tensor has no abs; here it is np.abs(t)"),
    ("tril", "Tensor has no tril; here it is np.tril(t, ...)"),
    ("clamp_", "Tensor has no clamp_; here it is t[...] = np.clip(t, low, high); of a parameter, in `with gn.no_grad():`"),
    ("exp_", "Tensor has no exp_; here it is t[...] = t.exp(...); of a parameter, in `with gn.no_grad():`"),
    ("mul_", "Tensor has no mul_; PyTorch's t.mul_(other) is t *= other here; of a parameter, in `with gn.no_grad():`"),
    ("t_", "Tensor has no t_; PyTorch's t.t_() is t = t.T here"),
    ("is_cuda", "Tensor has no is_cuda: everything is on the CPU, so what is about devices can be left out"),
    ("colour", "Tensor has no attribute 'colour'"),
    ("_ipython_display_", "Tensor has no attribute '_ipython_display_'"),
])  # fmt: skip
def test_a_tensor_says_what_stands_here_for_a_method(name, words):
    t = nn.Parameter(np.ones(2))
    assert message(lambda: getattr(t, name)) == words and not hasattr(t, name)


@pytest.mark.parametrize(("name", "words"), [
    ("cat", "gradnerve has no cat; PyTorch's torch.cat([a, b], axis) is np.concatenate([a, b], axis) here"),
    ("clamp", "gradnerve has no clamp; PyTorch's t.clamp(low, high) is np.clip(t, low, high) here"),
    ("detach", "gradnerve has no detach; it is a method: t.detach"),
    ("conv2d", "gradnerve has no conv2d; here it is gn.nn.functional.conv2d"),
    ("cuda", "gradnerve has no cuda: everything is on the CPU, so what is about devices can be left out"),
    ("utils", "gradnerve has no utils: gn.data is torch.utils.data, gn.checkpoint is torch.utils.checkpoint.checkpoint"),
])  # fmt: skip
def test_the_package_says_what_stands_here_for_a_function(name, words):
    assert message(lambda: getattr(gn, name)) == words and not hasattr(gn, name)


def test_every_name_in_the_tables_is_one_that_is_missing():
    t, net = gn.Tensor(np.eye(2)), nn.Linear(1, 1)
    assert not [name for name in {**idioms.METHODS, **idioms.TENSORS} if hasattr(t, name)]
    assert not [name for name in {**idioms.FUNCTIONS, **idioms.MODULES} if hasattr(gn, name)]
    assert not [name for name in idioms.LAYERS if hasattr(net, name)]


def test_functionals_are_those_that_pytorch_has_twice():
    functionals = {name for name in {*dir(nn.functional)} - {*dir(gn), *idioms.METHODS} if hasattr(torch, name) and not name.endswith("_")}
    assert functionals - {"adaptive_max_pool1d", "convolution"} == set(idioms.FUNCTIONALS)  # the first gives indices, too; the other is more general


def test_names_in_the_notes_exist():
    for why in [*idioms.TENSORS.values(), *idioms.MODULES.values()]:
        for name in re.findall(r"gn\.(\w+)", why):
            assert hasattr(gn, name), name


def test_backward_leaves_gradients_everywhere():
    """So there is no `retain_grad`, as its hint says."""
    x = gn.Tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    (y * y).sum().backward()
    assert y.grad.tolist() == [6, 12]


@pytest.mark.parametrize("shape", [(-1, 4), (2, 2, 2), (8,), ((2, 4),)])
def test_a_view_in_another_shape_is_a_reshape(shape):
    t = gn.Tensor(np.arange(8.0))
    said = message(lambda: t.view(*shape), TypeError)
    found = eval(re.search(r"t\.reshape\(.*\)", said)[0], {"t": t})
    assert np.array_equal(found.data, np.arange(8.0).reshape(*shape))


def test_layers_are_on_the_cpu():
    net = nn.Linear(2, 3)
    assert net.to("cpu") is net and net.cpu() is net
    for call in (lambda: net.to("cuda"), lambda: net.to("cuda:1"), lambda: net.to(device="mps")):
        assert "everything is on the CPU" in message(call, TypeError)
    assert message(lambda: net.cuda()).startswith("'Linear' object has no attribute 'cuda': everything is on the CPU")
    assert "can be left out" in message(lambda: net.compile())
    assert "net.float()" in message(lambda: net.half())


def test_the_tables_are_imported_when_a_name_is_missing():
    process("""
import sys
import gradnerve as gn
from gradnerve import nn
net = nn.Linear(2, 2)
net(gn.ones((1, 2), "f")).sum().backward()
assert "gradnerve.idioms" not in sys.modules
assert not hasattr(gn, "cat") and "gradnerve.idioms" in sys.modules
""")

"""Modules and containers: what is registered, hooks, state dicts, reprs and errors, as PyTorch's.

Read next: test_nn_utils.py; test_nn_init.py.
"""

import collections
import copy
import io
import pickle
import re

import numpy as np
import pytest
from as_torch import torch

import gradnerve as gn

nn = gn.nn

pytestmark = pytest.mark.usefixtures("rows_return")


def networks(of):
    """The same class in PyTorch (`of` is torch.nn) and here."""
    tensor = torch.zeros if of is torch.nn else gn.zeros

    class Block(of.Module):
        def __init__(self, n):
            super().__init__()
            self.lin = of.Linear(n, n)
            self.scale = of.Parameter(tensor(n))
            self.register_buffer("mean", tensor(n))
            self.register_buffer("hidden", tensor(2), persistent=False)
            self.register_parameter("offset", None)
            self.dropped = None

        def forward(self, x):
            return self.lin(x) * self.scale

        def extra_repr(self):
            return "a block,\nin two lines"

    class Net(of.Module):
        def __init__(self):
            super().__init__()
            self.blocks = of.Sequential(Block(3), of.Identity(), Block(3))
            self.again = self.blocks[0]
            self.named = of.ModuleDict({"left": of.Linear(3, 2), "right": of.Sequential(collections.OrderedDict(a=of.Linear(2, 2, bias=False)))})
            self.many = of.ModuleList([of.Linear(2, 2), of.Linear(2, 2), of.Identity(), of.ModuleList()])
            self.weights = of.ParameterList([tensor(2, ), tensor((2, 3))])
            self.dict = of.ParameterDict({"b": tensor(1), "a": tensor((2, 2))})

        def forward(self, x):
            return self.named["right"](self.named["left"](self.blocks(x)))

    return Net()


def both():
    return networks(nn), networks(torch.nn)


def refusal(kind, function, *args, **kwargs):
    """What the error says, and its notes; it is gone, and what it held, when this returns."""
    with pytest.raises(kind) as caught:
        function(*args, **kwargs)
    text, notes = str(caught.value), getattr(caught.value, "__notes__", [])
    del caught
    return text, notes


class Scale(nn.Module):
    """Without any layer of the library; at module level, to be pickled."""

    def __init__(self, n=2):
        super().__init__()
        self.factor = nn.Parameter(np.arange(1.0, n + 1))
        self.register_buffer("calls", gn.Tensor([0.0]))

    def forward(self, x, shift=0.0):
        return x * self.factor + shift


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = Scale(), Scale()

    def forward(self, x):
        return self.second(self.first(x))


# --- what is registered ----------------------------------------------------------------------------------------------


def test_names_and_order_are_pytorchs():
    ours, theirs = both()
    for method in ("named_parameters", "named_buffers", "named_modules", "named_children"):
        for options in ({}, {"remove_duplicate": False}) if method != "named_children" else ({},):
            assert [name for name, _ in getattr(ours, method)(**options)] == [name for name, _ in getattr(theirs, method)(**options)], method
    assert [n for n, _ in ours.named_parameters(prefix="p", recurse=True)] == [n for n, _ in theirs.named_parameters(prefix="p", recurse=True)]
    assert [n for n, _ in ours.blocks[0].named_parameters(recurse=False)] == [n for n, _ in theirs.blocks[0].named_parameters(recurse=False)]
    assert [p.shape for p in ours.parameters()] == [tuple(p.shape) for p in theirs.parameters()]
    assert len(list(ours.modules())) == len(list(theirs.modules()))
    assert len(list(ours.buffers())) == len(list(theirs.buffers()))
    assert len(list(ours.children())) == len(list(theirs.children()))


def test_repr_is_pytorchs():
    ours, theirs = map(repr, both())
    assert ours == theirs.replace("[torch.float32", "[float64").replace("[torch.FloatTensor", "[float64")


def test_an_attribute_and_its_registry_are_always_the_same():
    m = Pair()
    other = nn.Parameter([5.0, 6.0])
    m.first.factor = other
    assert m.first._parameters["factor"] is m.first.factor is other
    m.first.calls = gn.Tensor([3.0])
    assert m.first._buffers["calls"] is m.first.calls
    del m.first.factor
    assert not hasattr(m.first, "factor") and "factor" not in m.first._parameters
    m.first.factor = nn.Identity()  # something else of this name
    assert list(m.first._modules) == ["factor"] and list(m.first._parameters) == []
    m.second.factor = None
    assert m.second._parameters == {"factor": None} and m.second.factor is None
    assert list(m.parameters()) == []


def test_access_by_path():
    ours, _ = both()
    assert ours.get_submodule("") is ours and ours.get_submodule("blocks.2.lin") is ours.blocks[2].lin
    assert ours.get_parameter("blocks.0.scale") is ours.again.scale
    assert ours.get_buffer("again.mean") is ours.again.mean
    for method, path, missing in (("submodule", "blocks.7", "'7'"), ("parameter", "blocks.9.scale", "'9'"), ("buffer", "again.scale", "'scale'")):
        with pytest.raises(AttributeError, match=missing):
            getattr(ours, f"get_{method}")(path)


@pytest.mark.parametrize(("kind", "change", "words"), [
    (TypeError, lambda m: setattr(m, "factor", gn.Tensor([1.0])), "Scale.factor is a Parameter; assign a Parameter or None, not a Tensor"),
    (TypeError, lambda m: setattr(m, "calls", np.zeros(1)), "Scale.calls is a Tensor; .* not a ndarray"),
    (KeyError, lambda m: m.register_buffer("a.b", gn.Tensor([1.0])), "no dot"),
    (KeyError, lambda m: m.register_parameter("", None), "not be empty"),
    (KeyError, lambda m: m.register_parameter("forward", None), "another attribute"),
    (TypeError, lambda m: m.register_parameter("p", gn.Tensor([1.0])), "takes a Parameter or None, not a Tensor"),
    (TypeError, lambda m: m.register_buffer("p", np.zeros(1)), "takes a Tensor or None, not a ndarray"),
    (TypeError, lambda m: m.add_module("p", np.sin), "takes a Module or None"),
    (AttributeError, lambda m: m.facto, "has no attribute 'facto'"),
    (AttributeError, lambda m: delattr(m, "facto"), "facto"),
    (ValueError, lambda m: m.train("yes"), "True or False"),
    (TypeError, lambda m: m.to(np.int64), "int64"),
    (TypeError, lambda m: m.to(device="cuda"), "'cuda'"),
    (NotImplementedError, lambda m: nn.Module()(1), "forward"),
    (TypeError, lambda m: nn.Sequential(np.sin), "takes a Module"),
    (IndexError, lambda m: nn.Sequential(m)[1], "index 1 is out of range, there are 1"),
    (TypeError, lambda m: nn.ModuleList(m), "iterable"),
])  # fmt: skip
def test_errors_say_what_is_wrong(kind, change, words):
    with pytest.raises(kind, match=words):
        change(Scale())


def test_a_missing_call_of_init_is_named():
    class Without(nn.Module):
        def __init__(self, assign):
            if assign:
                self.p = nn.Parameter([1.0])

    for action in (lambda: Without(True), lambda: Without(False)(1), lambda: list(Without(False).parameters()), lambda: Without(False).state_dict()):
        with pytest.raises(AttributeError, match=r"super\(\).__init__\(\)"):
            action()


def test_device_and_dtype_of_new_parameters():
    from gradnerve.nn.parameter import factory

    assert factory() == factory("cpu", "float32") == np.float32
    assert factory(dtype=float) == np.float64
    nn.set_default_dtype(np.float64)
    try:
        assert nn.Linear(2, 2).weight.dtype == nn.get_default_dtype() == np.float64
    finally:
        nn.set_default_dtype(np.float32)
    with pytest.raises(ValueError, match="'cuda'"):
        factory("cuda")
    with pytest.raises(TypeError, match="int64"):
        factory(dtype=np.int64)
    with pytest.raises(TypeError, match="complex64"):
        nn.set_default_dtype(np.complex64)


# --- what is done to all ---------------------------------------------------------------------------------------------


def test_modes_and_tracking_reach_everything():
    ours, _ = both()
    assert ours.eval() is ours and not any(m.training for m in ours.modules())
    assert all(m.training for m in ours.train().modules())
    assert not any(p.requires_grad for p in ours.requires_grad_(False).parameters())
    assert all(p.requires_grad for p in ours.requires_grad_().parameters())
    seen = []
    ours.apply(seen.append)
    assert seen[-1] is ours and set(seen) == set(ours.modules())


def test_zero_grad_forgets():
    m = Scale()
    m(np.ones(2)).sum().backward()
    assert m.factor.grad.tolist() == [1.0, 1.0]
    m.zero_grad()
    assert m.factor.grad.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("convert", [
    lambda m: m.float(), lambda m: m.to(np.float32), lambda m: m.to("float32"), lambda m: m.to("cpu", np.float32), lambda m: m.type(np.float32),
    lambda m: m.to(gn.Tensor(np.float32(1))), lambda m: m.double().to(dtype="f4"),
])  # fmt: skip
def test_dtypes_change_in_place(convert):
    m = Scale()
    m.register_buffer("count", gn.asarray(np.array(3)))
    factor = m.factor
    assert convert(m) is m and m.factor is factor
    assert factor.dtype == m.calls.dtype == np.float32 and m.count.dtype == np.int64
    m(np.ones(2, np.float32)).sum().backward()
    assert factor.requires_grad and factor.grad.dtype == np.float32
    assert m.cpu() is m and m.to("cpu") is m


def test_copies_and_pickles_are_whole_and_independent():
    m = Pair()
    m.second.factor = m.first.factor  # shared
    again = pickle.loads(pickle.dumps(m))
    for other in (copy.deepcopy(m), again):
        assert other.first.factor is other.first._parameters["factor"] is other.second.factor
        other.first.factor.data[0] = 100.0
        assert m.first.factor.data[0] == 1.0
        assert isinstance(other.first.factor, nn.Parameter) and other.first.factor.requires_grad
        other(np.ones(2)).sum().backward()
    shallow = copy.copy(m.first)
    assert shallow.factor is m.first.factor
    shallow.factor = nn.Parameter([7.0])
    assert m.first._parameters["factor"] is m.first.factor and m.first.factor.size == 2
    net = nn.Sequential(nn.Linear(2, 3), Pair())
    assert repr(copy.deepcopy(net)) == repr(net)


def test_a_parameter_is_a_tensor_that_requires_grad():
    p = nn.Parameter(np.array([1.0, 2.0], np.float32))
    assert repr(p) == "Parameter([1., 2.], dtype=float32, requires_grad=True)"
    assert type(p * 2) is gn.Tensor and nn.Parameter([1, 2]).dtype == float
    array = np.ones(2)
    nn.Parameter(array).data[0] = 5
    assert array[0] == 1
    frozen = pickle.loads(pickle.dumps(nn.Parameter([1.0], requires_grad=False)))
    assert type(frozen) is nn.Parameter and not frozen.requires_grad
    assert type(copy.copy(p)) is type(copy.deepcopy(p)) is nn.Parameter
    assert nn.Parameter(gn.Tensor([1.0]) * 2).is_leaf


# --- state dicts -----------------------------------------------------------------------------------------------------


def test_state_dicts_are_pytorchs_and_are_snapshots():
    ours, theirs = both()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert list(ours.state_dict(prefix="net.")) == list(theirs.state_dict(prefix="net."))
    ours.double()
    theirs.double()
    result = ours.load_state_dict({name: t.numpy() for name, t in theirs.state_dict().items()})
    assert result == ([], []) and result.missing_keys == []
    state = ours.state_dict()
    for name, t in theirs.state_dict().items():
        np.testing.assert_array_equal(state[name], t.numpy())
    ours.blocks[0].scale.data[...] = 8.0
    assert state["blocks.0.scale"][0] == 0
    file = io.BytesIO()
    np.savez(file, **state)
    file.seek(0)
    ours.load_state_dict(np.load(file))
    assert ours.blocks[0].scale.data[0] == 0


def test_loading_copies_into_the_tensors_that_are_there():
    m = Scale()
    factor, array = m.factor, m.factor.data
    m.load_state_dict({"factor": [3, 4], "calls": gn.Tensor([9.0], requires_grad=True)})
    assert m.factor is factor and factor.data is array and array.tolist() == [3.0, 4.0] and m.calls.tolist() == [9.0]
    m.float().load_state_dict({"factor": np.array([0.1, 0.2]), "calls": np.zeros(1)})
    assert m.factor.dtype == np.float32 and m.factor.requires_grad


def wrong(state):
    """A state dict with all kinds of mistakes."""
    state = dict(state)
    del state["named.left.bias"], state["blocks.0.mean"]
    state["blocks.2.scale"] = state["blocks.2.scale"][:2]
    state["named.left.weight"] = state["named.left.weight"].T
    return {**state, "extra": state["blocks.2.lin.bias"], "other.weight": state["blocks.2.lin.bias"]}


@pytest.mark.parametrize("strict", [True, False])
def test_all_that_does_not_fit_is_listed_as_in_pytorch_and_nothing_changes(strict):
    ours, theirs = both()
    before = ours.state_dict()
    expected, _ = refusal(RuntimeError, theirs.load_state_dict, wrong(theirs.state_dict()), strict=strict)
    found, _ = refusal(RuntimeError, ours.load_state_dict, {name: a + 1 for name, a in wrong(before).items()}, strict=strict)
    assert found == re.sub(r"torch\.Size\(\[([^\]]*)\]\)", r"(\1)", re.sub(r"torch\.Size\(\[(\d+)\]\)", r"(\1,)", expected))
    for name, array in ours.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_what_is_missing_may_be_missing_unless_strict():
    m = Scale()
    assert m.load_state_dict({"factor": np.ones(2), "x": 1}, strict=False) == (["calls"], ["x"])
    assert m.factor.tolist() == [1.0, 1.0]
    with pytest.raises(RuntimeError, match=r"dtype mismatch for factor: .* complex128"):
        m.load_state_dict({"factor": np.ones(2) * 1j}, strict=False)


def test_extra_state_comes_and_goes():
    class Counter(nn.Module):
        count = 3

        def get_extra_state(self):
            return {"count": self.count}

        def set_extra_state(self, state):
            self.count = state["count"]

    m = nn.Sequential(Counter(), Scale())
    state = m.state_dict()
    assert list(state) == ["0._extra_state", "1.factor", "1.calls"]
    m[0].count = 5
    m.load_state_dict(state)
    assert m[0].count == 3


# --- calls -----------------------------------------------------------------------------------------------------------


def test_an_error_names_the_innermost_layer_and_its_path():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.Identity(), nn.Linear(5, 2)))

        def forward(self, x):
            return self.encoder(x)

    notes = lambda layer, n: refusal(ValueError, layer, np.ones((2, n), np.float32))[1]
    line = "Linear(in_features=5, out_features=2, bias=True), given (2, 4) float32"
    assert notes(Net(), 3) == [f"in layer 'encoder.1.1' of Net: {line}"]
    assert notes(nn.Linear(5, 2), 4) == [f"in {line}"]
    net, hidden = nn.Sequential(nn.Identity()), nn.Linear(5, 2)  # which is called by a module in which it is not registered
    net[0].forward = lambda x: hidden(x)
    assert [note.partition(": ")[0] for note in notes(net, 4)] == [f"in {line}", "in layer '0' of Sequential"]


def test_hooks_run_in_pytorchs_order_and_may_change_what_they_see():
    def calls(module, one):
        seen = []
        module.register_forward_pre_hook(lambda m, args: seen.append("pre 1"))
        module.register_forward_pre_hook(lambda m, args: args[0] * 2)
        module.register_forward_pre_hook(lambda m, args, kwargs: (args, {**kwargs, "shift": 1.0}), with_kwargs=True)
        module.register_forward_pre_hook(lambda m, args: seen.append("pre 0"), prepend=True)
        handle = module.register_forward_hook(lambda m, args, out: seen.append("gone"))
        module.register_forward_hook(lambda m, args, kwargs, out: seen.append(kwargs), with_kwargs=True)
        module.register_forward_hook(lambda m, args, out: out + 100)
        module.register_forward_hook(lambda m, args, out: seen.append("first"), prepend=True)
        handle.remove()
        seen.append(module(one).tolist())
        return seen

    class Theirs(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.factor = torch.nn.Parameter(torch.tensor([1.0, 2.0]))

        def forward(self, x, shift=0.0):
            return x * self.factor + shift

    assert calls(Scale(), gn.ones(2)) == calls(Theirs(), torch.ones(2))


def test_a_handle_ends_its_hook_and_calls_are_plain_again():
    m, seen = Scale(), []
    with m.register_forward_hook(lambda *call: seen.append(1)):
        m(np.ones(2))
    m(np.ones(2))
    assert seen == [1] and not m._hooks


@pytest.mark.parametrize("tracked", [True, False])
def test_backward_hooks_see_and_change_gradients_as_in_pytorch(tracked):
    def run(of, tensor, leaf):
        class Two(of.Module):
            def forward(self, a, b, c):
                return a * b * c, a + 3 * c

        seen, m, show = [], Two(), lambda grads: [None if g is None else g.tolist() for g in grads]
        m.register_full_backward_hook(lambda m, i, o: seen.append(("in", show(i), show(o))))
        m.register_full_backward_hook(lambda m, i, o: tuple(None if g is None else g * 10 for g in i) if tracked else None)
        m.register_full_backward_pre_hook(lambda m, o: seen.append(("out", show(o))))
        m.register_full_backward_pre_hook(lambda m, o: tuple(g * 2 for g in o))
        a, b, c = leaf([1.0, 2.0]), tensor([3.0, 4.0]), leaf([5.0, 6.0])
        x, y = m(a, b, c) if tracked else m(tensor([1.0, 2.0]), b, c)
        (x.sum() + (y * y).sum()).backward()
        return seen, a.grad.tolist() if tracked else 0, c.grad.tolist()

    ours = run(nn, gn.Tensor, lambda x: gn.Tensor(x, requires_grad=True))
    assert ours == run(torch.nn, torch.tensor, lambda x: torch.tensor(x, requires_grad=True))


def test_backward_hooks_of_a_module_whose_inputs_are_not_tracked():
    m, seen = Scale(), []
    m.register_full_backward_hook(lambda m, i, o: seen.append((i, [g.tolist() for g in o])))
    m(np.ones(2)).sum().backward()
    assert seen == [((None,), [[1.0, 1.0]])] and m.factor.grad.tolist() == [1.0, 1.0]


def test_second_derivatives_go_through_backward_hooks():
    m = Scale()
    m.register_full_backward_hook(lambda m, i, o: (i[0] * 10,))
    second = gn.grad(lambda x: gn.grad(lambda x: (m(x) ** 3).sum())(x).sum())(np.array([1.0, 2.0]))
    np.testing.assert_allclose(second.data, 10 * 10 * 6 * np.array([1.0, 2.0]) * np.array([1.0, 8.0]))


def test_modules_are_arguments_of_functions_of_functions():
    m, x = Pair(), np.array([1.0, 2.0])
    found = gn.grad(lambda m: m(x).sum())(m)
    assert {name: g.tolist() for name, g in found.items()} == {"first.factor": [1.0, 4.0], "second.factor": [1.0, 4.0]}
    out, pullback = gn.vjp(lambda m, x: m(x), m, x)
    assert out.tolist() == [1.0, 8.0] and pullback(np.ones(2))[1].tolist() == [1.0, 4.0]
    hessian = gn.hvp(lambda m: (m(x) ** 2).sum())(m, {name: np.ones(2) for name, _ in m.named_parameters()})
    assert {name: h.tolist() for name, h in hessian.items()} == {"first.factor": [6.0, 96.0], "second.factor": [6.0, 96.0]}
    examples = np.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(gn.vmap(m)(examples).data, m(examples).data)


def test_modules_run_under_checkpoint():
    m, x = Pair(), gn.Tensor([1.0, 2.0], requires_grad=True)
    gn.checkpoint(m, x).sum().backward()
    assert x.grad.tolist() == [1.0, 4.0] and m.first.factor.grad.tolist() == [1.0, 4.0]


# --- containers ------------------------------------------------------------------------------------------------------


def lists(of):
    """What happens to a Sequential and to a list, as text."""
    make = lambda *sizes: [of.Linear(n, n) for n in sizes]
    net = of.Sequential(*make(1, 2, 3, 4, 5))
    yield net[1:3]
    yield net[-1]
    del net[1]
    yield net
    del net[1:3]
    yield net
    net.append(of.Identity()).insert(1, of.Linear(7, 7))
    net.extend(make(8))
    yield net
    net[0] = of.Linear(9, 9)
    yield net + of.Sequential(*make(6))
    yield net.pop(1), len(net), [type(m).__name__ for m in net]
    net += of.Sequential(*make(3))
    yield net * 2
    yield of.Sequential(collections.OrderedDict(a=of.Linear(1, 1), b=of.Identity()))[:1]
    row = of.ModuleList(make(1, 1, 1, 2))
    yield row, row[1:], row[-1]
    row.insert(0, of.Identity())
    row += make(5)
    del row[1:3]
    row[-1] = of.Linear(6, 6)
    yield row, row + make(8, 8), row.pop(-1), len(row), [name for name, _ in row.named_children()]
    table = of.ModuleDict({"b": of.Identity()})
    table["a"] = of.Linear(1, 1)
    table.update([["c", of.Linear(2, 2)], ["b", of.Linear(3, 3)]])
    yield table, list(table), "a" in table, len(table), list(table.keys()), list(table.values()), list(table.items()), table.pop("a")
    del table["b"]
    yield table
    table.clear()
    yield table


def test_containers_do_what_pytorchs_do():
    assert list(map(repr, lists(nn))) == list(map(repr, lists(torch.nn)))


def test_lists_and_dicts_of_parameters():
    row = nn.ParameterList([np.zeros(2), nn.Parameter([1.0])])
    row.append(gn.Tensor([3.0])).extend([np.ones(1)])
    row[0] = np.full(3, 7.0)
    assert all(isinstance(p, nn.Parameter) for p in row) and len(row) == 4 and list(row.state_dict()) == ["0", "1", "2", "3"]
    assert row[0].tolist() == [7.0, 7.0, 7.0] and row[1:3][0] is row[1]
    table = nn.ParameterDict({"b": np.zeros(2)})
    table["a"] = np.ones(1)
    first = table.setdefault("b", np.ones(9))
    assert first.size == 2 and table.get("x") is None and list(table | {"z": np.ones(1)}) == ["b", "a", "z"]
    assert [name for name, _ in table.named_parameters()] == ["b", "a"] and list(reversed(table)) == ["a", "b"]
    assert table.popitem()[0] == "a" and table.copy()["b"] is table["b"]
    with pytest.raises(KeyError, match="another attribute"):
        table["training"] = np.ones(1)


def test_states_of_older_files_are_loaded():
    """From before PyTorch counted the batches of a norm, and from before it had tensors without axes."""
    norm = gn.nn.BatchNorm1d(3)
    state = {name: array + 1 for name, array in norm.state_dict().items()}
    assert norm.load_state_dict({**state, "num_batches_tracked": np.array([4])}).missing_keys == []
    assert norm.num_batches_tracked.data == 4
    del state["num_batches_tracked"]
    assert norm.load_state_dict(state).missing_keys == []
    assert norm.num_batches_tracked.data == 4
    assert norm.weight.data.tolist() == [2, 2, 2]


def test_a_sequence_in_place():
    net = gn.nn.Sequential(gn.nn.Linear(1, 1), gn.nn.ReLU())
    first = list(net)
    net *= 2
    assert list(net) == first * 2 and type(net) is gn.nn.Sequential
    with pytest.raises(IndexError, match="index 5 is out of range, there are 4"):
        net.insert(5, gn.nn.ReLU())
    with pytest.raises(TypeError, match="not a list"):
        net + first
    assert list(net) == first * 2


def test_the_rest_of_a_dict_of_parameters():
    one, two = (gn.nn.Parameter([x]) for x in (1.0, 2.0))
    held = same = gn.nn.ParameterDict({"one": one})
    assert held.setdefault("two", two) is two and held.setdefault("one", two) is one
    held |= {"three": two}
    assert held is same and list(held) == ["one", "two", "three"] and held["three"] is two
    with pytest.raises(KeyError, match="none"):
        del held["none"]
    made = held.fromkeys(["a", "b"], 3.0)
    assert list(made) == ["a", "b"] and float(made["b"].data) == 3.0 and type(made) is gn.nn.ParameterDict


def test_names_of_attributes():
    class Early(gn.nn.Module):
        def __init__(self):
            self.early = 3
            super().__init__()

    assert Early().early == 3
    net = gn.nn.Sequential(gn.nn.ReLU())
    assert not any(name[:1].isdigit() for name in dir(net)) and "forward" in dir(net)
    with pytest.raises(TypeError, match="must be a string"):
        net.register_buffer(3, None)


def test_the_base_of_recurrent_layers_knows_its_kinds():
    with pytest.raises(ValueError, match="'LSTM', 'GRU', not 'CNN'"):
        gn.nn.RNNBase("CNN", 1, 1)

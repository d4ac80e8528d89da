"""The same function or layer in PyTorch and here: values, and first and second derivatives along random directions, in float64."""

import numpy as np
import pytest

import gradnerve as gn


class NotInstalled:
    """In place of PyTorch: the test that asks for it is skipped."""

    def __getattr__(self, name):
        if name.startswith(("_", "pytest")):  # of what pytest itself asks when it collects tests
            raise AttributeError(name)
        pytest.skip("needs PyTorch", allow_module_level=True)


try:
    import torch
except ImportError:
    torch = NotInstalled()


def check(ours, theirs, *arrays, second=True, values=1e-10, gradients=1e-10, seconds=1e-8):
    """`ours` of Tensors gives what `theirs` gives of PyTorch's tensors; `arrays` are float64, and all differentiated.

    Results may be tuples, also with whole numbers in them. Where PyTorch has no second derivative, differences of its first one stand in.
    """
    leaves = [torch.tensor(a, requires_grad=True) for a in arrays]
    compare(lambda *xs: floats(ours(*xs)), lambda *xs: floats(theirs(*xs)), list(map(np.asarray, arrays)), leaves, second, gradients, seconds)
    for found, wanted in zip(parts(ours(*map(gn.asarray, arrays))), parts(theirs(*leaves)), strict=True):
        close(found, wanted, values, "value")


def check_layer(ours, theirs, *arrays, second=True, call=lambda layer, *xs: layer(*xs), values=1e-10, gradients=1e-10, seconds=1e-8):
    """A layer with the other's weights: values, and derivatives by its inputs and all of its parameters.

    `call` says how a layer is called; both must be in the mode that is to be tested, and draw no random numbers.
    """
    theirs = theirs.double()
    state = {name: t.detach().numpy().copy() for name, t in theirs.state_dict().items()}
    ours.load_state_dict(state)
    assert list(ours.state_dict()) == list(state)
    names = [name for name, _ in theirs.named_parameters()]
    assert [name for name, _ in ours.named_parameters()] == names
    leaves = [torch.tensor(a, requires_grad=True) for a in arrays]
    close(ours_first(call(ours, *map(gn.asarray, arrays))), ours_first(call(theirs, *leaves)), values, "value")

    def replaced(*xs):
        """Our layer as a function of its inputs and parameters."""
        own = dict(zip(names, xs[len(arrays):], strict=True))
        return floats(call(Replaced(ours, own, gn.nn.utils.functional_call), *xs[: len(arrays)]))

    def theirs_replaced(*xs):
        own = dict(zip(names, xs[len(arrays):], strict=True))
        return floats(call(Replaced(theirs, own, torch.func.functional_call), *xs[: len(arrays)]))

    leaves += [p for _, p in theirs.named_parameters()]
    numbers = [leaf.detach().numpy().copy() for leaf in leaves]
    compare(replaced, theirs_replaced, numbers, leaves, second, gradients, seconds)


class Replaced:
    """A module with other tensors in place of its parameters, while it is called."""

    def __init__(self, module, own, functional_call):
        self.module, self.own, self.functional_call = module, own, functional_call

    def __call__(self, *args, **kwargs):
        return self.functional_call(self.module, self.own, args, kwargs)


def ours_first(result):
    return parts(result)[0]


def compare(ours, theirs, arrays, leaves, second, gradients, seconds):
    rng = np.random.default_rng(0)
    results, pullback = gn.vjp(lambda *xs: tuple(ours(*xs)), *arrays)
    expected = theirs(*leaves)
    weights = [rng.normal(size=r.shape) for r in results]
    directions = [rng.normal(size=a.shape) for a in arrays]

    def torch_gradients(*leaves, again=False):
        results = theirs(*leaves)
        total = sum((r * torch.from_numpy(np.asarray(w))).sum() for r, w in zip(results, weights, strict=True))
        found = torch.autograd.grad(total, leaves, create_graph=again, allow_unused=True)
        return [torch.zeros_like(x) if g is None else g for g, x in zip(found, leaves, strict=True)]

    assert len(results) == len(expected)
    first = pullback(tuple(weights))
    for k, (g, wanted) in enumerate(zip(first, torch_gradients(*leaves), strict=True)):
        close(g, wanted, gradients, f"gradient {k}")
    if not second:
        return

    def along(*xs):
        total = lambda *xs: sum(((r * w).sum() for r, w in zip(ours(*xs), weights, strict=True)), 0.0)
        found = gn.grad(total, tuple(range(len(xs))))(*xs)
        return sum((g * v).sum() for g, v in zip(found, directions, strict=True))

    found = gn.grad(along, tuple(range(len(arrays))))(*arrays)
    for k, (g, wanted) in enumerate(zip(found, torch_second(torch_gradients, leaves, directions), strict=True)):
        close(g, wanted, seconds, f"second derivative {k}")


def torch_second(gradients, leaves, directions):
    """PyTorch's own, or differences of order 4 of its first derivative, which are as good since a Hessian is symmetric."""
    try:
        along = sum((g * torch.from_numpy(np.asarray(v))).sum() for g, v in zip(gradients(*leaves, again=True), directions, strict=True))
        if not along.requires_grad:
            return [torch.zeros_like(x) for x in leaves]
        found = torch.autograd.grad(along, leaves, allow_unused=True)
        return [torch.zeros_like(x) if g is None else g for g, x in zip(found, leaves, strict=True)]
    except (RuntimeError, NotImplementedError):
        step = 1e-3
        total = [torch.zeros_like(x) for x in leaves]
        for k, weight in ((1, 8), (-1, -8), (2, -1), (-2, 1)):
            moved = [(x.detach() + k * step * torch.from_numpy(np.asarray(v))).requires_grad_() for x, v in zip(leaves, directions, strict=True)]
            total = [t + weight * g.detach() / (12 * step) for t, g in zip(total, gradients(*moved), strict=True)]
        return total


def parts(result):
    """The arrays of a result, which may be nested tuples."""
    return [part for each in result for part in parts(each)] if isinstance(result, tuple | list) else [] if result is None else [result]


def floats(result):
    return [part for part in parts(result) if is_float(part)]


def is_float(x):
    return x.dtype.is_floating_point if isinstance(x, torch.Tensor) else x.dtype.kind == "f"


def close(ours, theirs, tolerance, what):
    ours, theirs = np.asarray(getattr(ours, "data", ours)), theirs.numpy(force=True)
    assert ours.shape == theirs.shape, what
    assert ours.dtype == theirs.dtype or theirs.dtype == bool, what
    size = np.abs(theirs[np.isfinite(theirs)]).max(initial=1e-2)
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * size, err_msg=what)

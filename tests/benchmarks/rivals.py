"""How each library runs a case: one small class per library, and NumPy without any.

A runner has `step()`, which is timed (forward, backward, gradients cleared before, as in a training loop), and
`gradients()`, which is not. All libraries run the same lines; `PyTorch fused` uses torch.nn.functional's own linear layer
and loss, as a PyTorch user would. A case that computes something else than a gradient by `backward()` is run by functions of
functions: PyTorch's are those of torch.func and those of torch.autograd, and the aims name both, so the faster one counts.

Read next: measure.py, which lets them take turns.
"""

from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import SimpleNamespace

import numpy as np


def same_lines(**functions):
    """The functions that a loss may use; what a library does not name itself is composed of operators."""
    composed = {
        "linear": lambda x, w, b: x @ w + b,
        "mean_squared_error": lambda x, y: ((x - y) ** 2).mean(),
    }
    return SimpleNamespace(**composed | functions)


def as_numpy(library):
    """Functions that have NumPy's names in this library."""
    plain = {name: getattr(library, name) for name in ("abs", "diag", "einsum", "exp", "log", "log1p", "tanh")}
    matrices = {name: getattr(library.linalg, name) for name in ("cholesky", "slogdet", "solve")}
    return plain | matrices | {"rfft": library.fft.rfft}


class Library:
    """What all libraries share: the case's loss, in their own operations and with constants of their own kind."""

    def __init__(self, case):
        self.loss = partial(case.loss, self.operations(), *map(self.constant, case.constants))

    def constant(self, array):
        return array


class Taped(Library):
    """Libraries with `backward()`: leaves are made once, every step clears their gradients, runs and sweeps."""

    cleared = None

    def __init__(self, case):
        super().__init__(case)
        self.leaves = [self.leaf(array) for array in case.arrays]

    def step(self):
        for leaf in self.leaves:
            leaf.grad = self.cleared
        self.loss(*self.leaves).backward()

    def gradients(self):
        return [np.asarray(leaf.grad) for leaf in self.leaves]


class GradNerve(Taped):
    name, package = "gradnerve", "gradnerve"

    def operations(self):
        import gradnerve as gn

        return same_lines(**as_numpy(gn), relu=gn.relu, cross_entropy=gn.cross_entropy)

    def leaf(self, array):
        import gradnerve as gn

        return gn.Tensor(array, requires_grad=True)


class PyTorch(Taped):
    name, package = "PyTorch", "torch"

    def operations(self):
        import torch

        return same_lines(**as_numpy(torch), relu=torch.relu, cross_entropy=torch.nn.functional.cross_entropy)

    def constant(self, array):
        import torch

        return torch.from_numpy(array)

    def leaf(self, array):
        import torch

        return torch.tensor(array, dtype=getattr(torch, np.asarray(array).dtype.name), requires_grad=True)


class PyTorchFused(PyTorch):
    name = "PyTorch fused"

    def operations(self):
        import torch

        ops = super().operations()
        ops.linear = lambda x, w, b: torch.addmm(b, x, w)
        ops.mean_squared_error = torch.nn.functional.mse_loss
        return ops


class MyGrad(Taped):
    name, package = "MyGrad", "mygrad"

    def operations(self):
        import mygrad
        from mygrad.nnet.activations import relu
        from mygrad.nnet.losses import softmax_crossentropy

        return same_lines(tanh=mygrad.tanh, exp=mygrad.exp, relu=relu, cross_entropy=softmax_crossentropy)

    def leaf(self, array):
        import mygrad

        return mygrad.tensor(array)

    def step(self):
        for leaf in self.leaves:
            leaf.null_grad()
        self.loss(*self.leaves).backward()


class Micrograd(Taped):
    name, package, cleared = "micrograd", "micrograd", 0

    def operations(self):
        return same_lines(relu=lambda value: value.relu())

    def leaf(self, array):
        from micrograd.engine import Value

        return Value(array)


class Functional(Library):
    """Libraries that make a function of a function: the gradients are its result.

    `functions(f)` is the library's table of what a case may compute; `numbers` and `axes` say which arguments are
    differentiated and which hold one example each.
    """

    def __init__(self, case):
        super().__init__(case)
        self.arrays = [self.constant(array) for array in (*case.arrays, *case.further)]
        self.numbers = tuple(range(len(case.arrays)))
        self.axes = (None,) * len(case.arrays) + (0,) * len(case.further)
        table = self.functions(self.loss)
        self.function = trajectory(table["gradient"]) if case.computes == "trajectory" else table[case.computes]
        self.result = ()

    def step(self):
        self.result = self.function(*self.arrays)

    def gradients(self):
        return [np.asarray(array) for array in flat(self.result)]


def trajectory(gradient, steps=20, size=0.02):
    """The leapfrog rule, a gradient at each step: how Hamiltonian Monte Carlo moves."""

    def move(place, momentum):
        momentum = momentum - size / 2 * gradient(place)[0]
        for step in range(1, steps + 1):
            place = place + size * momentum
            momentum = momentum - (size if step < steps else size / 2) * gradient(place)[0]
        return place, momentum

    return move


def flat(result):
    """The arrays of nested tuples and lists."""
    return [array for part in result for array in flat(part)] if isinstance(result, tuple | list) else [result]


def halves(arrays):
    """The arguments, and behind them the vector, which has as many parts."""
    return arrays[: len(arrays) // 2], arrays[len(arrays) // 2 :]


class GradNerveFunctions(Functional):
    name, package, operations = "gradnerve", "gradnerve", GradNerve.operations

    def functions(self, f):
        import gradnerve as gn

        gradient, product = gn.grad(f, self.numbers), gn.hvp(f, self.numbers)

        def hvp(*arrays):
            arguments, vector = halves(arrays)
            return product(*arguments, vector)

        return {
            "gradient": gradient,
            "value_and_gradient": gn.value_and_grad(f, self.numbers),
            "jacobian": gn.jacobian(f),
            "hessian": gn.hessian(f),
            "hvp": hvp,
            "per_example": gn.vmap(gradient, self.axes),
        }


class TorchFunc(Functional):
    name, package, operations, constant = "PyTorch func", "torch", PyTorch.operations, PyTorch.constant

    def functions(self, f):
        from torch import func

        gradient, both = func.grad(f, self.numbers), func.grad_and_value(f, self.numbers)
        return {
            "gradient": gradient,
            "value_and_gradient": lambda *arrays: both(*arrays)[::-1],
            "jacobian": func.jacrev(f),
            "hessian": func.jacrev(func.grad(f)),  # a third of the time of func.hessian
            "hvp": lambda *arrays: func.jvp(gradient, *halves(arrays))[1],
            "per_example": func.vmap(gradient, self.axes),
        }


class TorchAutograd(Functional):
    name, package, operations, constant = "PyTorch autograd", "torch", PyTorch.operations, PyTorch.constant

    def functions(self, f):
        from torch.autograd import functional, grad

        def tracked(arrays):
            return [array.detach().requires_grad_() for array in arrays]

        def value_and_gradient(*arrays):
            leaves = tracked(arrays)
            value = f(*leaves)
            return value.detach(), grad(value, leaves)

        def hvp(*arrays):
            arguments, vector = halves(arrays)
            leaves = tracked(arguments)
            return grad(grad(f(*leaves), leaves, create_graph=True), leaves, vector)

        return {
            "gradient": lambda *arrays: value_and_gradient(*arrays)[1],
            "value_and_gradient": value_and_gradient,
            "jacobian": partial(functional.jacobian, f, vectorize=True),
            "hessian": partial(functional.hessian, f, vectorize=True),
            "hvp": hvp,
        }


class Autograd(Functional):
    name, package = "HIPS autograd", "autograd"

    def operations(self):
        import autograd.numpy as anp
        from autograd.scipy.special import logsumexp

        def cross_entropy(scores, labels):
            return (logsumexp(scores, axis=1) - scores[np.arange(len(labels)), labels]).mean()

        return same_lines(**as_numpy(anp), relu=lambda x: x * (x > 0), cross_entropy=cross_entropy)

    def functions(self, f):
        from autograd import grad, jacobian, value_and_grad
        from autograd.differential_operators import make_hvp

        gradient, product = grad(f, self.numbers), make_hvp(f, self.numbers)

        def hvp(*arrays):
            arguments, vector = halves(arrays)
            return product(*arguments)[0](vector)

        def per_example(*arrays):
            """One after the other, since there is no vmap."""
            arguments, examples = arrays[: len(self.numbers)], arrays[len(self.numbers) :]
            found = [gradient(*arguments, *example) for example in zip(*examples, strict=True)]
            return [np.stack(each) for each in zip(*found, strict=True)]

        return {
            "gradient": gradient,
            "value_and_gradient": value_and_grad(f, self.numbers),
            "jacobian": jacobian(f),
            "hessian": jacobian(grad(f)),  # a little faster than autograd.hessian
            "hvp": hvp,
            "per_example": per_example,
        }


class Jax(Functional):
    name, package = "JAX", "jax"

    def operations(self):
        import jax
        import jax.numpy as jnp

        def cross_entropy(scores, labels):
            return (jax.nn.logsumexp(scores, axis=1) - scores[jnp.arange(len(labels)), labels]).mean()

        return same_lines(**as_numpy(jnp), relu=jax.nn.relu, cross_entropy=cross_entropy)

    def functions(self, f):
        import jax

        gradient = jax.grad(f, self.numbers)
        return {
            "gradient": gradient,
            "value_and_gradient": jax.value_and_grad(f, self.numbers),
            "jacobian": jax.jacrev(f),
            "hessian": jax.hessian(f),
            "hvp": lambda *arrays: jax.jvp(gradient, *halves(arrays))[1],
            "per_example": jax.vmap(gradient, self.axes),
        }

    def constant(self, array):
        import jax

        jax.config.update("jax_enable_x64", True)
        return jax.numpy.asarray(array)

    def step(self):
        import jax

        self.result = jax.block_until_ready(self.function(*self.arrays))


class JaxJit(Jax):
    name = "JAX jit"

    def __init__(self, case):
        import jax

        super().__init__(case)
        self.function = jax.jit(self.function)


class Networks:
    """Libraries with layers: a training step of the case's model, with the same weights in each."""

    def __init__(self, case):
        rng = np.random.default_rng(1)
        self.nn, self.case = import_module(f"{self.package}.nn"), case
        self.model = self.in_precision(case.model(self.nn))
        state = {name: np.asarray(t) for name, t in self.model.state_dict().items()}
        drawn = {name: rng.uniform(0.1, 0.5, a.shape) if a.ndim < 2 else rng.normal(size=a.shape) / np.sqrt(a[0].size) for name, a in state.items()}
        self.model.load_state_dict({name: self.tensor(a.astype(state[name].dtype)) for name, a in drawn.items()})
        self.constants = [self.tensor(array) for array in case.constants]
        self.inputs = [self.leaf(array) for array in case.arrays]
        self.leaves = [*self.inputs, *self.model.parameters()]

    def step(self):
        for leaf in self.leaves:
            leaf.grad = None
        self.case.loss(self.nn, self.model, *self.constants, *self.inputs).backward()

    def gradients(self):
        return [np.asarray(leaf.grad) for leaf in self.leaves]


class GradNerveNetworks(Networks):
    name, package, leaf = "gradnerve", "gradnerve", GradNerve.leaf

    def in_precision(self, model):
        return model.to(np.dtype(self.case.dtype))

    def tensor(self, array):
        return array


class PyTorchNetworks(Networks):
    name, package, leaf = "PyTorch", "torch", PyTorch.leaf

    def in_precision(self, model):
        import torch

        return model.to(getattr(torch, self.case.dtype))

    def tensor(self, array):
        import torch

        return torch.tensor(array)


class Updates:
    """Libraries with optimisers: one step of the case's, with the gradients there."""

    ways = {}

    def __init__(self, case):
        self.parameters = [self.leaf(array) for array in case.arrays]
        for p, gradient in zip(self.parameters, case.constants, strict=True):
            p.grad = self.constant(gradient)
        optimizers = import_module(f"{self.package}.optim")
        self.step = getattr(optimizers, case.optimizer)(self.parameters, lr=1e-3, **case.options, **self.ways).step

    def gradients(self):
        """The parameters after the step."""
        return [np.asarray(p.data) for p in self.parameters]


class GradNerveUpdates(Updates):
    name, package, leaf, constant = "gradnerve", "gradnerve", GradNerve.leaf, GradNerve.constant


class PyTorchForeach(Updates):
    name, package, leaf, constant, ways = "PyTorch foreach", "torch", PyTorch.leaf, PyTorch.constant, {"foreach": True}


class PyTorchFusedUpdates(PyTorchForeach):
    name, ways = "PyTorch fused", {"fused": True}


class NumPyForward:
    """The forward pass alone, nothing recorded: what the numbers themselves cost."""

    name, package = "NumPy forward", "numpy"

    def __init__(self, case):
        self.arrays, self.function = case.arrays, case.forward

    def step(self):
        self.function(*self.arrays)

    def gradients(self):
        return None


class NumPyByHand(NumPyForward):
    """Backpropagation as one would write it without a library."""

    name = "NumPy by hand"

    def __init__(self, case):
        self.arrays, self.function, self.result = case.arrays, case.by_hand, ()

    def step(self):
        self.result = self.function(*self.arrays)

    def gradients(self):
        return list(self.result)


LIBRARIES = [GradNerve, PyTorch, PyTorchFused, Autograd, MyGrad, Micrograd, Jax, JaxJit]
LIBRARIES_OF_NETWORKS = [GradNerveNetworks, PyTorchNetworks]
LIBRARIES_OF_UPDATES = [GradNerveUpdates, PyTorchForeach, PyTorchFusedUpdates]
LIBRARIES_OF_FUNCTIONS = [GradNerveFunctions, TorchFunc, TorchAutograd, Autograd, Jax, JaxJit]


def installed(library):
    try:
        import_module(library.package)
    except ImportError:
        return False
    return True


def version_of(package):
    try:
        return version(package)
    except PackageNotFoundError:  # built in place
        return import_module(package).__version__


def versions():
    packages = {library.package for library in LIBRARIES if installed(library)} | {"numpy"}
    return {package: version_of(package) for package in sorted(packages)}


def runners(case):
    """A runner of the case for every library that is installed and takes part; gradnerve first."""
    libraries = {"gradient": LIBRARIES, "network": LIBRARIES_OF_NETWORKS, "update": LIBRARIES_OF_UPDATES}.get(case.computes, LIBRARIES_OF_FUNCTIONS)
    taking_part = [library for library in libraries if library.name in case.libraries and installed(library)]
    if case.forward:
        taking_part.append(NumPyForward)
    if case.by_hand:
        taking_part.append(NumPyByHand)
    return [library(case) for library in taking_part]

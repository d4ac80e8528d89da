"""Steps along the gradient, or along its signs: SGD, ASGD, Rprop and Lion.

Read next: lbfgs.py.
"""

import math

from gradnerve.optim.optimizer import Compiled, check_range

__all__ = ["ASGD", "SGD", "Lion", "Rprop"]

INFINITY = math.inf


def uphill(group):
    return -1 if group["maximize"] else 1


class SGD(Compiled):
    """Gradient descent, with momentum if wanted, as `torch.optim.SGD`.

    With g the gradient, plus ``weight_decay * p``: v = momentum v + (1 - dampening) g, at first v = g; p -= lr v, or with Nesterov's momentum
    p -= lr (g + momentum v).

    params, lr    what to optimise, and the rate
    momentum      what is kept of the velocity v at each step
    dampening     what is left out of the gradient in it
    weight_decay  of the squared parameters' half
    nesterov      look ahead by the velocity; needs a momentum, and no dampening
    maximize      go uphill
    foreach, differentiable, fused  are taken, and make no difference: the step is compiled

    Formula: Sutskever et al., On the importance of initialization and momentum in deep learning, 2013, with the rate outside of v.

    >>> import gradnerve as gn
    >>> p = gn.Tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = gn.optim.SGD([p], lr=0.25)
    >>> (p**2).sum().backward()
    >>> optimizer.step()
    >>> p.data.tolist()
    [0.5, -1.0]
    """

    rule = "sgd"
    scalars = {}

    def __init__(self, params, lr=1e-3, momentum=0, dampening=0, weight_decay=0, nesterov=False, *, maximize=False, foreach=None,
                 differentiable=False, fused=None):  # fmt: skip
        if nesterov and (momentum <= 0 or dampening != 0):  # a group may have options of its own, as in PyTorch
            raise ValueError(f"SGD: nesterov needs a momentum and no dampening, not momentum={momentum}, dampening={dampening}")
        super().__init__(params, {"lr": float(lr), "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay, "nesterov": nesterov,
                                  "maximize": maximize})  # fmt: skip

    def check(self, group):
        check_range("SGD", **{name: (group[name], 0, INFINITY) for name in ("lr", "momentum", "weight_decay")})

    def arrays(self, group):
        return {"momentum_buffer": 0.0 if group["momentum"] else None}

    def numbers(self, group, fresh):
        part = 1 if fresh else 1 - group["dampening"]
        return (uphill(group), group["weight_decay"], group["lr"], group["momentum"], part, group["nesterov"]), {}


class ASGD(Compiled):
    """Gradient descent whose steps become smaller, and the mean of where it has been, as `torch.optim.ASGD`.

    p = (1 - lambd e) p - e g, where e = lr / (1 + lambd lr t)^alpha after t steps; from step t0 on the state has the mean of p as "ax".

    Formula: Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992; e after Bottou.

    >>> import gradnerve as gn
    >>> gn.optim.ASGD([gn.Tensor([1.0], requires_grad=True)]).param_groups[0]["t0"]
    1000000.0
    """

    rule = "asgd"

    def __init__(self, params, lr=1e-2, lambd=1e-4, alpha=0.75, t0=1e6, weight_decay=0, foreach=None, maximize=False, differentiable=False,
                 capturable=False):  # fmt: skip
        super().__init__(params, {"lr": float(lr), "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay, "maximize": maximize})

    scalars = {"step": 0, "eta": None, "mu": 1.0}

    def check(self, group):
        check_range("ASGD", lr=(group["lr"], 0, INFINITY), weight_decay=(group["weight_decay"], 0, INFINITY))

    def arrays(self, group):
        return {"ax": 0.0}

    def numbers(self, group, fresh, step, eta, mu):
        lr, lambd, step = group["lr"], group["lambd"], step + 1
        eta = lr if eta is None else eta
        following = {"step": step, "eta": lr / (1 + lambd * lr * step) ** group["alpha"], "mu": 1 / max(1, step - group["t0"])}
        return (uphill(group), group["weight_decay"], eta, 1 - lambd * eta, mu), following


class Rprop(Compiled):
    """Steps of a size of its own for each element, which grows while the gradient keeps its sign, as `torch.optim.Rprop`; for full batches.

    The sizes begin with lr, and are multiplied by etas[1], or by etas[0] where the sign has changed; there p stays where it is for once.

    Formula: Riedmiller and Braun, A Direct Adaptive Method for Faster Backpropagation Learning, 1993.

    >>> import gradnerve as gn
    >>> p = gn.Tensor([4.0, -4.0], requires_grad=True)
    >>> optimizer = gn.optim.Rprop([p], lr=1.0)
    >>> (p**2).sum().backward()
    >>> optimizer.step()
    >>> p.data.tolist()
    [3.0, -3.0]
    """

    rule = "rprop"

    def __init__(self, params, lr=1e-2, etas=(0.5, 1.2), step_sizes=(1e-6, 50), *, capturable=False, foreach=None, maximize=False,
                 differentiable=False):  # fmt: skip
        super().__init__(params, {"lr": float(lr), "etas": tuple(etas), "step_sizes": tuple(step_sizes), "maximize": maximize})

    def check(self, group):
        less, more = group["etas"]
        check_range("Rprop", lr=(group["lr"], 0, INFINITY))
        if not 0 < less < 1 < more:
            raise ValueError(f"Rprop: etas are {less} and {more}; the first must be between 0 and 1, the second above 1")

    def arrays(self, group):
        return {"prev": 0.0, "step_size": group["lr"]}

    def numbers(self, group, fresh, step):
        return (uphill(group), 0, *group["etas"], *group["step_sizes"]), {"step": step + 1}


class Lion(Compiled):
    """Steps of one size along the signs of a running mean, with decoupled weight decay.

    p = (1 - lr weight_decay) p - lr sign(b1 m + (1 - b1) g),  then m = b2 m + (1 - b2) g. It wants a rate some 3 to 10 times smaller
    than Adam's, and a weight decay as much larger.

    params, lr    what to optimise, and the size of the steps
    betas         b1 and b2
    weight_decay  the share of p that a step of size 1 would take away
    maximize      go uphill

    Formula: Chen et al., Symbolic Discovery of Optimization Algorithms, 2023.

    >>> import gradnerve as gn
    >>> p = gn.Tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = gn.optim.Lion([p], lr=0.5)
    >>> (p**2).sum().backward()
    >>> optimizer.step()
    >>> p.data.tolist()
    [0.5, -1.5]
    """

    rule = "lion"
    scalars = {}

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0, *, maximize=False):
        super().__init__(params, {"lr": float(lr), "betas": tuple(betas), "weight_decay": weight_decay, "maximize": maximize})

    def check(self, group):
        beta1, beta2 = group["betas"]
        check_range("Lion", lr=(group["lr"], 0, INFINITY), weight_decay=(group["weight_decay"], 0, INFINITY),
                    **{"betas[0]": (beta1, 0, 1), "betas[1]": (beta2, 0, 1)})  # fmt: skip

    def arrays(self, group):
        return {"exp_avg": 0.0}

    def numbers(self, group, fresh):
        (b1, b2), lr = group["betas"], group["lr"]
        return (uphill(group), 0, lr, 1 - lr * group["weight_decay"], 1 - b1, 1 - b2), {}

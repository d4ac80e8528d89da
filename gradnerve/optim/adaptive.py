"""Adagrad, Adadelta and RMSprop: each element has a rate of its own, by the squares of its gradients.

Read next: sgd.py.
"""

import math

from gradnerve.optim.optimizer import Compiled, check_range

__all__ = ["Adadelta", "Adagrad", "RMSprop"]

INFINITY = math.inf


class OfSquares(Compiled):
    """What all three share."""

    def check(self, group):
        options = {name: (group[name], 0, INFINITY) for name in ("lr", "eps", "weight_decay", *self.positive) if name in group}
        check_range(type(self).__name__, **options)

    def decay(self, group):
        """The gradient's sign, and what of p is added to it."""
        return (-1 if group["maximize"] else 1), group["weight_decay"]


class Adagrad(OfSquares):
    """Rates that fall with the sum of the squared gradients, as `torch.optim.Adagrad`: well suited to features that are rare.

    s += g^2,  p -= lr / (1 + (t - 1) lr_decay) * g / (sqrt(s) + eps) at step t; s begins with `initial_accumulator_value`,
    which each group may have for itself.

    Formula: Duchi, Hazan and Singer, Adaptive Subgradient Methods, 2011.

    >>> import gradnerve as gn
    >>> p = gn.Tensor([2.0], requires_grad=True)
    >>> optimizer = gn.optim.Adagrad([p], lr=0.5, eps=0.0)
    >>> (p**2).sum().backward()
    >>> optimizer.step()
    >>> p.data.tolist()
    [1.5]
    """

    rule, positive = "adagrad", ("lr_decay", "initial_accumulator_value")

    def __init__(self, params, lr=1e-2, lr_decay=0, weight_decay=0, initial_accumulator_value=0, eps=1e-10, foreach=None, *, maximize=False,
                 differentiable=False, fused=None):  # fmt: skip
        super().__init__(params, {"lr": float(lr), "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
                                  "initial_accumulator_value": initial_accumulator_value, "maximize": maximize})  # fmt: skip

    def arrays(self, group):
        return {"sum": float(group["initial_accumulator_value"])}

    def numbers(self, group, fresh, step):
        return (*self.decay(group), group["lr"] / (1 + step * group["lr_decay"]), group["eps"]), {"step": step + 1}


class Adadelta(OfSquares):
    """Steps in the units of the parameters: those before, in the mean, against the gradients, as `torch.optim.Adadelta`.

    v = rho v + (1 - rho) g^2,  d = sqrt(u + eps) / sqrt(v + eps) * g,  u = rho u + (1 - rho) d^2,  p -= lr d.

    Formula: Zeiler, ADADELTA: An Adaptive Learning Rate Method, 2012.

    >>> import gradnerve as gn
    >>> gn.optim.Adadelta([gn.Tensor([1.0], requires_grad=True)]).param_groups[0]["rho"]
    0.9
    """

    rule, positive = "adadelta", ()

    def __init__(self, params, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0, foreach=None, *, capturable=False, maximize=False,
                 differentiable=False):  # fmt: skip
        super().__init__(params, {"lr": float(lr), "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize})

    def check(self, group):
        super().check(group)
        if not 0 <= group["rho"] <= 1:
            raise ValueError(f"Adadelta: rho is {group['rho']}; it must be between 0 and 1")

    def arrays(self, group):
        return {"square_avg": 0.0, "acc_delta": 0.0}

    def numbers(self, group, fresh, step):
        return (*self.decay(group), group["lr"], group["rho"], group["eps"]), {"step": step + 1}


class RMSprop(OfSquares):
    """The gradient over its root mean square, or over its standard deviation (`centered`), with momentum if wanted, as `torch.optim.RMSprop`.

    v = alpha v + (1 - alpha) g^2,  d = g / (sqrt(v) + eps),  p -= lr d; with momentum, u = momentum u + d takes the place of d. If centered,
    m = alpha m + (1 - alpha) g, and m^2 is taken away from v under the root.

    Formula: Tieleman and Hinton, lecture 6.5 of Neural Networks for Machine Learning, 2012; centered: Graves, Generating Sequences, 2013.

    >>> import gradnerve as gn
    >>> gn.optim.RMSprop([gn.Tensor([1.0], requires_grad=True)]).param_groups[0]["alpha"]
    0.99
    """

    rule, positive = "rmsprop", ("momentum", "alpha")

    def __init__(self, params, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False, capturable=False, foreach=None,
                 maximize=False, differentiable=False):  # fmt: skip
        super().__init__(params, {"lr": float(lr), "alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum,
                                  "centered": centered, "maximize": maximize})  # fmt: skip

    def arrays(self, group):
        momentum, mean = (0.0 if group[option] else None for option in ("momentum", "centered"))
        return {"square_avg": 0.0, "momentum_buffer": momentum, "grad_avg": mean}

    def numbers(self, group, fresh, step):
        return (*self.decay(group), group["lr"], group["alpha"], group["eps"], group["momentum"]), {"step": step + 1}

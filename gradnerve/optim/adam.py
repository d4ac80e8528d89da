"""Adam and its relatives: running means of the gradient and of its square.

Read next: adaptive.py.
"""

import math

from gradnerve.optim.optimizer import Compiled, check_range

__all__ = ["Adam", "AdamW", "Adamax", "NAdam", "RAdam"]

INFINITY = math.inf


class OfTwoMoments(Compiled):
    """What the relatives share: the options that all have, and decay."""

    def arrays(self, group):
        return {"exp_avg": 0.0, "exp_avg_sq": 0.0}

    def check(self, group):
        beta1, beta2 = group["betas"]
        check_range(type(self).__name__, lr=(group["lr"], 0, INFINITY), eps=(group["eps"], 0, INFINITY),
                    weight_decay=(group["weight_decay"], 0, INFINITY), **{"betas[0]": (beta1, 0, 1), "betas[1]": (beta2, 0, 1)})  # fmt: skip

    def decay(self, group):
        """The first three numbers of the rules: the gradient's sign, what of p is added to it, and what of p is kept."""
        uphill, decay = (-1 if group["maximize"] else 1), group["weight_decay"]
        return (uphill, 0.0, 1 - group["lr"] * decay) if group.get("decoupled_weight_decay") else (uphill, decay, 1.0)


class Adam(OfTwoMoments):
    """Adaptive moments: steps as long as the mean gradient is large beside its root mean square, as `torch.optim.Adam`.

    With g the gradient, plus ``weight_decay * p`` unless that is decoupled, and t the number of this step:
    m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2,  p -= lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps).

    params, lr              what to optimise, and the rate
    betas                   b1 and b2
    eps                     keeps the step finite where v is 0
    weight_decay            of the squared parameters' half
    amsgrad                 divide by the largest v so far
    maximize                go uphill
    decoupled_weight_decay  ``p -= lr * weight_decay * p`` in place of that in g: AdamW
    foreach, capturable, differentiable, fused  are taken, and make no difference: the step is compiled

    Formula: Kingma and Ba, Adam, 2014; Reddi, Kale and Kumar, On the Convergence of Adam and Beyond, 2018.

    >>> import gradnerve as gn
    >>> p = gn.Tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = gn.optim.Adam([p], lr=0.1)
    >>> for step in range(200):
    ...     optimizer.zero_grad()
    ...     (p**2).sum().backward()
    ...     optimizer.step()
    >>> bool(abs(p.data).max() < 1e-3)
    True
    """

    rule = "adam"

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, amsgrad=False, *, foreach=None, maximize=False,
                 capturable=False, differentiable=False, fused=None, decoupled_weight_decay=False):  # fmt: skip
        super().__init__(params, {"lr": float(lr), "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad,
                                  "maximize": maximize, "decoupled_weight_decay": decoupled_weight_decay})  # fmt: skip

    def arrays(self, group):
        return {"exp_avg": 0.0, "exp_avg_sq": 0.0, "max_exp_avg_sq": 0.0 if group["amsgrad"] else None}

    def numbers(self, group, fresh, step):
        (b1, b2), step = group["betas"], step + 1
        rate, scale = group["lr"] / (1 - b1**step), 1 / math.sqrt(1 - b2**step)
        return (*self.decay(group), 1 - b1, b2, rate, scale, group["eps"]), {"step": step}


class AdamW(Adam):
    """Adam with decoupled weight decay, ``p -= lr * weight_decay * p``, as `torch.optim.AdamW`; the options are those of `Adam`.

    Formula: Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2017.

    >>> import gradnerve as gn
    >>> gn.optim.AdamW([gn.Tensor([1.0], requires_grad=True)]).param_groups[0]["weight_decay"]
    0.01
    """

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2, amsgrad=False, *, maximize=False, foreach=None,
                 capturable=False, differentiable=False, fused=None):  # fmt: skip
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True)


class Adamax(OfTwoMoments):
    """Adam with the largest recent gradient in place of the root mean square, as `torch.optim.Adamax`.

    m = b1 m + (1 - b1) g,  u = max(b2 u, |g| + eps),  p -= lr / (1 - b1^t) * m / u. Formula: Kingma and Ba, Adam, 2014, section 7.1.

    >>> import gradnerve as gn
    >>> gn.optim.Adamax([gn.Tensor([1.0], requires_grad=True)]).param_groups[0]["lr"]
    0.002
    """

    rule = "adamax"

    def __init__(self, params, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, foreach=None, *, maximize=False, differentiable=False,
                 capturable=False):  # fmt: skip
        super().__init__(params, {"lr": float(lr), "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay, "maximize": maximize})

    def arrays(self, group):
        return {"exp_avg": 0.0, "exp_inf": 0.0}

    def numbers(self, group, fresh, step):
        (b1, b2), step = group["betas"], step + 1
        return (*self.decay(group)[:2], 1 - b1, b2, group["lr"] / (1 - b1**step), group["eps"]), {"step": step}


class NAdam(OfTwoMoments):
    """Adam with Nesterov's momentum, as `torch.optim.NAdam`.

    m and v as in `Adam`; with mu_t = b1 (1 - 0.96^(t momentum_decay) / 2) and M_t the product of mu_1 ... mu_t,
    p -= lr ((1 - mu_t) g / (1 - M_t) + mu_(t+1) m / (1 - M_(t+1))) / (sqrt(v / (1 - b2^t)) + eps).

    Formula: Dozat, Incorporating Nesterov Momentum into Adam, 2016.

    >>> import gradnerve as gn
    >>> gn.optim.NAdam([gn.Tensor([1.0], requires_grad=True)]).param_groups[0]["momentum_decay"]
    0.004
    """

    rule = "nadam"
    scalars = {"step": 0, "mu_product": 1.0}

    def __init__(self, params, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, momentum_decay=4e-3, decoupled_weight_decay=False, *,
                 foreach=None, maximize=False, capturable=False, differentiable=False):  # fmt: skip
        super().__init__(params, {"lr": float(lr), "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay, "momentum_decay": momentum_decay,
                                  "maximize": maximize, "decoupled_weight_decay": decoupled_weight_decay})  # fmt: skip

    def check(self, group):
        super().check(group)
        check_range("NAdam", momentum_decay=(group["momentum_decay"], 0, INFINITY))

    def numbers(self, group, fresh, step, product):
        (b1, b2), step = group["betas"], step + 1
        mu, following = (b1 * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"])) for t in (step, step + 1))
        product *= mu
        scale = math.sqrt(1 - b2**step)
        rate = group["lr"] * scale
        of_g, of_mean = rate * (1 - mu) / (1 - product), rate * following / (1 - product * following)
        return (*self.decay(group), 1 - b1, b2, of_g, of_mean, group["eps"] * scale), {"step": step, "mu_product": product}


class RAdam(OfTwoMoments):
    """Adam that waits with dividing until the root mean square is known well enough, as `torch.optim.RAdam`.

    m and v as in `Adam`; with r = 2 / (1 - b2) - 1 and r_t = r - 2 t b2^t / (1 - b2^t): if r_t > 5,
    p -= lr m / (1 - b1^t) * sqrt(1 - b2^t) / (sqrt(v) + eps) * sqrt((r_t - 4) (r_t - 2) r / ((r - 4) (r - 2) r_t)), else p -= lr m / (1 - b1^t).

    Formula: Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, 2019.

    >>> import gradnerve as gn
    >>> gn.optim.RAdam([gn.Tensor([1.0], requires_grad=True)]).param_groups[0]["betas"]
    (0.9, 0.999)
    """

    rule = "radam"

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, decoupled_weight_decay=False, *, foreach=None,
                 maximize=False, capturable=False, differentiable=False):  # fmt: skip
        super().__init__(params, {"lr": float(lr), "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
                                  "decoupled_weight_decay": decoupled_weight_decay})  # fmt: skip

    def numbers(self, group, fresh, step):
        (b1, b2), step = group["betas"], step + 1
        rate, square = group["lr"] / (1 - b1**step), 1 - b2**step
        r = 2 / (1 - b2) - 1
        now = r - 2 * step * b2**step / square
        known = now > 5
        rectified = rate * math.sqrt(square * (now - 4) * (now - 2) * r / ((r - 4) * (r - 2) * now)) if known else 0.0
        return (*self.decay(group), 1 - b1, b2, rectified, 0.0 if known else rate, group["eps"]), {"step": step}

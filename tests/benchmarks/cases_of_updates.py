"""What is timed of optimisers: one step with the gradients there, for one large parameter and for many small ones.

Read next: rivals.py, which runs a case in each library.
"""

from dataclasses import dataclass, field

import numpy as np

from tests.benchmarks.cases import Case


@dataclass
class Update(Case):
    """A step of `optimizer`, an optimiser's name; the arrays are the parameters, the constants their gradients."""

    optimizer: str = ""
    options: dict = field(default_factory=dict)


def update(optimizer, n, size, dtype, **options):
    rng = np.random.default_rng(0)
    arrays, gradients = ([rng.normal(size=size).astype(dtype) for _ in range(n)] for _ in range(2))
    name = f"{optimizer.lower()}_{'many' if n > 1 else 'large'}{'' if dtype == 'float32' else '_64'}"
    what = f"a step of {optimizer}, {f'{n} parameters of {size:,}' if n > 1 else f'a parameter of {size:,}'} elements, {dtype}"
    libraries = frozenset({"gradnerve", "PyTorch foreach", "PyTorch fused"})
    return Update(name, what, lambda: None, arrays, n, {"PyTorch foreach": 1, "PyTorch fused": 1}, tuple(gradients), libraries, computes="update",
                  optimizer=optimizer, options=options)  # fmt: skip


def all_cases():
    for optimizer, options in (("Adam", {}), ("SGD", {"momentum": 0.9})):
        for dtype in ("float32", "float64"):
            yield update(optimizer, 1, 1_000_000, dtype, **options)
            yield update(optimizer, 100, 100, dtype, **options)

"""Samples of what all normalization layers are made of. What a sample file holds is said in elementwise.py."""

import numpy as np

from gradnerve.ops import normalization

from .shapes import DTYPES, values

FORMS = [((4, 3, 1, 5), True, (4, 3, 5)), ((5, 2, 1, 1), True, (5, 2)), ((2, 3, 1, 20), True, (2, 3, 4, 5)), ((3, 2, 2, 5), False, (3, 4, 5)),
         ((4, 1, 6, 1), False, (4, 6)), ((2, 3, 1, 4), False, (2, 3, 2, 2)), ((6, 1, 6, 1), False, (2, 3, 3, 2)),
         ((3, 2, 3, 1), False, (3, 6))]


def normalized(x, weight, bias, eps, form, over_batch, centered, given):
    stats = np.full((2, form[1] * (1 if over_batch else form[0])), 0.3)
    return normalization.normalized(x, weight, bias, stats, eps, form, over_batch, centered, given)


def samples():
    found = []
    for k in range(6 * len(FORMS)):
        form, over_batch, shape = FORMS[k % len(FORMS)]
        dtype, given = DTYPES[k // 8 % 2], k // 16
        weight, bias = (values(form[1] * form[2], dtype=dtype, seed=k + i) if given >= i else None for i in (1, 2))
        x = values(*shape, dtype=dtype, seed=k)
        found.append(((x, weight, bias, 0.1, form, over_batch, k % 3 != 0, over_batch and k % 5 == 0), {}))
    return found


SAMPLES = {"normalized": samples}
CALLS = {"normalized": normalized}

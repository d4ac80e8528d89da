"""Einstein's sums, for any number of operands and in both of NumPy's notations.

The derivative of an einsum by an operand is an einsum: `g` takes the place of the operand, the axes of the operand that of the
result. Read next: network.py.
"""

from functools import lru_cache, reduce
from itertools import chain

import numpy as np
from numpy._core.einsumfunc import _parse_einsum_input

from gradnerve.ops.define import implements, op
from gradnerve.ops.indexing import getitem
from gradnerve.ops.shapes import broadcast_to
from gradnerve.ops.shapes import where as select
from gradnerve.ops.values import array_of


def operands(subscripts, xs):
    """NumPy's arguments: a string and the arrays, or each array with a list of its axes, and that of the result at the end."""
    if isinstance(subscripts, str):
        return (subscripts, *xs)
    return (*chain.from_iterable(zip(xs, subscripts, strict=False)), *subscripts[len(xs):])


@lru_cache(1000)
def derivative(subscripts, shapes, i):
    """Of the derivative by operand `i`: the einsum, an index that puts back the axes of which it knows nothing, and the operand's term."""
    terms, out, _ = _parse_einsum_input(operands(subscripts, [np.broadcast_to(0, shape) for shape in shapes]))
    terms = terms.split(",")
    term, others = terms[i], {*chain(out, *terms[:i], *terms[i + 1:])}
    shared = [axis in others and shapes[i][k] != 1 and axis not in term[:k] for k, axis in enumerate(term)]
    einsum = f"{','.join([*terms[:i], out, *terms[i + 1:]])}->{''.join(axis for k, axis in enumerate(term) if shared[k])}"
    return einsum, None if all(shared) else tuple(slice(None) if known else None for known in shared), term


def einsum_line(g, i, xs, xs_shapes, subscripts, optimize):
    """`g` with the other operands, over the axes that they share with this one; along the others every element counts the same."""
    subscripts, missing, term = derivative(subscripts, xs_shapes, i)
    line = _einsum(*xs[:i], g, *xs[i + 1:], subscripts=subscripts, optimize=optimize)
    line = line if missing is None else getitem(line, missing)
    line = line if line.shape == xs_shapes[i] else broadcast_to(line, xs_shapes[i])
    return line if len(set(term)) == len(term) else select(on_diagonal(term, xs_shapes[i]), line, 0)


def on_diagonal(term, shape):
    """Where the axes with the same letter have the same index."""
    index = np.indices(shape, sparse=True)
    return reduce(np.logical_and, (index[k] == index[term.index(axis)] for k, axis in enumerate(term)))


def einsum(*xs, subscripts=(), optimize=False, **options):
    return np.einsum(*operands(subscripts, xs), optimize=optimize, **options)


_einsum = op(einsum, xs=einsum_line)


@implements(np.einsum)
def einsum(*operands, out=None, optimize=False, **options):
    """Sums of products over axes that have letters or numbers, as `np.einsum`.

    >>> einsum("ij,j", np.eye(2), [3.0, 4.0])
    array([3., 4.])
    >>> einsum(np.eye(2), [0, 1], [3.0, 4.0], [1])
    array([3., 4.])
    """
    if out is not None:
        return np.einsum(*operands, out=out, optimize=optimize, **options)
    if operands and isinstance(operands[0], str):
        subscripts, *xs = operands
    else:
        pairs = 2 * (len(operands) // 2)
        xs, subscripts = operands[:pairs:2], tuple(map(tuple, operands[1:pairs:2] + operands[pairs:]))
    return _einsum(*map(array_of, xs), subscripts=subscripts, optimize=optimize, **options)

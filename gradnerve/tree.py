"""Containers: nested lists, tuples, dicts and dataclasses of arrays, taken apart and put together again.

A leaf is whatever is no container: an array, a Tensor, a number. None is a container without leaves.

    >>> leaves, rebuild = flatten({"w": 1.0, "b": [2.0, None]})
    >>> leaves
    [1.0, 2.0]
    >>> rebuild([10, 20])
    {'w': 10, 'b': [20, None]}

Read next: functional.py.
"""

import copy
import dataclasses
from operator import itemgetter

import numpy as np

_LEAVES = {np.ndarray, float, int}  # the usual ones, seen at once
_registered: dict = {}  # class -> (to a list, from an object and a list)


def register(kind, parts, rebuilt):
    """Let a class of your own be a container.

    parts     gives the list of an object's parts: leaves, or containers in turn
    rebuilt   takes an object and a list of other parts, and gives an object with these

    >>> class Pair:
    ...     def __init__(self, left, right):
    ...         self.left, self.right = left, right
    >>> register(Pair, lambda pair: [pair.left, pair.right], lambda pair, parts: Pair(*parts))
    >>> flatten(Pair(1.0, 2.0))[0]
    [1.0, 2.0]
    """
    _registered[kind] = (parts, rebuilt)


def container(x):
    """The parts of a container by the name of each, and a function from a list of parts to a container like it; None for a leaf."""
    kind = type(x)
    if kind in _LEAVES:
        return None
    if kind in _registered:
        parts, rebuilt = _registered[kind]
        return {f".{k}": part for k, part in enumerate(parts(x))}, lambda parts: rebuilt(x, parts)
    if hasattr(x, "requires_grad"):
        return None
    if kind in (list, tuple):
        return {f"[{k}]": part for k, part in enumerate(x)}, kind
    if x is None:
        return {}, lambda parts: None
    if isinstance(x, dict):
        return {f"[{key!r}]": x[key] for key in x}, lambda parts: with_values(x, parts)
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return {f".{name}": part for name, part in zip(x._fields, x, strict=True)}, lambda parts: kind(*parts)
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        names = [field.name for field in dataclasses.fields(x)]
        return {f".{name}": getattr(x, name) for name in names}, lambda parts: with_fields(x, names, parts)
    return None


def with_values(x, values):
    """A dict of the same class with other values."""
    other = copy.copy(x)
    for key, value in zip(x, values, strict=True):
        other[key] = value  # update() of a Counter would add
    return other


def with_fields(x, names, values):
    """A dataclass object with other values in its fields, also where it is frozen; it has nothing else that was computed from the old ones."""
    other = type(x).__new__(type(x))
    for name, value in zip(names, values, strict=True):
        object.__setattr__(other, name, value)
    return other


def endless(x):
    """The error in which a walk through lists or containers ends that would else be a RecursionError."""
    return ValueError(f"a {type(x).__name__} contains itself, or is nested too deeply")


def flatten(x):
    """The leaves of a container, and a function from as many other leaves to a container like it."""
    if container(x) is None:
        return [x], itemgetter(0)
    leaves = []
    try:
        plan = taken_apart(x, leaves)
    except RecursionError:
        raise endless(x) from None
    return leaves, lambda others: put_together(plan, iter(others))


def taken_apart(x, leaves):
    """Append the leaves, and give what `put_together` needs; None stands for a leaf."""
    found = container(x)
    if found is None:
        leaves.append(x)
        return None
    parts, make = found
    return make, [taken_apart(part, leaves) for part in parts.values()]


def put_together(plan, leaves):
    if plan is None:
        return next(leaves)
    make, plans = plan
    return make([put_together(part, leaves) for part in plans])


def paths(x):
    """The name of each leaf, as one would write it after the container's.

    >>> paths({"w": 1.0, "b": [2.0, 3.0]})
    ["['w']", "['b'][0]", "['b'][1]"]
    """
    found = container(x)
    try:
        return [""] if found is None else [name + path for name, part in found[0].items() for path in paths(part)]
    except RecursionError:
        raise endless(x) from None


def leaves_like(x, pattern, what):
    """The leaves of `x` in the order of those of `pattern`; `what` begins the error if it is not built in the same way."""
    found, wanted = container(x), container(pattern)
    if wanted is None:
        if found is not None:
            raise TypeError(f"{what} is {described(x)}, where {described(pattern)} is expected")
        return [x]
    if found is None or found[0].keys() != wanted[0].keys():
        raise TypeError(f"{what} is {described(x)}, where {described(pattern)} is expected")
    try:
        return [leaf for name in wanted[0] for leaf in leaves_like(found[0][name], wanted[0][name], what + name)]
    except RecursionError:
        raise endless(pattern) from None


def described(x):
    """What an error calls an object."""
    found, kind = container(x), type(x).__name__
    article = "an" if kind[0] in "AEIOaeiou" else "a"
    if found is not None and x is not None:
        return f"{article} {kind} with {', '.join(found[0]) or 'nothing in it'}"
    return f"{article} {kind} of shape {x.shape} and dtype {x.dtype}" if hasattr(x, "dtype") else f"{x!r} ({kind})"

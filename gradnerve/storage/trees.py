"""Nested containers as a tree for JSON and arrays by name: what `save` writes.

Lists, strings, booleans, None, integers of 64 bits and finite numbers stand for themselves. Anything else is an object with one
member, whose name says what it is: {"dict": {"weight": {"array": "fc.weight"}, "shape": {"tuple": [3, 4]}}}.

Read next: building.py, for the way back; manifest.py.
"""

import itertools
import math
import re
import struct
from collections import OrderedDict

import numpy as np

from gradnerve._engine import TensorBase
from gradnerve.dispatch import refuse_value
from gradnerve.storage import generators

__all__ = ["DEPTH", "flatten", "is_plain", "little_endian"]

DEPTH = 100  # levels of containers in each other
# a name that is a file name on every system, and that np.load finds; arrays with any other are numbered
FILE_NAME = re.compile(r"""(?![. ]) (?!.*\.\.) (?!.*\.npy$) [^\x00-\x1f\x7f/\\:*?"<>|\ud800-\udfff]{1,200} (?<![. ])""", re.IGNORECASE | re.VERBOSE)
RESERVED = {"gradnerve.json", "__metadata__"}


def is_plain(dtype):
    """Whether an array holds numbers, booleans, or strings of a fixed size, and can have an element."""
    return dtype.kind in "biufcSU" and dtype.itemsize > 0


def flatten(obj, can_store=is_plain, hint=""):
    """The tree, and the arrays by name.

    can_store  says of a dtype whether the format has it; if not, a TypeError ends with the `hint`

    Raises TypeError for what cannot be saved, and ValueError for what contains itself or is too deep, with the path to it.
    """
    walk = Walk(can_store, hint)
    return walk.tree(obj, ()), walk.arrays


class Walk:
    """One way through an object: the arrays so far, the names that are taken, and the containers around."""

    def __init__(self, can_store, hint):
        self.can_store, self.hint = can_store, hint
        self.arrays, self.taken, self.numbers, self.around = {}, set(RESERVED), itertools.count(), set()

    def tree(self, x, path):
        kind = type(x)
        if kind in PLAIN:
            return PLAIN[kind](x)
        if kind in (dict, OrderedDict, list, tuple):
            return self.container(x, kind, path)
        if kind is bytes:
            return {"bytes": self.entry(np.frombuffer(x, np.uint8), path)}
        if kind is np.random.Generator and (state := generators.state_of(x)):
            return {"generator": self.tree(state, path)}
        if isinstance(x, np.generic):
            array = little_endian(np.asarray(x))
            check_plain(array.dtype, path)
            return {"scalar": [array.dtype.str, array.tobytes().hex()]}
        if kind in (np.ndarray, np.memmap):
            return {"array": self.entry(x, path)}
        if isinstance(x, TensorBase):
            refuse_value(x, "save")
            return {"tensor": [self.entry(x._array, path), x.requires_grad and x.is_leaf]}
        raise TypeError(f"save: {place(path)}cannot save {words(x)}")

    def container(self, x, kind, path):
        if id(x) in self.around:
            raise ValueError(f"save: {place(path)}cannot save a {kind.__name__} that contains itself")
        if len(path) == DEPTH:
            raise ValueError(f"save: {place((*path[:3], '...'))}cannot save more than {DEPTH} levels of containers")
        self.around.add(id(x))
        if kind in (dict, OrderedDict):
            tree = {kind.__name__: self.members(x, path)}
        else:
            items = [self.tree(item, (*path, str(k))) for k, item in enumerate(x)]
            tree = items if kind is list else {"tuple": items}
        self.around.discard(id(x))
        return tree

    def members(self, x, path):
        """An object for a dict whose keys are all strings, and a list of pairs for any other."""
        for key in x:
            if type(key) not in (str, int):
                raise TypeError(f"save: {place(path)}cannot save a dict with {words(key)} as a key; keys are strings or integers")
        pairs = [(key, self.tree(item, (*path, key if type(key) is str else text_of(key)))) for key, item in x.items()]
        return dict(pairs) if all(type(key) is str for key in x) else [[PLAIN[type(key)](key), item] for key, item in pairs]

    def entry(self, array, path):
        """The name that an array gets: its path, unless that is no name for a file or taken."""
        check_plain(array.dtype, path)
        if not self.can_store(array.dtype):
            raise TypeError(f"save: {place(path)}cannot save an array of {array.dtype}{self.hint}")
        name = ".".join(path) or "array"
        while not FILE_NAME.fullmatch(name) or name.casefold() in self.taken:
            name = f"#{next(self.numbers)}"
        self.taken.add(name.casefold())
        self.arrays[name] = array
        return name


def check_plain(dtype, path):
    if not is_plain(dtype):
        raise TypeError(f"save: {place(path)}cannot save an array of {dtype}")


def little_endian(array):
    """The array itself, or a copy if its bytes have the other order."""
    return np.asarray(array).astype(array.dtype.newbyteorder("<"), copy=False)


# --- leaves ----------------------------------------------------------------------------------------------------------


def integer(x):
    return x if -(2**63) <= x < 2**63 else {"int": hex(x)}


def number(x):
    """JSON has no infinities, and a NaN has bits."""
    return x if math.isfinite(x) else {"float": struct.pack(">d", x).hex()}


PLAIN = {type(None): lambda x: x, bool: lambda x: x, str: lambda x: x, int: integer, float: number,
         complex: lambda x: {"complex": [number(x.real), number(x.imag)]}}  # fmt: skip


# --- errors ----------------------------------------------------------------------------------------------------------


def text_of(key):
    """An integer in the path; Python refuses to write down very long ones in decimals."""
    return str(key) if abs(key) < 2**63 else hex(key)


def place(path):
    return ".".join(path)[:200] + ": " if path else ""


def words(x):
    """What an error calls an object."""
    kind = type(x)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    hint = "; its state can be saved: save(model.state_dict(), ...)" if hasattr(x, "state_dict") else ""
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}{hint}"

"""The object again, from its tree and arrays. The tree comes from a file, so nothing about it is taken for granted.

Read next: generators.py; manifest.py.
"""

import struct
from collections import OrderedDict

import numpy as np

from gradnerve._engine import wrap
from gradnerve.storage.failures import LoadError
from gradnerve.storage.generators import generator_of
from gradnerve.storage.trees import DEPTH, is_plain

__all__ = ["build", "is_shape", "native", "of_type", "scalar"]


def build(tree, arrays):
    """What `flatten` took apart; each array must be asked for once. Raises LoadError."""
    builder = Builder(arrays)
    obj = builder.object(tree)
    if builder.arrays:
        raise LoadError(f"the arrays {', '.join(map(repr, builder.arrays))[:200]} have no place in it")
    return obj


class Builder:
    """The arrays that have no place yet, and how deep in the tree we are."""

    def __init__(self, arrays):
        self.arrays, self.depth = dict(arrays), 0

    def object(self, node):
        if type(node) is list:
            return self.items(node)
        if type(node) is not dict:
            return node
        if len(node) != 1:
            raise LoadError("an object in it has not one member, but " + str(len(node)))
        ((kind, content),) = node.items()
        if kind not in READERS:
            raise LoadError(f"{kind!r:.50} is not known")
        return READERS[kind](self, content)

    def items(self, nodes):
        """The objects of a list."""
        of_type(nodes, list)
        self.depth += 1
        if self.depth > DEPTH + 10:  # the state of a generator is below the container that it is in
            raise LoadError(f"there are more than {DEPTH} levels of containers")
        found = [self.object(node) for node in nodes]
        self.depth -= 1
        return found

    def members(self, content):
        """The keys and objects of a dict, which is an object, or a list of pairs."""
        if type(content) is dict:
            return zip(content, self.items(list(content.values())), strict=True)
        pairs = [of_type(pair, list) for pair in of_type(content, list)]
        if any(len(pair) != 2 for pair in pairs):
            raise LoadError("a dict is no list of pairs")
        keys = [self.object(key) for key, _ in pairs]
        if not {type(key) for key in keys} <= {str, int} or len({*keys}) != len(keys):
            raise LoadError("the keys of a dict are not strings or integers that differ")
        return zip(keys, self.items([node for _, node in pairs]), strict=True)

    def array(self, name):
        if type(name) is not str or name not in self.arrays:
            raise LoadError(f"the array {name!r:.50} is asked for twice, or is not there")
        return self.arrays.pop(name)

    def tensor(self, content):
        name, requires_grad = of_type(content, list)
        array = self.array(name)
        if array.dtype.kind not in "biufc":
            raise LoadError(f"{name!r} is an array of {array.dtype}, which is no tensor")
        return wrap(array, owned=True).requires_grad_(of_type(requires_grad, bool))

    def bytes(self, name):
        array = self.array(name)
        if array.dtype != np.uint8 or array.ndim != 1:
            raise LoadError(f"{name!r} should hold bytes")
        return array.tobytes()

    def complex(self, content):
        real, imag = self.items(content)
        return complex(of_type(real, float), of_type(imag, float))


def scalar(dtype, data):
    """One of NumPy's numbers or strings, from its bytes."""
    if not is_plain(dtype) or len(data) != dtype.itemsize:
        raise LoadError(f"{len(data)} bytes are no number of {dtype}")
    return native(np.ndarray((), dtype, bytearray(data)))[()]


def native(array):
    """The array, of which we are the owner, with its bytes in the order of this machine, and booleans that are 0 or 1."""
    if array.dtype == bool:  # NumPy counts on this when it counts them
        np.not_equal(array.view(np.uint8), 0, out=array)
    return array if array.dtype.isnative else array.byteswap(inplace=True).view(array.dtype.newbyteorder("="))


def scalar_in(_, content):
    code, data = of_type(content, list)
    return scalar(np.dtype(of_type(code, str)), bytes.fromhex(data))


def is_shape(numbers):
    """Whether these can be the sizes of an array: the product of many huge numbers would take forever."""
    return len(numbers) <= 64 and all(type(n) is int and 0 <= n < 2**63 for n in numbers)


def of_type(x, kind):
    if type(x) is not kind:
        raise LoadError(f"there is a {type(x).__name__} where a {kind.__name__} should be")
    return x


READERS = {
    "dict": lambda self, content: dict(self.members(content)),
    "OrderedDict": lambda self, content: OrderedDict(self.members(content)),
    "tuple": lambda self, content: tuple(self.items(content)),
    "int": lambda self, content: int(of_type(content, str), 16),
    "float": lambda self, content: struct.unpack(">d", bytes.fromhex(content))[0],
    "complex": Builder.complex,
    "bytes": Builder.bytes,
    "array": Builder.array,
    "tensor": Builder.tensor,
    "scalar": scalar_in,
    "generator": lambda self, content: generator_of(self.object(content)),
}

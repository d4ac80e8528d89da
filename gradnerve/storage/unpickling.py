"""The pickles in PyTorch's files, read without the power to run code.

A pickle is a program for a small machine: most of its 70 instructions put plain data together, a few import names and call them. Here
the machine has the instructions that PyTorch writes; names come from a table and nothing is imported; only what is in the table is
called; and no attribute is ever set.

Read next: pytorch.py, which has the table.
"""

import math
import pickle
from collections import Counter, OrderedDict

import numpy as np

from gradnerve.storage.building import is_shape, native, of_type, scalar
from gradnerve.storage.failures import LoadError, reading
from gradnerve.storage.trees import DEPTH, is_plain

__all__ = ["CALLS", "Name", "unpickle"]

AS_THEY_ARE = """PROTO FRAME MARK STOP POP NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 LONG4 BINFLOAT BINUNICODE SHORT_BINUNICODE BINUNICODE8
    BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8 EMPTY_DICT EMPTY_LIST EMPTY_TUPLE EMPTY_SET TUPLE TUPLE1 TUPLE2 TUPLE3
    GLOBAL STACK_GLOBAL BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET BINPERSID"""
KEYS = (str, bytes, int, float, bool, type(None))
LEAVES = (*KEYS, complex, np.dtype)


class Name:
    """What a name in the pickle stands for: its text, and the function that a call of it calls, if it can be called."""

    def __init__(self, text, call=None):
        self.text, self.call = text, call


def unpickle(file, size, names, persistent):
    """The next pickle in a file, or LoadError; the arguments are those of `Unpickler`."""
    with reading("the pickle", Exception):  # the machine is not made for damaged programs, and can stumble over anything
        obj = Unpickler(file, size, names, persistent).load()
        height(obj, {}, 0)
    return obj


# pickle's own machine in pure Python, whose memo is a dict: in C it is an array, which one instruction can make as long as it likes
class Unpickler(pickle._Unpickler):
    """Reads one pickle from a file, whose `read` must not give memory for more bytes than there are.

    size        of the file, in bytes
    names       a function of "module.name": what it stands for, or LoadError
    persistent  what a persistent id stands for: PyTorch's storages
    """

    def __init__(self, file, size, names, persistent):
        super().__init__(file, encoding="utf-8")
        self.work_left = 16 * size + 1000
        self.names, self.persistent_load = names, persistent
        self.blank = {}  # NumPy's arrays that have no shape and values yet, by id

    def find_class(self, module, name):
        return self.names(f"{module}.{name}")

    def charge(self, parts):
        """Raise LoadError if functions have got more than a pickle of this size can have for them: it gives them the same again and again."""
        self.work_left -= sum(len(part) for part in parts if isinstance(part, (str, bytes, list, tuple, dict, set)))
        if self.work_left < 0:
            raise LoadError("asks for far more memory than it has bytes")

    def do_reduce(self):
        """Call what is in the table."""
        args, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, Name) or function.call is None or type(args) is not tuple:
            raise LoadError(f"calls a {function.text if isinstance(function, Name) else type(function).__name__}, which is no function")
        self.charge(args)
        result = function.call(*args)
        if function.call is blank:
            self.blank[id(result)] = result
        self.append(result)

    def do_build(self):
        """Give an object its state: an array of NumPy's its values; an OrderedDict attributes, which are dropped."""
        state, target = self.stack.pop(), self.stack[-1]
        if id(target) in self.blank:
            self.charge(state)
            set_array(self.blank.pop(id(target)), *state)
        elif isinstance(target, np.dtype):
            check_dtype(*state)
        elif type(target) is not OrderedDict:
            raise LoadError(f"sets attributes of a {type(target).__name__}")

    def do_append(self):
        value = self.stack.pop()
        of_type(self.stack[-1], list).append(value)

    def do_appends(self):
        values = self.pop_mark()
        of_type(self.stack[-1], list).extend(values)

    def do_setitem(self):
        value, key = self.stack.pop(), self.stack.pop()
        put(self.stack[-1], [(key, value)])

    def do_setitems(self):
        values = self.pop_mark()
        put(self.stack[-1], zip(values[::2], values[1::2], strict=True))

    def do_additems(self):
        values = self.pop_mark()
        of_type(self.stack[-1], set).update(set_of(values))


class Instructions(dict):
    """What the machine does for the code of an instruction."""

    def __missing__(self, code):
        raise LoadError(f"has the instruction {bytes([code])!r}, which PyTorch does not write")


Unpickler.dispatch = Instructions({getattr(pickle, name)[0]: pickle._Unpickler.dispatch[getattr(pickle, name)[0]] for name in AS_THEY_ARE.split()})
Unpickler.dispatch.update({
    pickle.REDUCE[0]: Unpickler.do_reduce, pickle.NEWOBJ[0]: Unpickler.do_reduce, pickle.BUILD[0]: Unpickler.do_build,
    pickle.APPEND[0]: Unpickler.do_append, pickle.APPENDS[0]: Unpickler.do_appends, pickle.SETITEM[0]: Unpickler.do_setitem,
    pickle.SETITEMS[0]: Unpickler.do_setitems, pickle.ADDITEMS[0]: Unpickler.do_additems,
})  # fmt: skip


# --- what the instructions and the names in every table do -----------------------------------------------------------


def put(target, pairs):
    if type(target) not in (dict, OrderedDict, Counter):
        raise LoadError(f"puts items into a {type(target).__name__}")
    for key, value in pairs:
        target[hashable(key)] = value


def hashable(key):
    """The key, if it has a hash that is worked out at once: a tuple of tuples of tuples of the same can take forever."""
    if type(key) in KEYS or (type(key) is tuple and all(type(part) in KEYS for part in key)):
        return key
    raise LoadError(f"has a {type(key).__name__} as a key")


def set_of(values=()):
    return {hashable(value) for value in values}


def ordered(pairs=()):
    found = OrderedDict()
    put(found, pairs)
    return found


def counted(counts=None):
    found = Counter()
    put(found, of_type(counts or {}, dict).items())
    return found


def encoded(text, encoding):
    """How bytes are written by the older protocols."""
    if encoding not in ("latin1", "latin-1"):
        raise LoadError(f"has text in the encoding {encoding!r:.50}")
    return of_type(text, str).encode("latin-1")


def dtype_of(code, *_):
    dtype = np.dtype(of_type(code, str))
    if not is_plain(dtype):
        raise LoadError(f"has NumPy's arrays or numbers of {dtype}, which are not loaded")
    return dtype


def check_dtype(_, order, *rest):
    """The state of a dtype: with any but the usual byte order, or parts, it would be another one."""
    if order not in ("<", "|", "=") or any(rest[:3]):
        raise LoadError("has NumPy's arrays or numbers with another byte order, or with parts")


def blank(kind, shape, code):
    """An array that gets its values by a BUILD."""
    return np.empty(0, np.int8)


def set_array(array, _, shape, dtype, fortran, data):
    if not is_plain(dtype) or type(data) is not bytes or not is_shape(shape):
        raise LoadError("has an array of objects, or one that is damaged")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise LoadError(f"has {len(data)} bytes for an array of shape {shape} of {dtype}")
    array.__setstate__((1, shape, dtype, of_type(fortran, bool), data))
    native(array)


# what every pickle may call
CALLS = {
    "builtins.set": set_of, "builtins.frozenset": set_of, "builtins.complex": lambda real, imag: complex(of_type(real, float), of_type(imag, float)),
    "collections.OrderedDict": ordered, "collections.Counter": counted, "_codecs.encode": encoded,
    "numpy.dtype": dtype_of, "numpy.core.multiarray.scalar": scalar, "numpy.core.multiarray._reconstruct": blank,
}  # fmt: skip


def height(x, known, depth):
    """How many levels of containers there are in an object, which must be made of plain things, and not contain itself."""
    if id(x) not in known:
        if isinstance(x, LEAVES) or type(x) is np.ndarray or isinstance(x, np.generic):
            return 0
        if type(x) not in (dict, OrderedDict, Counter, list, tuple, set):
            raise LoadError(f"has a {x.text if isinstance(x, Name) else type(x).__name__} as a value, which is not loaded")
        if depth < DEPTH:
            parts = x.values() if isinstance(x, dict) else x
            known[id(x)] = 1 + max((height(part, known, depth + 1) for part in parts), default=0)
    if depth + known.get(id(x), 1) > DEPTH:
        raise LoadError(f"has more than {DEPTH} levels of containers, or one that contains itself")
    return known[id(x)]

"""PyTorch's files .pt and .pth, read without PyTorch: what `torch.save` wrote, in the format of version 1.6 and later or the one before.

Both are a pickle with the structure, and the bytes of the storages, of which tensors are views. Since 1.6 these are entries of a zip;
before, four small pickles and the storages follow each other.

Read next: unpickling.py; archive.py.
"""

import io
import re
import sys
from collections import namedtuple

import numpy as np

from gradnerve.storage.archive import Archive, fill, length
from gradnerve.storage.building import is_shape, native, of_type
from gradnerve.storage.failures import LoadError, reading
from gradnerve.storage.narrow import ITEMSIZE, widen
from gradnerve.storage.recognition import LEGACY, ZIP
from gradnerve.storage.unpickling import CALLS, Name, unpickle

__all__ = ["load"]

BEGINS = (ZIP, LEGACY)
DTYPES = "float64 float32 float16 int64 int32 int16 int8 uint64 uint32 uint16 uint8 bool complex64 complex128".split()
STORAGES = {f"torch.{name}Storage": kind for name, kind in zip(
    "Double Float Half Long Int Short Char Byte Bool ComplexFloat ComplexDouble BFloat16".split(),
    "float64 float32 float16 int64 int32 int16 int8 uint8 bool complex64 complex128 bfloat16".split(), strict=True)}  # fmt: skip
STORAGES["torch.storage.UntypedStorage"] = STORAGES["torch.UntypedStorage"] = "uint8"
# PyTorch's dtypes: NumPy's, or the name of one that NumPy has not
VALUES = {**{f"torch.{name}": np.dtype(name) for name in DTYPES}, **{f"torch.{name}": name for name in ITEMSIZE}}
LEGACY_MAGIC, LEGACY_VERSION = 0x1950A86A20F9469CFC6C, 1001
LONGEST_LINE = 10_000
OTHER_TENSORS = {"_rebuild_sparse": "a sparse tensor", "_rebuild_qtensor": "a quantized tensor", "_rebuild_nested": "a nested tensor",
                 "torch.QInt": "a quantized tensor", "torch.QUInt": "a quantized tensor", "_rebuild_meta": "a tensor without values"}  # fmt: skip
CODE = "which is code, and not loaded; of a whole model, save the state_dict() in PyTorch"

Typed = namedtuple("Typed", "storage kind")  # what a persistent id stands for


def load(file):
    """The object in a file, with ndarrays for tensors; raises LoadError."""
    size = length(file)
    zipped = file.read(2) == b"PK"
    file.seek(0)
    return load_zip(file) if zipped else load_legacy(file, size)


# --- the two formats -------------------------------------------------------------------------------------------------


def load_zip(file):
    archive = Archive(file)
    archive.checksum = not archive.without_checksums()
    top = top_folder(archive.names)
    with reading("entry 'byteorder'"):
        order = archive.read(f"{top}byteorder") if f"{top}byteorder" in archive.names else b"little"
        if order not in (b"little", b"big"):
            raise LoadError(f"is {order!r:.50}")

    def size_of(key, wanted):
        name = f"{top}data/{key}"
        if name not in archive.names or archive.size(name) != wanted or not archive.stored(name):
            raise LoadError(f"entry {name!r}: is missing, compressed, or does not have {wanted} bytes")

    with reading(f"entry {f'{top}data.pkl'!r}"):
        pickled, storages = archive.read(f"{top}data.pkl"), Storages(size_of)
        obj = unpickle(io.BytesIO(pickled), len(pickled), name_of, storages.persistent)
    for key, storage in storages.known.items():
        with reading(f"entry {f'{top}data/{key}'!r}"):
            stream = archive.open(f"{top}data/{key}")
            storage.fill(stream.readinto, order == b"big")
            stream.finish()
    return obj


def top_folder(names):
    """The folder in the zip that has everything."""
    if any(re.fullmatch(r"[^/]+/(constants\.pkl|code/.*)", name) for name in names):
        raise LoadError("is a TorchScript archive, which is code; save the model's state_dict() in PyTorch")
    tops = [name.removesuffix("data.pkl") for name in names if re.fullmatch(r"[^/]+/data\.pkl", name)]
    if len(tops) != 1:
        other = "; seems to be an .npz file; load it with format='npz'" if any(name.endswith(".npy") for name in names) else ""
        raise LoadError(f"is a zip archive without 'data.pkl'{other}")
    return tops[0]


def load_legacy(file, size):
    left = size

    def size_of(key, wanted):
        nonlocal left
        left -= wanted
        if left < 0:
            raise LoadError(f"storage {key!r:.50}: the file has not as many bytes")

    stream, storages = Bounded(file, size), Storages(size_of)
    if (next_pickle(stream), next_pickle(stream)) != (LEGACY_MAGIC, LEGACY_VERSION):
        raise LoadError("is a plain pickle, or a PyTorch file of a version that is not known")
    next_pickle(stream)  # sizes of C's types
    obj = next_pickle(stream, storages.persistent)
    keys = next_pickle(stream)
    if type(keys) is not list or sorted(map(repr, keys)) != sorted(map(repr, storages.known)):
        raise LoadError("the list of the storages is damaged")
    for key in keys:
        with reading(f"storage {key!r:.50}"):
            storage = storages.known[key]
            if int.from_bytes(stream.read(8), "little") != storage.count:
                raise LoadError(f"has not the {storage.count} numbers that the tensors in it have")
            storage.fill(lambda view: fill(file, view), False)
    if file.tell() != size:
        raise LoadError(f"has {size - file.tell()} bytes after its end")
    return obj


def next_pickle(stream, persistent=None):
    return unpickle(stream, stream.size, name_of, persistent)


class Bounded:
    """A file that does not give memory for more than it has."""

    def __init__(self, file, size):
        self.file, self.size = file, size

    def read(self, count):
        if count > self.size - self.file.tell():
            raise LoadError("the file ends too early")
        return self.file.read(count)

    def readline(self):
        return self.file.readline(LONGEST_LINE)


# --- storages and tensors --------------------------------------------------------------------------------------------


class Storages:
    """The storages of a file by their keys; `size_of(key, bytes)` raises LoadError if the file has not that many bytes for one."""

    def __init__(self, size_of):
        self.size_of, self.known = size_of, {}

    def persistent(self, identity):
        """What a persistent id in the pickle stands for."""
        if identity[0] == "module":
            raise LoadError(f"holds a module, {CODE}")
        tag, name, key, _, count, *view = identity
        if tag != "storage" or type(name) is not Name or name.text not in STORAGES or type(key) is not str or any(view):
            raise LoadError(f"has a {getattr(name, 'text', 'storage')} of a kind that is not loaded")
        kind = STORAGES[name.text]
        if of_type(count, int) < 0 or (key in self.known and self.known[key].count != count):
            raise LoadError(f"storage {key!r:.50}: has two sizes, or a negative one")
        if key not in self.known:
            self.size_of(key, count * itemsize(kind))
            self.known[key] = Storage(count, count * itemsize(kind))
        return Typed(self.known[key], kind)


class Storage:
    """Bytes of a file, as arrays of one or several kinds of numbers, which are there before their values.

    count, size  its length, in numbers of its first kind, and in bytes
    arrays       by kind
    later        what is to be worked out from the values: (function, array, where to)
    """

    def __init__(self, count, size):
        self.count, self.size, self.arrays, self.later, self.later_left = count, size, {}, [], 4 * size

    def of(self, kind):
        """The array of all numbers."""
        if kind not in self.arrays:
            count, rest = divmod(self.size, itemsize(kind))
            if rest:
                raise LoadError(f"a storage of {self.size} bytes has no numbers of {kind}")
            self.arrays[kind] = np.empty(count, dtype_of(kind))
        return self.arrays[kind]

    def after(self, function, array):
        """An array that gets a function of another, when that has its values."""
        self.later_left -= array.nbytes
        if self.later_left < 0:
            raise LoadError("has a tensor that is larger than its storage")
        out = np.empty(array.shape, array.dtype)
        self.later.append((function, array, out))
        return out

    def fill(self, readinto, big):
        """Read the bytes; `big`: those of a number have the other order than usual."""
        if len(self.arrays) == 1 and not ITEMSIZE.keys() & self.arrays:
            ((kind, array),) = self.arrays.items()
            readinto(memoryview(array.view(np.uint8)))
            in_order(array, big)
        else:
            raw = np.empty(self.size, np.uint8)
            readinto(memoryview(raw))
            for kind, array in self.arrays.items():
                if kind in ITEMSIZE:
                    codes = raw.view(f"u{itemsize(kind)}")
                    widen((codes.byteswap() if big else codes).view(np.uint8), kind, array)
                else:
                    np.copyto(array, raw.view(array.dtype))
                    in_order(array, big)
        for function, array, out in self.later:
            function(array, out=out)


def in_order(array, big):
    """Swap the bytes of each number if the file has them in another order than this machine, and make booleans 0 or 1."""
    if big != (sys.byteorder == "big"):
        array.byteswap(inplace=True)
    native(array)


def itemsize(kind):
    return ITEMSIZE.get(kind) or np.dtype(kind).itemsize


def dtype_of(kind):
    return np.dtype(np.float32 if kind in ITEMSIZE else kind)


def tensor(typed, offset, shape, strides, requires_grad=False, hooks=None, metadata=None):
    """A view of a storage."""
    return viewed(of_type(typed, Typed), typed.kind, offset, shape, strides, metadata)


def tensor_of_dtype(typed, offset, shape, strides, requires_grad, hooks, dtype, metadata=None):
    """A view of a storage of bytes, as numbers of a dtype that has no storages of its own."""
    kind = dtype.name if isinstance(dtype, np.dtype) else dtype
    if f"torch.{kind}" not in VALUES:
        raise LoadError("has a tensor without a dtype")
    return viewed(of_type(typed, Typed), kind, offset, shape, strides, metadata)


def viewed(typed, kind, offset, shape, strides, metadata):
    array = strided(typed.storage.of(kind), offset, shape, strides)
    for flag, function in (("conj", np.conjugate), ("neg", np.negative)):
        if metadata and metadata.get(flag):
            array = typed.storage.after(function, array)
    return array


def strided(array, offset, shape, strides):
    """A view of an array of one axis, after a check that it stays inside."""
    shape, strides = tuple(shape), tuple(strides)
    if len(shape) != len(strides) or not (is_shape(shape) and is_shape(strides) and is_shape([offset])):
        raise LoadError("has a tensor with a damaged shape, offset or strides")
    if 0 in shape:
        return np.empty(shape, array.dtype)
    if offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True)) >= len(array):
        raise LoadError(f"has a tensor that reaches beyond its storage of {len(array)} numbers")
    size = array.itemsize
    return np.ndarray(shape, array.dtype, array, offset * size, [step * size for step in strides])


# --- names -----------------------------------------------------------------------------------------------------------


def size(numbers=()):
    """A torch.Size."""
    return of_type(numbers, tuple)


def device(kind, index=None):
    """A torch.device, as its name."""
    return of_type(kind, str) if index is None else f"{of_type(kind, str)}:{of_type(index, int)}"


TABLE = {
    **CALLS, "torch.Size": size, "torch.device": device, "torch._utils._rebuild_tensor": tensor, "torch._utils._rebuild_tensor_v2": tensor,
    "torch._utils._rebuild_tensor_v3": tensor_of_dtype, "torch._utils._rebuild_parameter": lambda data, *_: data,
    "torch._utils._rebuild_parameter_with_state": lambda data, *_: data, "numpy.ndarray": None, **dict.fromkeys(STORAGES),
}  # fmt: skip


def name_of(text):
    """What a name in a pickle stands for, under the names of all versions of Python, NumPy and PyTorch."""
    text = text.replace("__builtin__.", "builtins.", 1).replace("numpy._core.", "numpy.core.", 1).replace("torch.cuda.", "torch.", 1)
    if text in VALUES:
        return VALUES[text]
    if text in TABLE:
        return Name(text, TABLE[text])
    for part, words in OTHER_TENSORS.items():
        if part in text:
            raise LoadError(f"holds {words} ({text:.100}), which is not loaded; convert it in PyTorch")
    raise LoadError(f"holds {text:.100}, {CODE}")

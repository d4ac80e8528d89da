"""The format .safetensors, written and read by the package of that name (extra `io`).

Arrays are entries, which any reader of the format finds under their names. All else is in the header's metadata: the manifest, which also has
the checksum of each entry, and in front of it the checksum of the manifest.

Read next: pytorch.py.
"""

import zlib

import numpy as np

from gradnerve.storage import manifest
from gradnerve.storage.building import native
from gradnerve.storage.failures import LoadError, reading
from gradnerve.storage.recognition import SAFETENSORS
from gradnerve.storage.trees import flatten, little_endian

__all__ = ["load", "prepare"]

PAIRS = {"<c8": "<f4", "<c16": "<f8"}  # complex numbers are written as pairs, along one more axis: most readers know no others
BEGINS = (SAFETENSORS,)
MANIFEST = "gradnerve"


def package():
    """safetensors, and ml_dtypes, from which NumPy knows bfloat16."""
    try:
        import ml_dtypes  # noqa: F401
        import safetensors
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(f"files of the format .safetensors need the package {error.name}: pip install 'gradnerve[io]'") from None
    return safetensors


# --- writing ---------------------------------------------------------------------------------------------------------


def prepare(obj):
    """A function that writes the object to a file; raises first if it cannot be saved."""
    safetensors = package()
    tree, arrays = flatten(obj, can_store, ", which safetensors has no code for; save it as .npz")
    return lambda file: file.write(serialized(safetensors, tree, arrays))


def can_store(dtype):
    return dtype.kind in "biufc" and dtype.itemsize <= (16 if dtype.kind == "c" else 8)


def serialized(safetensors, tree, arrays):
    """All bytes of the file."""
    entries = {name: stored(array) for name, array in arrays.items()}
    described = {name: {"dtype": arrays[name].dtype.newbyteorder("<").str, "shape": list(arrays[name].shape), "crc32": zlib.crc32(octets(entry))}
                 for name, entry in entries.items()}  # fmt: skip
    text = manifest.compose(tree, described)
    return safetensors.numpy.save(entries, {MANIFEST: checksum(text) + text})


def stored(array):
    """The array as it is written: complex numbers as pairs of real ones."""
    array = np.asarray(little_endian(array), order="C")
    pair = PAIRS.get(array.dtype.str)
    return array.reshape(*array.shape, 1).view(pair) if pair else array


def octets(array):
    return memoryview(array.reshape(-1).view(np.uint8))


def checksum(text):
    return f"{zlib.crc32(text.encode()):08x}"


# --- reading ---------------------------------------------------------------------------------------------------------


def load(file):
    """The object in the file, and of a file that another program has written a dict of its arrays; raises LoadError."""
    safetensors = package()
    with reading("the header", safetensors.SafetensorError):
        opened = safetensors.safe_open(file.name, "np")
    with opened:
        metadata, names = opened.metadata() or {}, opened.offset_keys()
        own = [own_manifest(names, text) for key, text in metadata.items() if key == MANIFEST or manifest.MARK in text]
        arrays = {}
        for name in names:
            with reading(f"entry {name!r}", safetensors.SafetensorError, TypeError, AttributeError):  # the last two: a dtype that NumPy has not
                arrays[name] = entry(opened.get_tensor(name), own[0][1][name] if own else None)
    return manifest.rebuild(own[0][0], arrays) if own else arrays


def own_manifest(names, text):
    """The tree and what it says of the entries, if this is the manifest that was written, and they are all there."""
    with reading("the manifest", UnicodeError):
        if checksum(text[8:]) != text[:8]:
            raise LoadError("is damaged: it does not give its checksum (CRC-32)")
        tree, entries = manifest.parse(text[8:])
    for name in {*names} ^ entries.keys():
        raise LoadError(f"entry {name!r}: {'is missing' if name in entries else 'is not in the manifest'}")
    return tree, entries


def entry(array, expected):
    """An array of the file, if it is what the manifest expects; without one, as it is, with bfloat16 as float32."""
    if expected is None:
        return array if array.dtype.isbuiltin == 1 else array.astype(np.float32)
    crc = zlib.crc32(octets(np.ascontiguousarray(array)))
    if expected["dtype"] in PAIRS and array.shape[-1:] == (2,):
        array = array.view(expected["dtype"])[..., 0]
    if (array.dtype.str, list(array.shape)) != (expected["dtype"], expected["shape"]):
        raise LoadError("is not the one that the manifest describes")
    if crc != expected["crc32"]:
        raise LoadError("is damaged: its bytes do not give its checksum (CRC-32)")
    return native(array)

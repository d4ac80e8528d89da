"""The format .npz: a zip of .npy files, as `np.savez` writes it, with a manifest beside them.

Read next: archive.py; safetensors.py.
"""

import io
import math
import zipfile

import numpy as np
from numpy.lib import format as npy

from gradnerve.storage import manifest
from gradnerve.storage.archive import Archive
from gradnerve.storage.building import is_shape, native
from gradnerve.storage.failures import LoadError, reading
from gradnerve.storage.recognition import ZIP
from gradnerve.storage.trees import flatten, is_plain, little_endian

__all__ = ["load", "prepare"]

MANIFEST = "gradnerve.json"
BEGINS = (ZIP,)
HEADER = 10_000  # bytes at most of the header of a .npy file
LARGE = 1 << 30  # from here on, sizes in the zip have 64 bits


# --- writing ---------------------------------------------------------------------------------------------------------


def prepare(obj):
    """A function that writes the object to a file; raises first if it cannot be saved."""
    tree, arrays = flatten(obj)
    return lambda file: write(file, tree, arrays)


def write(file, tree, arrays):
    archive = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED)
    try:
        write_entries(archive, tree, arrays)
        archive.close()
    except BaseException:
        archive.fp = None  # is not to be closed: after Ctrl-C within an entry that would be an error of its own
        raise


def write_entries(archive, tree, arrays):
    entries = {}
    for name, array in arrays.items():
        info = fixed_info(f"{name}.npy")
        with archive.open(info, "w", force_zip64=array.nbytes >= LARGE) as stream:
            write_array(stream, array)
        entries[name] = {"dtype": little_endian_code(array), "shape": list(array.shape), "crc32": info.CRC}
    archive.writestr(fixed_info(MANIFEST), manifest.compose(tree, entries))


def fixed_info(name):
    """An entry of the zip without the time and the system, so that the same object gives the same bytes."""
    info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.create_system, info.external_attr = 3, 0o644 << 16
    return info


def little_endian_code(array):
    return array.dtype.newbyteorder("<").str


def write_array(stream, array):
    """An array as .npy, without a copy if it is contiguous in either order."""
    array = little_endian(array)
    if not array.flags.forc:
        array = np.asarray(array, order="C")
    npy.write_array_header_1_0(stream, npy.header_data_from_array_1_0(array))
    rows = array if array.flags.c_contiguous else array.T
    stream.write(memoryview(rows.reshape(-1).view(np.uint8)))


# --- reading ---------------------------------------------------------------------------------------------------------


def load(file):
    """The object in the file, and of a file without a manifest a dict of its arrays; raises LoadError."""
    archive = Archive(file)
    if any(name.endswith("/data.pkl") for name in archive.names):
        raise LoadError("seems to be a PyTorch file; load it with format='pt'")
    if MANIFEST not in archive.names:
        return {name.removesuffix(".npy"): read_entry(archive, name) for name in archive.names}
    with reading("the manifest", UnicodeError):
        tree, entries = manifest.parse(read_manifest(archive))
    there, wanted = {*archive.names} - {MANIFEST}, {f"{name}.npy" for name in entries}
    for names, what in ((wanted - there, "is missing"), (there - wanted, "is not in the manifest")):
        if names:
            raise LoadError(f"entry {min(names)!r}: {what}")
    return manifest.rebuild(tree, {name: read_entry(archive, f"{name}.npy", expected) for name, expected in entries.items()})


def read_manifest(archive):
    if archive.size(MANIFEST) > manifest.LARGEST:
        raise LoadError("is too large")
    return archive.read(MANIFEST).decode()


def read_entry(archive, name, expected=None):
    """The array of an entry, in native byte order, if it is what the manifest expects."""
    with reading(f"entry {name!r}", ValueError):
        if not name.endswith(".npy"):
            raise LoadError("is no array; a file of this kind holds .npy files")
        stream = archive.open(name)
        shape, fortran, dtype = read_header(stream)
        size = math.prod(shape) * dtype.itemsize
        if size != stream.left:
            raise LoadError(f"has {stream.left} bytes of data, where shape {shape} of {dtype} takes {size}")
        if expected is not None and expected != {"dtype": dtype.str, "shape": list(shape), "crc32": archive.crc32(name)}:
            raise LoadError("is not the one that the manifest describes")
        array = np.empty(shape[::-1] if fortran else shape, dtype)
        stream.readinto(memoryview(array.reshape(-1).view(np.uint8)))
        stream.finish()
        return native(array).T if fortran else native(array)


def read_header(stream):
    """Shape, order and dtype of a .npy file."""
    start = stream.read(8)
    if start[:6] != npy.MAGIC_PREFIX:
        raise LoadError("does not begin as a .npy file does")
    major = start[6]
    if major not in (1, 2):
        raise LoadError(f"is a .npy file of version {major}, which is for records")
    count = stream.read(2 * major)
    size = int.from_bytes(count, "little")
    if size > HEADER:
        raise LoadError(f"has a header of {size} bytes")
    parse = npy.read_array_header_1_0 if major == 1 else npy.read_array_header_2_0
    # NumPy takes the header for Python code of constants only; what its parsers raise for a damaged one is not said anywhere
    with reading("has a damaged header", Exception):
        shape, fortran, dtype = parse(io.BytesIO(count + stream.read(size)))
    if not is_plain(dtype):
        raise LoadError(f"is an array of {dtype}{', which is a pickle and could run code' if dtype.hasobject else ''}; it is not loaded")
    if not is_shape(shape):
        raise LoadError(f"has the shape {shape}")
    return shape, fortran, dtype

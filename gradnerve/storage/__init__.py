"""Saving and loading: model states, optimiser states, whole checkpoints, in files that hold no code.

`save` writes .npz, which is NumPy's, and .safetensors; `load` reads these, whoever wrote them, and PyTorch's .pt and .pth. No file is
ever unpickled by `pickle`, every checksum is looked at, and a file that was written is there as a whole or not at all.

Read next: trees.py and building.py, for what goes into a file; atomic.py; npz.py, safetensors.py, pytorch.py.
"""

import os

from gradnerve.storage import npz, pytorch, safetensors
from gradnerve.storage.atomic import writing
from gradnerve.storage.failures import LoadError, memory_errors, reading
from gradnerve.storage.recognition import seems

__all__ = ["LoadError", "load", "save"]

FORMATS = {"npz": npz, "safetensors": safetensors, "pt": pytorch, "pth": pytorch}


def save(object, path, format=None):
    """Write an object to a file, which is replaced as a whole: after an error or a loss of power, the old one is still there.

    object  dicts with strings or integers as keys, lists and tuples, in each other up to 100 levels; in them arrays, Tensors, NumPy's
            numbers, str, int, float, complex, bool, bytes, None, and generators of `numpy.random`. A shared array is written for each place.
    path    where to; or a binary file object, into which an .npz is written
    format  "npz" or "safetensors"; by default what the path ends with

    Each array is an entry named by its path in the object, as "model.fc.weight", and a flat dict of arrays has exactly its keys as names:
    so `np.load`, and PyTorch with `safetensors.torch.load_file`, read them too. All else is in one more entry, "gradnerve.json", or in the
    metadata. A .safetensors file, which needs the extra `io`, has no strings and no longdouble in arrays; complex numbers are pairs in it.
    The same object gives the same bytes.

    Raises TypeError, which names the place, for anything else in the object; a module or an optimiser is saved by its `state_dict()`.

    >>> import os, tempfile, numpy as np, gradnerve as gn
    >>> from gradnerve.storage import load, save
    >>> model = gn.nn.Linear(3, 2)
    >>> path = os.path.join(tempfile.mkdtemp(), "model.npz")
    >>> save({"model": model.state_dict(), "epoch": 7}, path)
    >>> checkpoint = load(path)
    >>> model.load_state_dict(checkpoint["model"]), checkpoint["epoch"]
    (IncompatibleKeys(missing_keys=[], unexpected_keys=[]), 7)
    """
    kind = format_of(path, format, "save")
    if FORMATS[kind] is pytorch:
        raise ValueError(f"save: {name_of(path)!r}: PyTorch's own format is only read. Save as .safetensors, which PyTorch reads with "
                         "safetensors.torch.load_file(path)")  # fmt: skip
    with memory_errors():
        write = FORMATS[kind].prepare(object)
        if not is_path(path):
            write(path)
        else:
            with writing(os.fsdecode(path)) as file:
                write(file)


def load(path, format=None, *, map_location=None, weights_only=True):
    """The object in a file: what was saved, or, where another program has written it, a dict of its arrays by name.

    path    of an .npz, .safetensors, .pt or .pth file; or a binary file object with an .npz in it
    format  "npz", "safetensors" or "pt"; by default what the path ends with
    map_location, weights_only  as in `torch.load`: arrays go to the "cpu", and nothing but data is loaded

    Arrays are ndarrays in memory of their own; what was a Tensor is one again, which requires grad if it was a leaf that did. bfloat16
    becomes float32, which holds it exactly. PyTorch's files are read without PyTorch: tensors and Parameters
    become ndarrays, in dicts, lists and tuples; code in them is never run.

    Raises LoadError, a ValueError, if the file is damaged, is of another kind, or holds what is not loaded, as a whole model; and OSError
    if it cannot be opened. Checksums tell damage, except where there are none: in .safetensors files by others, PyTorch's files from
    before 1.6, and those that it was told to write without.
    """
    if str(map_location or "cpu") != "cpu" or not weights_only:
        what = "code in files is never run: weights_only is always True" if not weights_only else f"arrays are on the CPU, not on {map_location!r}"
        raise ValueError(f"load: {what}")
    kind = format_of(path, format, "load")
    with reading(f"load: {name_of(path)!r}"):
        if not is_path(path):
            return read(path, kind)
        if os.path.isdir(path):
            raise LoadError("is a folder")
        with open(path, "rb") as file:
            return read(file, kind)


def read(file, kind):
    found = seems(file)
    if found not in FORMATS[kind].BEGINS:
        raise LoadError(f"{'is' if found == 'empty' else 'seems to be'} {found}; it is no .{kind} file")
    return FORMATS[kind].load(file)


def is_path(path):
    return isinstance(path, str | bytes | os.PathLike)


def format_of(path, format, function):
    """The format, as it is given or by the end of the path."""
    if not is_path(path):
        if not hasattr(path, "read" if function == "load" else "write"):
            raise TypeError(f"{function}: the path is a string, a PathLike or a binary file, not {path!r:.80}")
        if format not in (None, "npz"):
            raise ValueError(f"{function}: a file object is for the format 'npz', not {format!r}")
        return "npz"
    ending = os.path.splitext(os.fsdecode(path))[1].lower()[1:]
    if (format or ending) not in FORMATS:
        given = f"the format {format!r}" if format else f"a path that ends with {ending!r}"
        raise ValueError(f"{function}: {name_of(path)!r}: there is no format for {given}; take one of {', '.join(FORMATS)}")
    return format or ending


def name_of(path):
    """How errors name a file."""
    return os.fsdecode(path) if is_path(path) else getattr(path, "name", "a file object")

"""The state of a module: its arrays as a dict by path, arrays that are put back, and other dtypes.

Read next: utils/__init__.py.
"""

from collections import OrderedDict, namedtuple

import numpy as np

from gradnerve._engine import TensorBase
from gradnerve.ops.values import value

EXTRA = "_extra_state"

IncompatibleKeys = namedtuple("IncompatibleKeys", "missing_keys unexpected_keys")


def tensors_by_path(module, prefix=""):
    """Where each parameter and buffer is held: its path, and (the module's attributes, a registry, the name in both, the tensor)."""
    for path, part in module.named_modules(prefix=prefix, remove_duplicate=False):
        for registry in (part._parameters, part._buffers):
            for name, t in registry.items():
                if t is not None:
                    yield f"{path}.{name}" if path else name, (part.__dict__, registry, name, t)


def entries(module, prefix=""):
    """What a state dict has: the path and the tensor of each parameter and buffer, and the path and the module of each extra state."""
    for registry in (module._parameters, module._buffers):
        for name, t in registry.items():
            if t is not None and name not in module._not_saved:
                yield prefix + name, t
    if module.get_extra_state is not None:
        yield prefix + EXTRA, module
    for name, child in module._modules.items():
        if child is not None:
            yield from entries(child, f"{prefix}{name}.")


def saved(module, prefix):
    """Copies of everything."""
    found = entries(module, prefix)
    return OrderedDict((path, np.array(own._array) if isinstance(own, TensorBase) else own.get_extra_state()) for path, own in found)


def loaded(module, state_dict, strict):
    """Copy the arrays into the module: all or, with an error that lists what is wrong, none."""
    own = dict(entries(module))
    missing = [path for path in own if path not in state_dict and not path.endswith("num_batches_tracked")]  # older files have no such count
    unexpected = [path for path in state_dict if path not in own]
    problems = []
    for what, paths in (("Missing", missing), ("Unexpected", unexpected)) if strict else ():
        if paths:
            problems.append(f"{what} key(s) in state_dict: {quoted(paths)}. ")
    given = [(path, t) for path, t in own.items() if isinstance(t, TensorBase) and path in state_dict]
    arrays = [(path, t, shaped(np.asarray(value(state_dict[path])), t)) for path, t in given]
    problems += filter(None, (misfit(path, t, array) for path, t, array in arrays))
    if problems:
        raise RuntimeError(f"Error(s) in loading state_dict for {type(module).__name__}:\n\t" + "\n\t".join(problems))
    for _, t, array in arrays:
        t.data[...] = array
    for path, t in own.items():
        if not isinstance(t, TensorBase) and path in state_dict:
            t.set_extra_state(state_dict[path])
    return IncompatibleKeys(missing, unexpected)


def shaped(array, t):
    """The array; without its axis if it is a number that an older file has with one."""
    return array.reshape(()) if t.ndim == 0 and array.shape == (1,) else array


def quoted(paths):
    return ", ".join(f'"{path}"' for path in paths)


def misfit(path, t, array):
    """What an error says of an array that cannot be copied into a tensor, or None."""
    if array.shape != t.shape:
        return f"size mismatch for {path}: copying a param with shape {array.shape} from checkpoint, the shape in current model is {t.shape}."
    if not np.can_cast(array.dtype, t.dtype, "same_kind"):
        return f"dtype mismatch for {path}: copying a param of {array.dtype} from checkpoint, the dtype in current model is {t.dtype}."
    return None


DEVICES = ("cpu", "cuda", "meta", "mps", "xpu")

# --- dtypes ----------------------------------------------------------------------------------------------------------


def destination(args, device, dtype, options):
    """The dtype that the arguments of ``Module.to`` name, or None."""
    for x in args:
        if isinstance(x, TensorBase):
            dtype = x.dtype
        elif str(x).partition(":")[0] in DEVICES:
            device = x
        elif not isinstance(x, bool):  # non_blocking
            dtype = x
    unknown = options.keys() - {"non_blocking", "copy"}
    if unknown or str(device) not in ("None", "cpu"):
        raise TypeError(f"to: takes a dtype, a tensor or the device 'cpu', not {', '.join(unknown) or repr(device)}; "
                        "everything is on the CPU, so a device can be left out")  # fmt: skip
    return dtype


def convert(module, dtype):
    """All floating-point parameters and buffers in another dtype, in the same tensors."""
    if dtype is None:
        return module
    dtype = np.dtype(dtype)
    if dtype.kind not in "f":
        raise TypeError(f"to: modules have floating-point parameters, of float32 or float64; {dtype} is no such dtype")
    for t in [*module.parameters(), *module.buffers()]:
        if t.dtype.kind == "f" and t.dtype != dtype:
            tracked, array = t.requires_grad, t._array.astype(dtype)
            t.requires_grad_(False)._start(array, owned=True)
            t.requires_grad_(tracked)
    return module

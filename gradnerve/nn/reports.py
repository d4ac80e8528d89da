"""How a module shows itself: its repr, and the line that an error gets on its way out.

Read next: summary.py.
"""

from itertools import groupby


def repr_of(module):
    """PyTorch's nested repr: the lines of `extra_repr`, and those of each module in it."""
    extra = module.extra_repr()
    name = ("Parametrized" if "parametrizations" in module._modules else "") + type(module).__name__
    return nested(name, extra.split("\n") if extra else [], [(name, repr(child)) for name, child in module._modules.items()])


def nested(name, lines, children):
    """The repr, from the lines of its own and (name, repr) of each child."""
    if not children and len(lines) <= 1:
        return f"{name}({''.join(lines)})"
    lines = lines + [f"({child}): {text}".replace("\n", "\n  ") for child, text in children]
    return f"{name}(\n  " + "\n  ".join(lines) + "\n)"


def runs(texts):
    """Equal neighbours as one: their numbers, from first to last, and how many there are of what."""
    found, first = [], 0
    for text, same in groupby(texts):
        many = len(list(same))
        found.append((f"{first}-{first + many - 1}", f"{many} x {text}") if many > 1 else (str(first), text))
        first += many
    return found


def locate(error, module, args):
    """Say in a note to an error from which layer it came: that in which it was raised, with its path, which grows on the way out."""
    inner, path, line, place = getattr(error, "_layer", (None, "", "", 0))
    name = next((name for name, child in module.named_modules() if child is inner), None) if inner is not None else None
    if name is None:  # where it was raised
        given = ", ".join(f"{tuple(x.shape)} {x.dtype}" for x in args if hasattr(x, "dtype"))
        shown = f"{type(module).__name__}({module.extra_repr()})".replace("\n", ", ") + (f", given {given}" if given else "")
        error._layer = module, "", shown, len(getattr(error, "__notes__", ()))
        error.add_note(f"in {shown}")
        return
    path = f"{name}.{path}" if path and name else name or path
    error._layer = module, path, line, place
    error.__notes__[place] = f"in layer {path!r} of {type(module).__name__}: {line}"

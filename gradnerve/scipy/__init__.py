"""Parts of SciPy for Tensors: its values, and derivatives for them. SciPy is imported when one of them is first used.

Read next: signal.py.
"""

from importlib import import_module

MODULES = ("linalg", "signal")


def __getattr__(name):
    """A module of this package, imported on first use."""
    if name in MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"gradnerve.scipy has no {name}; there are {', '.join(MODULES)}")

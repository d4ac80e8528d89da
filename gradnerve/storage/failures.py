"""LoadError: why a file cannot be loaded, with the names of the file and of the entry in it.

Read next: __init__.py.
"""

from contextlib import contextmanager

__all__ = ["LoadError", "reading"]


class LoadError(ValueError):
    """A file is damaged, of another kind than its name says, or holds what is not loaded; the message names the file and the entry in it."""


@contextmanager
def reading(what, *errors):
    """Put `what` is being read in front of a LoadError, and make one of whatever else damage makes a library raise."""
    try:
        yield
    except LoadError as error:
        error.args = (f"{what}: {error}",)
        raise
    except MemoryError:  # tells nothing of the file
        raise
    except errors as error:
        raise LoadError(f"{what}: {type(error).__name__}: {error}") from None

"""LoadError: why a file cannot be loaded, with the names of the file and of the entry in it.

Read next: __init__.py.
"""

from contextlib import contextmanager

__all__ = ["LoadError", "reading"]


class LoadError(ValueError):
    """A file is damaged, of another kind than its name says, or holds what is not loaded; the message names the file and the entry in it."""


@contextmanager
def memory_errors():
    """Raise MemoryError where memory is short, whatever a library makes of that."""
    try:
        yield
    except Exception as error:
        if is_shortage(error):
            raise MemoryError(*error.args) from error
        raise


def is_shortage(error):
    """Whether it is a MemoryError, or was raised while one was handled, or for want of a lock."""
    while error is not None and not isinstance(error, MemoryError) and "can't allocate lock" not in error.args:
        error = error.__context__
    return error is not None


@contextmanager
def reading(what, *errors):
    """Put `what` is being read in front of a LoadError, and make one of whatever else damage makes a library raise."""
    try:
        yield
    except LoadError as error:
        error.args = (f"{what}: {error}",)
        raise
    except errors as error:
        if is_shortage(error):  # which tells nothing of the file
            raise MemoryError(f"{what}: {error}") from error
        raise LoadError(f"{what}: {type(error).__name__}: {error}") from None

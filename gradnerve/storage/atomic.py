"""Files that are there as a whole or not at all: written under another name, and renamed when everything is on the disk.

Read next: npz.py, safetensors.py.
"""

import os
import secrets
import stat
from contextlib import contextmanager, suppress

__all__ = ["writing"]


@contextmanager
def writing(path):
    """A binary file that takes the place of the one at `path` when the block ends; if that raises, all is as it was.

    A symbolic link stays, and the file that it points to is replaced. The new file has the permissions of the old one, or those that
    the umask gives. Raises OSError if the folder is missing or the path is no place for a file.
    """
    path = os.path.realpath(path)
    folder = os.path.dirname(path)
    mode = permissions(path)
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"there is no folder {folder!r}")
    new = os.path.join(folder, f".gradnerve-{secrets.token_hex(8)}.tmp")
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with open(os.open(new, flags, 0o666), "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(new, mode)
        os.replace(new, path)
    except BaseException:  # also an interrupt
        with suppress(FileNotFoundError):
            os.remove(new)
        raise
    remember(folder)


def permissions(path):
    """Those of the file at `path`, or None if there is none; raises OSError if it cannot be replaced."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(f"{path!r} is a folder")
    if not stat.S_ISREG(found.st_mode):
        raise OSError(f"{path!r} is a device or a pipe, which cannot be replaced by a file")
    if not os.access(path, os.W_OK):
        raise PermissionError(f"{path!r} is write-protected")
    return stat.S_IMODE(found.st_mode)


def remember(folder):
    """Have the new name written to the disk, too, where the system can: without it, a loss of power may bring the old file back."""
    if os.name != "posix":
        return
    with suppress(OSError):  # some network file systems cannot; the file itself is complete by now
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

"""What a file is, by its first bytes: its name may say something else.

Read next: __init__.py.
"""

__all__ = ["LEGACY", "SAFETENSORS", "ZIP", "seems"]

ZIP, SAFETENSORS, LEGACY = "a zip archive, as .npz and .pt are", "a .safetensors file", "a PyTorch file from before version 1.6"
MAGIC = bytes.fromhex("6cfc9c46f9206aa85019")  # the number with which the last of these begin, inside of a pickle
BEGINNINGS = [
    (b"PK\3\4", ZIP), (b"PK\5\6", ZIP), (b"\x93NUMPY", "a single array, which np.load reads"), (b"\x89HDF", "an HDF5 file"),
    (b"\x80", "a plain pickle, which could run code if it were loaded"), (b"GGUF", "a GGUF file"), (b"%PDF", "a PDF file"),
    (b"version https://git-lfs", "a Git LFS pointer, and not the file itself, which 'git lfs pull' fetches"),
    (b"\x1f\x8b", "a gzip file: unpack it first"), (b"7z\xbc\xaf", "a 7z archive: unpack it first"), (b"(\xb5/\xfd", "a zstd file: unpack it first"),
]  # fmt: skip


def seems(file):
    """What a binary file that can seek seems to be, in words for an error; three of them are constants above."""
    file.seek(0)
    start = file.read(1024)
    text = start.lstrip().lower()
    if not start:
        return "empty"
    if start[6:9] == b"\0\0{":  # first of all: what is before this is a length, and may be any bytes
        return SAFETENSORS
    if start[:1] == b"\x80" and MAGIC in start[:40]:
        return LEGACY
    for beginning, kind in BEGINNINGS:
        if start.startswith(beginning):
            return kind
    if start[257:262] == b"ustar":
        return "a tar archive: unpack it first, or, if PyTorch before 0.1.10 has written it, save it with a later one"
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "an HTML page, with which a download that failed may have ended"
    if text.startswith((b"{", b"[")):
        return "JSON"
    return f"of no kind that is known here, with the first bytes {start[:8]!r}"

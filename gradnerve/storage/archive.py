"""Zip files, read strictly: nothing is believed that could make numbers wrong or memory large.

`zipfile` reads the directory. Each entry's data is read here, straight into the array that it is for, and its checksum verified.

Read next: npz.py, pytorch.py.
"""

import os
import struct
import zipfile
import zlib

from gradnerve.storage.failures import LoadError, reading

__all__ = ["Archive", "fill"]

CHUNK = 1 << 20  # read and summed up while it is in the cache
LOCAL = struct.Struct("<4s5H3L2H")  # the header in front of an entry's data
UTF8, STREAMED = 0x0800, 0x0008
HARMLESS = UTF8 | STREAMED | 0x0006  # the last: how hard the compressor tried
DEFLATE_RATIO = 1032  # deflate can give no more for a byte


class Archive:
    """The entries of a zip file, which must follow each other without overlaps and without anything in between.

    names     of all entries, in their order
    checksum  False where the writer left out all checksums, as PyTorch can be told to
    """

    def __init__(self, file):
        # what zipfile raises for a damaged directory depends on where the damage is
        with reading("the directory at its end", Exception):
            archive = zipfile.ZipFile(file)
            infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
        self.file, self.places, self.checksum = file, {}, True
        ends = [info.header_offset for info in infos] + [archive.start_dir]
        if ends[0] != 0:
            raise LoadError("the zip archive does not begin where the file does")
        for info, following in zip(infos, ends[1:], strict=True):
            with reading(f"entry {info.filename!r}", struct.error, UnicodeError, ValueError):
                if info.filename in self.places:
                    raise LoadError("is there twice")
                self.places[info.filename] = info, self.start_of(info, following)
        self.names = list(self.places)

    def start_of(self, info, following):
        """Where the data of an entry begin, after a check of the header in front of them; `following` is where the next one begins."""
        if info.flag_bits & ~HARMLESS:
            raise LoadError("is encrypted, or has other features that are not read here")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise LoadError(f"is compressed by method {info.compress_type}; only 'deflate' is read")
        self.file.seek(info.header_offset)
        magic, _, flags, *_, name_size, extra_size = LOCAL.unpack(self.file.read(LOCAL.size))
        name = self.file.read(name_size).decode("utf-8" if flags & UTF8 else "cp437")
        if magic != b"PK\3\4" or name != info.filename or (flags ^ info.flag_bits) & ~STREAMED:
            raise LoadError("the header in front of its data is that of another entry")
        start = info.header_offset + LOCAL.size + name_size + extra_size
        gap = following - start - info.compress_size
        if gap not in ((0, 12, 16, 20, 24) if info.flag_bits & STREAMED else (0,)):  # sizes and checksum may come after the data
            raise LoadError("overlaps with others, or there is something between it and the next one")
        most = info.compress_size * (1 if info.compress_type == zipfile.ZIP_STORED else DEFLATE_RATIO)
        if info.file_size > most or (info.compress_type == zipfile.ZIP_STORED and info.file_size != most):
            raise LoadError(f"{info.compress_size} bytes are said to hold {info.file_size}")
        return start

    def size(self, name):
        """The number of bytes of an entry."""
        return self.places[name][0].file_size

    def stored(self, name):
        """Whether an entry is not compressed."""
        return self.places[name][0].compress_type == zipfile.ZIP_STORED

    def crc32(self, name):
        """The checksum that was written for an entry."""
        return self.places[name][0].CRC

    def without_checksums(self):
        """Whether all checksums are 0, as they are if the writer left them out."""
        return not any(info.CRC for info, _ in self.places.values())

    def open(self, name):
        """The bytes of an entry, to be read from the first to the last."""
        info, start = self.places[name]
        self.file.seek(start)
        return (Stored if self.stored(name) else Deflated)(self.file, info, self.checksum)

    def read(self, name):
        """All bytes of an entry, which must not be compressed: so they are no more than the file is long."""
        if not self.stored(name):
            raise LoadError("is compressed, which it must not be")
        stream = self.open(name)
        data = stream.read(stream.left)
        stream.finish()
        return data


class Stored:
    """The bytes of an entry; `finish` raises LoadError unless all were read, and are what was written."""

    def __init__(self, file, info, checksum):
        self.file, self.left, self.crc, self.wanted = file, info.file_size, 0, info.CRC if checksum else None

    def readinto(self, buffer):
        """Fill a buffer of bytes, or raise LoadError."""
        view = memoryview(buffer)
        if len(view) > self.left:
            raise LoadError(f"ends {len(view) - self.left} bytes too early")
        self.left -= len(view)
        for start in range(0, len(view), CHUNK):
            part = view[start : start + CHUNK]
            self.next_into(part)
            if self.wanted is not None:
                self.crc = zlib.crc32(part, self.crc)

    def next_into(self, part):
        fill(self.file, part)

    def read(self, count):
        """The next bytes."""
        if count > self.left:
            raise LoadError(f"ends {count - self.left} bytes too early")
        data = bytearray(count)
        self.readinto(data)
        return bytes(data)

    def finish(self):
        if self.left:
            raise LoadError(f"has {self.left} bytes too many")
        if self.wanted not in (None, self.crc):
            raise LoadError("is damaged: its bytes do not give its checksum (CRC-32)")


class Deflated(Stored):
    """The same, of an entry that is compressed."""

    def __init__(self, file, info, checksum):
        super().__init__(file, info, checksum)
        self.inflate, self.packed, self.packed_left = zlib.decompressobj(-zlib.MAX_WBITS), b"", info.compress_size

    def next_into(self, part):
        with reading("is damaged", zlib.error):
            while len(part):
                if not self.packed:
                    self.packed = self.file.read(min(CHUNK, self.packed_left))
                    self.packed_left -= len(self.packed)
                more = self.packed
                data = self.inflate.decompress(more, len(part))
                self.packed = self.inflate.unconsumed_tail
                if not data and (self.inflate.eof or not more):
                    raise LoadError("its data end too early")
                part[: len(data)] = data
                part = part[len(data) :]


def fill(file, view):
    """Read until the buffer is full, or raise LoadError."""
    while len(view):
        count = file.readinto(view)
        if not count:
            raise LoadError("the file ends too early")
        view = view[count:]


def length(file):
    """The number of bytes of a file, which is read from its beginning then."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size

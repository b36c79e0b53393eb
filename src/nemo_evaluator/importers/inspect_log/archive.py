"""Members of a zip archive, also those compressed with Zstandard, which newer logs are.

Python's own reader knows that compression from 3.14 on only; Arrow brings a decoder.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path
from types import TracebackType

from ...errors import ConfigError
from ...files.reading import open_regular

ZSTANDARD = 93
HEAD = struct.Struct("<26xHH")
"""Of a member: lengths of its name and of its extra field come last."""
MEMBER_BYTES = 4 << 30
"""A larger member is refused."""


class Archive:
    """An open archive. Raises ConfigError for what is none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = open_regular(path)
        try:
            self._zip = zipfile.ZipFile(self._file)
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            self._file.close()
            raise ConfigError(f"is no log of Inspect: {error}", where=str(path)) from None
        # Of a name that was written twice, the last member counts.
        self._members = {info.filename: info for info in self._zip.infolist()}

    @property
    def names(self) -> list[str]:
        """Names of its members."""
        return list(self._members)

    def read(self, name: str) -> bytes:
        """A member. Raises ConfigError."""
        info = self._members[name]
        where = f"{self._path}: {name}"
        if info.file_size > MEMBER_BYTES:
            raise ConfigError(f"is larger than {MEMBER_BYTES >> 30} GB", where=where)
        try:
            self._file.seek(info.header_offset)
            lengths = HEAD.unpack(self._file.read(HEAD.size))
            self._file.seek(sum(lengths), 1)
            data = _inflated(self._file.read(info.compress_size), info)
        except (OSError, ValueError, struct.error, zlib.error) as error:
            raise ConfigError(f"is damaged: {error}", where=where) from None
        if len(data) != info.file_size or zlib.crc32(data) != info.CRC:
            raise ConfigError("is damaged", where=where)
        return data

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._zip.close()
        self._file.close()


def _inflated(data: bytes, info: zipfile.ZipInfo) -> bytes:
    """The content, at most a byte longer than it is said to be."""
    most = info.file_size + 1
    if info.compress_type == zipfile.ZIP_STORED:
        return data
    if info.compress_type == zipfile.ZIP_DEFLATED:
        return zlib.decompressobj(-15).decompress(data, most)
    if info.compress_type == ZSTANDARD:
        import pyarrow as pa

        with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
            return bytes(stream.read(most))
    raise ValueError(f"compression {info.compress_type} is not known")

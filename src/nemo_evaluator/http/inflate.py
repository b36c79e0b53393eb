"""Bodies that come compressed (``Content-Encoding``), of requests and of responses.

Only gzip and deflate: what the standard library reads. A body is decompressed piece by piece, and
never to more bytes than are allowed.
"""

from __future__ import annotations

import zlib

READABLE = frozenset(("gzip", "x-gzip", "deflate"))
UNREADABLE = frozenset(("br", "zstd", "compress", "x-compress", "dcb", "dcz"))
GZIP = b"\x1f\x8b"
"""How a gzip file begins."""
GZIP_WINDOW, ZLIB_WINDOW, BARE_WINDOW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


class EncodingError(ValueError):
    """The body is not encoded as its header says."""


class TooLargeError(ValueError):
    """Decompressed, the body is larger than allowed."""


class Inflate:
    """Decompresses one body. Raises EncodingError, and TooLargeError beyond ``limit`` bytes."""

    def __init__(self, coding: str, limit: int | None = None) -> None:
        self.coding = coding
        self._left = limit
        self._start = b""
        self._stream: zlib._Decompress | None = None

    def __call__(self, chunk: bytes) -> bytes:
        """The plain bytes of a piece."""
        if self._stream is None:
            chunk = self._start + chunk
            if len(chunk) < 2:
                self._start = chunk
                return b""
            self._stream = zlib.decompressobj(wbits=self._window(chunk))
        plain = self._decompressed(chunk)
        while self._stream.eof and (rest := self._next_member()):
            plain += self._decompressed(rest)
        return plain

    def close(self) -> bytes:
        """What is left at the end. Raises EncodingError if the end is missing."""
        if self._stream is None:
            if not self._start:
                return b""
            raise self._cut()
        rest = self._stream.flush()
        if not self._stream.eof:
            raise self._cut()
        return rest

    def _decompressed(self, data: bytes) -> bytes:
        assert self._stream is not None
        try:
            if self._left is None:
                return self._stream.decompress(data)
            plain = self._stream.decompress(data, self._left + 1)
        except zlib.error:
            raise EncodingError(f"is not valid {self.coding}") from None
        self._left -= len(plain)
        if self._left < 0:
            raise TooLargeError
        return plain

    def _cut(self) -> EncodingError:
        return EncodingError(f"breaks off: its {self.coding} body has no end")

    def _next_member(self) -> bytes:
        """The data of the next gzip member, if there is one: gzip files may be concatenated
        (RFC 1952 section 2.2), and servers that compress piece by piece do so. Padding with zeros
        is not a member."""
        assert self._stream is not None
        rest = self._stream.unused_data.lstrip(b"\0")
        if not rest or self.coding == "deflate" or rest[:2] != GZIP[: len(rest)]:
            return b""
        self._stream = zlib.decompressobj(wbits=GZIP_WINDOW)
        return rest

    def _window(self, start: bytes) -> int:
        if self.coding != "deflate":
            return GZIP_WINDOW
        # RFC 9110 section 8.4.1.2 requires the zlib format; some send deflate data without it.
        has_header = start[0] & 0x0F == 8 and int.from_bytes(start[:2]) % 31 == 0
        return ZLIB_WINDOW if has_header else BARE_WINDOW


def codings(value: str) -> list[str]:
    """The compressions that a ``Content-Encoding`` names; what is no compression (``identity``, or
    ``utf-8``, which some servers write there) is left out."""
    names = (name.strip() for name in value.lower().split(","))
    return [name for name in names if name in READABLE or name in UNREADABLE]


def inflated(data: bytes, value: str, limit: int) -> bytes:
    """A whole body, decompressed as its ``Content-Encoding`` says. Raises LookupError for a coding
    that cannot be read, TooLargeError beyond ``limit`` bytes, EncodingError if it is broken."""
    coding = value.strip().lower()
    if coding in ("", "identity") or not data:
        return data
    if coding not in READABLE:
        raise LookupError(coding)
    inflate = Inflate(coding, limit)
    return inflate(data) + inflate.close()

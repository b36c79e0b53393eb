"""Bodies that come compressed although we ask for plain ones."""

from __future__ import annotations

import zlib

from .errors import NotHttp

READABLE = frozenset(("gzip", "x-gzip", "deflate"))
GZIP = b"\x1f\x8b"
"""How a gzip file begins."""
UNREADABLE = frozenset(("br", "zstd", "compress", "x-compress", "dcb", "dcz"))


class Inflate:
    """Decompresses one body, piece by piece. Raises NotHttp for what is not so encoded."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._stream: zlib._Decompress | None = None

    @classmethod
    def of(cls, value: bytes) -> Inflate | None:
        """What a ``Content-Encoding`` asks for; None for a plain body, also where a server names
        there what is no compression (``utf-8``)."""
        names = (name.strip() for name in value.decode("latin-1").lower().split(","))
        known = [name for name in names if name in READABLE or name in UNREADABLE]
        if not known:
            return None
        if len(known) == 1 and known[0] in READABLE:
            return cls(known[0])
        raise NotHttp(
            f"the response is encoded as {', '.join(known)!r}, which was not requested. Only gzip"
            " and deflate can be decoded: switch the compression off at the server or gateway"
        )

    def __call__(self, chunk: bytes) -> bytes:
        """The plain bytes of a piece."""
        if not chunk:
            return b""
        if self._stream is None:
            self._stream = zlib.decompressobj(wbits=self._window(chunk[0]))
        try:
            plain = self._stream.decompress(chunk)
            while self._stream.eof and (rest := self._next_member()):
                plain += self._stream.decompress(rest)
        except zlib.error:
            raise NotHttp(f"the body of the response is not valid {self._encoding}") from None
        return plain

    def _next_member(self) -> bytes:
        """What begins after the end of one: gzip files may be put one behind the other (RFC 1952
        section 2.2), and are by servers that compress piece by piece. Padding is no member."""
        assert self._stream is not None
        rest = self._stream.unused_data.lstrip(b"\0")
        if not rest or self._encoding == "deflate" or rest[:2] != GZIP[: len(rest)]:
            return b""
        self._stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        return rest

    def close(self) -> bytes:
        """What is left at the end. Raises NotHttp if the end is missing."""
        if self._stream is None:
            return b""
        rest = self._stream.flush()
        if not self._stream.eof:
            raise NotHttp(f"the response broke off: its {self._encoding} body has no end")
        return rest

    def _window(self, first: int) -> int:
        if self._encoding != "deflate":
            return 16 + zlib.MAX_WBITS
        # RFC 9110 section 8.4.1.2 wants the zlib format; some servers send it bare.
        return zlib.MAX_WBITS if first & 0x0F == 8 else -zlib.MAX_WBITS

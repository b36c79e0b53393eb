"""Bodies that come compressed although we ask for plain ones."""

from __future__ import annotations

import zlib

from .errors import NotHttp

READABLE = frozenset(("gzip", "x-gzip", "deflate"))
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
        encoding = value.decode("latin-1").strip().lower()
        if encoding in READABLE:
            return cls(encoding)
        if "," in encoding or encoding in UNREADABLE:
            raise NotHttp(f"the response is encoded as {encoding[:40]!r}, which nobody asked for")
        return None

    def __call__(self, chunk: bytes) -> bytes:
        """The plain bytes of a piece."""
        if not chunk:
            return b""
        if self._stream is None:
            self._stream = zlib.decompressobj(wbits=self._window(chunk[0]))
        try:
            return self._stream.decompress(chunk)
        except zlib.error:
            raise NotHttp(f"the body of the response is not valid {self._encoding}") from None

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

"""Request bodies that came compressed (``Content-Encoding``). Never more than is asked for."""

from __future__ import annotations

import zlib

GZIP_OR_ZLIB, BARE = 47, -15
"""``wbits`` of zlib; some send ``deflate`` without its wrapping."""
KNOWN = frozenset(("gzip", "x-gzip", "deflate"))


class TooLargeError(ValueError):
    """Inflated it is larger than allowed."""


def inflated(data: bytes, coding: str, limit: int) -> bytes:
    """The body. Raises LookupError for a coding not known here, TooLargeError beyond ``limit``
    bytes, ValueError if it is broken."""
    coding = coding.strip().lower()
    if coding in ("", "identity") or not data:
        return data
    if coding not in KNOWN:
        raise LookupError(coding)
    wrapped = coding != "deflate" or (data[0] & 0x0F == 8 and int.from_bytes(data[:2]) % 31 == 0)
    stream = zlib.decompressobj(GZIP_OR_ZLIB if wrapped else BARE)
    try:
        body = stream.decompress(data, limit + 1)
    except zlib.error as error:
        raise ValueError(f"the body is not {coding}: {error}") from None
    if len(body) > limit:
        raise TooLargeError
    if not stream.eof:
        raise ValueError(f"the body is not all of its {coding}")
    return body

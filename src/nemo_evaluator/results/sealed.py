"""Lines that carry their checksum, as their last field: ``{"event":…,"crc":"1f2e3d4c"}``.

A sealed line stays JSON that any tool can read. One changed bit is noticed, also in the checksum
itself. Out of a damaged line every document that is whole is found again, so that a lost line end
or a block of zeros costs what it covers and nothing else.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from zlib import crc32

_SEAL = re.compile(rb',"crc":"([0-9a-f]{8})"\}')
_SEAL_BYTES = len(b',"crc":"00000000"}')
_START = re.compile(rb'\{"event":"')
STARTS, ENDS = 10_000, 8
"""How many beginnings of a damaged line are tried, and with how many ends each: text of a model may
look like either."""


class Seal(enum.Enum):
    """What a line's checksum says."""

    INTACT = enum.auto()
    BROKEN = enum.auto()
    NONE = enum.auto()
    """The line has no checksum, as lines of the first format."""


def sealed(document: bytes) -> bytes:
    """A line, with its end, of a JSON object that is not empty."""
    body = document[:-1]
    return b'%b,"crc":"%08x"}\n' % (body, crc32(body))


def check(line: bytes) -> Seal:
    """Compare a line, with or without its end, with its checksum."""
    document = line[:-1] if line.endswith(b"\n") else line
    found = _SEAL.fullmatch(document, len(document) - _SEAL_BYTES)
    if found is None:
        return Seal.BROKEN if b',"crc":"' in document[-2 * _SEAL_BYTES :] else Seal.NONE
    intact = b"%08x" % crc32(memoryview(document)[:-_SEAL_BYTES]) == found[1]
    return Seal.INTACT if intact else Seal.BROKEN


def stretches(line: bytes) -> Iterator[tuple[int, int, bool]]:
    """A damaged line as documents that are whole (True), and what stands between them."""
    position = 0
    for start, end in [*_whole_documents(line), (len(line), len(line))]:
        if line[position:start].strip(b"\r\n"):
            yield position, start, False
        if end > start:
            yield start, end, True
        position = end


def _whole_documents(line: bytes) -> Iterator[tuple[int, int]]:
    """Start and end of each sealed document in a damaged line."""
    ends = [found.end() for found in _SEAL.finditer(line)]
    position = tried = 0
    for found in _START.finditer(line):
        start = found.start()
        if start < position:
            continue
        tried += 1
        if tried > STARTS:
            return
        ends = [end for end in ends if end > start]
        for end in ends[:ENDS]:
            if check(line[start:end]) is Seal.INTACT:
                yield start, end
                position = end
                break

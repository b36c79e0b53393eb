"""Server-sent events: bytes in any chunks, events out. No I/O, linear in the number of bytes."""

from __future__ import annotations

import codecs
from typing import Any

from .wire import decode, encode

DONE = b"[DONE]"


def encode_event(event: dict[str, Any], *, named: bool = False) -> bytes:
    """One event; ``named`` puts its ``type`` into an ``event:`` line too."""
    name = b"event: " + str(event.get("type")).encode() + b"\n" if named else b""
    return name + b"data: " + encode(event) + b"\n\n"


class SseParser:
    """Collects lines into events; however the stream is cut into chunks, the events are the same.

    Lines end in LF, CRLF or CR; a byte order mark before a field is ignored. An event that is not a
    JSON object is a ValueError, but for ``[DONE]``. One that is called ``error`` has an ``error``.
    """

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        self._data: list[bytes] = []
        self._after_cr = self._is_error = False
        self.done = False
        """``[DONE]`` was read."""

    def feed(self, chunk: bytes) -> list[dict[str, Any]]:
        """The events that are complete now. Raises ValueError."""
        if self._after_cr or b"\r" in chunk:
            chunk = self._with_line_feeds(chunk)
        if b"\n" not in chunk:
            self._pending.append(chunk)
            return []
        first, *lines = chunk.split(b"\n")
        lines.insert(0, b"".join((*self._pending, first)))
        self._pending = [lines.pop()]
        events = []
        for line in lines:
            if line:
                self._take(line)
            elif (event := self._event()) is not None:
                events.append(event)
        return events

    def close(self) -> list[dict[str, object]]:
        """The last event, where the stream ended without its empty line. Raises ValueError if it
        was cut in the middle."""
        if line := b"".join(self._pending):
            self._take(line)
        self._pending = []
        event = self._event()
        return [] if event is None else [event]

    def _with_line_feeds(self, chunk: bytes) -> bytes:
        """All line ends as LF; a CRLF may be cut in two."""
        if not chunk:
            return chunk
        if self._after_cr:
            chunk = chunk.removeprefix(b"\n")
        self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _take(self, line: bytes) -> None:
        if line.startswith(codecs.BOM_UTF8):
            line = line[3:]
        if line.startswith(b"data:"):
            self._data.append(line[5:].strip())
        elif line.startswith(b"event:"):
            self._is_error = line[6:].strip() == b"error"

    def _event(self) -> dict[str, object] | None:
        if not self._data:
            self._is_error = False
            return None
        data = b"\n".join(self._data) if len(self._data) > 1 else self._data[0]
        is_error, self._data, self._is_error = self._is_error, [], False
        if data == DONE:
            self.done = True
            return None
        if not data:
            return None
        event = decode(data)
        self.done |= event == DONE.decode()
        if event is None or event == DONE.decode():
            return None
        if not isinstance(event, dict):
            raise ValueError("an event is not a JSON object")
        return {"error": event} if is_error and not event.get("error") else event

"""A recording: one line of JSON for each call, in one file that only grows.

Lines are written whole and in batches, by any number of processes. What a killed process left of
its last line is skipped on reading. Where a call was recorded twice (its rollout was broken off and
begun again), the later one counts.
"""

from __future__ import annotations

import asyncio
import logging
import os
from array import array
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ...errors import ConfigError
from ...files.lines import LineFile
from ...files.reading import UNREADABLE, open_regular, read_lines
from ...files.writing import check_can_be_made
from ...types import Record
from ..types import CallContext
from ..wire import decode

log = logging.getLogger("nemo_evaluator.traffic")

FLUSH_SECONDS = 0.25
FLUSH_BYTES = 1 << 18
_BEGIN = b'{"key":"'
"""The beginning of every line."""


class Scope(NamedTuple):
    """The owner of a call: one attempt of a rollout."""

    benchmark: str
    problem_idx: int
    repeat: int
    attempt: int

    @classmethod
    def of(cls, context: CallContext) -> Scope:
        """The scope of a call."""
        return cls(context.benchmark, context.problem_idx, context.repeat, context.attempt)


class Head(Record, frozen=True, kw_only=True, omit_defaults=False):
    """The fields that identify a recorded call."""

    key: str
    """Key of the request, in hexadecimal digits."""
    scope: Scope
    n: int
    """Number of this request among the equal requests of its scope, from 0."""
    service: str
    protocol: str
    fields: dict[str, str]
    """A digest of each top-level field of the request."""


class Occurrences:
    """Counts equal requests of a scope."""

    def __init__(self) -> None:
        self._seen: dict[Scope, dict[bytes, int]] = {}

    def next(self, scope: Scope, key: bytes) -> int:
        """How many there were before this one."""
        seen = self._seen.setdefault(scope, {})
        number = seen.get(key, 0)
        seen[key] = number + 1
        return number

    def forget(self, context: CallContext) -> None:
        """Forget a scope without further calls; calls outside of rollouts have no end."""
        if context.problem_idx >= 0:
            self._seen.pop(Scope.of(context), None)


class RecordingWriter:
    """Appends lines; the file is made with the first of them. Raises ConfigError for a path that
    cannot be written, and for a file that is no recording."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: list[bytes] = []
        self._pending = 0
        self._timer: asyncio.TimerHandle | None = None
        self._file: LineFile | None = None
        self._ended = False
        check_can_be_made(path, f"recording {path}")
        if path.exists():
            with open_regular(path) as file:
                begin = file.read(len(_BEGIN))
            if not _BEGIN.startswith(begin):
                raise ConfigError(
                    "holds something else than a recording",
                    where=f"recording {path}",
                    hint="choose another path, or remove the file",
                )

    def add(self, line: bytes) -> None:
        """One line, without its end."""
        if self._ended:
            return
        self._lines.append(line)
        self._pending += len(line)
        if self._pending > FLUSH_BYTES:
            self._flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush)

    def close(self) -> None:
        """Write what is left. Safe to call twice."""
        self._flush()
        self._end()

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines, self._pending = self._lines, [], 0
        if not lines or self._ended:
            return
        try:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = LineFile(self.path, shared=True, follow_links=True)
            self._file.append(b"\n".join([*lines, b""]))
        except (OSError, ConfigError) as error:
            what = error.strerror if isinstance(error, OSError) else error.what
            log.error("%s: the recording ends here: %s", self.path, what)
            self._end()

    def _end(self) -> None:
        self._ended = True
        if self._file is not None:
            self._file.close()
            self._file = None


class Recording:
    """The index of a recording: where each call stands. The calls themselves stay on disk."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigError if there is nothing to read."""
        self.path = path
        self.calls = 0
        self._places: dict[bytes, int] = {}
        self._rollouts: dict[tuple[str, int, int], array[int]] = {}
        try:
            self._fd: int | None = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            self._load()
        except OSError as error:
            where = f"recording {path}"
            hint = "make one with the interceptor `record`"
            raise ConfigError(f"cannot read it: {error.strerror}", where=where, hint=hint) from None

    def find(self, key: str, scope: Scope, n: int) -> dict[str, Any] | None:
        """The line of a call."""
        place = self._places.get(_name(key, scope, n))
        return None if place is None else self._line(place)

    def heads(self, scope: Scope, most: int = 500) -> Iterator[Head]:
        """The last calls of a rollout, whatever the attempt."""
        for place in self._rollouts.get(scope[:3], array("Q"))[-most:]:
            yield msgspec.convert(self._line(place), Head)

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _load(self) -> None:
        read_head = msgspec.json.Decoder(Head).decode
        bad = 0
        with open_regular(self.path) as file:
            for place, line in read_lines(file):
                if line.strip():
                    try:
                        head = _lenient_head(line, read_head)
                    except UNREADABLE:
                        bad += 1
                    else:
                        self._note(head, place)
        if bad:
            log.warning("%s: %d broken lines are left out", self.path, bad)

    def _note(self, head: Head, place: int) -> None:
        self.calls += 1
        self._places[_name(head.key, head.scope, head.n)] = place
        self._rollouts.setdefault(head.scope[:3], array("Q")).append(place)

    def _line(self, place: int) -> dict[str, object]:
        assert self._fd is not None, "closed"
        data, size = b"", 1 << 13
        while b"\n" not in data:
            more = os.pread(self._fd, size, place + len(data))
            if not more:
                break
            data, size = data + more, size * 2
        line: dict[str, object] = decode(data.partition(b"\n")[0])
        return line


def _lenient_head(line: bytes, read: Any) -> Head:
    try:
        head: Head = read(line)
    except UNREADABLE:
        head = msgspec.convert(decode(line), Head)  # half a pair in some text
    return head


def _name(key: str, scope: Scope, n: int) -> bytes:
    """16 bytes that stand for a call in the index, which may hold millions."""
    text = "\0".join(map(str, (key, *scope, n)))
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()

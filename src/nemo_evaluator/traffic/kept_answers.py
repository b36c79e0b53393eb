"""The answers of one session in a file, for a program that begins anew when it is run again.

A harness that was killed asks its questions again, from the first one. Invariants: the nth equal
request gets the nth answer, and no answer is given twice; what was paid for once is asked for
once, and counted once.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from pathlib import Path
from typing import Any

import msgspec

from ..files.lines import LineFile
from ..files.reading import UNREADABLE, open_regular, read_lines
from .scrub import Scrubber
from .types import Ended, Forward, ModelRequest, ModelResponse, when_ended

log = logging.getLogger("nemo_evaluator.traffic")


class _Line(msgspec.Struct, omit_defaults=True):
    """One answer; without a request: those before it have been counted."""

    request: str = ""
    status: int = 200
    body: msgspec.Raw = msgspec.Raw(b"{}")
    latency_ms: float = 0.0
    ttft_ms: float | None = None
    tries: int = 1


class KeptAnswers:
    """Answers of earlier invocations, each given once; those of this one are added. Call it off the
    event loop. Raises OSError and ConfigError."""

    def __init__(self, path: Path, scrub: Scrubber) -> None:
        self._scrub = scrub
        self._known: dict[str, deque[tuple[int, int]]] = {}
        """Where the answers stand that were not given yet, by request."""
        self._counted = 0
        """Answers before this place of the file are in the accounts of an earlier invocation."""
        self._file = LineFile(path)
        with open_regular(path) as file:
            for offset, text in read_lines(file):
                line = _decoded(text)
                if line is not None and line.request:
                    places = self._known.setdefault(line.request, deque())
                    places.append((offset, len(text)))
                elif line is not None:
                    self._counted = offset

    def take(self, request: ModelRequest) -> ModelResponse | None:
        """The next answer to it that was not given yet."""
        places = self._known.get(_named(request))
        if not places:
            return None
        offset, length = places.popleft()
        line = _decoded(self._file.read_at(offset, length))
        body: Any = None if line is None else msgspec.json.decode(line.body)
        if line is None or not isinstance(body, dict):
            return None
        return ModelResponse(
            line.status,
            body,
            latency_ms=line.latency_ms,
            ttft_ms=line.ttft_ms,
            tries=line.tries,
            source="cache" if offset < self._counted else "replay",
        )

    def keep(self, request: str, response: ModelResponse) -> None:
        """Add an answer. Where the disk is full, it will be asked for again."""
        line = _Line(
            request=request,
            status=response.status,
            body=msgspec.Raw(self._scrub.encoded(response.body)),
            latency_ms=response.latency_ms,
            ttft_ms=response.ttft_ms,
            tries=response.tries,
        )
        self._append(line)

    def count(self) -> None:
        """What is there has been counted: a later invocation gets it for nothing."""
        self._append(_Line())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _append(self, line: _Line) -> None:
        try:
            self._file.append(msgspec.json.encode(line) + b"\n")
        except OSError as error:
            log.warning("%s: an answer could not be kept: %s", self._file.path, error)


async def from_kept_answers(request: ModelRequest, forward: Forward) -> ModelResponse:
    """The step of the pipeline: an answer of the caller's file, or one that is added to it."""
    kept = request.context.kept
    if kept is None:
        return await forward(request)
    if (found := kept.take(request)) is not None:
        return found
    named = _named(request)
    response = await forward(request)

    def ended(how: Ended) -> None:
        if isinstance(how, ModelResponse) and 200 <= how.status < 300:
            kept.keep(named, how)

    when_ended(response, ended)
    return response


def _named(request: ModelRequest) -> str:
    """Names a request by what a server can tell of it."""
    text = f"{request.protocol} ".encode() + request.form().text
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def _decoded(text: bytes) -> _Line | None:
    """None for a line that was cut off by a kill."""
    try:
        return msgspec.json.decode(text, type=_Line)
    except UNREADABLE:
        return None

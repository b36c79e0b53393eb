"""`http_pairs_dump`: the first pairs of request and answer, and the failures, in one file to read.

The file is one JSON object: ``metrics`` counts all answers by status, ``errors`` the calls that got
none by kind, ``pairs`` holds what was kept. It is replaced as a whole from time to time, never
changed in place, and never larger than ``first_n`` and ``max_failures`` pairs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
from pydantic import Field

from ...config.base import ConfigRecord
from ...files.writing import check_can_be_made
from ...types import ErrorInfo
from ..types import Changes, Ended, Interceptor, ModelRequest, ModelResponse, Place
from ..wire import encode

log = logging.getLogger("nemo_evaluator.traffic")

WRITE_SECONDS = 2.0
WRITE_SHARE = 20.0
"""Writing takes at most one part in this many of the time."""


class HttpPairsDump(Interceptor):
    """Keeps pairs, and writes them."""

    changes = Changes.NOTHING

    best_effort = True

    class Options(ConfigRecord):
        """Where pairs are written, and how many."""

        dump_path: str = Field(min_length=1)
        """The file; an existing one is replaced."""
        first_n: int = Field(50, ge=0)
        """Pairs that are kept whatever their status."""
        max_failures: int = Field(200, ge=0)
        """Further pairs that are kept because the status was not 200 or there was no answer."""

    def __init__(self, options: Options) -> None:
        self._path = Path(options.dump_path)
        self._first, self._failures = options.first_n, options.max_failures
        self._metrics: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._pairs: list[bytes] = []
        self._prefix = os.urandom(3).hex()
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None
        self._pause = WRITE_SECONDS
        self._broken = False

    def open(self, place: Place) -> None:
        """Keep the scrubber of this service. Raises ConfigError if the file cannot be written."""
        self._place = place
        check_can_be_made(self._path, f"dump_path {self._path}")

    def on_end(self, request: ModelRequest, ended: Ended) -> None:
        """Count the call, and keep the pair if it is one to keep."""
        self._count += 1
        failed = self._counted(ended)
        if self._count > self._first and failed and self._failures:
            self._failures -= 1
            self._pairs.append(encode(self._pair(request, ended)))
        elif self._count <= self._first:
            self._pairs.append(encode(self._pair(request, ended)))
        self._schedule()

    async def close(self) -> None:
        """Write what is left. Safe to call twice."""
        if self._writing is not None:
            await self._writing
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            await self._write()

    def _counted(self, ended: Ended) -> bool:
        """Whether the end of a call is a failure; a caller that went away is none."""
        if isinstance(ended, ModelResponse):
            self._metrics[str(ended.status)] += 1
            return ended.status != 200
        info = getattr(ended, "info", None)
        if not isinstance(info, ErrorInfo):
            self._errors["bug" if isinstance(ended, Exception) else "abandoned"] += 1
        elif info.status is not None:
            self._metrics[str(info.status)] += 1
        else:
            self._errors[info.kind] += 1
        return isinstance(ended, Exception)

    def _pair(self, request: ModelRequest, ended: Ended) -> dict[str, Any]:
        scrub = self._place.scrub
        pair: dict[str, Any] = {
            "request_id": f"{self._prefix}{self._count:06x}",
            "request": {
                "headers": scrub.headers(request.headers),
                "body": scrub.body(request.body),
            },
        }
        if request.context.session:
            pair["session_id"] = request.context.session
        response = ended if isinstance(ended, ModelResponse) else getattr(ended, "upstream", None)
        if isinstance(ended, BaseException):
            info = getattr(ended, "info", None)
            pair["error"] = {"type": type(ended).__name__, "message": scrub(str(ended))}
            if isinstance(info, ErrorInfo):
                pair["error"]["kind"] = info.kind
        if isinstance(response, ModelResponse):
            pair["response"] = {
                "status": response.status,
                "headers": scrub.headers(response.headers),
                "body": scrub.body(response.body),
                "latency_ms": response.latency_ms,
            }
        return pair

    def _schedule(self) -> None:
        if self._timer is None and not self._broken:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._pause, self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        pairs = [msgspec.Raw(pair) for pair in self._pairs]
        content = {"metrics": dict(self._metrics), "pairs": pairs}
        if self._errors:
            content["errors"] = dict(self._errors)
        started = time.perf_counter()
        try:
            await asyncio.to_thread(_replace, self._path, content)
        except OSError as error:
            self._broken = True
            log.warning("%s: no more pairs are dumped: %s", self._path, error.strerror)
        self._pause = max(WRITE_SECONDS, WRITE_SHARE * (time.perf_counter() - started))


def _replace(path: Path, content: dict[str, Any]) -> None:
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(msgspec.json.encode(content))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)

"""`caching`: equal requests are answered once, from a file on disk ever after.

Requests are equal if they go to the same model at the same upstream and a server cannot tell them
apart: the whole body counts, less what does not change an answer (``stream``, ``user``,
``metadata`` and the like). Sessions and attempts do not count, so a resumed run, and the next one,
find the answers that were paid for. Errors, filtered, empty and cut-off answers are never kept.
What is kept is cleaned like everything that is written. Equal requests at one time wait for one
answer.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from ...config.base import ConfigRecord
from ...errors import ConfigError, InfraError
from ...types import Failure
from ..store.flight import Flight, Flights
from ..store.keys import Keys
from ..store.sqlite_cache import Answer, AnswerStore, Limits, close_store, open_store
from ..store.sqlite_file import FILE
from ..store.worth import worth_keeping
from ..types import (
    CallContext,
    Changes,
    Ended,
    Forward,
    Interceptor,
    ModelRequest,
    ModelResponse,
    Place,
    when_ended,
)
from ..wire import decode

log = logging.getLogger("nemo_evaluator.traffic")

ANY_REPEAT = -1


@dataclass(slots=True)
class CacheStats:
    """What a cache has done."""

    hits: int = 0
    misses: int = 0
    stores: int = 0


class Caching(Interceptor):
    """Answers from the cache, and fills it."""

    changes = Changes.NOTHING

    class Options(ConfigRecord):
        """Where, what and how much."""

        cache_dir: str = Field(min_length=1)
        """Folder of ``adapter_cache.db``; several processes of one machine may share it."""
        bypass: bool = False
        """True turns the cache off: nothing is read, nothing is written."""
        mode: Literal["read_write", "read_only", "write_only", "replay_only"] = "read_write"
        """``write_only`` asks again and replaces what is stored; with ``replay_only`` a request
        that is not in the cache fails instead of being sent."""
        per_repeat: bool = True
        """Every repeat of a problem has answers of its own; false shares them among repeats."""
        store_truncated: bool = False
        """Keep answers that were cut off by a token limit too."""
        max_entries: int | None = Field(None, ge=1)
        """Answers in the file; beyond that, those not read for the longest time are removed. Null
        is unlimited."""
        max_mb: float | None = Field(None, gt=0)
        """Megabytes of stored answers (the file is somewhat larger). Null is unlimited."""
        max_age_hours: float | None = Field(None, gt=0)
        """Older answers are requested again. Null keeps them for ever."""

    def __init__(self, options: Options) -> None:
        self.stats = CacheStats()
        self._mode = "off" if options.bypass else options.mode
        self.offline = self._mode == "replay_only"
        self._directory = Path(options.cache_dir)
        self._per_repeat, self._truncated = options.per_repeat, options.store_truncated
        hours = options.max_age_hours
        self._max_age = math.inf if hours is None else hours * 3600
        self._limits = Limits(
            math.inf if options.max_entries is None else options.max_entries,
            math.inf if options.max_mb is None else options.max_mb * 1e6,
        )
        self._writes = self._mode in ("read_write", "write_only")
        self._flights: Flights[Answer] = Flights()
        self._store: AnswerStore | None = None
        self._place = Place("", "", "", "")
        self._keys = Keys()

    def open(self, place: Place) -> None:
        """Take the place. Raises ConfigError for a folder that cannot be one, and for a replay of
        nothing."""
        self._place, self._keys = place, Keys("cache", place.upstream or place.peer, place.model)
        if self._directory.exists() and not self._directory.is_dir():
            raise ConfigError("is not a folder", where=f"cache_dir {self._directory}")
        if self._mode == "replay_only" and not (self._directory / FILE).exists():
            hint = "fill it first, with mode: read_write"
            raise ConfigError(
                f"has no {FILE} in it", where=f"cache_dir {self._directory}", hint=hint
            )

    async def around(self, request: ModelRequest, forward: Forward) -> ModelResponse:
        """The stored answer, or the endpoint's."""
        if self._mode == "off" or request.body.get("conversation") is not None:
            return await forward(request)  # a conversation has grown since: no two are equal
        repeat = request.context.repeat if self._per_repeat else ANY_REPEAT
        key = self._keys(request.protocol, request.form(), repeat)
        if self._mode == "write_only":
            return await self._ask(request, forward, key, None)
        while True:
            if (found := self._find(key)) is not None:
                return found
            if self._mode == "replay_only":
                raise self._missing()
            if self._mode == "read_only":
                return await self._ask(request, forward, key, None)
            if (flight := self._flights.find(key)) is None:
                return await self._ask(request, forward, key, self._flights.lead(key))
            await self._wait(flight, request.context)
            if flight.answer and (found := self._answered(flight.answer)) is not None:
                return found
            if flight.each_alone:
                return await self._ask(request, forward, key, None)

    async def close(self) -> None:
        """Write what is left."""
        store, self._store, self._mode = self._store, None, "off"
        if store is not None:
            await asyncio.to_thread(close_store, store)
            stats = self.stats
            text = "%s: %d answers found, %d asked for, %d stored"
            log.info(text, store.path, stats.hits, stats.misses, stats.stores)

    def _opened(self) -> AnswerStore:
        if self._store is None:
            self._store = open_store(self._directory, writes=self._writes, limits=self._limits)
        return self._store

    def _find(self, key: bytes) -> ModelResponse | None:
        answer = self._opened().get(key, time.time() - self._max_age)
        return None if answer is None else self._answered(answer)

    def _answered(self, answer: Answer) -> ModelResponse | None:
        """The stored answer, with the times of the first call; None if the stored body is not
        JSON."""
        try:
            body = decode(answer.body)
        except ValueError:
            return None
        self.stats.hits += 1
        return ModelResponse(
            answer.status,
            body,
            latency_ms=answer.latency_ms,
            ttft_ms=answer.ttft_ms,
            tries=answer.tries,
            source="cache",
        )

    def _missing(self) -> InfraError:
        self.stats.misses += 1
        text = f"replay_only: this request is not in the cache {self._directory / FILE}"
        return InfraError(text, kind=Failure.NOT_FOUND, peer=self._place.peer)

    async def _wait(self, flight: Flight[Answer], context: CallContext) -> None:
        if context.on_wait is not None:
            context.on_wait(self._place.peer)
        await flight.wait()
        if context.on_wait is not None:
            context.on_wait(None)

    async def _ask(
        self,
        request: ModelRequest,
        forward: Forward,
        key: bytes,
        flight: Flight[Answer] | None,
    ) -> ModelResponse:
        self.stats.misses += 1
        try:
            response = await forward(request)
            if flight is not None and response.chunks is not None:
                flight.watch(response.chunks)

            def ended(how: Ended) -> None:
                try:
                    self._keep(request, key, how, flight)
                finally:
                    if flight is not None:
                        flight.land()

            when_ended(response, ended)
        except BaseException:
            if flight is not None:
                flight.land()
            raise
        return response

    def _keep(
        self, request: ModelRequest, key: bytes, ended: Ended, flight: Flight[Answer] | None
    ) -> None:
        if not isinstance(ended, ModelResponse):
            return
        if not worth_keeping(request, ended, truncated=self._truncated):
            if flight is not None:
                flight.land(each_alone=True)
            return
        body = self._place.scrub.encoded(ended.body)
        now = time.time()
        times = (ended.latency_ms, ended.ttft_ms, ended.tries)
        answer = Answer(body, ended.status, *times, created=now)
        if self._writes and self._mode != "off":
            replaces = math.inf if self._mode == "write_only" else now - self._max_age
            self.stats.stores += self._opened().put(key, answer, replaces)
        if flight is not None:
            flight.land(answer)

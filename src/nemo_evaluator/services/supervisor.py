"""Runs one server beside the evaluation: started, watched, and ended with all its programs.

Invariants: a server is never taken for ready because another program listens on its port, nor
before it has answered a real request, where its kind has one; when it ends by itself, that is known
within seconds, and whoever asks it is told so with the end of the log; when the evaluation ends,
however that is, so does the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from ..config.server_life import RestartConfig
from ..errors import ConfigError
from ..http.client.errors import NetError
from ..http.client.single import request
from ..types import Json
from .child import Child, Program
from .containers import remove_abandoned_containers
from .contract import AnyService, Health, Launch
from .launch import HOST, missing_workers
from .ports import trouble_with
from .server_log import ServerLog

POLL_SECONDS = (0.05, 1.0)
"""Time between two looks whether a server is up, at first and at most."""
WATCH_SECONDS = 1.0
"""Time between two looks whether it still runs."""
PROBE_SECONDS, SILENT_PROBES = 20.0, 3
"""Time between two questions to its health path, and how many without an answer are told."""
ASK_SECONDS = 10.0
MAX_BACKOFF_SECONDS = 300.0

Programs = Callable[[Mapping[str, str]], Sequence[Program]]
"""Makes what is run; given the variables that are known only once a server starts."""
Question = Callable[[float], Awaitable[str | None]]
"""A real request, which may take this many seconds: what came instead of an answer; None where
there was one. Raises ConfigError for what waiting does not help."""


Work = asyncio.Future[Any]


class State(StrEnum):
    """The state of a server."""

    DOWN = "down"
    """Not started yet, or ended on purpose."""
    UP = "up"
    RESTARTING = "restarting"
    FAILED = "failed"
    """For good."""


class Supervisor:
    """One server of this machine."""

    def __init__(
        self,
        name: str,
        launch: Launch,
        programs: Programs,
        log: ServerLog,
        *,
        port: int,
        needs: Sequence[AnyService] = (),
        say: Callable[[str], None] = lambda _: None,
        env: Callable[[], Awaitable[Mapping[str, str]]] | None = None,
        question: Question | None = None,
        restart: RestartConfig | None = None,
        label: str | None = None,
    ) -> None:
        """``say`` is told that it starts, is up, and ended by itself, by ``label``; ``env``:
        variables that are known only once it starts."""
        self.name, self.launch, self.port = name, launch, port
        self.label = label or f"service {name}"
        self.state = State.DOWN
        self._programs, self._log, self._needs, self._say = programs, log, needs, say
        self._more_env, self._question = env, question
        self._restart = restart or RestartConfig()
        self._restarts = 0
        self._children: list[Child] = []
        self._starting = asyncio.Lock()
        self._tasks: set[Work] = set()
        self._ends: set[Work] = set()
        self._why = ""
        self._last_answer = 0.0
        self._failure: ConfigError | None = None

    async def start(self) -> None:
        """Start the server, once, after what it depends on, and wait until it is up. Raises
        ConfigError."""
        if self.is_up():
            return
        async with self._starting:  # a restart holds it
            if self.state is State.DOWN:
                try:
                    await self._bring_up()
                except ConfigError as error:
                    self._fail(error)
            if self._failure is not None:
                raise self._failure

    @property
    def where(self) -> str:
        """Where the server stands in the configuration."""
        return f"services.{self.name}"

    @property
    def coming_back(self) -> bool:
        """Whether the server is being started again."""
        return self.state is State.RESTARTING

    def is_up(self) -> bool:
        """Whether the server runs; one that has ended is started again, where that is wanted."""
        if self.state is State.UP:
            ended = self._ended_child()
            if ended is None:
                return True
            self._restart_or_fail(self._how_it_ended(ended))
        return False

    def answered(self) -> None:
        """Note that the server has answered a request."""
        self._last_answer = time.monotonic()

    def health(self) -> Health:
        """Whether the server runs; before its start that is not known to be wrong."""
        if self.is_up() or self.state is State.DOWN:
            return Health(True)
        return Health(False, self._why)

    def lines(self) -> list[str]:
        """The last lines of its log."""
        return self._log.lines()

    def pids(self) -> list[int]:
        """The process ids of the server's programs."""
        return [child.pid for child in self._children]

    async def rest(self) -> bool:
        """End the server until it is asked again: whether it ran."""
        async with self._starting:
            if not self.is_up():
                return False
            self.state = State.DOWN
            await self._end_programs()
        return True

    async def stop(self) -> None:
        """End the server and every process it started. Safe to call twice."""
        if self.state is State.UP and (ended := self._ended_child()) is not None:
            self._say(f"{self.label}: {_first_line(self._how_it_ended(ended))}")
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.state is not State.FAILED:
            self.state = State.DOWN
        await self._end_programs()
        await asyncio.gather(*self._ends)

    # -- its end ----------------------------------------------------------------------------------

    def _restart_or_fail(self, why: str) -> None:
        """The server ended by itself: note why, and begin to start it again where that is
        wanted."""
        self._why = why
        first = _first_line(why)
        left = self._restart.max - self._restarts
        if left <= 0:
            self._fail(self._wrong(self._why))
            self._say(f"{self.label}: {first}")
            self._spawn(self._end_programs())
            return
        self.state = State.RESTARTING
        seconds = min(self._restart.backoff * 2.0**self._restarts, MAX_BACKOFF_SECONDS)
        self._restarts += 1
        count = f"restart {self._restarts} of {self._restart.max}"
        self._say(f"{self.label}: {first}; {count} in {seconds:g} s")
        self._spawn(self._start_again(seconds))

    def _fail(self, error: ConfigError) -> None:
        self._why, self._failure, self.state = error.what, error, State.FAILED

    async def _start_again(self, seconds: float) -> None:
        async with self._starting:
            await self._end_programs()
            await asyncio.sleep(seconds)
            try:
                await self._bring_up()
            except ConfigError as error:
                self._fail(error)
                self._say(f"{self.label}: could not be started again: {error}")

    async def _watch(self) -> None:
        """Look at the server while it runs, also when no request is on its way."""
        next_probe, silent_since, silent = time.monotonic() + PROBE_SECONDS, 0.0, 0
        while self.is_up():
            await asyncio.sleep(WATCH_SECONDS)
            now = time.monotonic()
            if self.launch.health_path is None or now < next_probe:
                continue
            up, why = await self._ask_health()
            next_probe = time.monotonic() + PROBE_SECONDS
            silent_since = silent_since if silent else now
            silent = 0 if up else silent + 1
            if silent >= SILENT_PROBES and self._last_answer < silent_since and self.is_up():
                self._is_silent(why, time.monotonic() - silent_since, first=silent)

    def _is_silent(self, said: str, seconds: float, *, first: int) -> None:
        """The server runs and answers nothing any more: it is ended where it would be started
        again, else said to be so once, since it may be busy."""
        if self._restarts < self._restart.max:
            self._restart_or_fail(f"the server has not answered for {seconds:.0f} s ({said})")
        elif first == SILENT_PROBES:
            self._say(f"warning: {self.label} runs, but does not answer: {said}")

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        self._keep_until_done(asyncio.ensure_future(work), self._tasks)

    def _keep_until_done(self, future: Work, until_done: set[Work]) -> Work:
        until_done.add(future)
        future.add_done_callback(until_done.discard)
        return future

    async def _end_programs(self) -> None:
        """Also where whoever wants it is cancelled: ``stop`` waits for all of them."""
        children, self._children = self._children, []
        if children:
            ends = [asyncio.to_thread(child.stop) for child in reversed(children)]
            await asyncio.shield(self._keep_until_done(asyncio.gather(*ends), self._ends))

    # -- its start --------------------------------------------------------------------------------

    async def _bring_up(self) -> None:
        """Start the server and wait until it answers. Raises ConfigError, and then nothing of it
        runs."""
        await asyncio.gather(*(need.ready() for need in self._needs))
        log = f", log: {self._log.path}" if self._log.path else ""
        more = {} if self._more_env is None else await self._more_env()
        began = time.monotonic()
        try:
            self._check_free()
            if self.launch.image is not None:
                await asyncio.to_thread(remove_abandoned_containers)
            programs = self._programs(more)
            self._say(f"{self.label}: starting{log}")
            end = began + self.launch.startup_timeout
            for program in programs:
                await self._begin(program, end)
            await self._until_up(end)
        except BaseException:
            await self._end_programs()
            raise
        self._say(f"{self.label}: up after {time.monotonic() - began:.0f} s")
        self.state = State.UP
        self._spawn(self._watch())

    async def _begin(self, program: Program, end: float) -> None:
        try:
            child = Child(program, self._log, self.launch.stop_timeout)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConfigError(
                f"cannot start {program.argv[0]!r}: {reason}", where=self.where
            ) from None
        self._children.append(child)
        if program.listens_on is not None:
            await self._wait_until(lambda: _takes_connections(program.listens_on or 0), end)

    def _check_free(self) -> None:
        """Raise ConfigError if another program listens on the port: it would be evaluated."""
        trouble = trouble_with(self.port)
        if trouble is not None:
            raise ConfigError(
                f"port {self.port} cannot be used: {trouble}",
                where=f"{self.where}.port",
                hint="end the program that listens there, or leave out port",
            )

    async def _until_up(self, end: float) -> None:
        await self._wait_until(self._ask_health, end)
        if self._question is None:
            return
        question = self._question

        async def answered() -> tuple[bool, str]:
            try:
                why = await question(max(1.0, end - time.monotonic()))
            except ConfigError as error:
                raise self._wrong(f"{error.what}{self._log.tail()}") from None
            how = (
                "it is up"
                if self.launch.health_path is None
                else (f"GET {self.launch.health_path} is answered")
            )
            return why is None, f"{how}, but a real request is not: {why}"

        await self._wait_until(answered, end)

    async def _wait_until(
        self, look: Callable[[], Awaitable[tuple[bool, str]]], end: float
    ) -> None:
        """Wait for what ``look`` looks for; it says what is there instead. Raises ConfigError."""
        pause = POLL_SECONDS[0]
        while True:
            for child in self._children:
                if child.code() is not None:
                    raise self._wrong(self._how_it_ended(child))
            there, why = await look()
            if there:
                return
            if time.monotonic() > end:
                seconds = f"{self.launch.startup_timeout:g}"
                raise self._wrong(f"was not up after {seconds} s ({why}){self._log.tail()}")
            await asyncio.sleep(pause)
            pause = min(2 * pause, POLL_SECONDS[1])

    async def _ask_health(self) -> tuple[bool, str]:
        """Whether the server is up, and what came instead."""
        if self.launch.health_path is None:
            return await _takes_connections(self.port)
        url = f"http://{HOST}:{self.port}{self.launch.health_path}"
        try:
            status, body = await request("GET", url, seconds=ASK_SECONDS)
        except NetError as error:
            return False, f"GET {url}: {error}"
        if status == 200 and self.launch.workers:
            lacking = missing_workers(_decoded(body), self.launch.workers)
            return lacking is None, f"GET {url}: {lacking}"
        return status == 200, f"GET {url} was answered with {status}"

    def _wrong(self, what: str) -> ConfigError:
        return ConfigError(what, where=self.where)

    def _ended_child(self) -> Child | None:
        return next((child for child in self._children if child.code() is not None), None)

    def _how_it_ended(self, child: Child) -> str:
        child.last_words()
        code = child.code() or 0
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        which = f" ({child.program.role})" if child.program.role else ""
        return f"the server{which} ended {how}{self._log.tail()}"


def _first_line(why: str) -> str:
    """Without the end of the log."""
    return why.partition("; the end of its log")[0]


async def _takes_connections(port: int) -> tuple[bool, str]:
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(ASK_SECONDS):
            _, writer = await asyncio.open_connection(HOST, port)
        writer.close()
        return True, ""
    return False, f"nothing listens on {HOST}:{port}"


def _decoded(body: bytes) -> Json:
    try:
        decoded: Json = msgspec.json.decode(body)
        return decoded
    except msgspec.DecodeError:
        return None

"""A server that is no model, open: one that runs already, or one that is started when it is needed.

It is ready once it has answered a real request: any of the paths that its kind names.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import TracebackType
from typing import cast

from ..config.agents import ServerFields
from ..errors import ConfigError, InfraError
from ..traffic.types import CallContext
from ..types import Json
from .contract import Health, Launch, OpenService, Place
from .endpoint import without_credentials
from .json_server import REDIRECTS, JsonServer
from .launch import HOST
from .launched import supervised
from .ports import ReservedPorts
from .started_elsewhere import started_elsewhere
from .supervisor import Supervisor

ASK_SECONDS = 10.0
POLL_SECONDS = 0.2


class Server:
    """An `OpenServer`; also its context manager."""

    def __init__(
        self,
        name: str,
        calls: JsonServer,
        *,
        answers: tuple[str, ...],
        identity: Mapping[str, Json],
        patience: float,
        supervisor: Supervisor | None = None,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        """``answers``: paths of which one is answered with 200 once it is up; ``patience``: seconds
        until then, where it is started; ``release`` gives its port back."""
        self.name, self.calls, self.identity = name, calls, identity
        self.endpoints = (without_credentials(calls.url),)
        self._answers, self._patience, self._supervisor = answers, patience, supervisor
        self._release = release
        self._is_ready = False

    async def ready(self) -> str | None:
        """See ``AnyService``."""
        if self._is_ready:
            return None
        began = time.monotonic()
        if self._supervisor is not None:
            await self._supervisor.start()
        while (why := await self._ask_answering_paths()) is not None:
            late = time.monotonic() - began > self._patience
            if self._supervisor is None or late or not self.health().up:
                raise ConfigError(self._not_up(why), where=f"services.{self.name}")
            await asyncio.sleep(POLL_SECONDS)
        self._is_ready = True
        return None

    def health(self) -> Health:
        """Whether the server runs, where it was started here."""
        return Health(True) if self._supervisor is None else self._supervisor.health()

    async def logs(self) -> AsyncIterator[str]:
        """The last lines of its log, where it was started here."""
        for line in () if self._supervisor is None else self._supervisor.lines():
            yield line

    async def close(self) -> None:
        """Close the connections, then end the server. Safe to call twice."""
        try:
            await self.calls.close()
        finally:
            if self._supervisor is not None:
                await self._supervisor.stop()
            self._release()

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _ask_answering_paths(self) -> str | None:
        """What came instead of an answer; None where there was one."""
        why = ""
        for path in self._answers:
            try:
                reply = await self.calls.session().asked("GET", path, None, seconds=ASK_SECONDS)
            except InfraError as error:
                return str(error)
            if reply.status == 200:
                return None
            why = str(self.calls.refused(path, reply))
            if reply.status in REDIRECTS:
                return why
        return why

    def _not_up(self, said: str) -> str:
        health = self.health()
        return f"does not answer: {health.why if not health.up else said}"


def open_server(
    name: str,
    options: ServerFields,
    place: Place,
    launch: Launch | None,
    *,
    answers: tuple[str, ...],
    identity: Mapping[str, Json],
) -> Server:
    """The open service of a server: of a URL, or of what is to be started. Raises ConfigError."""
    token = options.token.get_secret_value() if options.token else None
    limit, patience = max(1, place.max_concurrent), options.startup_timeout
    if launch is None or (known := started_elsewhere(name)):
        url = options.url if launch is None else known[0]
        assert url is not None
        direct = "direct" if launch is not None else None
        calls = JsonServer(url, token=token, limit=limit, proxy=direct)
        return Server(name, calls, answers=answers, identity=identity, patience=patience)
    ports = ReservedPorts(launch, f"services.{name}.port")
    env, model = _env(name, options, place), options.model or name
    supervisor = supervised(name, launch, place, ports.first, model=model, env=env)
    url = f"http://{HOST}:{ports.first}"
    calls = JsonServer(url, token=token, limit=limit, proxy="direct")
    return Server(
        name,
        calls,
        answers=answers,
        identity=identity,
        patience=patience,
        supervisor=supervisor,
        release=ports.release,
    )


def _env(name: str, options: ServerFields, place: Place) -> Callable[[], Awaitable[dict[str, str]]]:
    """What tells a started server where its model is, once it starts."""
    model = None if options.model is None else cast(OpenService, place.needs[options.model])

    async def told() -> dict[str, str]:
        if model is None:
            return {}
        return (await model.client.door(CallContext(session=f"service/{name}"))).env()

    return told

"""What is found out before the first paid request: whether models, judges and servers answer, and
what the user must fix if not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine

from ..errors import ConfigError
from ..services.contract import OpenServer
from ..traffic.client import ModelClient
from .control import ServiceHealth
from .job import Job

log = logging.getLogger(__name__)


async def check_service(
    job: Job, health: ServiceHealth, warn: Callable[[str], None]
) -> ConfigError | None:
    """Once per service, before the first paid request: what the user must fix, if anything."""
    if job.model is not None and not health.checked:
        health.checked = True
        try:
            warning = await job.model.check()
        except ConfigError as error:
            health.unusable = error
        else:
            log.info("service %s: ready, model %s", job.plan.service, job.model.name)
            if warning:
                warn(f"warning: {warning}")
    return health.unusable


async def first_error(*checks: Coroutine[None, None, ConfigError | None]) -> ConfigError | None:
    """What any of several checks finds wrong, as soon as one does; the others are given up."""
    tasks = [asyncio.ensure_future(check) for check in checks]
    try:
        for done in asyncio.as_completed(tasks):
            if (error := await done) is not None:
                return error
        return None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def check_servers(job: Job) -> ConfigError | None:
    """Start the servers that are no models, and wait until they answer: what the user must fix."""

    async def checked(server: OpenServer) -> ConfigError | None:
        try:
            await server.ready()
        except ConfigError as error:
            return error
        return None

    return await first_error(*map(checked, job.servers.values()))


class Judges:
    """Checks judges, and models in other roles than the solver's own, each once, before any
    request: an answer without one cannot be scored, or not be given."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._known: dict[str, ConfigError | None] = {}
        self._checking: dict[str, asyncio.Lock] = {}

    async def check(self, job: Job) -> ConfigError | None:
        """What the user must fix before the benchmark can be judged, if anything."""
        asked = [*(("judge", j) for j in job.judges), *job.models.items()]
        others = [(what, model) for what, model in asked if model is not job.model]
        return await first_error(*(self._error_once(job, what, model) for what, model in others))

    async def _error_once(self, job: Job, what: str, model: ModelClient) -> ConfigError | None:
        name = model.service_name
        async with self._checking.setdefault(name, asyncio.Lock()):
            if name not in self._known:
                self._known[name] = await self._error(what, model)
        unusable = self._known[name]
        if unusable is None:
            return None
        return ConfigError(f"{what} {name}: {unusable}", where=job.plan.name)

    async def _error(self, what: str, model: ModelClient) -> ConfigError | None:
        try:
            warning = await model.check()
        except ConfigError as error:
            return error
        if warning:
            self._warn(f"warning: {what} {model.service_name}: {warning}")
        return None

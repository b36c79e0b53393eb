"""Ends services that no benchmark of the run will ask any more: what they hold is expensive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..config.needed_services import in_order
from ..config.services import Service
from ..services.contract import AnyService, Rests
from ..services.open import Opened
from .job import Job


class IdleServices:
    """The services of a run, and which of them are still needed."""

    def __init__(self, services: Mapping[str, Service], opened: Opened) -> None:
        """``services``: as they are configured."""
        self._services = services
        self._open: dict[str, AnyService] = {**opened.models, **opened.servers}

    async def end(self, left: Iterable[Job]) -> None:
        """End what none of the jobs that are left needs, each before what it depends on."""
        asked = {name for job in left for name in job.asks}
        needed = {*in_order(self._services, asked)}
        for name in reversed(in_order(self._services, self._open)):
            if name in needed:
                continue
            service: object = self._open.pop(name, None)
            if isinstance(service, Rests):
                await service.rest()

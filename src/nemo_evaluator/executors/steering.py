"""Does to a run that goes on what it is asked to (`nel eval ctl`), and says what that changed.

A request is checked as a whole before anything is changed. Nothing here waits for rollouts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping

from ..config.load import Loaded
from ..engine.control import Control
from ..engine.job import Job
from ..engine.prepare import Prepared
from ..engine.progress import Tally
from ..errors import ConfigError, suggest
from ..results.requests import Action, ControlRequest, Reply
from ..runtime import need_descriptors
from ..traffic.client import ModelClient

ASKED = "nel eval ctl finish"


class Steering:
    """Steers one run."""

    def __init__(
        self,
        control: Control,
        prepared: Prepared,
        loaded: Loaded,
        say: Callable[[str], None],
    ) -> None:
        self._control, self._say = control, say
        self._jobs = {job.plan.slug: job for job in prepared.jobs}
        self._clients = {name: service.client for name, service in prepared.services.items()}
        self._most = _upstream_limits(loaded)
        """What each service may be asked at once, where the user has said that."""

    async def answer(self, request: ControlRequest, tallies: Mapping[str, Tally]) -> Reply:
        """Do what is asked; what came of it."""
        try:
            jobs = self._chosen(request)
            self._check(request)
            lines = [*self._limited(request), *self._resized(request, jobs)]
            lines += [line async for line in self._acted(request, tallies)]
        except ConfigError as error:
            return Reply(id=request.id, refused=str(error))
        for line in lines:
            self._say(f"nel eval ctl: {line}")
        return Reply(id=request.id, said=tuple(lines))

    def _chosen(self, request: ControlRequest) -> list[Job]:
        if request.benchmark is None:
            return [*self._jobs.values()]
        named = [
            job for slug, job in self._jobs.items() if request.benchmark in (slug, job.plan.name)
        ]
        if not named:
            hint = suggest(request.benchmark, self._jobs)
            raise ConfigError("the run has no such benchmark", where=request.benchmark, hint=hint)
        return named

    def _check(self, request: ControlRequest) -> None:
        for name, most in request.limits.items():
            if name not in self._clients:
                hint = suggest(name, self._clients)
                raise ConfigError("the run asks no such service", where=name, hint=hint)
            need_descriptors(2 * most)
        if request.max_concurrent is not None:
            need_descriptors(2 * request.max_concurrent)
        if request.action is not None and self._control.stopping:
            raise ConfigError("the run is stopping already")

    def _resized(self, request: ControlRequest, jobs: list[Job]) -> Iterator[str]:
        most = request.max_concurrent
        if most is None:
            return
        for job in jobs:
            slug = job.plan.slug
            self._control.sizes[slug] = most
            for model in {id(model): model for model in job.models.values()}.values():
                self._allow(model, most)
            if (at_work := self._control.at_work.get(slug)) is not None:
                at_work.resize(most)
            bounds = [min(most, model.limiter.cap) for model in job.models.values()]
            effective = min([most, *bounds])
            cut = f" ({effective}: its service has that limit)" if effective < most else ""
            yield f"{slug}: at most {most} at once{cut}"

    def _allow(self, model: ModelClient, most: int) -> None:
        """Let a service take as many requests as a benchmark may have in flight."""
        wanted = min(most, self._most.get(model.service_name, most))
        if wanted > model.limiter.cap:
            model.limit_to(wanted)

    def _limited(self, request: ControlRequest) -> Iterator[str]:
        for name, most in request.limits.items():
            self._most[name] = most
            self._clients[name].limit_to(most)
            yield f"service {name}: at most {most} requests in flight"

    async def _acted(
        self, request: ControlRequest, tallies: Mapping[str, Tally]
    ) -> AsyncIterator[str]:
        match request.action:
            case Action.PAUSE:
                self._control.pause()
                self._hold(True)
                yield "paused: nothing new is started; what is in flight is finished"
            case Action.RESUME:
                self._hold(False)
                self._control.go_on()
                yield "goes on"
            case Action.REQUEUE:
                for slug, tally in tallies.items():
                    yield await self._requeued(slug, tally)
            case Action.FINISH:
                yield self._finished(request.older_than)

    def _hold(self, held: bool) -> None:
        """A harness sends its requests by itself: they wait while the run is paused."""
        for job in self._jobs.values():
            if job.environment.harness is not None:
                for model in job.models.values():
                    model.limiter.hold(held)

    async def _requeued(self, slug: str, tally: Tally) -> str:
        at_work = self._control.at_work.get(slug)
        if at_work is not None:
            return f"{slug}: {await at_work.requeue()} errored rollouts are tried again"
        failed = tally.snapshot().failed
        try:
            if again := self._control.reopen(slug):
                return f"{slug}: had ended; its {again} rollouts without a verdict are tried again"
        except ConfigError as error:
            return f"{slug}: has ended ({error.what}); nel eval resume tries {failed} again"
        return f"{slug}: no rollout is errored"

    def _finished(self, older_than: float) -> str:
        at_once = f"once it is older than {older_than:g} s" if older_than else "now"
        self._control.finish(f"by request ({ASKED})")
        self._hold(False)
        for at_work in [*self._control.at_work.values()]:
            at_work.give_up(older_than)
        return f"finishes: nothing new is started; what is in flight is given up {at_once}"


def _upstream_limits(loaded: Loaded) -> dict[str, int]:
    """The limit that the configuration sets for each service, where it does."""
    found = {}
    for name, service in loaded.config.services.items():
        most = getattr(getattr(service, "proxy", None), "max_concurrent_upstream", None)
        if isinstance(most, int):
            found[name] = most
    return found

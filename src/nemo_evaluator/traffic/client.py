"""The in-process door of the pipeline: what a solver calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

from ..errors import ConfigError, PermanentError
from ..http.listener import Listener
from ..types import Failure, Generation, Image, Json, Message, Usage
from .defaults import Defaults
from .dialects import DIALECTS, Question
from .door.sessions import Endpoint as SessionEndpoint
from .endpoint import Endpoint
from .guard import CompletionsGuard, guarded
from .kept_answers import from_kept_answers
from .ledger import Ledger, Totals
from .limiter import Limiter
from .log import TrafficLog
from .outage import Outage
from .pipeline import Pipeline
from .price import cost
from .scrub import Scrubber
from .settings import ModelSettings
from .transport import Transport, widen
from .types import CallContext, ModelRequest, Place, Step

SIMULATED = "simulated"
"""The ``system_fingerprint`` by which a simulated endpoint gives itself away."""


class Window(NamedTuple):
    """Most tokens of a prompt, and of an answer; None: not known."""

    prompt: int | None = None
    completion: int | None = None


NO_WINDOW = Window()
"""Of a model that nothing is known of."""


class Model(Protocol):
    """A model endpoint as a solver sees it."""

    name: str
    """The model id sent to the endpoint."""

    @property
    def protocol(self) -> str:
        """What it is asked over: ``chat_completions``, ``completions`` …"""

    async def door(
        self, context: CallContext, *, listener: Listener | None = None
    ) -> SessionEndpoint:
        """Where a foreign client reaches it over HTTP, for one session; with a ``listener`` that
        was made inside a sandbox, there."""

    @property
    def params(self) -> Mapping[str, Json]:
        """The generation parameters of its service."""

    @property
    def window(self) -> Window:
        """How long prompts and answers may be, where the service says so."""

    def session(self, context: CallContext) -> Totals:
        """What a session has used so far, and what became of its calls."""

    async def generate(
        self,
        *,
        prompt: str = "",
        messages: Sequence[Message] = (),
        system: str | None = None,
        images: Sequence[Image] = (),
        image_detail: str = "auto",
        params: Mapping[str, Json] | None = None,
        context: CallContext,
    ) -> Generation:
        """One answer. ``messages`` win over ``prompt``; ``system`` replaces a leading system
        message; ``params`` win over the service's generation parameters.

        Raises ModelError (the model refused), InfraError (after retries), PermanentError (no retry
        can help).
        """


class Door(Protocol):
    """A way to a client over HTTP."""

    async def start(self) -> str:
        """Listen; the URL."""

    async def stop(self) -> None:
        """Finish what is in flight, and close."""

    def endpoint(self, context: CallContext) -> SessionEndpoint:
        """Where a client reaches a session, which is opened."""

    async def listen_inside(self, listener: Listener, context: CallContext) -> SessionEndpoint:
        """The same on a listener inside a sandbox."""

    def close_session(self, context: CallContext) -> None:
        """Refuse further calls of a session."""


class Load(NamedTuple):
    """How busy a service is, for a live display."""

    in_flight: int = 0
    limit: int | None = None
    """Requests that may be in flight now."""
    failed_tries: int = 0
    """Tries that got no answer, so far."""
    outage: str = ""
    """What is wrong with the endpoint, in words; empty if nothing is."""


@dataclass(frozen=True, slots=True)
class TrafficStats:
    """What a service's client is doing, and has done, at one moment."""

    in_flight: int
    limit: int
    """Requests that may be in flight now."""
    waiting: int
    """Calls that wait for admission."""
    paused_until: float
    """``time.monotonic()`` value before which no request leaves; 0 if it was never asked for."""
    answers: int
    failed_tries: Mapping[Failure, int]
    """Tries that got no answer, by kind."""
    prompt_tokens: int
    completion_tokens: int


class ModelClient:
    """Asks one service through its pipeline, over any transport."""

    def __init__(
        self,
        settings: ModelSettings,
        transport: Transport,
        *,
        steps: Sequence[tuple[str, Step]] = (),
        traffic: TrafficLog | None = None,
        make_door: Callable[[ModelClient], Door] | None = None,
    ) -> None:
        """``steps`` are named interceptors that are not opened yet. ``make_door`` makes the HTTP
        door when it is first asked for. Raises ConfigError for parameters that cannot be sent."""
        self.settings, self.transport, self.traffic = settings, transport, traffic
        self.name, self.protocol = settings.model, settings.protocol
        self.service_name, self.pinned = settings.service_name, settings.pinned
        self._make_door = make_door
        self._door: Door | None = None
        self._opening = asyncio.Lock()
        self._dialect = DIALECTS[settings.protocol]
        self._params = _params(settings)
        self._price = settings.price
        self.ledger = Ledger()
        self.scrub = Scrubber()
        self.limiter = Limiter(settings.max_concurrent)
        peer = settings.peer or self.service_name
        self.endpoint = Endpoint(
            peer,
            self.limiter,
            max_retries=settings.max_retries,
            retry_on_status=settings.retry_on_status,
            redact=self.scrub,
            outage=Outage(self.service_name, settings.max_outage),
        )
        self.pipeline = Pipeline(self._steps(steps), transport, self.endpoint)
        self.pipeline.open(
            Place(
                service=self.service_name,
                model=self.name,
                peer=peer,
                upstream=settings.upstream or peer,
                protocol=self.protocol,
                scrub=self.scrub,
                cost=partial(cost, price=self._price),
            )
        )

    def _steps(self, between: Sequence[tuple[str, Step]]) -> list[tuple[str, Step]]:
        """The whole pipeline: what every client does before and after the interceptors."""
        steps: list[tuple[str, Step]] = [("defaults", Defaults(self._dialect, self._params))]
        steps += [
            ("kept answers", from_kept_answers),
            *between,
            ("completions guard", CompletionsGuard()),
        ]
        if self.traffic is not None:
            steps.append(("traffic log", self.traffic))
        return [*steps, ("ledger", self.ledger)]

    async def generate(
        self,
        *,
        prompt: str = "",
        messages: Sequence[Message] = (),
        system: str | None = None,
        images: Sequence[Image] = (),
        image_detail: str = "auto",
        params: Mapping[str, Json] | None = None,
        context: CallContext,
    ) -> Generation:
        """See ``Model.generate``.

        Where a seed is set, repeat r sends seed + r: the repeats of a problem are samples, and one
        seed for all would make them one sample.
        """
        merged = {**self._params, **params} if params else self._params
        seed = merged.get("seed")
        if context.repeat and isinstance(seed, int):
            merged = {**merged, "seed": seed + context.repeat}
        question = Question(self.name, prompt, messages, system, images, image_detail, merged)
        if images:  # may read files and encodes megabytes
            body = await asyncio.to_thread(self._dialect.build, question)
        else:
            body = self._dialect.build(question)
        request = ModelRequest(self.protocol, body, stream=self.settings.stream, context=context)
        response = await self.pipeline(request)
        reply = response.reply or self._dialect.parse(response.body)
        cached = response.source == "cache"
        return Generation(
            text=reply.text,
            reasoning=reply.reasoning,
            finish_reason=reply.finish_reason,
            usage=reply.usage,
            model=reply.model,
            tool_calls=reply.tool_calls,
            logprobs=reply.logprobs,
            prompt_logprobs=reply.prompt_logprobs,
            latency_ms=round(response.latency_ms, 3),
            ttft_ms=None if response.ttft_ms is None else round(response.ttft_ms, 3),
            tries=response.tries,
            cost_usd=0.0 if cached and self._price else cost(reply.usage, self._price),
            cached=cached,
            simulated=response.body.get("system_fingerprint") == SIMULATED,
        )

    @property
    def params(self) -> Mapping[str, Json]:
        """See ``Model.params``."""
        return self._params

    @property
    def window(self) -> Window:
        """See ``Model.window``."""
        return Window(self.settings.max_input_tokens, self.settings.max_output_tokens)

    def session(self, context: CallContext) -> Totals:
        """See ``Model.session``."""
        return self.ledger.session(context)

    def cost(self, usage: Usage) -> float | None:
        """US dollars of some tokens; None where the price is not known."""
        return cost(usage, self._price)

    def set_share(self, benchmark: str, rank: int, most: int) -> None:
        """Limit a benchmark to ``most`` requests in flight; the lowest rank is served first."""
        self.limiter.set_share(benchmark, rank, most)

    def limit_to(self, most: int) -> None:
        """Have at most this many requests in flight from now on."""
        widen(self.transport, most)
        self.limiter.set_cap(most)

    def load(self, benchmark: str | None = None) -> Load:
        """How busy the service is now; with the calls of one benchmark only, where one is named."""
        limiter, outage = self.limiter, self.endpoint.outage.text()
        if benchmark is None:
            failed = self.endpoint.failed_tries.total()
            return Load(limiter.in_flight, limiter.limit, failed, outage)
        share = limiter.share(benchmark)
        limit = min(limiter.limit, share.cap)
        return Load(share.in_flight, limit, share.failed_tries, outage)

    def stats(self) -> TrafficStats:
        """The counters now."""
        limiter = self.limiter
        return TrafficStats(
            in_flight=limiter.in_flight,
            limit=limiter.limit,
            waiting=limiter.waiting,
            paused_until=limiter.paused_until,
            answers=self.ledger.total.answers,
            failed_tries=dict(self.endpoint.failed_tries),
            prompt_tokens=self.ledger.total.prompt_tokens,
            completion_tokens=self.ledger.total.completion_tokens,
        )

    async def base_url(self, context: CallContext) -> str:
        """The base URL of an HTTP door to this client for one session."""
        return (await self.door(context)).openai_url

    async def door(
        self, context: CallContext, *, listener: Listener | None = None
    ) -> SessionEndpoint:
        """See ``Model.door``. The door is opened when it is first asked for."""
        if self._make_door is None:
            raise ConfigError("has no HTTP door", where=f"services.{self.service_name}")
        async with self._opening:
            if self._door is None:
                door = self._make_door(self)
                await door.start()
                self._door = door
        if listener is not None:
            return await self._door.listen_inside(listener, context)
        return self._door.endpoint(context)

    def end_session(self, context: CallContext) -> None:
        """End a session and attempt: later calls of it are refused."""
        if self._door is not None:
            self._door.close_session(context)
        self.pipeline.end_session(context)

    async def check(self) -> str | None:
        """Pre-flight check: a warning or None. Raises ConfigError if the endpoint cannot be
        reached."""
        if self.pipeline.offline:
            return None
        warning = await self.transport.check(self.name)
        self.endpoint.outage.answered()
        return warning

    async def close(self) -> None:
        """Write what is left of the traffic, close all connections. Safe to call twice."""
        if self._door is not None:
            await self._door.stop()
        await self.pipeline.close()
        await self.transport.close()


def _params(settings: ModelSettings) -> dict[str, Json]:
    if settings.protocol != "completions":
        return dict(settings.params)
    try:
        return guarded(dict(settings.params))
    except PermanentError as error:
        raise ConfigError(str(error), where=f"services.{settings.service_name}") from None

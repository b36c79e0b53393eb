"""The in-process door of the pipeline: what a solver calls."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..config.proxy import ProxyConfig
from ..config.secrecy import MIN_LENGTH, redact, secret_field, url_password
from ..config.services import ApiService, PriceConfig, SimulatedService
from ..types import Failure, Generation, Image, Json, Message, Usage
from .dialects import DIALECTS, Question
from .endpoint import Endpoint
from .http import HttpTransport
from .interceptors import open_interceptors
from .limiter import Limiter
from .pipeline import compose
from .types import CallContext, Forward, ModelRequest

SIMULATED = "simulated"
"""The ``system_fingerprint`` by which a simulated endpoint gives itself away."""


class Model(Protocol):
    """A model endpoint as a solver sees it."""

    name: str
    """The model id sent to the endpoint."""

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
    """Asks one service through its pipeline, over any transport.

    ``transport`` makes one try: it returns a response of any status, or raises TransportError.
    ``secrets`` are blotted out of every error text.
    """

    def __init__(
        self,
        name: str,
        service: ApiService | SimulatedService,
        transport: Forward,
        *,
        peer: str,
        max_concurrent: int,
        check: Callable[[str], Awaitable[str | None]] | None = None,
        close: Callable[[], Awaitable[None]] | None = None,
        secrets: Sequence[str] = (),
    ) -> None:
        proxy = service.proxy or ProxyConfig()
        self.name = name
        self._protocol = service.protocol
        self._dialect = DIALECTS[service.protocol]
        self._params = {**proxy.extra_body, **service.generation.params()}
        self._price = service.price
        self._stream = service.stream
        self._check, self._close = check, close
        self._answers = self._prompt_tokens = self._completion_tokens = 0
        self.limiter = Limiter(min(max_concurrent, proxy.max_concurrent_upstream))
        self.endpoint = Endpoint(
            peer,
            self.limiter,
            max_retries=proxy.max_retries,
            retry_on_status=proxy.retry_on_status,
            redact=lambda text: redact(text, secrets),
        )
        self._forward = compose([*open_interceptors(proxy.interceptors), self.endpoint], transport)

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
        if context.repeat and isinstance(merged.get("seed"), int):
            merged = {**merged, "seed": merged["seed"] + context.repeat}
        question = Question(self.name, prompt, messages, system, images, image_detail, merged)
        if images:  # may read files and encodes megabytes
            body = await asyncio.to_thread(self._dialect.build, question)
        else:
            body = self._dialect.build(question)
        request = ModelRequest(self._protocol, body, stream=self._stream, context=context)
        response = await self._forward(request)
        reply = self._dialect.parse(response.body)
        self._count(reply.usage)
        return Generation(
            text=reply.text,
            reasoning=reply.reasoning,
            finish_reason=reply.finish_reason,
            usage=reply.usage,
            model=reply.model,
            tool_calls=reply.tool_calls,
            latency_ms=round(response.latency_ms, 3),
            ttft_ms=None if response.ttft_ms is None else round(response.ttft_ms, 3),
            tries=response.tries,
            cost_usd=cost(reply.usage, self._price),
            simulated=response.body.get("system_fingerprint") == SIMULATED,
        )

    def load(self) -> tuple[int, int | None]:
        """Requests in flight, and how many may be."""
        return self.limiter.in_flight, self.limiter.limit

    def stats(self) -> TrafficStats:
        """The counters now."""
        limiter = self.limiter
        return TrafficStats(
            in_flight=limiter.in_flight,
            limit=limiter.limit,
            waiting=limiter.waiting,
            paused_until=limiter.paused_until,
            answers=self._answers,
            failed_tries=dict(self.endpoint.failed_tries),
            prompt_tokens=self._prompt_tokens,
            completion_tokens=self._completion_tokens,
        )

    async def check(self) -> str | None:
        """Pre-flight check: a warning or None. Raises ConfigError if nobody can be reached."""
        return await self._check(self.name) if self._check is not None else None

    async def close(self) -> None:
        """Close all connections."""
        if self._close is not None:
            await self._close()

    def _count(self, usage: Usage) -> None:
        self._answers += 1
        self._prompt_tokens += usage.prompt_tokens or 0
        self._completion_tokens += usage.completion_tokens or 0


def open_http_model(name: str, service: ApiService, *, max_concurrent: int) -> ModelClient:
    """A client for an endpoint that is already running. ``name`` is used where no model is set.

    Raises ConfigError for a URL, key or header that cannot be sent.
    """
    proxy = service.proxy or ProxyConfig()
    api_key = service.api_key.get_secret_value() if service.api_key else None
    transport = HttpTransport(
        service.url,
        service.protocol,
        api_key=api_key,
        headers=proxy.extra_headers,
        max_connections=min(max_concurrent, proxy.max_concurrent_upstream),
        connect_timeout=service.timeouts.connect,
        first_byte_timeout=service.timeouts.first_byte,
        total_timeout=service.timeouts.total or proxy.request_timeout,
    )
    return ModelClient(
        service.model or name,
        service,
        transport,
        peer=transport.peer,
        max_concurrent=max_concurrent,
        check=transport.check,
        close=transport.close,
        secrets=_secrets(api_key, service.url, proxy.extra_headers),
    )


def cost(usage: Usage, price: PriceConfig | None) -> float | None:
    """US dollars of one call; None where price or tokens are unknown.

    Example: 1,000 prompt tokens (400 of them cached) and 200 completion tokens at 2.0, 1.0 cached
    and 8.0 per million: (600·2 + 400·1 + 200·8) / 10⁶ = 0.0032.
    """
    if price is None or usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    cached = usage.cached_tokens or 0
    cached_price = price.prompt if price.cached is None else price.cached
    prompt = (usage.prompt_tokens - cached) * price.prompt + cached * cached_price
    return (prompt + usage.completion_tokens * price.completion) / 1e6


def _secrets(api_key: str | None, url: str, headers: Mapping[str, str]) -> list[str]:
    texts = [api_key or "", url_password(url) or ""]
    for name, value in headers.items():
        if secret_field(name):
            texts += [value, *value.split()]  # also the key of ``Bearer <key>``
    return [text.strip() for text in texts if len(text.strip()) >= MIN_LENGTH]

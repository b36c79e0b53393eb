"""The in-process door of the pipeline: what a solver calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from ..config.proxy import ProxyConfig
from ..config.services import ApiService, PriceConfig, SimulatedService
from ..types import Generation, Image, Json, Message, Usage
from .dialects import DIALECTS, Question
from .endpoint import Endpoint
from .http import HttpTransport
from .limiter import Limiter
from .pipeline import compose
from .types import CallContext, Forward, ModelRequest

HIDDEN = "***"


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


class ModelClient:
    """Asks one service through its pipeline."""

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
        self.limiter = Limiter(min(max_concurrent, proxy.max_concurrent_upstream))
        self.endpoint = Endpoint(
            peer,
            self.limiter,
            max_retries=proxy.max_retries,
            retry_on_status=proxy.retry_on_status,
            redact=lambda text: _redacted(text, secrets),
        )
        self._forward = compose([self.endpoint], transport)

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
        """See ``Model.generate``."""
        merged = {**self._params, **params} if params else self._params
        if merged.get("seed") is not None and context.repeat:
            merged = {**merged, "seed": merged["seed"] + context.repeat}
        question = Question(
            model=self.name,
            prompt=prompt,
            messages=messages,
            system=system,
            images=images,
            image_detail=image_detail,
            params=merged,
        )
        request = ModelRequest(
            protocol=self._protocol,
            body=self._dialect.build(question),
            stream=self._stream,
            context=context,
        )
        response = await self._forward(request)
        reply = self._dialect.parse(response.body)
        assert reply is not None  # the endpoint accepts no response without an answer
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
        )

    def load(self) -> tuple[int, int | None]:
        """Requests in flight, and how many may be."""
        return self.limiter.in_flight, self.limiter.limit

    async def check(self) -> str | None:
        """Pre-flight check: a warning or None. Raises ConfigError if nobody can be reached."""
        return await self._check(self.name) if self._check is not None else None

    async def close(self) -> None:
        """Close all connections."""
        if self._close is not None:
            await self._close()


def open_http_model(name: str, service: ApiService, *, max_concurrent: int) -> ModelClient:
    """A client for an endpoint that is already running. ``name`` is used where no model is set."""
    proxy = service.proxy or ProxyConfig()
    api_key = service.api_key.get_secret_value() if service.api_key else None
    model = service.model or name
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
        model,
        service,
        transport,
        peer=transport.peer,
        max_concurrent=max_concurrent,
        check=transport.check,
        close=transport.close,
        secrets=[text for text in (api_key, *proxy.extra_headers.values()) if text],
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


def _redacted(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        if len(secret) >= 6:
            text = text.replace(secret, HIDDEN)
    return text

"""``ModelClient``: calls to one endpoint from Python, through this package's transport.

Retries, adaptive concurrency and reading of answers are those of a run. A response is never cached:
``cache_dir`` is refused.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from ..config.endpoints import ApiProtocol, ApiService, url_protocol
from ..errors import ConfigError, InfraError
from ..solvers.simple import to_solution
from ..traffic.types import CallContext, ModelRequest
from ..types import Generation, Image, Json, Message

if TYPE_CHECKING:
    from ..traffic.client import ModelClient as Client

__all__ = ["ModelClient", "ModelResponse", "RetryConfig"]

PARAMS = (
    "temperature",
    "max_tokens",
    "top_p",
    "seed",
    "stop",
    "frequency_penalty",
    "presence_penalty",
)


@dataclass(frozen=True)
class RetryConfig:
    """How often a request is tried again. The waits between tries are those of a run."""

    max_retries: int = 3
    base_delay: float = 1.0
    max_delay: float = 60.0
    retry_on_status: Sequence[int] = (429, 500, 502, 503, 504)
    jitter: bool = True


@dataclass(frozen=True)
class ModelResponse:
    """One answer. Token counts are None where the endpoint did not say."""

    content: str = ""
    model: str = ""
    finish_reason: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    reasoning_tokens: int | None = None
    latency_ms: float = 0.0
    raw_response: Mapping[str, Json] = field(default_factory=dict)
    request_prompt: str = ""
    request_system: str | None = None
    reasoning: str | None = None
    """What the model thought, where the endpoint keeps it apart."""

    @property
    def request_hash(self) -> str:
        """Sixteen hex digits over prompt, system and model."""
        return _hash(f"{self.request_prompt}|{self.request_system or ''}|{self.model}")

    @property
    def response_hash(self) -> str:
        """Sixteen hex digits over the content."""
        return _hash(self.content)


@dataclass
class ModelClient:
    """An OpenAI-compatible endpoint. Close it when done, or use it as an async context manager."""

    base_url: str
    model: str
    api_key: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: list[str] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    timeout: float = 120.0
    max_concurrent: int = 8
    cache_dir: str | None = None
    retry: RetryConfig = field(default_factory=RetryConfig)
    reasoning_pattern: str | None = None

    def __post_init__(self) -> None:
        if self.cache_dir is not None:
            hint = "use a service with the caching interceptor"
            raise ConfigError("ModelClient keeps no cache", where="cache_dir", hint=hint)
        self._clients: dict[ApiProtocol, Client] = {}

    def service(self, protocol: ApiProtocol = "chat_completions") -> dict[str, Any]:
        """The same endpoint as an entry of `services` in a configuration."""
        url = self.base_url.rstrip("/")
        if url_protocol(url) not in (None, protocol):
            url = re.sub(r"/(chat/completions|completions|responses)$", "", url)
        given = {name: getattr(self, name) for name in PARAMS}
        return {
            "type": "api",
            "url": url,
            "protocol": protocol,
            "model": self.model,
            "api_key": self.api_key,
            "generation": {name: value for name, value in given.items() if value is not None},
            "timeouts": {"total": self.timeout},
            "proxy": {
                "max_retries": self.retry.max_retries,
                "retry_on_status": list(self.retry.retry_on_status),
            },
        }

    async def chat(
        self,
        prompt: str | None = None,
        system: str | None = None,
        messages: Sequence[Message] | None = None,
        **overrides: Json,
    ) -> ModelResponse:
        """One chat request; with ``messages`` they are sent as they are. Raises InfraError, or
        ModelError where the endpoint refuses the request."""
        if messages is not None:
            prompt, system = None, None
        return await self._ask("chat_completions", prompt or "", system, messages or (), overrides)

    async def complete(self, prompt: str, **overrides: Json) -> ModelResponse:
        """One request to a completion endpoint."""
        return await self._ask("completions", prompt, None, (), overrides)

    async def vlm_chat(
        self,
        prompt: str,
        images: Sequence[str],
        system: str | None = None,
        detail: str = "auto",
        **overrides: Json,
    ) -> ModelResponse:
        """One chat request with images: addresses, ``data:`` URLs or files."""
        shown = [
            Image(url=image) if re.match(r"https?://|data:", image) else Image(path=image)
            for image in images
        ]
        return await self._ask("chat_completions", prompt, system, (), overrides, shown, detail)

    async def chat_with_tools(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Json]], **overrides: Json
    ) -> dict[str, Any]:
        """One chat request with tools: ``content``, ``tool_calls`` (``id``, ``name``,
        ``arguments``), ``finish_reason``, ``model_response``, ``reasoning_content``."""
        params = {**overrides, "tools": list(tools)}
        generation = await self._generate("chat_completions", "", None, messages, params)
        return {
            "content": generation.text,
            "tool_calls": [_tool_call(call) for call in generation.tool_calls],
            "finish_reason": generation.finish_reason or "",
            "model_response": self._response(generation, "", None),
            "reasoning_content": generation.reasoning or "",
        }

    async def embed(self, text: str) -> list[float]:
        """The embedding of a text."""
        return (await self.embed_batch([text]))[0]

    async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        """The embeddings of texts, in their order."""
        body = {"model": self.model, "input": list(texts)}
        request = ModelRequest("embeddings", body, context=CallContext())
        response = await self._client("chat_completions").pipeline(request)
        rows = response.body.get("data")
        if not isinstance(rows, list) or len(rows) != len(texts):
            raise InfraError(f"{self.base_url} returned no embedding for each text")
        return [row["embedding"] for row in sorted(rows, key=lambda row: row.get("index", 0))]

    async def close(self) -> None:
        """Close the connections; safe to call twice."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.close()

    async def __aenter__(self) -> ModelClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _client(self, protocol: ApiProtocol) -> Client:
        if protocol not in self._clients:
            from ..services.open import open_model

            service = ApiService.model_validate(self.service(protocol))
            self._clients[protocol] = open_model(
                self.model, service, max_concurrent=self.max_concurrent
            )
        return self._clients[protocol]

    async def _ask(
        self,
        protocol: ApiProtocol,
        prompt: str,
        system: str | None,
        messages: Sequence[Message],
        overrides: Mapping[str, Json],
        images: Sequence[Image] = (),
        detail: str = "auto",
    ) -> ModelResponse:
        generation = await self._generate(
            protocol, prompt, system, messages, overrides, images, detail
        )
        return self._response(generation, prompt, system)

    async def _generate(
        self,
        protocol: ApiProtocol,
        prompt: str,
        system: str | None,
        messages: Sequence[Message],
        overrides: Mapping[str, Json],
        images: Sequence[Image] = (),
        detail: str = "auto",
    ) -> Generation:
        params = {name: value for name, value in overrides.items() if value is not None}
        return await self._client(protocol).generate(
            prompt=prompt,
            messages=messages,
            system=system,
            images=images,
            image_detail=detail,
            params=params or None,
            context=CallContext(),
        )

    def _response(self, generation: Generation, prompt: str, system: str | None) -> ModelResponse:
        content, reasoning = generation.text, generation.reasoning
        if not generation.tool_calls:
            shown = to_solution(generation)
            content, reasoning = shown.response, shown.reasoning
        if self.reasoning_pattern:
            content = re.sub(self.reasoning_pattern, "", content, flags=re.DOTALL).strip()
        usage = generation.usage
        return ModelResponse(
            content=content,
            model=generation.model or self.model,
            finish_reason=generation.finish_reason or "",
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            total_tokens=usage.total_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            latency_ms=round(generation.latency_ms, 2),
            raw_response=msgspec.to_builtins(generation),
            request_prompt=prompt,
            request_system=system,
            reasoning=reasoning,
        )


def _tool_call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call.get("function") or {}
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = msgspec.json.decode(arguments)
        except msgspec.DecodeError:
            arguments = {"raw": arguments}
    return {"id": call.get("id") or "", "name": function.get("name"), "arguments": arguments}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]

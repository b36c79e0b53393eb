"""A transport over another HTTP library: what a plug-in has to write, and no more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from nemo_evaluator.config.endpoints import TimeoutsConfig
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.http.headers import Headers
from nemo_evaluator.traffic.answers import EventReader, parse_body
from nemo_evaluator.traffic.errors import TransportError
from nemo_evaluator.traffic.http import streamed_body
from nemo_evaluator.traffic.transport import RawRequest, RawResponse
from nemo_evaluator.traffic.types import ModelRequest, ModelResponse
from nemo_evaluator.traffic.urls import api_root, base_url, endpoint_url, models_url
from nemo_evaluator.types import Failure


class AiohttpTransport:
    """See `traffic.transport.Transport`."""

    def __init__(
        self,
        url: str,
        protocol: str,
        *,
        api_key: str | None,
        headers: Mapping[str, str],
        timeouts: TimeoutsConfig,
        **_: Any,
    ) -> None:
        self._url, self._protocol = url, protocol
        self._headers = {**({"Authorization": f"Bearer {api_key}"} if api_key else {}), **headers}
        self.own_headers = frozenset(name.lower() for name in self._headers)
        self._timeout = aiohttp.ClientTimeout(total=timeouts.total)
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, request: ModelRequest) -> ModelResponse:
        started = time.perf_counter()
        body = streamed_body(request.body, request.protocol) if request.stream else request.body
        url = endpoint_url(self._url, request.protocol)
        with _translated():
            response = await self._opened().post(url, json=body, headers=request.headers)
            headers = Headers(response.raw_headers)
            if request.live and response.content_type == "text/event-stream":
                return ModelResponse(response.status, {}, headers, chunks=_chunks(response))
            data = await response.read()
        ttft = None
        if response.content_type == "text/event-stream":
            reader = EventReader(request.protocol, started)
            found = reader.feed(data) or reader.end()
            ttft = reader.ttft_ms
        else:
            found = parse_body(data, response.status, request.protocol)
        taken = (time.perf_counter() - started) * 1000
        return ModelResponse(response.status, found, headers, latency_ms=taken, ttft_ms=ttft)

    @asynccontextmanager
    async def pass_through(self, request: RawRequest) -> AsyncIterator[RawResponse]:
        base = base_url(self._url)
        url = (base if request.below_api else api_root(base)) + request.target
        import yarl

        target = yarl.URL(url, encoded=True)
        with _translated():
            async with self._opened().request(
                request.method, target, data=request.body, headers=request.headers
            ) as response:
                yield _Raw(response)

    async def check(self, model: str) -> str | None:
        try:
            response = await self._opened().get(models_url(self._url))
            async with response:
                if response.status in (401, 403):
                    raise ConfigError("the api_key was refused")
                listed = [entry["id"] for entry in (await response.json())["data"]]
        except aiohttp.ClientConnectorError as error:
            raise ConfigError(f"unreachable: {error}") from None
        return None if model in listed else f"the endpoint does not list {model!r}"

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout, headers=self._headers)
        return self._session


class _Raw:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response, self.status = response, response.status
        self.headers = response.headers

    def pieces(self) -> AsyncIterator[bytes]:
        return self._response.content.iter_any()


async def _chunks(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes]:
    with _translated():
        async with response:
            async for chunk in response.content.iter_any():
                yield chunk


class _translated:
    """Errors of the library as those of a transport."""

    def __enter__(self) -> None: ...

    def __exit__(self, _: Any, error: BaseException | None, __: Any) -> None:
        if isinstance(error, asyncio.TimeoutError):
            raise TransportError(Failure.TIMEOUT, "timeout") from None
        if isinstance(error, aiohttp.ClientError):
            never_sent = isinstance(error, aiohttp.ClientConnectorError)
            text = type(error).__name__
            raise TransportError(Failure.CONNECTION, text, unreachable=never_sent) from None

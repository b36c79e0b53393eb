"""Calls of a client, through the pipeline and back in the client's own protocol."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import lru_cache
from typing import Any

from ...config.scrubber import KNOWN, encoded
from ...errors import NelError
from ...http.app import EVENT_STREAM, Request, Response, Stream
from ...types import Failure, Json
from ..client import ModelClient
from ..dialects import DIALECTS, anthropic
from ..errors import CannotPassThrough, TransportError
from ..scrub import StreamScrubber
from ..sse import SseParser, encode_event
from ..transport import RawRequest
from ..types import CallContext, ModelRequest, ModelResponse
from ..wire import decode, encode
from .failures import NO_RETRY, STATUS, Told, error_body, told
from .routes import SESSION_HEADER, Kind, PassThrough, Route, stays_below, upstream_path
from .sessions import Sessions

HOP_BY_HOP = frozenset(
    (
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te"),
        *("trailers", "transfer-encoding", "upgrade"),
    )
)
NOT_SENT = HOP_BY_HOP | {
    *("host", "content-length", "content-type", "content-encoding", "accept-encoding", "expect"),
    *("x-api-key", "x-nel-token", "origin", "referer", "cookie", SESSION_HEADER),
}
NOT_RETURNED = HOP_BY_HOP | {"content-length", "content-encoding", "content-type", "server", "date"}
NO_CACHE = {"Cache-Control": "no-cache"}
NOTED = 20
"""Names of other models that are told of, at most."""
DONE = b"data: [DONE]\n\n"

log = logging.getLogger("nemo_evaluator.traffic")


class Calls:
    """Answers what `routes` has sorted."""

    def __init__(self, model: ModelClient, sessions: Sessions) -> None:
        self._model, self._sessions, self._pass = (
            model,
            sessions,
            PassThrough(model.settings.door.pass_through),
        )
        self._others: set[str] = set()
        self._not_sent = NOT_SENT | model.transport.own_headers

    async def answer(
        self,
        request: Request,
        where: Route,
        context: CallContext,
        guarded: bool,
    ) -> Response | Stream | Told:
        """One request. ``guarded``: its Authorization is our token, not the upstream's key."""
        if where.kind is Kind.MODELS:
            return await self._models(request, where, guarded)
        if where.kind is Kind.OTHER:
            if not self._pass.allows(where.path):
                return _not_passed(request, where)
            try:
                return await self._pass_through(request, where, guarded)
            except CannotPassThrough:
                return _nothing_there(request, where)
        body = _object(request.body)
        if isinstance(body, Told):
            return body
        try:
            named = self._sessions.in_body(body)
        except LookupError:
            gone = error_body(410, "the session is over", "session_closed")
            return Told(410, gone, dict(NO_RETRY))
        context, guarded = named or context, guarded or named is not None
        headers = self._headers(request, guarded)
        if where.kind is Kind.CALL:
            if where.model and not body.get("model") and not self._model.pinned:
                body["model"] = where.model
            return await self._call(request, where.protocol, body, headers, context)
        try:
            if where.kind is Kind.COUNT_TOKENS:
                count = {"input_tokens": anthropic.count_tokens(body)}
                return Response(200, encode(count))
            chat = anthropic.to_chat(body)
        except ValueError as error:
            return Told(400, error_body(400, str(error)))
        headers = {name: text for name, text in headers.items() if "anthropic" not in name}
        return await self._messages(request, chat, headers, context)

    async def _call(
        self,
        request: Request,
        protocol: str,
        body: dict[str, object],
        headers: dict[str, str],
        context: CallContext,
    ) -> Response | Stream | Told:
        stream = bool(body.pop("stream", False))
        try:
            response = await self._forward(protocol, body, headers, context, stream)
        except NelError as error:
            return told(error)
        if not stream:
            return _whole(response, response.body)
        return await _send(request, response, _as_stream(response, protocol), _openai_error)

    async def _messages(
        self,
        request: Request,
        body: dict[str, Any],
        headers: dict[str, str],
        context: CallContext,
    ) -> Response | Stream | Told:
        stream, name = bool(body.pop("stream", False)), str(body.get("model") or self._model.name)
        try:
            response = await self._forward("chat_completions", body, headers, context, stream)
        except NelError as error:
            return told(error)
        if not stream:
            return _whole(response, anthropic.from_chat(response.body, model=name))
        translator = anthropic.EventTranslator(name, anthropic.count_tokens(body))

        def failed(status: int, message: str) -> bytes:
            return encode_event(translator.error(status, message), named=True)

        chunks = _translated(_as_stream(response, "chat_completions"), translator)
        return await _send(request, response, chunks, failed)

    async def _forward(
        self,
        protocol: str,
        body: dict[str, object],
        headers: dict[str, str],
        context: CallContext,
        stream: bool,
    ) -> ModelResponse:
        if self._model.pinned and (context.benchmark or not body.get("model")):
            self._note_other(body.get("model"))
            body["model"] = self._model.name  # what a run measures is its model, and no other
        return await self._model.pipeline(
            ModelRequest(protocol, body, headers, stream=stream, live=stream, context=context)
        )

    def _note_other(self, asked: object) -> None:
        """Say once that an agent asks for a model that is not the run's."""
        name = str(asked or self._model.name)[:100]
        if name != self._model.name and name not in self._others and len(self._others) < NOTED:
            self._others.add(name)
            log.warning(
                "an agent asks for the model %r: its calls go to %r, the model of the service",
                name,
                self._model.name,
            )

    async def _models(
        self, request: Request, where: Route, guarded: bool
    ) -> Response | Stream | Told:
        """The list of models: of the one that is configured, else the upstream's own list."""
        if not self._model.pinned:
            if not stays_below(where.path):
                return _not_passed(request, where)
            with contextlib.suppress(CannotPassThrough):
                return await self._pass_through(request, where, guarded)
        return _models(self._model.name, where)

    async def _pass_through(
        self, request: Request, where: Route, guarded: bool
    ) -> Response | Stream | Told:
        """The upstream's own answer. Raises CannotPassThrough."""
        below_api, path = upstream_path(where.path)
        if query := request.query:
            path += f"?{query}"
        headers = self._headers(request, guarded)
        if kind := request.headers.get("content-type"):
            headers["content-type"] = kind
        answer = None
        try:
            raw = RawRequest(request.method, path, headers, request.body, below_api)
            async with self._model.transport.pass_through(raw) as upstream:
                kind = upstream.headers.get("Content-Type", "application/octet-stream")
                answer = await request.begin(upstream.status, _returned(upstream.headers), kind)
                clean = StreamScrubber()
                async for chunk in upstream.pieces():
                    await answer.write(clean.feed(chunk))
                await answer.write(clean.close())
                return answer
        except CannotPassThrough:
            raise
        except TransportError as error:
            if answer is not None:
                answer.is_broken = True
                return answer
            status = STATUS.get(error.kind, 502)
            return Told(status, error_body(status, str(error), error.kind.value))

    def _headers(self, request: Request, guarded: bool) -> dict[str, str]:
        """A client's headers as they go upstream: not the connection's, nor what the service sets
        itself. Clients of Anthropic and Azure have their key where others have none of theirs."""
        not_sent = self._not_sent
        sent = {name: text for name, text in request.headers.items() if name not in not_sent}
        if guarded or "authorization" in not_sent:
            sent.pop("api-key", None)
        if guarded:
            sent.pop("authorization", None)
        elif "authorization" not in self._not_sent and (key := request.headers.get("x-api-key")):
            sent.setdefault("authorization", f"Bearer {key}")
        return sent


def _object(data: bytes) -> dict[str, Any] | Told:
    try:
        body = decode(data)
    except ValueError as error:
        return Told(400, error_body(400, f"the body is not JSON: {error}"))
    if not isinstance(body, dict):
        return Told(400, error_body(400, "the body is not a JSON object"))
    return body


def _not_passed(request: Request, where: Route) -> Told:
    message = f"there is no {request.method} {where.path}"
    message += "; paths to pass on to the endpoint are listed in proxy.pass_through"
    return Told(404, error_body(404, message), dict(NO_RETRY))


def _nothing_there(request: Request, where: Route) -> Told:
    message = f"there is no {request.method} {where.path}: this service has no HTTP endpoint"
    return Told(404, error_body(404, message), dict(NO_RETRY))


def _models(name: str, where: Route) -> Response | Told:
    listed: dict[str, Json] = {"id": name, "object": "model", "created": 0, "owned_by": "nel"}
    asked = where.path.partition("/models/")[2]
    if asked and asked != name:
        return Told(404, error_body(404, f"there is no model {asked!r}", "model_not_found"))
    body: Json = listed if asked else {"object": "list", "data": [listed]}
    return Response(200, encode(body))


def _whole(response: ModelResponse, body: dict[str, Any]) -> Response:
    return Response(response.status, encoded(body, encode), _returned(response.headers))


def _returned(headers: Mapping[str, str]) -> dict[str, str]:
    """An upstream's headers as a client gets them, without our secrets. Which web pages may read an
    answer is ours to say, not the upstream's (``Access-Control-Allow-Origin: *`` is common)."""
    return {name: KNOWN(text) for name, text in headers.items() if _is_returned(name)}


@lru_cache(maxsize=1024)
def _is_returned(name: str) -> bool:
    lower = name.lower()
    return lower not in NOT_RETURNED and not lower.startswith("access-control-")


async def _as_stream(response: ModelResponse, protocol: str) -> AsyncGenerator[bytes]:
    """The chunks; of an answer that came whole, its equivalent as a stream."""
    if response.chunks is not None:
        async with aclosing(response.chunks) as chunks:
            async for chunk in chunks:
                yield chunk
        return
    dialect = DIALECTS[protocol]
    events = dialect.events(response.body)
    data = b"".join(encode_event(event, named=dialect.named_events) for event in events)
    yield data if dialect.named_events else data + DONE


async def _translated(
    chunks: AsyncGenerator[bytes], translator: anthropic.EventTranslator
) -> AsyncGenerator[bytes]:
    parser = SseParser()
    async with aclosing(chunks):
        async for chunk in chunks:
            events = [told for event in parser.feed(chunk) for told in translator.feed(event)]
            if events:
                yield b"".join(encode_event(event, named=True) for event in events)
    yield b"".join(encode_event(event, named=True) for event in translator.close())


async def _send(
    request: Request,
    response: ModelResponse,
    chunks: AsyncGenerator[bytes],
    failed: Any,
) -> Stream:
    """Write a stream as fast as the client takes it; a failure amid it is its last event."""
    async with aclosing(chunks):
        first = await anext(chunks, b"")  # at once: an unstarted stream could not be closed
        answer = await request.begin(200, {**_returned(response.headers), **NO_CACHE}, EVENT_STREAM)
        clean = StreamScrubber()
        try:
            await answer.write(clean.feed(first))
            async for chunk in chunks:
                await answer.write(clean.feed(chunk))
            await answer.write(clean.close())
        except NelError as error:
            what = told(error)
            await answer.write(clean.close() + failed(what.status, KNOWN(what.message)))
    return answer


def _openai_error(status: int, message: str) -> bytes:
    return encode_event(error_body(status, message, Failure.CONNECTION.value, "upstream_error"))

"""A scripted OpenAI-compatible server on loopback: every fault a real endpoint shows, on demand.

In a test::

    async def test_x(loopback):                       # fixture of this module
        loopback.script(FAULTS["rate_limit"], answer)  # one reply per request, the last one stays
        ... loopback.url ...
        assert loopback.count("2 + 2?") == 2

As a process of its own, for benchmarks and kill tests (faults are drawn per prompt and try, so that
a retry gets through, in any order and after any restart of the client)::

    python tests/support/loopback.py --port 0 --latency-ms 0 --seed 1 \\
        --faults '{"rate_limit": 0.1, "server_error": 0.05}'

prints ``listening on http://127.0.0.1:PORT/v1``. The answer to a prompt is "The answer is N", N
drawn from the prompt; ``--answers FILE`` (JSON: prompt to text) replays recorded ones.
``GET /counts`` tells how often each prompt was asked and how often it was answered.

A raw asyncio protocol, not a web framework: it must be much faster than the clients it measures,
and must break connections at the byte it wants.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import email.utils
import enum
import itertools
import json
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import msgspec
import pytest


class Manner(enum.Enum):
    """How a reply is put on the wire."""

    WHOLE = enum.auto()
    CHUNKS = enum.auto()
    """Chunked transfer, one chunk per piece."""
    RESET = enum.auto()
    """Half of the body, then a TCP reset."""
    CUT = enum.auto()
    """Half of the body, then an orderly close."""
    DROP = enum.auto()
    """A reset instead of an answer."""
    DRIP = enum.auto()
    """One byte per ``interval`` seconds."""
    HANG = enum.auto()
    """Nothing, ever."""


@dataclass(slots=True)
class Reply:
    """One answer of the server."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    manner: Manner = Manner.WHOLE
    pieces: list[bytes] = field(default_factory=list)
    delay: float = 0.0
    after: asyncio.Event | None = None
    """The reply is held back until this is set."""
    interval: float = 1.0
    content_type: str = "application/json"
    good: bool = False
    """Whether this is an answer, and arrives."""


@dataclass(slots=True)
class Call:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    """Lower-case names."""
    body: dict[str, Any]
    prompt: str
    """The last user text, or the prompt, or the last input."""
    nth: int
    """How often this prompt has been asked, this time included."""


Script = Callable[[Call], Reply]


# -- bodies ---------------------------------------------------------------------------------------


def number_of(prompt: str) -> int:
    """The number the server answers a prompt with."""
    return zlib.crc32(prompt.encode()) % 1000


def usage(prompt: str, text: str) -> dict[str, int]:
    asked, said = len(prompt) // 4 + 1, len(text) // 4 + 1
    return {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}


def chat_body(
    text: str | None, *, prompt: str = "", finish: str = "stop", **message: Any
) -> dict[str, Any]:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text, **message},
        "finish_reason": finish,
    }
    counts = usage(prompt, text or "")
    return {"id": "x", "model": "loopback", "choices": [choice], "usage": counts}


def body_for(path: str, prompt: str, text: str) -> dict[str, Any]:
    """The body of a good answer in the dialect of the path."""
    counts = usage(prompt, text)
    if path.endswith("/chat/completions"):
        return chat_body(text, prompt=prompt)
    if path.endswith("/completions"):
        choice = {"index": 0, "text": text, "finish_reason": "stop"}
        return {"id": "x", "model": "loopback", "choices": [choice], "usage": counts}
    output = [{"type": "message", "content": [{"type": "output_text", "text": text}]}]
    tokens = {"input_tokens": counts["prompt_tokens"], "output_tokens": counts["completion_tokens"]}
    return {"model": "loopback", "status": "completed", "output": output, "usage": tokens}


def stream_of(path: str, body: dict[str, Any]) -> list[bytes]:
    """The events of the same answer as a stream."""
    if path.endswith("/responses"):
        text = body["output"][0]["content"][0]["text"]
        events: list[dict[str, Any]] = [
            {"type": "response.output_text.delta", "delta": text},
            {"type": "response.completed", "response": body},
        ]
        return [sse(event) for event in events]
    chat = path.endswith("/chat/completions")
    choice = body["choices"][0]
    text = (choice["message"]["content"] if chat else choice["text"]) or ""
    middle = len(text) // 2
    chunks: list[dict[str, Any]] = []
    for piece in (text[:middle], text[middle:]):
        part = {"delta": {"content": piece}} if chat else {"text": piece}
        chunks.append({"model": body["model"], "choices": [{"index": 0, **part}]})
    last = {"delta": {}} if chat else {"text": ""}
    chunks.append({"choices": [{"index": 0, **last, "finish_reason": choice["finish_reason"]}]})
    chunks.append({"choices": [], "usage": body["usage"]})
    return [*(sse(chunk) for chunk in chunks), b"data: [DONE]\n\n"]


def sse(event: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(event) + b"\n\n"


# -- replies --------------------------------------------------------------------------------------


def json_reply(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(msgspec.json.encode(body), status, headers or {})


def text_reply(call: Call, text: str) -> Reply:
    """A good answer, streamed where that was asked for."""
    body = body_for(call.path, call.prompt, text)
    if call.body.get("stream"):
        pieces = stream_of(call.path, body)
        return Reply(
            manner=Manner.CHUNKS, pieces=pieces, content_type="text/event-stream", good=True
        )
    return Reply(msgspec.json.encode(body), good=True)


def answer(call: Call) -> Reply:
    """The default: a number drawn from the prompt."""
    return text_reply(call, f"The answer is {number_of(call.prompt)}")


def error(
    status: int, message: str, headers: Mapping[str, str] | None = None, **more: Any
) -> Script:
    body = {"error": {"message": message, **more}}
    return lambda call: json_reply(body, status, headers)


def in_http_date(seconds: float) -> str:
    then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return email.utils.format_datetime(then, usegmt=True)


def broken(manner: Manner) -> Script:
    def script(call: Call) -> Reply:
        reply = answer(call)
        reply.manner, reply.good = manner, False
        if reply.pieces:
            reply.body, reply.pieces = b"".join(reply.pieces), []
        return reply

    return script


def sse_cut(call: Call) -> Reply:
    """A stream that ends, in good order, in the middle of an event."""
    pieces = stream_of(call.path, body_for(call.path, call.prompt, "The answer is 1"))
    pieces = [pieces[0], pieces[1][: len(pieces[1]) // 2]]
    return Reply(manner=Manner.CHUNKS, pieces=pieces, content_type="text/event-stream")


def sse_short(call: Call) -> Reply:
    """A stream that ends between two events, before its end."""
    pieces = stream_of(call.path, body_for(call.path, call.prompt, "The answer is 1"))
    return Reply(manner=Manner.CHUNKS, pieces=pieces[:1], content_type="text/event-stream")


def rate_limit_date(call: Call) -> Reply:
    headers = {"Retry-After": in_http_date(1)}
    return json_reply({"error": {"message": "Too many requests"}}, 429, headers)


def fixed_chat(text: str | None, finish: str = "stop", **message: Any) -> Script:
    return lambda call: json_reply(chat_body(text, prompt=call.prompt, finish=finish, **message))


def drip(call: Call, interval: float = 1.0) -> Reply:
    reply = answer(call)
    reply.manner, reply.interval = Manner.DRIP, interval
    return reply


def after_calls(count: int, script: Script) -> Script:
    """Answers so many calls, and leaves all others to a script."""
    calls = itertools.count()
    return lambda call: answer(call) if next(calls) < count else script(call)


FAULTS: dict[str, Script] = {
    "unauthorized": error(401, "Incorrect API key provided", code="invalid_api_key"),
    "forbidden": error(403, "Your project has no access"),
    "not_found": error(404, "The model `m` does not exist", code="model_not_found"),
    "request_timeout": error(408, "Request timeout"),
    "rate_limit": error(429, "Rate limit reached", {"Retry-After": "0.05"}),
    "rate_limit_date": rate_limit_date,
    "rate_limit_bare": error(429, "Too many requests"),
    "quota": error(429, "You exceeded your current quota", code="insufficient_quota"),
    "server_error": error(500, "Internal server error"),
    "overloaded": error(503, "The server is overloaded"),
    "context_window": error(400, "This model's maximum context length is 4096 tokens"),
    "content_filter": error(400, "Blocked", code="content_filter"),
    "bad_request": error(400, "Unknown parameter: foo"),
    "reset": broken(Manner.RESET),
    "cut": broken(Manner.CUT),
    "drop": broken(Manner.DROP),
    "hang": broken(Manner.HANG),
    "drip": drip,
    "empty_choices": lambda call: json_reply({"choices": [], "usage": None}),
    "null_content": fixed_chat(None, reasoning_content="The answer is 7"),
    "length": fixed_chat("The answer", finish="length"),
    "unclosed_think": fixed_chat("<think>Let me see, 1 + 1", finish="length"),
    "sse_cut": sse_cut,
    "sse_short": sse_short,
    "big_body": fixed_chat("x" * 10_000_000),
    "invalid_json": lambda call: Reply(b"<html>502 Bad Gateway</html>", content_type="text/html"),
    "truncated_json": lambda call: Reply(b'{"choices": [{"message": {"content": "The ans'),
    "not_http": lambda call: Reply(status=0),
}


def drawn(faults: Mapping[str, float], seed: int = 0) -> Script:
    """A script that draws each request's fault from (seed, prompt, how often it was asked)."""
    unknown = set(faults) - set(FAULTS)
    if unknown:
        raise ValueError(f"no fault {', '.join(sorted(unknown))}; there are {', '.join(FAULTS)}")

    def script(call: Call) -> Reply:
        point = zlib.crc32(f"{seed}/{call.nth}/{call.prompt}".encode()) / 2**32
        for name, share in faults.items():
            if point < share:
                return FAULTS[name](call)
            point -= share
        return answer(call)

    return script if faults else answer


def replayed(answers: Mapping[str, str]) -> Script:
    """A script that gives recorded answers; 404 for a prompt nobody recorded."""

    def script(call: Call) -> Reply:
        text = answers.get(call.prompt)
        return FAULTS["not_found"](call) if text is None else text_reply(call, text)

    return script


# -- the server -----------------------------------------------------------------------------------


class Loopback:
    """The server. ``async with Loopback(script) as server: ... server.url``."""

    def __init__(
        self,
        script: Script = answer,
        *,
        latency: float = 0.0,
        keep: bool = True,
        models: tuple[str, ...] = ("m", "loopback"),
    ) -> None:
        self._scripts = [script]
        self.latency = latency
        self.keep = keep
        """Whether calls are kept (a long benchmark would fill the memory)."""
        self.models = models
        self.models_reply: Script | None = None
        """Answers ``GET /models`` where the list is not wanted."""
        self.calls: list[Call] = []
        self.counts: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        """How often each prompt got an answer that arrives."""
        self.in_flight = 0
        self.peak = 0
        """Most requests ever in flight at once."""
        self.url = ""
        self._server: asyncio.Server | None = None
        self._open: set[_Connection] = set()

    def script(self, *scripts: Script) -> None:
        """One script per request from now on; the last one stays."""
        self._scripts = list(scripts)

    def count(self, prompt: str) -> int:
        """How often a prompt was asked."""
        return self.counts[prompt]

    async def start(self, port: int = 0) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(partial(_Connection, self), "127.0.0.1", port)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for connection in list(self._open):
            connection.abort()
        await asyncio.sleep(0)

    async def __aenter__(self) -> Loopback:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()

    def reply(self, call: Call) -> Reply:
        """What a call is answered with."""
        if call.method == "GET":
            return self._get(call)
        if self.keep:
            self.calls.append(call)
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        reply = script(call)
        if reply.good:
            self.answered[call.prompt] += 1
        return reply

    def _get(self, call: Call) -> Reply:
        if call.path.endswith("/counts"):
            return json_reply({"asked": dict(self.counts), "answered": dict(self.answered)})
        if self.models_reply is not None:
            return self.models_reply(call)
        return json_reply({"object": "list", "data": [{"id": name} for name in self.models]})


class _Connection(asyncio.Protocol):
    """One keep-alive connection; requests are answered one after the other."""

    def __init__(self, server: Loopback) -> None:
        self._server = server
        self._buffer = b""
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._server._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server._open.discard(self)
        if self._task is not None:
            self._task.cancel()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if not self._buffer[:1].isalpha():  # a TLS handshake, say
            self.abort()
            return
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        size = int(headers.get("content-length", "0"))
        if len(self._buffer) < end + 4 + size:
            return
        content = self._buffer[end + 4 : end + 4 + size]
        self._buffer = self._buffer[end + 4 + size :]
        method, path, _ = lines[0].split(" ", 2)
        self._answer(method, path.partition("?")[0], headers, content)

    def _answer(self, method: str, path: str, headers: dict[str, str], content: bytes) -> None:
        server = self._server
        body = msgspec.json.decode(content) if content else {}
        prompt = _prompt(body)
        if method == "POST":
            server.counts[prompt] += 1
        call = Call(method, path, headers, body, prompt, server.counts[prompt])
        reply = server.reply(call)
        delay = reply.delay or server.latency
        server.in_flight += 1
        server.peak = max(server.peak, server.in_flight)
        at_once = delay == 0 and reply.after is None
        if at_once and reply.manner is Manner.WHOLE and reply.status:
            assert self._transport is not None
            self._transport.write(_head(reply, len(reply.body)) + reply.body)
            server.in_flight -= 1
            return
        self._task = asyncio.get_running_loop().create_task(self._slowly(reply, delay))

    async def _slowly(self, reply: Reply, delay: float) -> None:
        try:
            if delay:
                await asyncio.sleep(delay)
            if reply.after is not None:
                await reply.after.wait()
            await self._send(reply)
        finally:
            self._server.in_flight -= 1

    async def _send(self, reply: Reply) -> None:
        transport = self._transport
        assert transport is not None
        half = len(reply.body) // 2
        if reply.manner is Manner.HANG:
            await asyncio.Event().wait()
        elif reply.status == 0:
            transport.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
            transport.close()
        elif reply.manner is Manner.DROP:
            transport.abort()
        elif reply.manner in (Manner.RESET, Manner.CUT):
            transport.write(_head(reply, len(reply.body)) + reply.body[:half])
            await asyncio.sleep(0.01)
            transport.abort() if reply.manner is Manner.RESET else transport.close()
        elif reply.manner is Manner.DRIP:
            transport.write(_head(reply, len(reply.body)))
            for byte in reply.body:
                transport.write(bytes((byte,)))
                await asyncio.sleep(reply.interval)
        elif reply.manner is Manner.CHUNKS:
            transport.write(_head(reply, None))
            for piece in reply.pieces:
                transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await asyncio.sleep(0)
            transport.write(b"0\r\n\r\n")
        else:
            transport.write(_head(reply, len(reply.body)) + reply.body)


def _head(reply: Reply, size: int | None) -> bytes:
    length = "Transfer-Encoding: chunked" if size is None else f"Content-Length: {size}"
    more = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
    return (
        f"HTTP/1.1 {reply.status} X\r\nContent-Type: {reply.content_type}\r\n{length}\r\n{more}\r\n"
    ).encode()


def _prompt(body: dict[str, Any]) -> str:
    for turns in (body.get("messages"), body.get("input")):
        if turns:
            content = turns[-1].get("content")
            if isinstance(content, str):
                return content
            return "".join(part.get("text", "") for part in content or ())
    return str(body.get("prompt", ""))


@pytest.fixture
async def loopback() -> AsyncIterator[Loopback]:
    """A server that answers every prompt with its number, until told otherwise."""
    async with Loopback() as server:
        yield server


# -- a process of its own -------------------------------------------------------------------------


async def _serve(args: argparse.Namespace) -> None:
    faults = json.loads(args.faults)
    script = drawn(faults, args.seed)
    if args.answers:
        with open(args.answers, encoding="utf-8") as file:
            script = replayed(json.load(file))
    server = Loopback(script, latency=args.latency_ms / 1000, keep=False)
    await server.start(args.port)
    print(f"listening on {server.url}", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--faults", default="{}", help="JSON: fault to probability")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--answers", help="JSON file: prompt to recorded answer")
    args = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        try:
            import uvloop
        except ImportError:
            asyncio.run(_serve(args))
        else:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_serve(args))


if __name__ == "__main__":
    main()

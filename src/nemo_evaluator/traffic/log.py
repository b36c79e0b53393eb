"""The traffic log: one line of `model_traffic.jsonl` for each call, bounded in size and memory.

Lines are written in batches and never fail a call: where the disk is full, or the file has reached
its limit, the log ends with a warning and the run goes on. What a session has sent before is not
written again: a request's messages are kept from the first new one on. The format is that of other
tools; what has no place there (`attempt`, `tries`, `source`, ...) is added beside it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config.scrubber import encoded
from ..errors import ConfigError
from ..files.lines import LineFile
from ..types import Usage
from .dialects import DIALECTS
from .retry import error_message
from .scrub import Scrubber, without_secret_places
from .types import CallContext, Ended, Interceptor, ModelRequest, ModelResponse, Place
from .urls import PATHS
from .wire import encode

if TYPE_CHECKING:
    from ..config.proxy import ModelTrafficCaptureConfig

log = logging.getLogger("nemo_evaluator.traffic")

FILE = "model_traffic.jsonl"
FLUSH_SECONDS = 0.5
FLUSH_BYTES = 1 << 18
ERROR_CHARS = 4000
MAX_SESSIONS = 10_000


class TrafficLog(Interceptor):
    """Last but the ledger in every pipeline that keeps its traffic."""

    def __init__(self, config: ModelTrafficCaptureConfig) -> None:
        self._config = config
        self._full = config.kept == "full"
        self._scrub = Scrubber()
        self._files: dict[str, _File] = {}
        self._sent: dict[tuple[str, int], list[bytes]] = {}
        self._count = 0
        self._prefix = os.urandom(4).hex()
        if config.path is not None:
            self.keep("", Path(config.path))

    def open(self, place: Place) -> None:
        """Keep the scrubber and the price function of this service."""
        self._scrub, self._cost, self._service = place.scrub, place.cost, place.service

    def keep(self, benchmark: str, path: Path) -> None:
        """Write the calls of a benchmark into a file (appending)."""
        if benchmark not in self._files or self._files[benchmark].closed:
            self._files[benchmark] = _File(path, self._config.max_mb << 20)

    def on_end(self, request: ModelRequest, ended: Ended) -> None:
        """One line."""
        file = self._files.get(request.context.benchmark)
        if file is None or file.closed:
            return
        full = self._full and not file.only_summaries
        row = self._row(request, ended, full=full)
        if full or "error_message" in row:
            row = self._scrub.json(row)
        file.add(encoded(row, encode) + b"\n")

    def end_session(self, context: CallContext) -> None:
        """Forget what the session has sent."""
        self._sent.pop(context.scope, None)

    async def close(self) -> None:
        """Write what is left."""
        for file in self._files.values():
            file.close()

    def _row(self, request: ModelRequest, ended: Ended, *, full: bool) -> dict[str, object]:
        context = request.context
        self._count += 1
        number = f"{self._prefix}{self._count:06x}"
        row: dict[str, object] = {
            "model_traffic_request_id": f"{context.session}:{number}",
            "timestamp": _timestamp(),
            "benchmark": context.benchmark,
            "problem_idx": context.problem_idx,
            "repeat": context.repeat,
            "attempt": context.attempt,
            "session_id": context.session,
            "adapter_request_id": number,
            "service": self._service,
            "method": "POST",
            "path": PATHS[request.protocol],
        }
        if isinstance(ended, ModelResponse):
            self._add_answer(row, request, ended, full=full)
        else:
            _add_error(row, request, ended)
        if full:
            self._add_request(row, request)
        return row

    def _add_answer(
        self, row: dict[str, object], request: ModelRequest, response: ModelResponse, *, full: bool
    ) -> None:
        reply = response.reply or DIALECTS[request.protocol].parse(response.body)
        usage = reply.usage
        names: dict[str, int] = {}
        for call in reply.tool_calls:
            name = str((call.get("function") or {}).get("name"))
            names[name] = names.get(name, 0) + 1
        row |= {
            "status_code": response.status,
            "latency_ms": round(response.latency_ms, 3),
            "model": reply.model or request.body.get("model"),
            "finish_reason": reply.finish_reason or "",
            "usage": usage_row(usage),
            "tool_calls": {"count": len(reply.tool_calls), "names": names},
            "source": response.source,
            "tries": response.tries,
        }
        if row["usage"]:
            row["token_provenance"] = "provider_reported"
        if response.ttft_ms is not None:
            row["ttft_ms"] = round(response.ttft_ms, 3)
        cost = self._cost(usage) if response.source != "cache" else None
        if cost is not None:
            row["cost_usd"] = cost
        if not full:
            return
        if self._config.capture_tool_calls and reply.tool_calls:
            row["tool_calls_full"] = [_tool_call(call) for call in reply.tool_calls]
        if self._config.capture_reasoning and reply.reasoning:
            row["reasoning_content"] = self._cut(reply.reasoning)
        if self._config.capture_messages:
            row["message_content"] = self._cut(reply.text)

    def _add_request(self, row: dict[str, object], request: ModelRequest) -> None:
        body = request.body
        if self._config.capture_request_body:
            text = json.dumps(without_secret_places(body), sort_keys=True)
            row["request_hash"] = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[
                :16
            ]
            row["request_body"] = self._cut(text)
        if self._config.capture_messages:
            messages = body.get("messages", body.get("input", body.get("prompt")))
            if not isinstance(messages, list):
                messages = [{"role": "user", "content": messages}]
            first = self._first_new(request.context, messages)
            row["request_messages_from"] = first
            row["request_messages"] = [self._cut_message(message) for message in messages[first:]]

    def _first_new(self, context: CallContext, messages: Sequence[Any]) -> int:
        """How many of the messages the session has sent before."""
        digests = [hashlib.blake2b(encode(m), digest_size=8).digest() for m in messages]
        if not context.session:
            return 0
        known = self._sent.get(context.scope, [])
        if len(self._sent) >= MAX_SESSIONS and not known:
            self._sent.pop(next(iter(self._sent)))
        self._sent[context.scope] = digests
        same = 0
        for before, now in zip(known, digests, strict=False):
            if before != now:
                break
            same += 1
        return same

    def _cut(self, text: str) -> str:
        limit = self._config.max_content_chars
        if not limit or len(text) <= limit:
            return text
        return f"{text[:limit]}...[truncated, {len(text) - limit} chars dropped]"

    def _cut_message(self, message: object) -> object:
        """A message with its texts cut and without the bytes of images, which say nothing."""
        if not isinstance(message, dict):
            return message
        content = message.get("content")
        if isinstance(content, str):
            return {**message, "content": self._cut(content)}
        if isinstance(content, list):
            return {**message, "content": [self._cut_part(part) for part in content]}
        return message

    def _cut_part(self, part: object) -> object:
        if not isinstance(part, dict):
            return part
        if isinstance(text := part.get("text"), str):
            return {**part, "text": self._cut(text)}
        image = part.get("image_url")
        url = image.get("url") if isinstance(image, dict) else image
        if isinstance(url, str) and url.startswith("data:"):
            return {"type": part.get("type"), "image_url": f"{url[:40]}... ({len(url)} characters)"}
        return part


class _File:
    """Appends whole lines to one file."""

    def __init__(self, path: Path, limit: int) -> None:
        self._path, self._limit = path, limit
        self._lines: list[bytes] = []
        self._pending = 0
        self._size = path.stat().st_size if path.exists() else 0
        self._timer: asyncio.TimerHandle | None = None
        self._file: LineFile | None = None
        self.closed = False

    @property
    def only_summaries(self) -> bool:
        """The file is so large that texts are left out."""
        return self._size > self._limit

    def add(self, line: bytes) -> None:
        self._lines.append(line)
        self._pending += len(line)
        self._size += len(line)
        if self._size > 2 * self._limit:
            self._give_up(f"has reached its limit of {2 * self._limit >> 20} MB")
        elif self._pending > FLUSH_BYTES:
            self._flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush)

    def close(self) -> None:
        self._flush()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        data, self._lines, self._pending = b"".join(self._lines), [], 0
        if not data or self.closed:
            return
        try:
            if self._file is None:
                self._file = LineFile(self._path, shared=True)
            self._file.append(data)
        except OSError as error:
            self._give_up(error.strerror or str(error))
        except ConfigError as error:
            self._give_up(error.what)

    def _give_up(self, reason: str) -> None:
        self.closed = True
        self._lines = []
        log.warning("%s: no more traffic is logged: %s", self._path, reason)


def usage_row(usage: Usage) -> dict[str, int]:
    """Token counts as they are known."""
    counts = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "cached_tokens": usage.cached_tokens,
    }
    return {name: count for name, count in counts.items() if count is not None}


def _add_error(row: dict[str, object], request: ModelRequest, error: BaseException) -> None:
    info = getattr(error, "info", None)
    upstream = getattr(error, "upstream", None)
    abandoned = not isinstance(error, Exception)
    row |= {
        "status_code": info.status if info else None,
        "latency_ms": None,
        "model": request.body.get("model"),
        "finish_reason": "",
        "usage": {},
        "tool_calls": {"count": 0, "names": {}},
        "error_type": "abandoned" if abandoned else info.kind.value if info else "bug",
        "error_message": "the caller went away" if abandoned else str(error)[:ERROR_CHARS],
    }
    if isinstance(upstream, ModelResponse):
        row["error_body"] = error_message(upstream.body)[:ERROR_CHARS]


def _tool_call(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function") or {}
    return {
        "id": call.get("id"),
        "name": function.get("name"),
        "arguments": function.get("arguments"),
    }


def _timestamp() -> str:
    seconds, fraction = divmod(time.time(), 1)
    return f"{_to_the_second(int(seconds))}.{int(fraction * 1000):03d}Z"


@lru_cache(maxsize=4)
def _to_the_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")

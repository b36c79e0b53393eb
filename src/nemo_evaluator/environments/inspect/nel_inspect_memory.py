"""Beside ``worker.py`` in the interpreter that has Inspect: what the model has answered, kept until
its sample has ended.

A run that was killed runs the samples that were under way again, from their beginning. Their
requests are the same ones in the same order, so what was answered before is not asked again.
Invariant: the nth equal request of a sample and epoch gets its own nth answer and no other; a
sample that failed begins anew.
"""

from __future__ import annotations

import contextvars
import hashlib
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from inspect_ai.model import ModelOutput
from pydantic_core import to_jsonable_python

Theirs = Any
"""An object of Inspect, whose types are not ours to know."""
Sample = tuple[str, int]
"""Id and epoch."""
CURRENT: contextvars.ContextVar[Sample | None] = contextvars.ContextVar("sample", default=None)
"""The sample that is asking, in the tasks that belong to it."""
KEY = "Authorization"
HOW = {"max_connections", "adaptive_connections", "max_retries", "timeout", "attempt_timeout"}
"""Settings of how a request is sent, which a later invocation may change."""


class Memory:
    """The answers of one run of a task, in a file that only grows."""

    def __init__(self, path: Path, sessions: Mapping[str, str]) -> None:
        """``sessions``: by the id of a sample, the key by which its calls are counted."""
        self._sessions = sessions
        self._known: dict[Sample, dict[str, list[str]]] = {}
        """Answers of an earlier invocation, by request, in the order in which they came."""
        self._asked: dict[Sample, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for line in _lines(path):
            sample = (line["id"], line["epoch"])
            if line.get("answer") is None:
                self._known.pop(sample, None)
            else:
                by_request = self._known.setdefault(sample, {})
                by_request.setdefault(line["request"], []).append(line["answer"])
        self._file: IO[bytes] = path.open("ab")
        if self._file.tell():
            self._file.write(b"\n")  # after a line that was cut off by a kill

    def around(
        self, generate: Callable[..., Awaitable[Theirs]]
    ) -> Callable[..., Awaitable[Theirs]]:
        """``generate`` of a model's API, asking only what was not answered before."""

        async def remembering(
            input: Theirs, tools: Theirs, tool_choice: Theirs, config: Theirs, **more: Theirs
        ) -> Theirs:
            sample = CURRENT.get()
            if sample is None:
                return await generate(input, tools, tool_choice, config, **more)
            request = _digest(input, tools, tool_choice, config)
            place = self._asked[sample][request]
            self._asked[sample][request] += 1
            known = self._known.get(sample, {}).get(request, [])
            if place < len(known):
                return ModelOutput.model_validate_json(known[place])
            config = self._counted(sample, config)
            result = await generate(input, tools, tool_choice, config, **more)
            output = result[0] if isinstance(result, tuple) else result
            for call in result[1:] if isinstance(result, tuple) else ():
                _without_key(call)
            if isinstance(output, ModelOutput):
                self._note(sample, request=request, answer=dumped(output))
            return result

        return remembering

    def _counted(self, sample: Sample, config: Theirs) -> Theirs:
        """The settings of a call that says which sample it is of."""
        if (key := self._sessions.get(sample[0])) is None:
            return config
        headers = {**(config.extra_headers or {}), KEY: f"Bearer {key}"}
        return config.model_copy(update={"extra_headers": headers})

    def forget(self, sample: Sample) -> None:
        """A sample failed: all of it is asked again when it is tried again."""
        self._known.pop(sample, None)
        self._asked.pop(sample, None)
        self._note(sample)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _note(self, sample: Sample, **more: str) -> None:
        line = json.dumps({"id": sample[0], "epoch": sample[1], **more})
        self._file.write(line.encode() + b"\n")
        self._file.flush()


def dumped(model: Theirs) -> str:
    """An object of Inspect as JSON. As in Inspect's own logs, what JSON cannot say is null, and
    half of a surrogate pair, which a model may answer with, is its escape."""
    try:
        text: str = model.model_dump_json()
    except ValueError:
        return json.dumps(whole(to_jsonable_python(model, fallback=lambda _: None)))
    return text


def whole(value: Theirs) -> Theirs:
    """The value with texts that UTF-8 can say."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {whole(name): whole(item) for name, item in value.items()}
    return [whole(item) for item in value] if isinstance(value, list) else value


def _digest(messages: Theirs, tools: Theirs, tool_choice: Theirs, config: Theirs) -> str:
    """Names a request. The ids of messages are drawn anew each time."""
    shown = [
        [message.model_dump(mode="json", exclude={"id"}) for message in messages],
        [tool.model_dump(mode="json") for tool in tools],
        tool_choice if isinstance(tool_choice, str) else vars(tool_choice),
        config.model_dump(mode="json", exclude_none=True, exclude=HOW),
    ]
    return hashlib.sha256(json.dumps(shown, default=str).encode()).hexdigest()[:32]


def _without_key(call: Theirs) -> None:
    """What is kept of a call holds no key."""
    headers = (getattr(call, "request", None) or {}).get("extra_headers")
    if isinstance(headers, dict):
        headers.pop(KEY, None)


def _lines(path: Path) -> Iterator[Theirs]:
    """The whole lines of the file."""
    if not path.exists():
        return
    for line in path.read_bytes().splitlines():
        try:
            yield json.loads(line)
        except ValueError:  # cut off, or empty
            continue

"""OpenAI chat completions: ``POST /chat/completions``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...finish import canonical
from ...records import Json
from ..images import image_url
from . import logprobs
from .contract import (
    Question,
    Reply,
    UnknownShape,
    as_dict,
    as_int,
    as_str,
    dicts,
    finish_of,
    first_choice,
    is_filtered,
    is_readable,
    parse_usage,
    text_of,
    thinking_of,
    with_images,
    with_system,
)

STREAM_OPTIONS = {"stream_options": {"include_usage": True}}
ELSEWHERE = ("text", "response", "output", "output_text", "generated_text", "answer", "message")
"""Fields where servers of no known protocol put the text; its meaning there is unknown."""


def build(question: Question) -> dict[str, Json]:
    """The request body."""
    messages = list(question.messages) or [{"role": "user", "content": question.prompt}]
    if question.images:
        parts = [
            {
                "type": "image_url",
                "image_url": {"url": image_url(image), "detail": question.image_detail},
            }
            for image in question.images
        ]
        messages = with_images(messages, parts, "text", question.prompt)
    return {
        "model": question.model,
        "messages": with_system(messages, question.system),
        **question.params,
    }


def has_answer(body: dict[str, Json]) -> bool:
    """Whether there is a first choice with a message we can read; one that a content filter ended
    needs none."""
    choice = first_choice(body)
    if choice is None:
        return False
    message = choice.get("message")
    if message is None:
        return is_filtered(choice)
    return isinstance(message, dict) and _is_known(message)


def _is_known(message: dict[str, Json]) -> bool:
    """Whether the text of a message or delta stands where the protocol wants it."""
    content = message.get("content")
    return is_readable(content) and not (not content and any(map(message.get, ELSEWHERE)))


def parse(body: dict[str, Any]) -> Reply:
    """The first choice. A refusal stands for the content where that is empty."""
    choice = body["choices"][0]
    message = as_dict(choice.get("message"))
    content = message.get("content")
    return Reply(
        text=text_of(content) or as_str(message.get("refusal")) or "",
        reasoning=as_str(message.get("reasoning_content"))
        or as_str(message.get("reasoning"))
        or thinking_of(content),
        finish_reason=canonical(finish_of(choice)),
        usage=parse_usage(body.get("usage")),
        model=as_str(body.get("model")),
        tool_calls=tuple(dicts(message.get("tool_calls"))),
        logprobs=logprobs.of_chat(choice) if choice.get("logprobs") else (),
        prompt_logprobs=logprobs.of_prompt(choice, body),
    )


def events(body: dict[str, Json]) -> Iterator[dict[str, Json]]:
    """The body as a stream: one chunk with the content of each choice, one with its end, usage."""
    head = {name: value for name, value in body.items() if name not in ("choices", "usage")}
    head["object"] = "chat.completion.chunk"
    for position, choice in enumerate(dicts(body.get("choices"))):
        index = choice.get("index", position)
        delta = dict(as_dict(choice.get("message")))
        if calls := list(dicts(delta.get("tool_calls"))):
            delta["tool_calls"] = [{"index": n, **call} for n, call in enumerate(calls)]
        content = {"index": index, "delta": delta, "finish_reason": None}
        if choice.get("logprobs") is not None:
            content["logprobs"] = choice["logprobs"]
        yield {**head, "choices": [content]}
        end = {"index": index, "delta": {}, "finish_reason": choice.get("finish_reason")}
        yield {**head, "choices": [end]}
    if body.get("usage") is not None:
        yield {**head, "choices": [], "usage": body["usage"]}


class Accumulator:
    """Builds the body of a streamed chat completion; what it does not know of a chunk's top level
    (``id``, ``system_fingerprint``, a server's own fields) is kept as first seen."""

    def __init__(self) -> None:
        self._choices: dict[int, _Choice] = {}
        self._head: dict[str, Json] = {}
        self._usage: Json = None

    def add(self, event: dict[str, Json]) -> bool:
        """Take one chunk."""
        self._usage = event.get("usage") or self._usage
        if not self._head.get("id"):
            known = ((name, value) for name, value in event.items() if value is not None)
            self._head = {**self._head, **dict(known)}
        has_content = False
        for choice in dicts(event.get("choices")):
            index = as_int(choice.get("index")) or 0
            known_choice = self._choices.get(index)
            if known_choice is None:
                known_choice = self._choices[index] = _Choice()
            has_content |= known_choice.add(choice)
        return has_content

    def body(self, done: bool) -> dict[str, Json] | None:
        """The unstreamed equivalent, once every choice has a finish reason or the end mark came."""
        choices = [self._choices[index].body(index) for index in sorted(self._choices)]
        if not choices or not (done or all(choice["finish_reason"] for choice in choices)):
            return None
        head = {"model": None, **self._head, "object": "chat.completion"}
        return {**head, "choices": choices, "usage": self._usage}


class _Choice:
    """One choice of a stream."""

    def __init__(self) -> None:
        self._role = "assistant"
        self._texts: dict[str, list[str]] = {}
        self._tools: dict[int, dict[str, Any]] = {}
        self._finish: str | None = None
        self._logprobs: dict[str, list[Json]] = {}

    def add(self, choice: dict[str, Json]) -> bool:
        self._finish = finish_of(choice) or self._finish
        delta = choice.get("delta")
        if not self._is_expected(choice, delta):
            raise UnknownShape("a chunk of the stream has its text in an unknown form")
        for name, entries in as_dict(choice.get("logprobs")).items():
            if isinstance(entries, list):
                self._logprobs.setdefault(name, []).extend(entries)
        return self._add_delta(as_dict(delta))

    def _is_expected(self, choice: dict[str, Json], delta: Json) -> bool:
        """Text comes in deltas. Some servers close with the whole message, which then says what
        the deltas said."""
        if delta is not None:
            return isinstance(delta, dict) and _is_known(delta)
        whole = choice.get("message") or choice.get("text")
        if not whole:
            return True
        content = text_of(whole.get("content")) if isinstance(whole, dict) else whole
        return bool(content) and content == "".join(self._texts.get("content", ()))

    def body(self, index: int) -> dict[str, Any]:
        message: dict[str, Json] = {"role": self._role, "content": None}
        message |= {name: "".join(pieces) for name, pieces in self._texts.items()}
        if self._tools:
            message["tool_calls"] = [self._tools[number] for number in sorted(self._tools)]
        choice = {"index": index, "message": message, "finish_reason": self._finish}
        return {**choice, "logprobs": self._logprobs} if self._logprobs else choice

    def _add_delta(self, delta: dict[str, Json]) -> bool:
        self._role = as_str(delta.get("role")) or self._role
        pieces = {
            "content": text_of(delta.get("content")),
            "reasoning_content": as_str(delta.get("reasoning_content"))
            or as_str(delta.get("reasoning"))
            or thinking_of(delta.get("content")),
            "refusal": as_str(delta.get("refusal")),
        }
        has_content = False
        for name, piece in pieces.items():
            if piece:
                self._texts.setdefault(name, []).append(piece)
                has_content = True
        for call in dicts(delta.get("tool_calls")):
            self._add_tool_call(call)
            has_content = True
        return has_content

    def _add_tool_call(self, call: dict[str, Json]) -> None:
        known = self._tools.setdefault(
            as_int(call.get("index")) or 0,
            {"id": None, "type": "function", "function": {"name": "", "arguments": ""}},
        )
        known["id"] = as_str(call.get("id")) or known["id"]
        known["type"] = as_str(call.get("type")) or known["type"]
        function = as_dict(call.get("function"))
        known["function"]["name"] += as_str(function.get("name")) or ""
        known["function"]["arguments"] += as_str(function.get("arguments")) or ""

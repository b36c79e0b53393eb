"""OpenAI text completions: ``POST /completions``. Messages are joined into one text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...errors import ConfigError
from ...finish import canonical
from ...records import Json
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
    parse_usage,
    text_of,
    with_system,
)

STREAM_OPTIONS = {"stream_options": {"include_usage": True}}


def build(question: Question) -> dict[str, Json]:
    """The request body. Raises ConfigError for images, which this dialect cannot carry."""
    if question.images:
        raise ConfigError("completions cannot carry images", hint="use protocol chat_completions")
    if question.messages:
        messages = with_system(question.messages, question.system)
        prompt = "\n\n".join(text_of(message.get("content")) for message in messages)
    elif question.system:
        prompt = f"{question.system}\n\n{question.prompt}"
    else:
        prompt = question.prompt
    return {"model": question.model, "prompt": prompt, **question.params}


def has_answer(body: dict[str, Json]) -> bool:
    """Whether there is a first choice with a text (which may be null or empty, or missing where a
    content filter ended it)."""
    choice = first_choice(body)
    if choice is None or "text" not in choice:
        return choice is not None and is_filtered(choice)
    return choice["text"] is None or isinstance(choice["text"], str)


def parse(body: dict[str, Any]) -> Reply:
    """The first choice."""
    choice = body["choices"][0]
    return Reply(
        text=as_str(choice.get("text")) or "",
        reasoning=as_str(choice.get("reasoning_content")) or as_str(choice.get("reasoning")),
        finish_reason=canonical(finish_of(choice)),
        usage=parse_usage(body.get("usage")),
        model=as_str(body.get("model")),
        logprobs=logprobs.of_completion(choice) if choice.get("logprobs") else (),
        prompt_logprobs=logprobs.of_prompt(choice, body),
    )


def events(body: dict[str, Json]) -> Iterator[dict[str, Json]]:
    """The body as a stream: one chunk for each choice, and one with the usage."""
    head = {name: value for name, value in body.items() if name not in ("choices", "usage")}
    for choice in dicts(body.get("choices")):
        yield {**head, "choices": [choice]}
    if body.get("usage") is not None:
        yield {**head, "choices": [], "usage": body["usage"]}


class Accumulator:
    """Builds the body of a streamed completion; the rest of a chunk's top level is kept as first
    seen."""

    def __init__(self) -> None:
        self._choices: dict[int, tuple[list[str], dict[str, Json]]] = {}
        self._usage: Json = None
        self._head: dict[str, Json] = {}

    def add(self, event: dict[str, Json]) -> bool:
        """Take one chunk."""
        self._usage = event.get("usage") or self._usage
        if not self._head.get("id"):
            known = ((name, value) for name, value in event.items() if value is not None)
            self._head = {**self._head, **dict(known)}
        has_content = False
        for choice in dicts(event.get("choices")):
            texts, end = self._choices.setdefault(as_int(choice.get("index")) or 0, ([], {}))
            end["finish_reason"] = finish_of(choice) or end.get("finish_reason")
            _add_logprobs(end, choice)
            text = choice.get("text")
            if not (text is None or isinstance(text, str)) or (not text and _is_chat(choice)):
                raise UnknownShape("a chunk of the stream has its text in an unknown form")
            if text:
                texts.append(text)
                has_content = True
        return has_content

    def body(self, done: bool) -> dict[str, Json] | None:
        """The unstreamed equivalent, once every choice has a finish reason or the end mark came."""
        choices = [
            {"index": index, "text": "".join(self._choices[index][0]), **self._choices[index][1]}
            for index in sorted(self._choices)
        ]
        if not choices or not (done or all(choice["finish_reason"] for choice in choices)):
            return None
        return {"model": None, **self._head, "choices": choices, "usage": self._usage}


def _add_logprobs(end: dict[str, Any], choice: dict[str, Any]) -> None:
    """The parallel lists of the chunks, one after the other."""
    if choice.get("prompt_logprobs"):
        end["prompt_logprobs"] = choice["prompt_logprobs"]
    for name, part in as_dict(choice.get("logprobs")).items():
        if isinstance(part, list):
            end.setdefault("logprobs", {}).setdefault(name, []).extend(part)


def _is_chat(choice: dict[str, Json]) -> bool:
    return bool(choice.get("delta") or choice.get("message"))

"""`reasoning`: puts a model's reasoning into one field, `reasoning_content`.

``content_to_field`` moves a leading ``<think>...</think>``, or a field ``reasoning``, to
``reasoning_content``; ``field_to_content`` is the way back, for callers that know no such field.
Live streams are changed delta by delta: only what may be part of a tag, and whitespace that would
be stripped, is held back. A stream adds up to the whole answer, with these exceptions, where the
reasoning has gone out before its end is known: a block that is never closed in an answer that was
not cut off (the whole answer is left as it is; the stream has told it as reasoning), and reasoning
in a field that goes on, or begins, after content.
Responses have reasoning items and need nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol

from pydantic import Field, field_validator, model_validator

from ...config.base import ConfigRecord
from ...finish import FinishReason
from ..dialects.contract import as_dict, as_int, as_str, text_of
from ..types import Changes, EventFilter, Interceptor, ModelRequest, ModelResponse

FIELDS = ("reasoning_content", "reasoning")
TEXT = {"chat_completions": "content", "completions": "text"}
"""The field of the answer, by protocol: of the message or delta, or of the choice itself."""


class Reasoning(Interceptor):
    """Moves reasoning to its field, or back into the content."""

    changes = Changes.ANSWERS

    class Options(ConfigRecord):
        """Which way, and between which tags."""

        mode: Literal["content_to_field", "field_to_content"] = "content_to_field"
        """``content_to_field``: a block at the beginning of the content, or a field ``reasoning``,
        becomes ``reasoning_content``, unless there is one already. The first closing tag ends the
        block: a tag inside it is text. An empty block is removed. ``field_to_content``: either
        field becomes a block before the content."""
        tag_open: str = Field("<think>", min_length=1)
        """Begins a block."""
        tag_close: str = Field("</think>", min_length=1)
        """Ends a block."""
        implicit_open: bool = False
        """Answers begin inside a block, as with chat templates that put the opening tag into the
        prompt: all before the first closing tag is reasoning. A whole answer without a closing tag
        is left alone unless it was cut off; a live stream of one is all reasoning."""

        @field_validator("tag_open", "tag_close")
        @classmethod
        def _is_tag(cls, tag: str) -> str:
            if tag != tag.strip():
                raise ValueError("a tag cannot begin or end with whitespace")
            return tag

        @model_validator(mode="after")
        def _can_be_told_apart(self) -> Reasoning.Options:
            if self.tag_open == self.tag_close:
                raise ValueError("tag_open and tag_close must differ")
            if self.implicit_open and self.mode == "field_to_content":
                raise ValueError("implicit_open is for content_to_field only")
            return self

    def __init__(self, options: Options) -> None:
        self._tags = Tags(options.tag_open, options.tag_close, options.implicit_open)
        self._move = _to_field if options.mode == "content_to_field" else _to_text
        self._live = _LiveToField if options.mode == "content_to_field" else _LiveToText

    def on_response(self, request: ModelRequest, response: ModelResponse) -> None:
        """Change the choices of a whole answer."""
        name = TEXT.get(request.protocol)
        choices = response.body.get("choices")
        if name is None or not isinstance(choices, list):
            return
        changed = [self._changed(choice, name) for choice in choices]
        if any(new is not old for new, old in zip(changed, choices, strict=True)):
            response.body["choices"] = changed

    def event_filter(self, request: ModelRequest) -> EventFilter | None:
        """The same for the events of a stream."""
        name = TEXT.get(request.protocol)
        return None if name is None else Events(name, lambda: self._live(self._tags))

    def _changed(self, choice: object, name: str) -> object:
        if not isinstance(choice, dict):
            return choice
        holder = choice if name == "text" else as_dict(choice.get("message"))
        changed = self._move(self._tags, holder, name, as_str(choice.get("finish_reason")))
        if changed is holder:
            return choice
        return changed if name == "text" else {**choice, "message": changed}


class Tags(NamedTuple):
    """How reasoning is marked in a text."""

    open: str
    close: str
    implicit: bool = False

    def split(self, text: str, finish: str | None) -> tuple[str, str] | None:
        """Reasoning and the rest; None if the text does not begin with a block.

        ``"<think>\\n a </think>\\n\\nans"`` is ``("a", "ans")``. A block that is not closed is one
        only where the answer was cut off.
        """
        start = text.lstrip() if text[:1].isspace() else text
        if start.startswith(self.open):
            start = start[len(self.open) :]
        elif not (self.implicit and start):
            return None
        reasoning, closed, content = start.partition(self.close)
        if closed or FinishReason.of(finish).truncated:
            return reasoning.strip(), content.lstrip()
        return None


def _to_field(tags: Tags, holder: dict[str, Any], name: str, finish: str | None) -> dict[str, Any]:
    """A message or choice with its reasoning in the field; itself if there is nothing to move."""
    if as_str(holder.get("reasoning_content")):
        return holder
    if own := as_str(holder.get("reasoning")):
        kept = {key: value for key, value in holder.items() if key != "reasoning"}
        return {**kept, "reasoning_content": own}
    text = holder.get(name)
    split = tags.split(text, finish) if isinstance(text, str) else None
    if split is None:
        return holder
    reasoning, content = split
    return {**holder, name: content, **({"reasoning_content": reasoning} if reasoning else {})}


def _to_text(tags: Tags, holder: dict[str, Any], name: str, finish: str | None) -> dict[str, Any]:
    """A message or choice with its reasoning before its text; itself if it has none."""
    reasoning = as_str(holder.get("reasoning_content")) or as_str(holder.get("reasoning"))
    if reasoning is None:
        return holder
    kept = {key: value for key, value in holder.items() if key not in FIELDS}
    block = f"{tags.open}{reasoning}{tags.close}\n"
    text = holder.get(name)
    if isinstance(text, list):
        return {**kept, name: [{"type": "text", "text": block}, *text]}
    return {**kept, name: block + (as_str(text) or "")}


class Live(Protocol):
    """One choice of a stream. What comes and goes is (reasoning, text)."""

    def feed(self, reasoning: str, text: str, has_calls: bool) -> tuple[str, str]:
        """What may go out after this."""

    def end(self, finish: str | None) -> tuple[str, str]:
        """What is held back; nothing the second time."""


class Events:
    """Changes the events of one stream, each choice by itself."""

    def __init__(self, name: str, begin: Callable[[], Live]) -> None:
        self._name, self._begin = name, begin
        self._choices: dict[int, Live] = {}
        self._last: dict[str, object] = {}

    def feed(self, event: dict[str, object]) -> list[dict[str, object]]:
        """See ``EventFilter``."""
        choices = event.get("choices")
        if not isinstance(choices, list) or not choices:
            return [event]
        self._last = event
        changed = [
            self._changed(choice) if isinstance(choice, dict) else choice for choice in choices
        ]
        if all(new is old for new, old in zip(changed, choices, strict=True)):
            return [event]
        return [{**event, "choices": changed}]

    def close(self) -> list[dict[str, object]]:
        """See ``EventFilter``."""
        head = {key: value for key, value in self._last.items() if key not in ("choices", "usage")}
        events = []
        for index, live in self._choices.items():
            reasoning, text = live.end(None)
            if reasoning or text:
                delta = _filled({self._name: ""}, self._name, reasoning, text)
                choice = delta if self._name == "text" else {"delta": delta}
                choice = {"index": index, **choice, "finish_reason": None}
                events.append({**head, "choices": [choice]})
        return events

    def _changed(self, choice: dict[str, Any]) -> dict[str, Any]:
        index = as_int(choice.get("index")) or 0
        live = self._choices.get(index)
        if live is None:
            live = self._choices[index] = self._begin()
        name = self._name
        holder = choice if name == "text" else as_dict(choice.get("delta"))
        field = as_str(holder.get("reasoning_content"))
        content = text_of(holder.get(name))
        found = field or as_str(holder.get("reasoning")) or ""
        reasoning, text = live.feed(found, content, bool(holder.get("tool_calls")))
        if finish := as_str(choice.get("finish_reason")):
            more_reasoning, more_text = live.end(finish)
            reasoning, text = reasoning + more_reasoning, text + more_text
        if reasoning == (field or "") and text == content:
            return choice
        changed = _filled(holder, name, reasoning, text)
        return changed if name == "text" else {**choice, "delta": changed}


def _filled(holder: dict[str, Any], name: str, reasoning: str, text: str) -> dict[str, Any]:
    """A delta or choice with these in place of its own."""
    filled = {key: value for key, value in holder.items() if key not in FIELDS}
    if text or name in holder:
        filled[name] = text
    return {**filled, "reasoning_content": reasoning} if reasoning else filled


class _At(enum.Enum):
    """Where in the text of a choice we are."""

    START = enum.auto()
    BLOCK = enum.auto()
    GAP = enum.auto()
    """After the block, before the first character of the answer."""
    ANSWER = enum.auto()


class _LiveToField:
    """Takes a leading block apart as it comes; the rule is that of `Tags.split`."""

    def __init__(self, tags: Tags) -> None:
        self._tags, self._at = tags, _At.START
        self._held = ""
        self._told = False
        """Some of the block has gone out: whitespace is no longer its beginning."""

    def feed(self, reasoning: str, text: str, has_calls: bool) -> tuple[str, str]:
        if reasoning and self._at is _At.START:  # it has the field: its text is left alone
            self._at, text, self._held = _At.ANSWER, self._held + text, ""
        if not text or self._at is _At.ANSWER:
            return reasoning, text
        if self._at is _At.START:
            more, text = self._begin(self._held + text)
        elif self._at is _At.BLOCK:
            more, text = self._in_block(self._held + text)
        else:
            more, text = self._after(text)
        return reasoning + more, text

    def end(self, finish: str | None) -> tuple[str, str]:
        held, self._held = self._held, ""
        at, self._at = self._at, _At.ANSWER
        if at is _At.BLOCK:
            return held.rstrip(), ""
        if at is _At.START and (split := self._tags.split(held, finish)):
            return split
        return "", held

    def _begin(self, text: str) -> tuple[str, str]:
        start = text.lstrip()
        if start.startswith(self._tags.open):
            start = start[len(self._tags.open) :]
        elif self._tags.open.startswith(start):  # nothing yet, or the beginning of a tag
            self._held = text
            return "", ""
        elif not self._tags.implicit:
            self._at, self._held = _At.ANSWER, ""
            return "", text
        self._at = _At.BLOCK
        return self._in_block(start)

    def _in_block(self, text: str) -> tuple[str, str]:
        close = self._tags.close
        if not self._told:
            text = text.lstrip()
        reasoning, closed, rest = text.partition(close)
        if closed:
            self._at, self._held = _At.GAP, ""
            return reasoning.rstrip(), self._after(rest)[1]
        sizes = range(min(len(text), len(close) - 1), 0, -1)
        size = next((size for size in sizes if text.endswith(close[:size])), 0)
        reasoning = text[: len(text) - size].rstrip()
        self._held = text[len(reasoning) :]
        self._told = self._told or bool(reasoning)
        return reasoning, ""

    def _after(self, text: str) -> tuple[str, str]:
        text = text.lstrip()
        if text:
            self._at = _At.ANSWER
        return "", text


class _LiveToText:
    """Puts tags around reasoning as it comes."""

    def __init__(self, tags: Tags) -> None:
        self._tags, self._in_block = tags, False

    def feed(self, reasoning: str, text: str, has_calls: bool) -> tuple[str, str]:
        begun = ""
        if reasoning:
            begun = reasoning if self._in_block else self._tags.open + reasoning
            self._in_block = True
        return "", begun + (self._end() + text if text or has_calls else "")

    def end(self, finish: str | None) -> tuple[str, str]:
        return "", self._end()

    def _end(self) -> str:
        ends, self._in_block = self._in_block, False
        return f"{self._tags.close}\n" if ends else ""

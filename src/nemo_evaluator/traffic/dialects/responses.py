"""OpenAI responses: ``POST /responses``."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ...finish import FinishReason
from ...records import Json
from ...types import Message
from ..images import image_url
from .contract import (
    Question,
    Reply,
    all_text,
    as_dict,
    as_str,
    dicts,
    is_readable,
    parse_usage,
    with_images,
    with_system,
)

RENAMED = {"max_tokens": "max_output_tokens"}
FINAL_EVENTS = ("response.completed", "response.incomplete", "response.failed")
ANSWERED = ("completed", "incomplete", None)


def build(question: Question) -> dict[str, Json]:
    """The request body. Chat parameters, content parts and calls of tools are translated."""
    params = {RENAMED.get(name, name): value for name, value in question.params.items()}
    if effort := params.pop("reasoning_effort", None):
        params["reasoning"] = {**as_dict(params.get("reasoning")), "effort": effort}
    if isinstance(tools := params.get("tools"), list):
        params["tools"] = [_tool(tool) for tool in tools]
    messages = list(question.messages) or [{"role": "user", "content": question.prompt}]
    conversation = with_system(messages, question.system)
    items = [item for message in conversation for item in _items(message)]
    if question.images:
        parts = [
            {
                "type": "input_image",
                "image_url": image_url(image),
                "detail": question.image_detail,
            }
            for image in question.images
        ]
        items = with_images(items, parts, "input_text", question.prompt)
    return {"model": question.model, "input": items, **params}


def has_answer(body: dict[str, Any]) -> bool:
    """Whether the response came to its end (a failed one has an ``error`` instead)."""
    if body.get("status") not in ANSWERED or not isinstance(body.get("output"), list):
        return False
    if not all(_is_known(item) for item in body["output"]):
        return False
    return bool(body["output"]) or body.get("status") == "incomplete"


def _is_known(item: Json) -> bool:
    """Whether an item of the output has its text where the protocol wants it."""
    if not isinstance(item, dict):
        return False
    content = item.get("content")
    return item.get("type") != "message" or (isinstance(content, list) and is_readable(content))


def parse(body: dict[str, Json]) -> Reply:
    """All output items of the response."""
    texts, reasoning, calls = [], [], []
    for item in dicts(body.get("output")):
        kind = item.get("type")
        if kind == "message":
            texts += [
                as_str(part.get("text")) or as_str(part.get("refusal")) or ""
                for part in dicts(item.get("content"))
            ]
        elif kind == "reasoning":
            reasoning.append(all_text(item.get("content") or item.get("summary")))
        elif kind == "function_call":
            function = {"name": item.get("name"), "arguments": item.get("arguments")}
            calls.append({"id": item.get("call_id"), "type": "function", "function": function})
    return Reply(
        text="".join(texts),
        reasoning="".join(reasoning) or None,
        finish_reason=_finish_reason(body, bool(calls)),
        usage=parse_usage(body.get("usage")),
        model=as_str(body.get("model")),
        tool_calls=tuple(calls),
    )


def events(
    body: dict[str, Json], pieces: Callable[[str], Iterable[str]] = lambda text: (text,)
) -> Iterator[dict[str, Json]]:
    """The body as the events of a stream; ``pieces`` cuts its texts into deltas."""
    number = itertools.count()

    def event(kind: str, **fields: Json) -> dict[str, Json]:
        return {"type": f"response.{kind}", "sequence_number": next(number), **fields}

    yield event("created", response={**body, "status": "in_progress", "output": []})
    for index, item in enumerate(dicts(body.get("output"))):
        yield event("output_item.added", output_index=index, item=_begun(item))
        at = {"item_id": item.get("id"), "output_index": index}
        for part_index, part in enumerate(dicts(item.get("summary"))):
            place = {**at, "summary_index": part_index}
            yield event("reasoning_summary_part.added", **place, part={**part, "text": ""})
            for piece in pieces(part.get("text", "")):
                yield event("reasoning_summary_text.delta", **place, delta=piece)
            yield event("reasoning_summary_text.done", **place, text=part.get("text", ""))
            yield event("reasoning_summary_part.done", **place, part=part)
        for part_index, part in enumerate(dicts(item.get("content"))):
            if part.get("type") == "output_text":
                place = {**at, "content_index": part_index}
                text = part.get("text", "")
                empty = {**part, "text": ""}
                yield event("content_part.added", **place, part=empty)
                for piece in pieces(text):
                    yield event("output_text.delta", **place, delta=piece, logprobs=[])
                yield event("output_text.done", **place, text=text, logprobs=[])
                yield event("content_part.done", **place, part=part)
        if item.get("type") == "function_call":
            arguments = item.get("arguments", "")
            for piece in pieces(arguments):
                yield event("function_call_arguments.delta", **at, delta=piece)
            yield event("function_call_arguments.done", **at, arguments=arguments)
        yield event("output_item.done", output_index=index, item=item)
    status = body.get("status")
    yield event("incomplete" if status == "incomplete" else "completed", response=body)


def _begun(item: dict[str, Json]) -> dict[str, Json]:
    empty: dict[str, Json] = {"content": []} if item.get("type") == "message" else {}
    empty |= {"arguments": ""} if item.get("type") == "function_call" else {}
    empty |= {"summary": []} if item.get("type") == "reasoning" else {}
    return {**item, **empty}


class Accumulator:
    """The final event of a stream carries the whole response."""

    def __init__(self) -> None:
        self._response: dict[str, Json] | None = None

    def add(self, event: dict[str, Json]) -> bool:
        """Take one event."""
        kind = str(event.get("type", ""))
        if kind in FINAL_EVENTS:
            self._response = as_dict(event.get("response"))
        return kind.endswith(".delta")

    def body(self, done: bool) -> dict[str, Json] | None:
        """The response, once its final event came; there is no other end mark."""
        return self._response


def _finish_reason(body: dict[str, Json], has_calls: bool) -> str:
    """An incomplete response whose reason is missing or unknown was cut off all the same."""
    if body.get("status") != "incomplete":
        return FinishReason.TOOL_CALLS if has_calls else FinishReason.STOP
    reason = FinishReason.of(as_str(as_dict(body.get("incomplete_details")).get("reason")))
    return reason if reason is FinishReason.CONTENT_FILTER else FinishReason.LENGTH


def _tool(tool: Json) -> Json:
    """The definition of a tool of the chat API, which has the function in a field of its own."""
    function = as_dict(tool).get("function")
    return {"type": "function", **function} if isinstance(function, dict) else tool


def _items(message: Message) -> Iterator[dict[str, Json]]:
    """A message of a chat: calls of tools and their results are items of their own."""
    if message.get("role") == "tool":
        output = message.get("content")
        text = output if isinstance(output, str) else all_text(output)
        call_id = message.get("tool_call_id")
        yield {"type": "function_call_output", "call_id": call_id, "output": text}
        return
    calls = list(dicts(message.get("tool_calls")))
    if not calls or message.get("content"):
        yield _item(message)
    for call in calls:
        function = as_dict(call.get("function"))
        call_fields = {"name": function.get("name"), "arguments": function.get("arguments")}
        yield {"type": "function_call", "call_id": call.get("id"), **call_fields}


def _item(message: Message) -> dict[str, Json]:
    role = message.get("role", "user")
    content = message.get("content")
    if isinstance(content, list):
        own = "output_text" if role == "assistant" else "input_text"
        content = [_part(part, own) for part in content]
    return {"role": role, "content": content or ""}


def _part(part: Json, text_type: str) -> Json:
    if not isinstance(part, dict):
        return part
    if part.get("type") == "text":
        return {"type": text_type, "text": part.get("text")}
    if part.get("type") == "image_url":
        image = part.get("image_url")
        image = image if isinstance(image, dict) else {"url": image}
        detail = image.get("detail", "auto")
        return {"type": "input_image", "image_url": image.get("url"), "detail": detail}
    return part

"""Chunks of a streamed chat completion to the events of a Messages stream.

Blocks never overlap and come in the order in which they began. Text and reasoning go out as they
come in. The arguments of a tool call go out once they are whole, as the API itself does by default:
clients raise on broken JSON, and no agent can act on half a call. Until then every piece is
answered by an empty delta, so that the stream is not taken for dead.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from ....records import Json
from ..contract import as_dict, as_int, as_str, dicts, error_of_choice, finish_of, has_failed
from .response import (
    arguments_of,
    calls_of,
    error_body,
    message_of,
    new_tool_id,
    parsed_object,
    reasoning_of,
    said_by,
    stop_of,
    tool_input,
    usage_of,
)

BROKEN_STREAM = 502
"""The status of an upstream's error in mid-stream, unless it tells another."""


@dataclass(slots=True, eq=False)
class _Block:
    """A content block that is not closed; ``pieces`` are those that were not sent."""

    kind: str
    pieces: list[str] = field(default_factory=list)
    id: str | None = None
    name: str = ""
    started: bool = False

    def is_whole(self) -> bool:
        """Whether no argument can follow. The cheap test spares most of the parsing."""
        ends = bool(self.pieces) and self.pieces[-1].rstrip().endswith("}")
        return ends and parsed_object("".join(self.pieces)) is not None

    def opening(self) -> dict[str, Json]:
        """The block as it begins."""
        if self.kind == "text":
            return {"type": "text", "text": ""}
        if self.kind == "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}
        return {
            "type": "tool_use",
            "id": self.id or new_tool_id(),
            "name": self.name,
            "input": {},
        }


class EventTranslator:
    """One stream. ``model`` is the name the client asked for, ``input_tokens`` an estimate for
    ``message_start``; the true counts come with the last events.

    Feed every chunk, then ``close`` at the end of an answer or ``error`` where it broke off: a
    stream that is closed counts as answered.
    """

    def __init__(self, model: str, input_tokens: int = 0) -> None:
        self._model = model
        self._input_tokens = input_tokens
        self._blocks: deque[_Block] = deque()
        self._calls: dict[int, _Block] = {}
        self._index = 0
        self._finish: dict[str, Json] = {}
        self._usage: Json = None
        self._begun = False
        self._ended = False

    def feed(self, chunk: Mapping[str, Json]) -> list[dict[str, Json]]:
        """The events that a chunk brings; after an error or the close there are none."""
        if self._ended:
            return []
        if problem := chunk.get("error"):
            return [self._upstream_error(problem)]
        events = self._begin(chunk)
        self._usage = chunk.get("usage") or self._usage
        for choice in dicts(chunk.get("choices")):
            if not choice.get("index"):
                events += self._take(choice)
        return events

    def close(self) -> list[dict[str, Json]]:
        """The last events of an answer. Nothing after an error or a second time."""
        if self._ended:
            return []
        events = [*self._begin({}), *self._advance(finished=True)]
        self._ended = True
        reason, sequence = stop_of(self._finish, bool(self._calls))
        # Counts that are left out keep the values of message_start.
        usage = usage_of(self._usage) if self._usage else {"output_tokens": 0}
        delta = {"stop_reason": reason, "stop_sequence": sequence}
        events.append({"type": "message_delta", "delta": delta, "usage": usage})
        return [*events, {"type": "message_stop"}]

    def error(self, status: int, message: str) -> dict[str, Json]:
        """The event that ends the stream, at any moment."""
        self._ended = True
        return error_body(status, message)

    def _begin(self, chunk: Mapping[str, Json]) -> list[dict[str, Json]]:
        if self._begun:
            return []
        self._begun = True
        usage = usage_of({"prompt_tokens": self._input_tokens})
        return [{"type": "message_start", "message": message_of(chunk, self._model, [], usage)}]

    def _upstream_error(self, problem: Json) -> dict[str, Json]:
        fields = as_dict(problem)
        status = as_int(fields.get("code")) or as_int(fields.get("status")) or BROKEN_STREAM
        message = as_str(fields.get("message")) or as_str(problem)
        return self.error(status, message or "the model's server broke off the answer")

    def _take(self, choice: Mapping[str, Json]) -> list[dict[str, Json]]:
        delta = as_dict(choice.get("delta"))
        self._say("thinking", reasoning_of(delta))
        self._say("text", said_by(delta))
        calls = calls_of(delta)
        for call in calls:
            self._call(call)
        finish = finish_of(choice)
        if has_failed(choice):
            return [self._upstream_error(error_of_choice(choice))]
        if finish:
            self._finish = dict(choice)
        events = self._advance(finished=finish is not None)
        if calls and not events and self._blocks and self._blocks[0].started:
            events.append(self._delta("input_json_delta", "partial_json", ""))
        return events

    def _say(self, kind: str, piece: str) -> None:
        if not piece:
            return
        if not self._blocks or self._blocks[-1].kind != kind:
            self._blocks.append(_Block(kind))
        self._blocks[-1].pieces.append(piece)

    def _call(self, call: Mapping[str, Json]) -> None:
        index = as_int(call.get("index")) or 0
        id_, name = as_str(call.get("id")), as_str(as_dict(call.get("function")).get("name"))
        block = self._calls.get(index)
        # Some servers number all calls 0: a new id and name after whole arguments is another call.
        if block is None or (name and id_ and id_ != block.id and block.is_whole()):
            block = self._calls[index] = _Block("tool_use")
            self._blocks.append(block)
        block.id = block.id or id_
        if name and name != block.name and not block.pieces:
            block.name += name
        if arguments := arguments_of(call):
            block.pieces.append(arguments)

    def _advance(self, finished: bool) -> list[dict[str, Json]]:
        """Sends what can be sent of the first block; it is closed once another follows it, a call
        only if it is whole too."""
        events: list[dict[str, Json]] = []
        while self._blocks:
            block = self._blocks[0]
            is_call = block.kind == "tool_use"
            closes = finished or (len(self._blocks) > 1 and (not is_call or block.is_whole()))
            if not block.started and (closes or (block.pieces and (block.name or not is_call))):
                block.started = True
                events.append(self._event("start", content_block=block.opening()))
            if not is_call or closes:
                events += self._contents(block)
            if not closes:
                break
            if block.kind == "thinking":
                # Clients wait for a signature; other models have none to give.
                events.append(self._delta("signature_delta", "signature", ""))
            events.append(self._event("stop"))
            self._blocks.popleft()
            self._index += 1
        return events

    def _contents(self, block: _Block) -> list[dict[str, Json]]:
        """The deltas of what was not sent yet."""
        if block.kind == "tool_use":
            text = json.dumps(tool_input("".join(block.pieces)), ensure_ascii=False)
            return [self._delta("input_json_delta", "partial_json", text)]
        name = block.kind
        events = [self._delta(f"{name}_delta", name, piece) for piece in block.pieces]
        block.pieces.clear()
        return events

    def _delta(self, kind: str, name: str, value: str) -> dict[str, Json]:
        return self._event("delta", delta={"type": kind, name: value})

    def _event(self, kind: str, **fields: Json) -> dict[str, Json]:
        return {"type": f"content_block_{kind}", "index": self._index, **fields}

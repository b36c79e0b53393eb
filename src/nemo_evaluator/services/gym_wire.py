"""What gyms say on the wire: answers as objects of OpenAI's Responses API. Pure functions.

Invariant: a number of tokens that a server does not tell stays unknown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from msgspec.structs import replace

from ..finish import FinishReason
from ..records import Json
from ..steps import Observation, ObservationResult, Step, StepMetrics, StepSource, ToolCall
from ..traffic.dialects import DIALECTS
from ..traffic.dialects.contract import Question, as_dict, as_str, dicts
from ..types import GYM_SESSION as GYM_SESSION
from ..types import Generation, Message, Problem, Usage

TOOL_ITEMS = ("function_call", "function_call_output")


class NoAnswer(ValueError):
    """What was given is no answer that has a text."""


def read_answer(response: Json) -> Generation:
    """The answer in a Responses object, a chat completion, or a plain text. Raises NoAnswer."""
    if isinstance(response, str):
        return Generation(text=response)
    if isinstance(response, list):
        response = {"output": response}
    if not isinstance(response, dict):
        raise NoAnswer(f"the response is {type(response).__name__}, no object and no text")
    if isinstance(response.get("output"), list):
        reply = DIALECTS["responses"].parse(response)
        answer = _generation(reply, final_text(response))
        if answer.finish_reason == FinishReason.TOOL_CALLS and answer.text:
            return replace(answer, finish_reason=FinishReason.STOP.value)  # they were answered
        return answer
    if response.get("choices"):
        reply = DIALECTS["chat_completions"].parse(response)
        return _generation(reply, reply.text)
    for name in ("output_text", "output", "text", "content"):
        if isinstance(response.get(name), str):
            return Generation(text=str(response[name]))
    raise NoAnswer(f"the response has no output; it has {', '.join(response) or 'nothing'}")


def final_text(response: Mapping[str, Json]) -> str:
    """What was said after the last call of a tool: its messages, one per line."""
    texts: list[str] = []
    for item in dicts(response.get("output")):
        if item.get("type") in TOOL_ITEMS:
            texts = []
        elif item.get("type", "message") == "message" and item.get("role") in ("assistant", None):
            texts.append(_text(item.get("content")))
    own = as_str(response.get("output_text"))
    return "\n".join(texts) if texts or own is None else own


def answer_object(answer: Generation, ident: str = "") -> dict[str, Json]:
    """An answer as a whole Responses object, as the SDK of OpenAI reads one."""
    cut = answer.truncated
    filtered = FinishReason.of(answer.finish_reason) is FinishReason.CONTENT_FILTER
    ident = ident or uuid4().hex
    part: Json = {"type": "output_text", "text": answer.text, "annotations": []}
    status = "incomplete" if cut or filtered else "completed"
    message: Json = {
        "id": f"msg_{ident}",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": [part],
    }
    reason = "content_filter" if filtered else "max_output_tokens"
    return {
        "id": f"resp_{ident}",
        "object": "response",
        "created_at": 0,
        "status": status,
        "error": None,
        "incomplete_details": None if status == "completed" else {"reason": reason},
        "instructions": None,
        "metadata": {},
        "model": answer.model or "unknown",
        "output": [message],
        "output_text": answer.text,
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "usage": _usage(answer.usage),
    }


def input_of(problem: Problem) -> Json:
    """The question of a problem as the ``input`` of a request of the Responses API. Reads files of
    images: call it off the event loop where there are any. Raises ConfigError."""
    question = Question(
        model="",
        prompt=problem.prompt,
        messages=problem.messages,
        system=problem.system,
        images=problem.images,
    )
    return DIALECTS["responses"].build(question)["input"]


def messages_of(params: Mapping[str, Json]) -> tuple[Message, ...]:
    """The question of ``responses_create_params``, as chat messages. Raises NoAnswer."""
    given = params.get("input")
    messages: list[Message] = []
    if instructions := as_str(params.get("instructions")):
        messages.append({"role": "system", "content": instructions})
    if isinstance(given, str):
        return (*messages, {"role": "user", "content": given})
    for item in dicts(given):
        if item.get("type", "message") != "message":
            raise NoAnswer(f"the input holds an item of type {item.get('type')!r}, no message")
        role = item.get("role", "user")
        content = item.get("content")
        content = [_chat_part(part) for part in content] if isinstance(content, list) else content
        messages.append({"role": "system" if role == "developer" else role, "content": content})
    if not messages:
        raise NoAnswer("responses_create_params has no input")
    return tuple(messages)


def steps_in(output: Sequence[Json]) -> list[Step]:
    """The items of an output as steps of an agent: what it called, and what it saw."""
    steps: list[Step] = []
    seen: set[str] = set()
    reasoning: str | None = None
    for number, item in enumerate(dicts(output)):
        match item.get("type"):
            case "reasoning":
                reasoning_text = DIALECTS["responses"].parse({"output": [item]}).reasoning
                reasoning = (
                    f"{reasoning}\n{reasoning_text}"
                    if reasoning and reasoning_text
                    else reasoning_text or reasoning
                )
            case "function_call":
                ident = as_str(item.get("call_id")) or f"call_{number}"
                ident = ident if ident not in seen else f"{ident}_{number}"
                seen.add(ident)
                call = _call(ident, item)
                if not _goes_on(steps):
                    steps.append(_agent_step("", reasoning))
                    reasoning = None
                last = steps[-1]
                steps[-1] = replace(last, tool_calls=(*last.tool_calls, call))
            case "function_call_output":
                _observe(steps, item, seen)
            case _:
                text = _text(item.get("content")) if item.get("type") == "message" else ""
                extra = {} if item.get("type") == "message" else {"item": item}
                steps.append(_agent_step(text, reasoning, extra))
                reasoning = None
    if reasoning:
        steps.append(_agent_step("", reasoning))
    return steps


def _goes_on(steps: Sequence[Step]) -> bool:
    """Whether a call belongs to the turn that was recorded last: nothing was seen since."""
    return bool(steps) and steps[-1].observation is None and not steps[-1].extra


def _observe(steps: list[Step], item: Mapping[str, Json], seen: set[str]) -> None:
    ident = as_str(item.get("call_id"))
    output = item.get("output")
    content = output if isinstance(output, str) else json.dumps(output)
    result = ObservationResult(source_call_id=ident if ident in seen else None, content=content)
    for place in reversed(range(len(steps))):
        if any(call.tool_call_id == ident for call in steps[place].tool_calls):
            break
    else:
        steps += [] if steps else [_agent_step("", None)]
        place = len(steps) - 1
    before = steps[place].observation
    results = (*(before.results if before else ()), result)
    steps[place] = replace(steps[place], observation=Observation(results=results))


def _call(ident: str, item: Mapping[str, Json]) -> ToolCall:
    raw = item.get("arguments")
    try:
        arguments = json.loads(raw) if isinstance(raw, str) else raw
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        arguments = {"raw": raw}
    return ToolCall(
        tool_call_id=ident, function_name=str(item.get("name") or "unknown"), arguments=arguments
    )


def _agent_step(text: str, reasoning: str | None, extra: Mapping[str, Json] | None = None) -> Step:
    return Step(
        source=StepSource.AGENT, message=text, reasoning_content=reasoning, extra=extra or {}
    )


def with_usage(steps: Sequence[Step], usage: Usage) -> list[Step]:
    """The steps, the last of the agent with what all of them used."""
    found = list(steps)
    if found and usage != Usage():
        metrics = StepMetrics(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            extra={"of": "all steps"},
        )
        found[-1] = replace(found[-1], metrics=metrics)
    return found


def _generation(told: Any, text: str) -> Generation:
    return Generation(
        text=text,
        reasoning=told.reasoning,
        finish_reason=told.finish_reason,
        usage=told.usage,
        model=told.model,
    )


def _text(content: Json) -> str:
    if isinstance(content, str):
        return content
    return "".join(
        as_str(part.get("text")) or as_str(part.get("refusal")) or "" for part in dicts(content)
    )


def _chat_part(part: Json) -> Json:
    """A part of a message of the Responses API as one of a chat."""
    kind = as_dict(part).get("type")
    if kind in ("input_text", "output_text"):
        return {"type": "text", "text": as_dict(part).get("text")}
    if kind == "input_image":
        image = {"url": as_dict(part).get("image_url")}
        if detail := as_str(as_dict(part).get("detail")):
            image["detail"] = detail
        return {"type": "image_url", "image_url": image}
    return part


def _usage(usage: Usage) -> Json:
    if usage.total_tokens is None:
        return None
    return {
        "input_tokens": usage.prompt_tokens or 0,
        "output_tokens": usage.completion_tokens or 0,
        "total_tokens": usage.total_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens or 0},
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
    }

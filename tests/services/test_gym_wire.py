"""Answers as objects of the Responses API: read, written, and as steps of an agent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.services.gym_wire import (
    NoAnswer,
    answer_object,
    messages_of,
    read_answer,
    steps_in,
    with_usage,
)
from nemo_evaluator.types import Generation, Usage

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)
ITEM = st.fixed_dictionaries(
    {"type": st.sampled_from(["message", "reasoning", "function_call", "function_call_output", 7])},
    optional={
        "role": st.sampled_from(["assistant", "user", None]),
        "content": JSON,
        "call_id": st.sampled_from(["a", "b", None, 3]),
        "name": JSON,
        "arguments": JSON,
        "output": JSON,
    },
)


def message(*texts: str, role: str = "assistant") -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []} for text in texts]
    return {"type": "message", "role": role, "content": content}


def call(ident: str, name: str = "add", arguments: Any = "{}") -> dict[str, Any]:
    return {"type": "function_call", "call_id": ident, "name": name, "arguments": arguments}


def seen(ident: str, output: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": ident, "output": output}


@pytest.mark.parametrize(
    ("response", "text"),
    [
        ("a text", "a text"),
        ({"output": [message("a ", "text")]}, "a text"),
        ([call("1"), seen("1", "x"), message("a text")], "a text"),
        ({"output": [message("so"), message("a text")]}, "so\na text"),
        ({"output": [message("guess"), call("1"), seen("1", "x"), message("a text")]}, "a text"),
        ({"output": [message("guess"), call("1")]}, ""),
        ({"output": [], "output_text": "a text"}, "a text"),
        ({"choices": [{"message": {"content": "a text"}}]}, "a text"),
        ({"output": "a text"}, "a text"),
        ({"output": [message("no", role="user"), message("a text")]}, "a text"),
    ],
)
def test_the_text_of_an_answer(response: Any, text: str) -> None:
    assert read_answer(response).text == text


@pytest.mark.parametrize("response", [None, 3, {}, {"answer": "x"}])
def test_what_is_no_answer(response: Any) -> None:
    with pytest.raises(NoAnswer):
        read_answer(response)


def test_why_it_ended_and_what_it_used() -> None:
    usage = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
    whole = read_answer({"output": [call("1"), seen("1", ""), message("x")], "usage": usage})
    assert whole.finish_reason == "stop" and whole.usage.total_tokens == 7
    cut = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    assert read_answer({"output": [message("x")], **cut}).truncated
    assert read_answer({"output": [message("x")]}).usage == Usage()


@given(st.text(), st.sampled_from(["stop", "length", "content_filter"]))
def test_what_is_written_is_read_again(text: str, reason: str) -> None:
    told = Generation(text=text, finish_reason=reason, model="m", usage=Usage(prompt_tokens=3))
    again = read_answer(answer_object(told))
    assert (again.text, again.finish_reason, again.model) == (text, reason, "m")
    assert again.usage.prompt_tokens == 3


def test_items_become_the_steps_of_an_agent() -> None:
    reasoning = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}
    output = [
        reasoning,
        message("I add"),
        call("1", arguments='{"a": 1}'),
        call("2", name="sub", arguments="not json"),
        seen("2", {"is": 3}),
        seen("1", "4"),
        call("1"),
        seen("9", "of nobody"),
        message("It is 4"),
    ]
    first, second, last = with_usage(steps_in(output), Usage(prompt_tokens=9))
    assert first.message == "I add" and first.reasoning_content == "hm"
    names = [(c.tool_call_id, c.function_name, c.arguments) for c in first.tool_calls]
    assert names == [("1", "add", {"a": 1}), ("2", "sub", {"raw": "not json"})]
    assert first.observation is not None
    assert [(r.source_call_id, r.content) for r in first.observation.results] == [
        ("2", '{"is": 3}'),
        ("1", "4"),
    ]
    # A call id that comes again is another call.
    assert [c.tool_call_id for c in second.tool_calls] == ["1_6"]
    assert second.observation is None or second.observation.results[0].source_call_id is None
    assert last.message == "It is 4" and last.metrics is not None
    assert last.metrics.prompt_tokens == 9


@given(st.lists(ITEM, max_size=8))
def test_whatever_a_gym_sends_gives_valid_steps(output: list[Any]) -> None:
    steps = steps_in(output)
    known: set[str] = set()
    for step in steps:
        for one in step.tool_calls:
            assert one.tool_call_id not in known
            known.add(one.tool_call_id)
        for result in step.observation.results if step.observation else ():
            assert result.source_call_id is None or result.source_call_id in known


def test_a_question_as_messages() -> None:
    params = {
        "instructions": "Be brief.",
        "input": [
            {"role": "developer", "content": "Really."},
            {"role": "user", "content": [{"type": "input_text", "text": "?"}]},
        ],
    }
    assert messages_of(params) == (
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": "Really."},
        {"role": "user", "content": [{"type": "text", "text": "?"}]},
    )
    image = {"type": "input_image", "image_url": "data:x", "detail": "low"}
    [asked] = messages_of({"input": [{"role": "user", "content": [image]}]})
    url = {"url": "data:x", "detail": "low"}
    assert asked["content"] == [{"type": "image_url", "image_url": url}]
    assert messages_of({"input": "?"}) == ({"role": "user", "content": "?"},)

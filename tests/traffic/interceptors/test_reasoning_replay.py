"""What a model thought comes back into its turns, within its session."""

from __future__ import annotations

import copy
import logging
from typing import Any

import pytest
from steps import Scripted, configured

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.traffic.interceptors.opening import open_interceptors
from nemo_evaluator.traffic.types import CallContext

Body = dict[str, Any]


def turn(content: Any, *ids: str, **fields: Any) -> Body:
    message = {"role": "assistant", "content": content, **fields}
    return {**message, "tool_calls": [{"id": id_} for id_ in ids]} if ids else message


def answer(reasoning: str, content: Any, *ids: str) -> Body:
    return {"choices": [{"message": turn(content, *ids, reasoning_content=reasoning)}]}


async def replayed(pipeline: Scripted, message: Body, session: str = "5e") -> Body:
    original = copy.deepcopy(message)
    messages = [{"role": "user", "content": "u"}, message]
    await pipeline.send({"messages": messages}, {"choices": []}, session=session)
    assert message == original
    found: Body = pipeline.got[-1].body["messages"][1]
    return found


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("think_tags", {"content": "<think>why</think>\n"}),
        ("native", {"content": None, "reasoning_content": "why", "reasoning": "why"}),
        (
            "both",
            {
                "content": "<think>why</think>\n",
                "reasoning_content": "why",
                "reasoning": "why",
            },
        ),
    ],
)
async def test_by_tool_call(mode: str, expected: Body) -> None:
    pipeline = Scripted(configured("reasoning_replay", {"mode": mode}))
    await pipeline.send({}, answer("why", None, "k1", "k2"), session="5e")
    message = turn(None, "k2")
    assert await replayed(pipeline, message) == {**message, **expected}
    assert (pipeline.step.hits, pipeline.step.misses) == (1, 0)
    assert await replayed(pipeline, message, session="5f") == message
    assert pipeline.step.hits == 1


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("ans", "<think>why</think>\nans"),
        (" ans\n", "<think>why</think>\n ans\n"),
        (
            [{"type": "text", "text": "ans"}],
            [{"type": "text", "text": "<think>why</think>\n"}, {"type": "text", "text": "ans"}],
        ),
        ("<think>x</think>ans", "<think>x</think>ans"),
        ("another", "another"),
    ],
    ids=["text", "stripped", "parts", "has a block", "unknown"],
)
async def test_by_text(content: Any, expected: Any) -> None:
    pipeline = Scripted(configured("reasoning_replay"))
    await pipeline.send({}, answer("why", "ans", ""), session="5e")
    assert (await replayed(pipeline, turn(content)))["content"] == expected


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
async def test_native_leaves_a_field_alone(field: str) -> None:
    pipeline = Scripted(configured("reasoning_replay", {"mode": "native"}))
    await pipeline.send({}, answer("why", "ans"), session="5e")
    message = turn("ans", **{field: "mine"})
    assert await replayed(pipeline, message) == message


async def test_the_oldest_go_first() -> None:
    pipeline = Scripted(configured("reasoning_replay", {"cache_max_entries": 2}))
    for n in range(3):
        await pipeline.send({}, answer(f"why {n}", None, f"k{n}"), session="5e")
    contents = [(await replayed(pipeline, turn("", f"k{n}")))["content"] for n in range(3)]
    assert contents == ["", "<think>why 1</think>\n", "<think>why 2</think>\n"]


async def test_a_use_makes_an_entry_new() -> None:
    pipeline = Scripted(configured("reasoning_replay", {"cache_max_entries": 2}))
    for n in range(2):
        await pipeline.send({}, answer(f"why {n}", None, f"k{n}"), session="5e")
    await replayed(pipeline, turn("", "k0"))
    await pipeline.send({}, answer("why 2", None, "k2"), session="5e")
    assert (await replayed(pipeline, turn("", "k0")))["content"]
    assert not (await replayed(pipeline, turn("", "k1")))["content"]


@pytest.mark.parametrize("reasoning", ["", "  \n", None])
async def test_blank_reasoning_is_not_kept(reasoning: Any) -> None:
    pipeline = Scripted(configured("reasoning_replay"))
    await pipeline.send({}, answer(reasoning, "ans"), session="5e")
    assert await replayed(pipeline, turn("ans")) == turn("ans")


async def test_an_ended_session_is_forgotten() -> None:
    pipeline = Scripted(configured("reasoning_replay", {"cache_max_entries": 2}))
    for session in ("5e", "5f"):
        await pipeline.send({}, answer("why", "ans"), session=session)
    pipeline.pipeline.end_session(CallContext(session="5e"))
    assert await replayed(pipeline, turn("ans")) == turn("ans")
    assert (await replayed(pipeline, turn("ans"), "5f"))["content"] == "<think>why</think>\nans"
    for n in range(3):  # evicting entries of an ended session must not stumble
        await pipeline.send({}, answer("why", f"ans {n}"), session="5e")
    assert await replayed(pipeline, turn("ans"), "5f") == turn("ans")


async def test_a_live_stream_is_remembered_with_its_block_taken_out() -> None:
    pipeline = Scripted(configured("reasoning"), configured("reasoning_replay"))
    choices = [{"index": 0, "delta": {"content": "<think>why</think>ans"}, "finish_reason": "stop"}]
    await pipeline.stream([{"choices": choices}])
    found = await replayed(pipeline, turn("ans"), session="s")
    assert found["content"] == "<think>why</think>\nans"


async def test_misses_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        pipeline = Scripted(configured("reasoning_replay", {"log_misses": True}))
        await replayed(pipeline, turn("ans"))
        await pipeline.pipeline.close()
    assert "session 5e: the reasoning of an assistant turn is not known" in caplog.messages
    assert caplog.messages[-1] == "reasoning put back: 0 turns, not known: 1"


@pytest.mark.parametrize(
    "config", [{"mode": "x"}, {"tag_open": ""}, {"tag_close": ""}, {"cache_max_entries": 0}]
)
def test_wrong_options_are_refused(config: Body) -> None:
    with pytest.raises(ConfigError):
        open_interceptors([configured("reasoning_replay", config)])

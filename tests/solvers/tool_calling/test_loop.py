"""The loop: turns, limits, odd replies, what is recorded."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.asked import Request
from nemo_evaluator.errors import BudgetExceeded, ConfigError, InfraError
from nemo_evaluator.sandboxes import Sandbox, SandboxSpec
from nemo_evaluator.solvers.tool_calling.contract import limited
from nemo_evaluator.solvers.tool_calling.protocols import arguments_of
from nemo_evaluator.steps import StepSource
from nemo_evaluator.testing.models import ScriptedTransport, scripted_model
from nemo_evaluator.traffic.client import ModelClient
from nemo_evaluator.traffic.interceptors.budget import Budget, LimitConfig
from nemo_evaluator.traffic.interceptors.reasoning_replay import ReasoningReplay
from nemo_evaluator.traffic.interceptors.turn_counter import TurnCounter
from nemo_evaluator.traffic.price import Price
from nemo_evaluator.traffic.settings import ModelSettings
from nemo_evaluator.traffic.types import Interceptor, ModelRequest, ModelResponse
from nemo_evaluator.types import EndedBy, Failure, Image, Problem

from .conftest import Said, bash, calling, in_turn, solve

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def reply(message: Said, *, finish: str = "stop", status: int = 200, **more: Any) -> ModelResponse:
    message = {"content": message} if isinstance(message, str) else message
    choice = {"message": {"role": "assistant", **message}, "finish_reason": finish}
    return ModelResponse(status, {"model": "m", "choices": [choice], "usage": USAGE, **more})


def error(status: int, message: str) -> ModelResponse:
    return ModelResponse(status, {"error": {"message": message}})


TOO_LONG = error(400, "This model's maximum context length is 10 tokens.")


def model_with(said: list[Said], *steps: Interceptor, price: Price | None = None) -> ModelClient:
    settings = ModelSettings(model="scripted", max_retries=0, price=price)
    named = [(type(step).__name__, step) for step in steps]
    return ModelClient(settings, ScriptedTransport(in_turn(said)), steps=named)


async def test_twelve_turns_are_made_recorded_and_counted(one: Sandbox) -> None:
    work = [bash(f"echo {n} >> log") for n in range(11)]
    ran = await solve([*work, "It is done."], one)
    solution = ran.solution
    assert solution.response == "It is done." and solution.ended_by is None
    assert solution.calls == 12 and solution.usage.total_tokens == 120
    assert (await one.download("log")).split() == [b"%d" % n for n in range(11)]
    assert solution.details == {
        "turns": 12,
        "tool_calls": 11,
        "failed_tool_calls": 0,
        "tool_protocol": "native",
    }
    user, *agent = solution.steps
    assert user.source is StepSource.USER and user.message == "Do it."
    assert [step.step_id for step in solution.steps] == list(range(1, 14))
    first = agent[0]
    assert first.tool_calls[0].function_name == "bash"
    assert first.tool_calls[0].arguments == {"command": "echo 0 >> log"}
    assert first.observation is not None and first.metrics is not None
    assert first.observation.results[0].source_call_id == first.tool_calls[0].tool_call_id
    assert first.metrics.prompt_tokens == 7 and "latency_ms" in first.metrics.extra
    ids = [call.tool_call_id for step in agent for call in step.tool_calls]
    assert len(set(ids)) == 11  # the model gave the same one each time
    sent = [m for m in ran.told(-1) if m["role"] == "tool"]
    assert [m["tool_call_id"] for m in sent] == ids
    named = [c["id"] for m in ran.told(-1) for c in m.get("tool_calls", ())]
    assert named == ids


async def test_calls_of_the_sandbox_run_in_order_and_results_stand_in_order(one: Sandbox) -> None:
    several = calling(
        ("file_write", {"path": "a", "content": "1"}),
        ("bash", {"command": "sleep 0.1; cat a; echo 2 > a"}),
        ("file_read", {"path": "a"}),
        ("nothing_like_it", {}),
        ("bash", "{not json"),
        ("bash", '["a list"]'),
        ("file_read", {}),
        ("file_read", {"path": 7}),
        ("bash", json.dumps(json.dumps({"command": "echo twice encoded"}))),
        ("bash", '{"command": "printf %s -\\ud800"}'),
        ("bash", '{"command": ' + "[" * 900 + "]" * 900 + "}"),
        ("bash", '{"command": ' + "[" * 90000),
        ("bash", '{"command": 123456789012345678901234567890}'),
        ("", {}),
    )
    ran = await solve([several, "done"], one)
    texts = ran.results
    assert texts[:3] == ["Wrote 1 bytes to /workspace/a.", "1", "2\n"]
    assert "there is no tool 'nothing_like_it'" in texts[3]
    assert "no JSON" in texts[4] and "no JSON object" in texts[5]
    assert "`path` is missing" in texts[6] and "of type string" in texts[7]
    assert texts[8:10] == ["twice encoded\n", "-?"]
    assert all(text.startswith("Error: ") for text in texts[10:])
    assert ran.solution.details["failed_tool_calls"] == 9
    # What is sent back can be read by servers that parse it.
    for message in ran.told(-1):
        for call in message.get("tool_calls", ()):
            assert isinstance(json.loads(call["function"]["arguments"]), dict)


async def test_turns_end_it_and_the_workspace_counts(one: Sandbox) -> None:
    ran = await solve([bash("echo x >> log")], one, max_turns=3)
    assert ran.solution.ended_by is EndedBy.TURNS and ran.solution.error is None
    assert (await one.download("log")).count(b"x") == 3
    assert len(ran.requests) == 3
    assert ran.solution.details["same_call_in_a_row"] == 3


async def test_a_model_that_goes_round_in_circles_is_ended_where_that_is_wanted(
    one: Sandbox,
) -> None:
    ran = await solve([bash("ls"), bash("echo x >> log")], one, max_same_calls=4)
    assert ran.solution.ended_by is EndedBy.LOOP and len(ran.requests) == 5
    assert (await one.download("log")).count(b"x") == 4
    ran = await solve([*[bash("ls"), bash("pwd")] * 4, "done"], one, max_same_calls=2)
    assert ran.solution.ended_by is None


@pytest.mark.parametrize(
    ("step", "ended"),
    [
        (Budget(Budget.Options(session=LimitConfig(tokens=25))), EndedBy.TOKENS),
        (Budget(Budget.Options(session=LimitConfig(usd=0.00002))), EndedBy.COST),
        (TurnCounter(TurnCounter.Options(max_turns=3)), EndedBy.TURNS),
    ],
)
async def test_budgets_end_it_and_the_workspace_counts(
    one: Sandbox, step: Interceptor, ended: EndedBy
) -> None:
    model = model_with([bash("echo x >> log")], step, price=Price(prompt=1.0, completion=1.0))
    ran = await solve([], one, model=model)
    assert ran.solution.ended_by is ended
    assert ran.solution.calls == len(ran.requests) <= 3
    assert ran.solution.cost_usd == pytest.approx(1e-5 * ran.solution.calls)
    assert "budget" in str(ran.solution.details["why"]).lower()


async def test_the_clock_ends_it_before_the_engine_does(one: Sandbox) -> None:
    began = time.monotonic()
    ran = await solve([bash("echo x > made"), bash("sleep 60")], one, deadline=began + 2)
    assert time.monotonic() < began + 2
    assert ran.solution.ended_by is EndedBy.TIME
    assert await one.download("made") == b"x\n"
    assert ran.solution.steps[-1].tool_calls  # the call that was not finished stands there
    waiting = model_with([bash("true")])
    waiting.transport._seconds = 0.6  # type: ignore[attr-defined]
    ran = await solve([], one, model=waiting, run_timeout=1.0)
    assert ran.solution.ended_by is EndedBy.TIME and "run_timeout" in str(ran.solution.details)


PLAIN = Problem(idx=0, prompt="Do it.")


async def test_without_a_workspace_what_was_cut_off_is_no_answer(one: Sandbox) -> None:
    budget = Budget(Budget.Options(session=LimitConfig(tokens=15)))
    with pytest.raises(BudgetExceeded):
        await solve([], one, model=model_with([bash("true")], budget), problem=PLAIN)
    with pytest.raises(InfraError) as late:
        await solve([bash("sleep 9")], one, problem=PLAIN, deadline=time.monotonic() + 1)
    assert late.value.info.kind is Failure.SOLVE_TIMEOUT
    with pytest.raises(BudgetExceeded):
        await solve([bash("sleep 9")], one, problem=PLAIN, run_timeout=0.5)
    # But turns are part of the question: the last thing said is the answer.
    said = {**bash("true"), "content": "It is 7, I think."}
    ran = await solve([said], one, problem=PLAIN, max_turns=2)
    assert (ran.solution.response, ran.solution.ended_by) == ("It is 7, I think.", EndedBy.TURNS)


async def test_a_conversation_that_is_too_long_stops_is_shortened_or_fails(one: Sandbox) -> None:
    ran = await solve([bash("touch made"), TOO_LONG], one)
    assert ran.solution.ended_by is EndedBy.CONTEXT and ran.solution.error is None
    ran = await solve([bash("true"), TOO_LONG], one, on_context_overflow="error")
    assert ran.solution.error is not None and ran.solution.error.kind is Failure.CONTEXT_WINDOW
    assert ran.solution.usage.total_tokens == 10 and len(ran.solution.steps) == 2
    ran = await solve([bash("true"), TOO_LONG], one, problem=PLAIN)
    assert ran.solution.error is not None  # there is nothing to verify
    ran = await solve([TOO_LONG], one)
    assert ran.solution.error is not None  # the task alone is too long


async def test_what_is_dropped_are_whole_turns_the_oldest_first(one: Sandbox) -> None:
    several = calling(("bash", {"command": "echo a"}), ("bash", {"command": "echo b"}))

    def script(request: ModelRequest) -> Said:
        count = len(request.body["messages"])
        if count > 14:
            return TOO_LONG
        return "done" if len(ran_requests) > 20 else several

    ran_requests: list[int] = []

    def counted(request: ModelRequest) -> Said:
        ran_requests.append(1)
        return script(request)

    ran = await solve(counted, one, on_context_overflow="truncate", system_prompt="Be brief.")
    assert ran.solution.response == "done" and ran.solution.ended_by is None
    assert ran.solution.details["dropped_turns"] > 3
    for request in ran.requests:
        messages = request.body["messages"]
        assert messages[0] == {"role": "system", "content": "Be brief."}
        assert messages[1]["content"].startswith("Do it.")
        called = [c["id"] for m in messages for c in m.get("tool_calls", ())]
        answered = [m["tool_call_id"] for m in messages if m["role"] == "tool"]
        assert called == answered
    assert "oldest turns" in ran.told(-1)[1]["content"]


async def test_replies_that_say_nothing_or_are_cut_off(one: Sandbox) -> None:
    ran = await solve(["", "  ", bash("true"), "", "fine"], one)
    assert ran.solution.response == "fine" and ran.solution.ended_by is None
    told = [m["content"] for m in ran.told(-1) if m["role"] == "user"]
    assert len(told) == 4 and all("empty" in text for text in told[1:])
    ran = await solve([""], one)
    assert ran.solution.response == "" and len(ran.requests) == 3
    ran = await solve([reply("half a", finish="length"), "whole"], one)
    assert ran.solution.response == "whole" and "cut off" in ran.told(-1)[-1]["content"]
    cut = reply(calling(("bash", '{"command": "echo')), finish="length")
    ran = await solve([cut, "end"], one)
    assert "cut off by the limit of tokens" in ran.results[0]
    ran = await solve([reply("always", finish="length")], one)
    assert ran.solution.truncated and ran.solution.response == "always"
    ran = await solve([reply({"content": "", "reasoning_content": "So it is 7."})], one)
    assert ran.solution.response == "So it is 7."
    assert ran.solution.response_source == "reasoning_content"
    ran = await solve([reply("", finish="content_filter")], one)
    assert ran.solution.filtered_out and len(ran.requests) == 1


async def test_reasoning_is_recorded_and_replayed_by_its_interceptor(one: Sandbox) -> None:
    thinking = {**bash("true"), "reasoning_content": "I should look."}
    replay = ReasoningReplay(ReasoningReplay.Options())
    ran = await solve([], one, model=model_with([reply(thinking), "done"], replay))
    assert ran.solution.steps[1].reasoning_content == "I should look."
    assistant = next(m for m in ran.told(-1) if m["role"] == "assistant")
    assert "I should look." in json.dumps(assistant)


async def test_a_refusal_in_the_middle_keeps_what_was_paid_and_done(one: Sandbox) -> None:
    ran = await solve([bash("true"), error(400, "flagged by our content policy")], one)
    solution = ran.solution
    assert solution.error is not None and solution.error.kind is Failure.CONTENT_FILTER
    assert solution.calls == 1 and len(solution.steps) == 2
    with pytest.raises(InfraError):
        await solve([bash("true"), error(503, "busy")], one)


async def test_a_lost_sandbox_is_no_result(one: Sandbox) -> None:
    await one.close()
    with pytest.raises(InfraError) as lost:
        await solve([bash("true"), "done"], one)
    assert lost.value.info.kind is Failure.SANDBOX


async def test_long_results_are_cut_in_the_middle(one: Sandbox) -> None:
    ran = await solve([bash("seq 100000"), "done"], one, max_output_chars=1000)
    [text] = ran.results
    assert text.startswith("1\n2\n") and text.endswith("99999\n100000\n")
    assert len(text) < 1100 and "left out" in text


async def test_tools_of_a_row_are_those_that_are_offered(one: Sandbox) -> None:
    flat = {"type": "function", "name": "bash", "parameters": {"type": "object"}}
    problem = Problem(idx=0, prompt="Do it.", metadata={"tools": [flat]})
    ran = await solve([bash("echo hi"), "done"], one, problem=problem)
    [offered] = ran.requests[0].body["tools"]
    assert offered["function"]["name"] == "bash" and ran.results == ["hi\n"]
    unknown = Problem(idx=0, prompt="x", metadata={"tools": [{**flat, "name": "bush"}]})
    with pytest.raises(ConfigError, match=r"bush.*nothing provides.*bash"):
        await solve(["x"], one, problem=unknown)
    with pytest.raises(ConfigError, match="list of tool definitions"):
        await solve(["x"], one, problem=Problem(idx=0, prompt="x", metadata={"tools": ["bash"]}))


async def test_what_the_model_is_told(one: Sandbox) -> None:
    problem = Problem(
        idx=0,
        messages=(
            {"role": "system", "content": "of the row"},
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "look"},
        ),
        images=(Image(data=b"\x89PNG", media_type="image/png"),),
        workspace=SandboxSpec(),
    )
    ran = await solve([bash("true"), "done"], one, problem=problem, parallel_tool_calls=False)
    first, last = ran.told(0), ran.told(-1)
    assert first[0] == {"role": "system", "content": "of the row"} and len(first) == 4
    assert first[3]["content"][0]["type"] == "image_url" and first == last[:4]
    assert ran.requests[0].body["parallel_tool_calls"] is False
    assert [s.source.value for s in ran.solution.steps[:4]] == ["system", "user", "agent", "user"]
    ran = await solve(["done"], one, problem=problem, system_prompt="mine")
    assert ran.told(0)[0] == {"role": "system", "content": "mine"} and len(ran.told(0)) == 4
    ran = await solve(["x"], one, generation={"temperature": 0.5})
    assert ran.requests[0].body["temperature"] == 0.5
    assert "parallel_tool_calls" not in ran.requests[0].body


async def test_the_responses_api_is_spoken_too(one: Sandbox) -> None:
    def script(request: ModelRequest) -> ModelResponse:
        seen = [item.get("type") for item in request.body["input"]]
        text = {"type": "message", "content": [{"type": "output_text", "text": "I see."}]}
        call = {"type": "function_call", "call_id": "c1", "name": "bash"}
        call["arguments"] = '{"command": "echo hi"}'
        output = [text] if "function_call_output" in seen else [text, call]
        usage = {"input_tokens": 7, "output_tokens": 3}
        return ModelResponse(200, {"status": "completed", "output": output, "usage": usage})

    ran = await solve([], one, model=scripted_model(script, protocol="responses"))
    assert ran.solution.response == "I see." and ran.solution.usage.total_tokens == 20
    [tool, *_] = ran.requests[0].body["tools"]
    assert tool["type"] == "function" and tool["name"] == "bash" and tool["parameters"]
    assert ran.requests[1].body["input"] == [
        {"role": "user", "content": "Do it."},
        {"role": "assistant", "content": "I see."},
        {"type": "function_call", "call_id": "c1", "name": "bash"}
        | {"arguments": '{"command": "echo hi"}'},
        {"type": "function_call_output", "call_id": "c1", "output": "hi\n"},
    ]


async def test_an_artifact_counts_whatever_was_said(one: Sandbox) -> None:
    ran = await solve(["said"], one, response_mode="sandbox_artifact")
    assert ran.solution.response == "" and ran.solution.steps[-1].message == "said"
    with pytest.raises(ConfigError, match="have a workspace"):
        await solve(["x"], one, response_mode="sandbox_artifact", problem=PLAIN)
    with pytest.raises(ConfigError, match="one chat"):
        await solve(["x"], one, problem=Problem(idx=0, requests=(Request(),)))


async def test_a_rollout_that_is_cancelled_leaves_nothing_running(one: Sandbox) -> None:
    work = asyncio.create_task(solve([bash("sleep 60")], one))
    await asyncio.sleep(0.5)
    before = asyncio.all_tasks()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    await one.end_processes()
    await asyncio.sleep(0.1)
    assert len(asyncio.all_tasks()) < len(before)


ANY = st.text(st.characters(exclude_categories=()))


@given(st.one_of(ANY, st.none(), st.dictionaries(ANY, st.integers() | ANY), st.integers()))
def test_any_arguments_are_an_object_or_a_problem(one: object) -> None:
    arguments, problem = arguments_of(one)
    assert isinstance(arguments, dict)
    assert msgspec.json.encode(arguments)
    assert problem is None or "the arguments" in problem
    text, problem = arguments_of(json.dumps(one))
    assert msgspec.json.encode(text)


@given(st.text(), st.integers(1, 50), st.integers(0, 5))
def test_what_is_cut_keeps_both_ends(text: str, most: int, omitted: int) -> None:
    short = limited(text, most, omitted)
    if len(text) <= most and not omitted:
        assert short == text
    else:
        assert "left out" in short
        first = min(most, len(text)) // 2
        assert short.startswith(text[:first]) and short.endswith(text[len(text) - 1 :])

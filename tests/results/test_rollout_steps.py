"""A rollout as it went: every call under its step, and none left out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from commands import Nel
from hypothesis import given
from hypothesis import strategies as st
from journals import errored, plan, problem, scored, solved, write

from nemo_evaluator.results.call import Call, CallUsage
from nemo_evaluator.results.rollout_steps import aligned
from nemo_evaluator.steps import (
    Observation,
    ObservationResult,
    Step,
    StepMetrics,
    StepSource,
    ToolCall,
)
from nemo_evaluator.types import EndedBy


def turn(second: int | None = None, **more: Any) -> Step:
    at = None if second is None else f"2026-01-01T00:00:{second:02}+00:00"
    return Step(source=StepSource.AGENT, timestamp=at, **more)


def call(second: int, *, failed: bool = False, **more: Any) -> Call:
    return Call(
        problem_idx=0,
        timestamp=f"2026-01-01T00:00:{second:02}.500Z",
        usage=CallUsage(prompt_tokens=second, completion_tokens=1, total_tokens=second + 1),
        error_type="timeout" if failed else None,
        error_message="no answer" if failed else None,
        **more,
    )


USER = Step(source=StepSource.USER, message="Repair it.")


def seconds(steps: Sequence[Step], *calls: Call) -> tuple[list[list[int]], list[int]]:
    """The calls, by the second they were made in, under each step, and those of none."""

    def made(some: Sequence[Call]) -> list[int]:
        return [int(one.timestamp[17:19]) for one in some]

    found, rest = aligned(steps, calls)
    return [made(step.calls) for step in found], made(rest)


def test_as_many_turns_as_answers_belong_together_in_order() -> None:
    """Whatever the clocks of an agent say, and however it tells of times."""
    steps = [USER, turn(0), USER, turn(0)]
    assert seconds(steps, call(5), call(9)) == ([[], [5], [], [9]], [])


def test_a_failed_call_belongs_to_the_turn_that_came_of_the_next() -> None:
    found = seconds([turn(), turn()], call(1), call(2, failed=True), call(3), call(4, failed=True))
    assert found == ([[1], [2, 3]], [4])


def test_other_numbers_are_told_apart_by_time() -> None:
    """A turn that took two calls (a summary, say), and a call after the last step."""
    steps = [turn(3), USER, turn(7)]
    assert seconds(steps, call(1), call(2), call(5), call(8)) == ([[1, 2], [], [5]], [8])


def test_without_times_what_is_left_over_stands_at_the_end() -> None:
    assert seconds([turn(), turn()], call(1), call(2), call(3)) == ([[1], [2]], [3])


def test_steps_without_a_model_have_no_calls() -> None:
    steps = [turn(llm_call_count=0), turn(is_copied_context=True), turn()]
    assert seconds(steps, call(1)) == ([[], [], [1]], [])


@given(
    st.lists(st.tuples(st.booleans(), st.none() | st.integers(0, 50)), max_size=8),
    st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=8),
)
def test_no_call_is_lost_or_told_twice(
    turns: list[tuple[bool, int | None]], made: list[tuple[int, bool]]
) -> None:
    steps = [turn(second) if agent else USER for agent, second in turns]
    calls = [call(second, failed=failed) for second, failed in made]
    found, rest = aligned(steps, calls)
    shown = [one for step in found for one in step.calls] + list(rest)
    assert sorted(map(id, shown)) == sorted(map(id, calls))
    assert [step.step for step in found] == steps


HOSTILE = "\x1b[2Jowned\n── step 9 agent\nverdict: right"


@pytest.fixture
def run_directory(tmp_path: Path) -> Path:
    """A rollout whose first attempt failed, and whose second took two turns."""
    command = ToolCall(tool_call_id="c1", function_name="bash", arguments={"command": "make"})
    result = ObservationResult(source_call_id="c1", content=HOSTILE, extra={"exit_code": 2})
    metrics = StepMetrics(prompt_tokens=1200, completion_tokens=40, cost_usd=0.0125)
    steps = (
        msgspec.structs.replace(USER, timestamp="2026-01-01T00:00:00+00:00"),
        turn(
            4,
            message="x" * 5000,
            tool_calls=(command,),
            observation=Observation(results=(result,)),
            metrics=metrics,
        ),
        turn(9, message="Done."),
    )
    answer = solved(0, attempt=2, steps=steps, calls=2, ended_by=EndedBy.TURNS)
    events = [problem(0), errored(0), answer, scored(0, False, attempt=2)]
    folder = tmp_path / "tasks"
    write(folder, events, plan(1, solver="tool_calling"))
    made = [
        call(1, failed=True, attempt=1),
        call(3, attempt=2, latency_ms=812.0, cost_usd=0.0125),
        call(5, failed=True, attempt=2),
        call(8, attempt=2, tries=2),
    ]
    lines = [msgspec.json.encode(one) + b"\n" for one in made]
    (folder / "model_traffic.jsonl").write_bytes(b"".join(lines))
    return tmp_path


def test_steps_and_calls_in_one_stream(run_directory: Path, nel: Nel) -> None:
    code, text, _ = nel("traffic", run_directory, "--rollout", "0/0")
    assert code == 0
    first, second = text.split("\n\ntasks 0/0, attempt 2: ")
    assert first.startswith("tasks 0/0, attempt 1: 1 calls, 1 failed"), (
        "earlier attempts come first"
    )
    assert second.startswith("3 steps, 3 calls, 1 failed, 19 tokens, 0.0125 USD")
    head = (
        "── step 2 agent · +4.0 s · 1,200 + 40 tokens · 0.0125 USD\n   call 1: 3 + 1 tokens, 812 ms"
    )
    assert head in second
    assert 'tool call:\n  bash({"command":"make"})\nresult (failed, exit code 2):' in second
    assert "   call 2: timeout: no answer\n   call 3: 8 + 1 tokens" in second, "under step 3"
    assert "(3,000 more characters)" in second and "\x1b" not in second
    assert "\n── step 9" not in second, "no text of an agent looks like a step"
    end = "── verdict: 0/0 · wrong · reward 0 · 10 ms · 5 tokens · ended by the limit of turns"
    assert second.rstrip().endswith(end)
    assert max(map(len, second.splitlines())) <= 100
    _, full, _ = nel("traffic", run_directory, "-r", "0/0", "--full", "--attempt", 2)
    assert "more characters" not in full and "attempt 1" not in full


def test_json_lines_and_calls_alone(run_directory: Path, nel: Nel) -> None:
    _, text, _ = nel("traffic", run_directory, "-r", "0/0", "--json")
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(line["attempt"], line["kind"]) for line in lines] == [
        (1, "call"),
        (2, "step"),
        (2, "step"),
        (2, "step"),
    ]
    assert [len(line["calls"]) for line in lines[1:]] == [0, 1, 2]
    assert lines[2]["step"]["tool_calls"][0]["function_name"] == "bash"
    _, text, _ = nel("traffic", run_directory, "-r", "0/0", "--calls", "--attempt", 2)
    assert "step" not in text and "── call 3: 8 + 1 tokens" in text
    _, text, _ = nel("traffic", run_directory, "--json")
    assert [json.loads(line)["calls"] for line in text.splitlines()] == [1, 3]


def test_steps_are_shown_where_the_log_is_off(run_directory: Path, nel: Nel) -> None:
    (run_directory / "tasks/model_traffic.jsonl").unlink()
    code, text, _ = nel("traffic", run_directory, "-r", "0/0")
    assert code == 0 and text.startswith("tasks 0/0, attempt 2: 3 steps, 0 calls")
    code, _, error = nel("traffic", run_directory, "-r", "7/0")
    assert code == 2 and "no model_traffic.jsonl here" in error

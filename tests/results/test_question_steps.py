"""The question of a rollout as steps: messages in their roles, with images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from journals import plan, problem, scored, solved, write

from nemo_evaluator.atif import violations
from nemo_evaluator.results.journal import AskedImage
from nemo_evaluator.results.rollout_steps import rollout_steps
from nemo_evaluator.results.trajectory_row import read_trajectories
from nemo_evaluator.steps import Step, StepSource
from nemo_evaluator.types import BenchmarkPlan, RolloutKey

CHAT = (
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "1+1?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "function": {"name": "add", "arguments": '{"a": 1}'}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "2"},
    {"role": "assistant", "content": "2", "reasoning_content": "The tool says so."},
    {"role": "user", "content": [{"type": "text", "text": "And 2+2?"}]},
)


def steps_of(folder: Path, the_plan: BenchmarkPlan | None = None, **asked: Any) -> list[Any]:
    write(folder, [problem(0, **asked), solved(0), scored(0, True)], the_plan or plan(1))
    [row] = read_trajectories(folder)
    assert not violations(row.steps)
    assert row.final_metrics and row.final_metrics.total_steps == len(row.steps)
    return [step for step in row.document["steps"] if step.pop("step_id")]  # type: ignore[union-attr]


def test_messages_keep_their_roles(tmp_path: Path) -> None:
    *asked, answer = steps_of(tmp_path, prompt="", messages=CHAT)
    assert asked == [
        {"source": "system", "message": "Be kind."},
        {"source": "user", "message": "1+1?"},
        {
            "source": "agent",
            "message": "",
            "tool_calls": [{"tool_call_id": "c1", "function_name": "add", "arguments": {"a": 1}}],
            "observation": {"results": [{"source_call_id": "c1", "content": "2"}]},
            "is_copied_context": True,
        },
        {
            "source": "agent",
            "message": "2",
            "reasoning_content": "The tool says so.",
            "is_copied_context": True,
        },
        {"source": "user", "message": [{"type": "text", "text": "And 2+2?"}]},
    ]
    assert answer["message"] == "r0" and "is_copied_context" not in answer
    row = json.loads((tmp_path / "results.jsonl").read_text())
    assert row["prompt"] == "Be kind.\n\n1+1?\n\n\n\n2\n\n2\n\nAnd 2+2?"


def test_the_system_prompt_of_the_solver_replaces_that_of_the_benchmark(tmp_path: Path) -> None:
    [system, *_] = steps_of(tmp_path / "own", system="Be brief.")
    assert system == {"source": "system", "message": "Be brief."}
    configured = plan(1, identity={"solver.system_prompt": "Be exact."})
    first = steps_of(tmp_path / "a", configured, system="Be brief.")
    assert [step["message"] for step in first] == ["Be exact.", "What?", "r0"]
    first = steps_of(tmp_path / "b", configured, messages=CHAT)
    assert [step["message"] for step in first[:2]] == ["Be exact.", "1+1?"]


def test_images_stand_before_the_text_of_the_last_question(tmp_path: Path) -> None:
    images = (
        AskedImage(place="/data/a.png", media_type="image/png"),
        AskedImage(place="https://example.com/show?id=1"),
        AskedImage(media_type="image/png", size=1234),
    )
    [asked, _] = steps_of(tmp_path, images=images)
    assert asked["message"] == [
        {"type": "image", "source": {"media_type": "image/png", "path": "/data/a.png"}},
        {"type": "text", "text": "[image: https://example.com/show?id=1]"},
        {"type": "text", "text": "[image: image/png, 1,234 bytes]"},
        {"type": "text", "text": "What?"},
    ]


def test_a_single_text_is_one_step_as_before(tmp_path: Path) -> None:
    assert [step["message"] for step in steps_of(tmp_path)] == ["What?", "r0"]


def test_a_question_of_several_messages_is_no_work_of_an_agent(tmp_path: Path) -> None:
    """`nel traffic --rollout` prints its conversation."""
    said = Step(source=StepSource.AGENT, message="4", timestamp="2026-01-01T00:00:00+00:00")
    told = Step(source=StepSource.USER, message="2+2?", timestamp="2026-01-01T00:00:00+00:00")
    for name, solution, agent in (
        ("one", solved(0), False),
        ("recorded", solved(0, steps=(told, told, said)), True),
        ("turns", solved(0, steps=(Step(source=StepSource.USER), *(turn() for _ in "12"))), True),
    ):
        events = [problem(0, prompt="", messages=CHAT), solution, scored(0, True)]
        write(tmp_path / name, events, plan(1))
        found = rollout_steps(tmp_path / name, RolloutKey(0, 0))
        assert found is not None and found.of_an_agent is agent, name


def turn() -> Step:
    return Step(source=StepSource.AGENT, message="4")


def test_messages_of_any_shape_do_no_harm(tmp_path: Path) -> None:
    odd: tuple[dict[str, Any], ...] = (
        {"role": 3, "content": {"a": 1}},
        {"content": None},
        {"role": "tool", "content": [1, "x"]},
        {"role": "assistant", "tool_calls": [None, {"function": {"arguments": "{"}}]},
        {"role": "assistant", "tool_calls": "no", "reasoning_content": 4},
    )
    found = steps_of(tmp_path, messages=odd, images=(AskedImage(),))
    assert found[-2]["message"] == [
        {"type": "text", "text": "[image: of unknown type, 0 bytes]"},
        {"type": "text", "text": "What?"},
    ]

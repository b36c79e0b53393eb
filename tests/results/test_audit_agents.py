"""An audit of agents: what ended them, what they did not do, what their verifier found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from commands import Nel
from journals import errored, plan, problem, scored, solved, write

from nemo_evaluator.reports.audit import audit_lines
from nemo_evaluator.results.audit import Finding, audit
from nemo_evaluator.results.journal import Event
from nemo_evaluator.steps import (
    Observation,
    ObservationResult,
    Step,
    StepMetrics,
    StepSource,
    ToolCall,
)
from nemo_evaluator.types import EndedBy, ErrorInfo, Failure, Outcome

TOKENS = StepMetrics(prompt_tokens=10, completion_tokens=5)


def turn(*commands: str, metrics: StepMetrics | None = TOKENS, **extra: Any) -> Step:
    """A turn of the model that runs some commands; ``extra`` stands on their results."""
    calls = tuple(
        ToolCall(tool_call_id=f"{command}-{number}", function_name="bash", arguments={"c": command})
        for number, command in enumerate(commands)
    )
    results = tuple(
        ObservationResult(source_call_id=call.tool_call_id, content="output", extra=extra)
        for call in calls
    )
    return Step(
        source=StepSource.AGENT,
        message="I go on",
        tool_calls=calls,
        observation=Observation(results=results) if results else None,
        metrics=metrics,
    )


USER = Step(source=StepSource.USER, message="Repair it.")
GOOD = (USER, turn("ls"), turn("make"), turn())


def rollout(idx: int, steps: Sequence[Step] = GOOD, **more: Any) -> list[Event]:
    verdict = {name: more.pop(name) for name in ("details",) if name in more}
    metadata = {"category": "games" if idx % 2 else "security"}
    answer = solved(idx, steps=tuple(steps), calls=3, **more)
    task = problem(idx, prompt=f"Repair number {idx}.", metadata=metadata)
    return [task, answer, scored(idx, False, **verdict)]


def found(folder: Path, *rollouts: list[Event], **identity: Any) -> dict[str, Finding]:
    folder = folder / "tasks"
    folder.mkdir(parents=True)
    the_plan = plan(len(rollouts), solver="tool_calling", identity={"model": "m", **identity})
    write(folder, [event for events in rollouts for event in events], the_plan)
    return {finding.kind: finding for finding in audit(folder).findings}


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"ended_by": EndedBy.TURNS}, "turn_limit"),
        ({"ended_by": EndedBy.TOKENS}, "budget"),
        ({"ended_by": EndedBy.COST}, "budget"),
        ({"ended_by": EndedBy.TIME}, "time_limit"),
        ({"ended_by": EndedBy.CONTEXT}, "context_limit"),
        ({"ended_by": EndedBy.LOOP}, "loop"),
        ({"steps": (USER, turn("ls"), turn("ls"), turn("ls"))}, "loop"),
        ({"steps": (USER, turn("ls", "ls", "ls"))}, "loop"),
        ({"steps": (USER, turn())}, "no_command"),
        ({"steps": (USER,)}, "no_steps"),
        ({"steps": (USER, turn("make", exit_code=2), turn())}, "last_step_failed"),
        ({"steps": (USER, turn("make", failed=True))}, "last_step_failed"),
        ({"steps": (USER, turn("make", timed_out=True))}, "last_step_failed"),
        ({"steps": (USER, turn("ls", metrics=None), turn("make"))}, "no_usage"),
        ({"details": {"reward_file_before": True}}, "reward_before"),
    ],
)
def test_each_kind_of_doubt_is_found_once(tmp_path: Path, more: dict[str, Any], kind: str) -> None:
    findings = found(tmp_path, rollout(0), rollout(1, **more), rollout(2))
    finding = findings[kind]
    assert (finding.count, finding.of) == (1, 3)
    [example] = finding.examples
    assert example.problem_idx == 1
    assert finding.by_category == {"games": 1}
    others = set(findings) - {kind, "no_answer"}
    assert not others, "one fault is one doubt"


def test_a_good_agent_leaves_no_doubt(tmp_path: Path) -> None:
    steps = (USER, turn("ls"), turn("make", exit_code=1), turn("make"), turn("ls"), turn("make"))
    assert found(tmp_path, rollout(0), rollout(1, steps)) == {}


def test_copied_context_is_not_the_work_of_an_agent(tmp_path: Path) -> None:
    looped = turn("ls", "ls", "ls", metrics=None)
    shown = msgspec.structs.replace(looped, is_copied_context=True)
    calls = tuple(
        msgspec.structs.replace(call, tool_call_id=f"c{place}", arguments={})
        for place, call in enumerate(looped.tool_calls)
    )
    shown = msgspec.structs.replace(shown, tool_calls=calls, observation=None)
    assert found(tmp_path, rollout(0), rollout(1, (shown, *GOOD))) == {}
    own = msgspec.structs.replace(shown, is_copied_context=None, metrics=TOKENS)
    assert set(found(tmp_path / "own", rollout(0), rollout(1, (own, *GOOD)))) == {"loop"}


@pytest.mark.parametrize(
    ("kind", "outcome", "finding"),
    [
        (Failure.BUDGET, Outcome.BUDGET_STOP, "budget"),
        (Failure.SOLVE_TIMEOUT, Outcome.INFRA_ERROR, "time_limit"),
    ],
)
def test_limits_without_an_answer_count_too(
    tmp_path: Path, kind: Failure, outcome: Outcome, finding: str
) -> None:
    error = ErrorInfo(kind=kind, message="it is over")
    event = msgspec.structs.replace(errored(1), outcome=outcome, error=error, steps=(USER,))
    findings = found(tmp_path, rollout(0), [problem(1), event])
    assert set(findings) == {finding, "unscored"}, "what it could not do is no doubt"
    assert findings[finding].examples[0].text == "it is over"


def test_what_asks_no_model_needs_no_tokens(tmp_path: Path) -> None:
    steps = (turn("solve.sh", metrics=None),)
    events = [event for idx in range(2) for event in rollout(idx, steps)]
    write(tmp_path / "tasks", events, plan(2, solver="oracle", service=None, model=None))
    assert audit(tmp_path / "tasks").findings == ()


def test_an_agent_in_a_workspace_that_never_did_anything(tmp_path: Path) -> None:
    """Not one call in the whole run: the workspace says that there was something to be done."""
    chats = [rollout(idx, (USER, turn())) for idx in range(3)]
    assert found(tmp_path / "chat", *chats) == {}
    assert found(tmp_path / "agent", *chats, workspace={"type": "docker"})["no_command"].count == 3


def test_files_are_the_answer_of_an_agent_in_a_workspace(tmp_path: Path) -> None:
    """That no text is expected, and none was said, is as it should be."""
    silent = [msgspec.structs.replace(problem(0), target=None), *rollout(0, response="")[1:]]
    assert found(tmp_path / "files", silent, workspace={"type": "docker"}) == {}
    assert set(found(tmp_path / "text", silent)) == {"no_target", "empty"}


def test_texts_of_agents_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    hostile = "\x1b]0;owned\x07rm\n-rf"
    folder = tmp_path / "tasks"
    events = [event for idx in range(2) for event in rollout(idx, (USER, *[turn(hostile)] * 3))]
    write(folder, events, plan(2, solver="tool_calling"))
    lines = list(audit_lines(audit(folder), 3))
    assert "\x1b" not in "".join(lines) and "\x07" not in "".join(lines)
    assert len(lines) == 5, "an example is one line"


def test_formats_limits_and_the_exit_code(tmp_path: Path, nel: Nel) -> None:
    found(tmp_path, *[rollout(i, ended_by=None if i else EndedBy.TURNS) for i in range(20)])
    code, text, _ = nel("audit", tmp_path, "--check")
    assert code == 0 and "turn_limit  1 of 20 (5.0 %)" in text and "check this" not in text
    code, text, _ = nel("audit", tmp_path, "--check", "--limit", "turn_limit=0.04")
    assert code == 1 and "check this before trusting the score" in text
    _, markdown, _ = nel("audit", tmp_path, "--format", "markdown")
    assert "| turn_limit | agents | 1 of 20 (5.0 %) | ended by the limit of turns |" in markdown
    [document] = json.loads(nel("audit", tmp_path, "--json")[1])
    [finding] = document["findings"]
    assert (finding["share"], finding["flagged"], finding["area"]) == (0.05, False, "agents")


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("turn_limits=0.1", "there is no finding 'turn_limits' — did you mean 'turn_limit'?"),
        ("turn_limit", "'turn_limit' is not NAME=SHARE"),
        ("turn_limit=2", "2.0 is not in the range"),
        ("turn_limit=nan", "is not a number"),
    ],
)
def test_a_wrong_limit_is_told(tmp_path: Path, nel: Nel, limit: str, message: str) -> None:
    found(tmp_path, rollout(0))
    code, _, error = nel("audit", tmp_path, "--limit", limit)
    assert code == 2 and message in error

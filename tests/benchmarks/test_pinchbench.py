"""PinchBench: tasks read as their repository has them, graded by their checks and by a judge."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from engines import require
from loopback import Call, Loopback, Reply, text_reply
from runs import rows
from scripted_server import ScriptedServer

from nemo_evaluator import ConfigError, evaluate_async
from nemo_evaluator.benchmarks.pinchbench.environment import PinchBench
from nemo_evaluator.benchmarks.pinchbench.rubric import shown_files
from nemo_evaluator.benchmarks.pinchbench.tasks import read_tasks
from nemo_evaluator.benchmarks.pinchbench.transcript import told, transcript_of
from nemo_evaluator.results.journal import Errored, events
from nemo_evaluator.sandboxes.transfer import pack
from nemo_evaluator.steps import Observation, ObservationResult, Step, StepSource, ToolCall

TASK = """---
id: %(id)s
name: A greeting
category: files
grading_type: %(type)s
timeout_seconds: 60
%(more)s
---

# A greeting

## Prompt

Write hello.txt.

## Expected Behavior

A file with a greeting.

## Automated Checks

```python
%(code)s
```

## LLM Judge Rubric

### Criterion 1: Friendliness (Weight: 75%%)

**Score 1.0**: friendly

### Criterion 2: Length (Weight: 25%%)

**Score 1.0**: short
"""
CHECKS = """def grade(transcript: list, workspace_path: str) -> dict:
    from pathlib import Path
    said = [e["message"] for e in transcript if e["message"]["role"] == "assistant"]
    folder = Path(workspace_path)
    there, asset = (folder / "hello.txt").exists(), (folder / "in/a.txt").exists()
    return {"there": float(there), "asset": float(asset), "said": float(bool(said)), "empty": 0.0}
"""


def task(
    folder: Path,
    name: str = "task_00_hello",
    kind: str = "automated",
    code: str = CHECKS,
    more: str = "",
) -> None:
    (folder / "tasks").mkdir(parents=True, exist_ok=True)
    text = TASK % {"id": name, "type": kind, "code": code, "more": more}
    (folder / "tasks" / f"{name}.md").write_text(text)


def document(tmp_path: Path, url: str, judge: str | None = None, **params: Any) -> dict[str, Any]:
    require("local")
    model = {"type": "api", "url": url, "protocol": "chat_completions", "model": "m"}
    services = {"model": model, **({"judge": {**model, "url": judge}} if judge else {})}
    metrics = [{"name": "judge", "type": "judge", "service": "judge"}] if judge else []
    return {
        "services": services,
        "solver": {
            "type": "custom",
            "service": "model",
            "command": "echo hello > hello.txt; echo done",
        },
        "benchmarks": [
            {
                "name": "pinchbench",
                "params": {"tasks_dir": str(tmp_path / "skill"), **params},
                "sandbox": {"type": "local"},
                "scoring": {"metrics": metrics},
                "max_system_retries": 1,
            }
        ],
        "output": {"dir": str(tmp_path / "run"), "report": []},
    }


def grader(scores: dict[str, float]) -> Any:
    """A judge who scores each criterion by its name."""

    def reply(call: Call) -> Reply:
        name = next(n for n in scores if re.search(rf"<criterion_\w+>\n{n}\n", call.prompt))
        return text_reply(call, json.dumps({"reasoning": f"for {name}", "score": scores[name]}))

    return reply


async def test_checks_and_rubric_by_their_weights(tmp_path: Path, loopback: Loopback) -> None:
    skill = tmp_path / "skill"
    files = "workspace_files:\n  - {source: a.txt, dest: in/a.txt}"
    task(skill, "task_00_checks", more=files)
    task(skill, "task_01_both", "hybrid", more="grading_weights: {automated: 0.4, llm_judge: 0.6}")
    task(skill, "task_02_judge", "llm_judge", code="raise SystemExit")
    (skill / "assets").mkdir()
    (skill / "assets" / "a.txt").write_text("asset")
    async with Loopback(grader({"Friendliness": 1.0, "Length": 0.5})) as judge:
        given = document(tmp_path, loopback.url, judge.url, criteria=True)
        result = await evaluate_async(given)
    assert result.exit_code == 0
    checks, both, judged = rows(tmp_path / "run/pinchbench")
    assert [row["reward"] for row in (checks, both, judged)] == pytest.approx(
        [0.75, 0.4 * 0.5 + 0.6 * 0.875, 0.875]
    )
    details = both["scoring_details"]
    assert details["checks"] == {"there": 1.0, "asset": 0.0, "said": 1.0, "empty": 0.0}
    assert details["rubric"]["Length"] == {"score": 0.5, "why": "for Length"}
    assert details["metrics"]["checks"] == 0.5 and details["metrics"]["rubric"] == 0.875
    assert details["metrics"]["task_01_both/Length"] == 0.5
    assert {row["metadata"]["category"] for row in (checks, both)} == {"files"}
    # The judge saw what was done and what is left, and nothing of one criterion in another.
    asked = [call.prompt for call in judge.calls if "Friendliness" in call.prompt]
    assert all("--- hello.txt" in prompt and "Length" not in prompt for prompt in asked)


READS = """def grade(transcript: list, workspace_path: str) -> dict:
    calls = [c for e in transcript for c in e["message"]["content"] if c["type"] == "toolCall"]
    reads = [c for c in calls if c["name"] == "read_file" and "in.txt" in c["params"]["files"][0]]
    runs = [c for c in calls if c["name"] == "execute_command" and c["params"]["command"]]
    return {"read": float(len(reads) == 1), "ran": float(len(runs) == 1)}"""


async def test_any_solver_with_a_workspace_can_do_it(tmp_path: Path) -> None:
    task(tmp_path / "skill", code=READS, more="workspace_files: [{path: in.txt, content: x}]")
    script = [
        [["file_read", {"path": "in.txt"}], ["bash", {"command": "cat in.txt"}]],
        "I have read it.",
    ]
    with ScriptedServer(script) as model:
        given = document(tmp_path, model.url)
        given["solver"] = {"type": "tool_calling", "service": "model", "sandbox_tools": True}
        result = await evaluate_async(given)
    [row] = rows(tmp_path / "run/pinchbench")
    assert result.exit_code == 0 and row["reward"] == 1.0, row


async def test_a_solver_that_leaves_no_files_is_refused(tmp_path: Path, loopback: Loopback) -> None:
    task(tmp_path / "skill")
    given = document(tmp_path, loopback.url)
    given["solver"] = {"type": "simple", "service": "model"}
    with pytest.raises(ConfigError, match="this solver works in none"):
        await evaluate_async(given)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def grade(transcript, workspace_path):\n    return {}['x']", "failed: KeyError"),
        ("def grade(transcript, workspace_path):\n    return {'a': 2}", "not a number from 0 to 1"),
        ("def grade(transcript, workspace_path):\n    return {'a': float('nan')}", "not a number"),
        ("def grade(transcript, workspace_path):\n    return {}", "not a score for each"),
        ("import sys\ndef grade(a, b):\n    sys.exit(0)", "they said nothing"),
    ],
)
async def test_broken_checks_are_no_score(
    tmp_path: Path, loopback: Loopback, code: str, said: str
) -> None:
    task(tmp_path / "skill", code=code)
    await evaluate_async(document(tmp_path, loopback.url))
    assert [row["reward"] for row in rows(tmp_path / "run/pinchbench")] == [None]
    journal = events(tmp_path / "run/pinchbench/journal.jsonl")
    [message] = [e.error.message for e in journal if isinstance(e, Errored)]
    assert said in message


async def test_checks_are_not_the_agents_to_change(tmp_path: Path, loopback: Loopback) -> None:
    """What it leaves in its folder is not imported by what grades it."""
    task(tmp_path / "skill")
    given = document(tmp_path, loopback.url)
    given["solver"]["command"] = "echo 'raise SystemExit' > json.py; cp json.py pathlib.py; echo x"
    await evaluate_async(given)
    [row] = rows(tmp_path / "run/pinchbench")
    assert row["reward"] == 0.25 and row["scoring_details"]["checks"]["there"] == 0.0


def test_mistakes_are_told_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEL_PINCHBENCH_DIR", raising=False)
    with pytest.raises(ConfigError, match="tasks_dir"):
        PinchBench()
    folder = tmp_path / "skill"
    with pytest.raises(ConfigError, match=r"holds no task_\*.md"):
        PinchBench(str(tmp_path))
    task(folder)
    with pytest.raises(ConfigError, match="no task is called 'task_7'"):
        PinchBench(str(folder), tasks="task_7")
    with pytest.raises(ConfigError, match="no task is left"):
        PinchBench(str(folder), grading="llm_judge")
    task(folder, kind="automatic")
    with pytest.raises(ConfigError, match="did you mean 'automated'"):
        PinchBench(str(folder))
    task(folder, code="")
    (folder / "tasks/task_00_hello.md").write_text(
        (folder / "tasks/task_00_hello.md").read_text().replace("```python", "```")
    )
    with pytest.raises(ConfigError, match="lacks ## Automated Checks"):
        PinchBench(str(folder))
    task(folder, more="timeout_seconds: soon")
    with pytest.raises(ConfigError, match=r"task_00_hello.md"):
        PinchBench(str(folder))


async def test_an_asset_that_is_missing_or_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "skill"
    task(folder, more="workspace_files:\n  - {source: a.pdf, dest: a.pdf}")
    with pytest.raises(ConfigError, match=r"a.pdf' cannot be read.*exclude: \[task_00_hello\]"):
        await PinchBench(str(folder)).check([0])
    task(folder, more="workspace_files:\n  - {source: ../../x, dest: a}")
    with pytest.raises(ConfigError, match="lies elsewhere"):
        await PinchBench(str(folder)).check([0])
    task(folder, more="workspace_files:\n  - {path: ../x, content: y}")
    with pytest.raises(ConfigError, match="no relative path"):
        await PinchBench(str(folder)).check([0])


async def test_sessions_are_told_and_joined(tmp_path: Path) -> None:
    sessions = (
        "sessions:\n  - {id: a, prompt: First}\n  - {id: b, prompt: Second, new_session: true}\n"
        "  - Third\n  - {id: nothing}"
    )
    task(tmp_path / "skill", more=sessions)
    problem = await PinchBench(str(tmp_path / "skill")).seed(0)
    assert problem.prompt == "First\n\nSecond\n\nThird"
    told_ = problem.metadata["sessions"]
    assert told_ == [
        {"prompt": "First", "id": "a", "new_session": False},
        {"prompt": "Second", "id": "b", "new_session": True},
        {"prompt": "Third", "id": "", "new_session": False},
    ]


def test_the_same_tool_is_called_the_same() -> None:
    call = ToolCall(tool_call_id="1", function_name="read", arguments={"path": "notes.md"})
    result = ObservationResult(source_call_id="1", content="text", extra={"is_error": True})
    steps = [
        Step(source=StepSource.USER, message="Read it."),
        Step(
            source=StepSource.AGENT,
            message="Reading.",
            tool_calls=(call,),
            observation=Observation(results=(result,)),
        ),
    ]
    user, agent, tool = (event["message"] for event in transcript_of(steps))
    assert user["role"] == "user" and agent["content"][0] == {"type": "text", "text": "Reading."}
    seen = agent["content"][1]
    assert (seen["name"], seen["tool"]) == ("read_file", "read")
    assert seen["params"] == seen["arguments"] == {"path": "notes.md", "files": ["notes.md"]}
    assert (tool["role"], tool["toolName"], tool["isError"]) == ("toolResult", "read", True)
    assert told(steps).splitlines() == [
        "user: Read it.",
        "assistant: Reading.",
        'assistant calls read: {"path":"notes.md"}',
        "result: text",
    ]


def test_files_as_a_judge_sees_them() -> None:
    archive = pack(
        {"a.txt": b"text", ".git/x": b"no", "b.bin": b"\xff\xfe\x00", "c.txt": b"y" * 90_000}
    )
    shown = shown_files(archive)
    assert "--- a.txt\ntext" in shown and ".git" not in shown
    assert "--- b.bin\n(not a text)" in shown
    assert "(90000 bytes)" in shown and len(shown) < 30_000


@pytest.mark.shared
async def test_all_published_tasks_are_read_and_their_checks_run(
    shared_dir: Path, tmp_path: Path, loopback: Loopback
) -> None:
    """An agent that does nothing but talk: every check says something, and it is not much."""
    folder = shared_dir / "data" / "pinchbench"
    tasks = read_tasks(folder, [], [])
    assert len(tasks) == 23 and sum(bool(t.rubric) for t in tasks) == 14
    assert all(abs(sum(c.weight for c in t.rubric) - 1) < 1e-9 for t in tasks if t.rubric)
    given = document(tmp_path, loopback.url)
    given["benchmarks"][0]["params"] = {
        "tasks_dir": str(folder),
        "grading": "automated",
        "exclude": ["task_21*"],
    }
    given["solver"]["command"] = "echo hi"
    result = await evaluate_async(given)
    found = rows(tmp_path / "run/pinchbench")
    assert result.exit_code == 0 and len(found) == 8
    assert found[0]["reward"] == 1.0  # whoever answers passes the first
    assert sum(row["reward"] for row in found[1:]) < 1.0

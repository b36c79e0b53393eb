"""`type: custom` with a command: any program is the agent, in its workspace or on this machine."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import openai
import pytest
from engines import require
from loopback import FAULTS, Loopback, answer
from runs import rows

from nemo_evaluator import evaluate_async
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.results.journal import Errored, events

KEY = "sk-real-key-of-the-endpoint"
PACKAGES = str(Path(openai.__file__).parents[1])
SAME_PYTHON = sys.version_info[:2] == (3, 11)
"""Whether the Python of the sandboxes can import what is installed here."""

AGENT = """
import json, os, sys
from openai import OpenAI

with open(os.environ["NEL_TASK_FILE"]) as file:
    task = json.load(file)
reply = OpenAI().chat.completions.create(
    model=os.environ["OPENAI_MODEL"], messages=[{"role": "user", "content": task["prompt"]}]
)
answer = reply.choices[0].message.content
with open("answer.txt", "w") as file:
    file.write(answer)
steps = [{"source": "user", "message": task["prompt"]}, {"source": "agent", "message": answer}]
with open("steps.json", "w") as file:
    json.dump({"schema_version": "ATIF-v1.7", "steps": steps}, file)
seen = {"env": dict(os.environ), "task": task, "home": os.listdir(os.environ["HOME"])}
with open(os.environ.get("NEL_PROBE", "seen.json"), "w") as file:
    json.dump(seen, file)
print("chatter that is no answer")
"""

BENCH = """
from nemo_evaluator import SandboxSpec, ScorerInput, benchmark, numeric_match, scorer

ROWS = [{"a": i, "hint": f"it is {i}", "target": i %% 50} for i in range(%(size)d)]


@benchmark(name="sums", dataset=ROWS, prompt="How much is {a} modulo 50?"%(more)s)
@scorer
async def sums(sample: ScorerInput) -> dict:
    verdict = numeric_match(sample)
%(look)s
    return verdict
"""
LOOK = """
    verdict["seen"] = (await sample.sandbox.download("seen.json")).decode()
    verdict["left"] = (await sample.sandbox.exec("ls -a /tmp")).stdout
"""


def document(
    tmp_path: Path, url: str, solver: dict[str, Any], *, size: int = 2, workspace: bool = False
) -> dict[str, Any]:
    bench = tmp_path / "sums.py"
    more = ', workspace=SandboxSpec(files={"given.txt": b"given"})' if workspace else ""
    bench.write_text(BENCH % {"size": size, "more": more, "look": LOOK if workspace else ""})
    (tmp_path / "agent.py").write_text(AGENT)
    model = {"type": "api", "url": url, "protocol": "chat_completions", "model": "m"}
    return {
        "services": {"model": {**model, "api_key": KEY, "proxy": {"max_retries": 0}}},
        "solver": {"type": "custom", "service": "model", **solver},
        "benchmarks": [{"name": str(bench), "timeout": 60, "max_system_retries": 1}],
        "output": {"dir": str(tmp_path / "run"), "report": []},
    }


def found(tmp_path: Path) -> list[dict[str, Any]]:
    return rows(tmp_path / "run/sums")


def errors(tmp_path: Path) -> list[str]:
    journal = events(tmp_path / "run/sums/journal.jsonl")
    return [event.error.message for event in journal if isinstance(event, Errored)]


async def test_on_this_machine(
    tmp_path: Path, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("SECRET_OF_MINE", "s3cret")
    probe = tmp_path / "seen.json"
    given = document(
        tmp_path,
        loopback.url,
        {
            "command": [sys.executable, str(tmp_path / "agent.py")],
            "where": "host",
            "env": {"NEL_PROBE": str(probe)},
            "answer_file": "answer.txt",
            "trajectory_file": "steps.json",
        },
        size=1,
    )
    result = await evaluate_async(given)
    [row] = found(tmp_path)
    assert result.exit_code == 0 and len(loopback.calls) == 1
    # The answer is what is in the file, the steps are those of the trajectory.
    assert row["model_response"] == f"The answer is {row['extracted_answer']}"
    [document_] = (tmp_path / "run/sums/trajectories.jsonl").read_text().splitlines()
    assert [step["source"] for step in json.loads(document_)["steps"]] == ["user", "agent"]
    seen = json.loads(probe.read_text())
    assert KEY not in probe.read_text() and "SECRET_OF_MINE" not in seen["env"]
    assert seen["env"]["ANTHROPIC_API_KEY"] == seen["env"]["OPENAI_API_KEY"]
    assert seen["task"]["prompt"] == "How much is 0 modulo 50?"
    assert seen["task"]["metadata"] == {}
    assert not Path(seen["env"]["HOME"]).exists()
    [call] = (tmp_path / "run/sums/model_traffic.jsonl").read_text().splitlines()
    assert json.loads(call)["problem_idx"] == 0
    kept = "".join(p.read_text() for p in (tmp_path / "run").rglob("*.json*"))
    assert KEY not in kept and seen["env"]["OPENAI_API_KEY"] not in kept


@pytest.mark.parametrize("engine", ["local", "docker"])
async def test_in_its_workspace(tmp_path: Path, loopback: Loopback, engine: str) -> None:
    require(engine)
    if not SAME_PYTHON:
        pytest.skip("the sandboxes have another Python")
    given = document(
        tmp_path,
        loopback.url,
        {
            "command": 'python3 "$NEL_AGENT_DIR/agent.py"',
            "files": [str(tmp_path / "agent.py")],
            "folders": [PACKAGES],
            "env": {"PYTHONPATH": PACKAGES},
            "answer_file": "answer.txt",
            "metadata_fields": ["hint"],
        },
        size=1,
        workspace=True,
    )
    image = {"image": "sandbox-base:latest"} if engine == "docker" else {}
    given["benchmarks"][0]["sandbox"] = {"type": engine, **image}
    result = await evaluate_async(given)
    [row] = found(tmp_path)
    assert result.exit_code == 0 and len(loopback.calls) == 1
    seen = json.loads(row["scoring_details"]["seen"])
    assert KEY not in row["scoring_details"]["seen"]
    assert seen["task"]["metadata"] == {"hint": "it is 0"}
    assert seen["task"]["workspace"] == "/workspace"
    # What was the program's own is not there any more when it is verified.
    assert ".nel-agent" not in row["scoring_details"]["left"]


async def test_files_come_back_from_this_machine(tmp_path: Path, loopback: Loopback) -> None:
    require("local")
    command = "cat given.txt > seen.json; rm given.txt; echo 0"
    given = document(
        tmp_path, loopback.url, {"command": command, "where": "host"}, size=1, workspace=True
    )
    given["benchmarks"][0]["sandbox"] = {"type": "local"}
    await evaluate_async(given)
    [row] = found(tmp_path)
    assert row["scoring_details"]["seen"] == "given" and row["reward"] == 1.0


async def test_files_need_a_sandbox_to_be_verified_in(tmp_path: Path, loopback: Loopback) -> None:
    given = document(
        tmp_path, loopback.url, {"command": "true", "where": "host"}, size=1, workspace=True
    )
    result = await evaluate_async(given)
    assert result.exit_code == 3 and "set sandbox" in errors(tmp_path)[0]


ASKS = """
import os, sys, urllib.request
request = urllib.request.Request(
    os.environ["OPENAI_BASE_URL"] + "/chat/completions",
    b'{"model": "m", "messages": [{"role": "user", "content": "x"}]}',
    {"Content-Type": "application/json", "Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]},
)
try:
    urllib.request.urlopen(request).read()
except OSError as error:
    print(error, file=sys.stderr)
    sys.exit(5)
"""


def asking(tmp_path: Path, then: str, **more: Any) -> dict[str, Any]:
    (tmp_path / "asks.py").write_text(ASKS + then)
    return {"command": [sys.executable, str(tmp_path / "asks.py")], "where": "host", **more}


async def test_what_the_agent_does_wrong_is_scored(tmp_path: Path, loopback: Loopback) -> None:
    solver = asking(tmp_path, "print('0'); print('oh no', file=sys.stderr); sys.exit(3)")
    result = await evaluate_async(document(tmp_path, loopback.url, solver))
    assert result.exit_code == 0
    first, second = found(tmp_path)
    assert (first["reward"], second["reward"]) == (1.0, 0.0)
    assert first["solver_details"] == {"exit_code": 3, "stderr": "oh no"}


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("no-such-program --now", "could not be started"),
        ([sys.executable, "-c", "import no_such_module"], "failed before it asked its model"),
    ],
)
async def test_an_agent_that_never_worked_is_no_answer(
    tmp_path: Path, loopback: Loopback, command: str | list[str], said: str
) -> None:
    solver = {"command": command, "where": "host"}
    result = await evaluate_async(document(tmp_path, loopback.url, solver))
    assert result.exit_code == 3 and not [r for r in found(tmp_path) if r["outcome"] == "scored"]
    assert said in errors(tmp_path)[0]


async def test_a_failing_endpoint_is_no_answer(tmp_path: Path, loopback: Loopback) -> None:
    loopback.script(FAULTS["server_error"])
    result = await evaluate_async(document(tmp_path, loopback.url, asking(tmp_path, "")))
    assert result.exit_code != 0
    assert not [row for row in found(tmp_path) if row["outcome"] == "scored"]


async def test_a_failure_that_was_overcome_does_not_count(
    tmp_path: Path, loopback: Loopback
) -> None:
    """The endpoint failed once; the agent asked again, was answered, and then failed by itself."""
    replies = iter([FAULTS["server_error"]])
    loopback.script(lambda call: next(replies, answer)(call))
    tries = ASKS.replace("    sys.exit(5)", "    urllib.request.urlopen(request).read()")
    solver = asking(tmp_path, "")
    (tmp_path / "asks.py").write_text(tries + "print('0'); sys.exit(3)")
    result = await evaluate_async(document(tmp_path, loopback.url, solver, size=1))
    [row] = found(tmp_path)
    assert result.exit_code == 0 and row["reward"] == 1.0 and len(loopback.calls) == 2


async def test_turns_are_a_limit_and_no_failure(tmp_path: Path, loopback: Loopback) -> None:
    solver = asking(tmp_path, "print('0', flush=True)" + ASKS)
    given = document(tmp_path, loopback.url, solver)
    limit = {"name": "turn_counter", "config": {"max_turns": 1}}
    given["services"]["model"]["proxy"]["interceptors"] = [limit]
    result = await evaluate_async(given)
    first, second = found(tmp_path)
    assert result.exit_code == 0 and (first["reward"], second["reward"]) == (1.0, 0.0)
    assert first["ended_by"] == "turns" and first["solver_details"]["exit_code"] == 5


async def test_time_ends_all_that_it_started(tmp_path: Path, loopback: Loopback) -> None:
    marker = tmp_path / "alive"
    then = (
        "print('0', flush=True)\n"
        "if os.fork() == 0:\n    os.setsid()\n"
        f"import time\nwhile True:\n    open({str(marker)!r}, 'a').write('x'); time.sleep(0.02)"
    )
    solver = asking(tmp_path, then, run_timeout=1.5)
    result = await evaluate_async(document(tmp_path, loopback.url, solver, size=1))
    [row] = found(tmp_path)
    assert result.exit_code == 0 and (row["reward"], row["ended_by"]) == (1.0, "time")
    size = marker.stat().st_size
    time.sleep(0.2)
    assert marker.stat().st_size == size > 0


@pytest.mark.parametrize(
    ("solver", "said"),
    [
        ({}, "either class_path or command"),
        ({"command": "x", "class_path": "a:B"}, "either class_path or command"),
        ({"command": "x", "config": {"a": 1}}, "config has no effect"),
        ({"class_path": "a:B", "where": "host"}, "where has no effect"),
        ({"command": "x", "where": "host", "files": ["no-such-file"]}, "there is no"),
    ],
)
async def test_mistakes_in_the_configuration_are_named(
    tmp_path: Path, solver: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        await evaluate_async(document(tmp_path, "http://127.0.0.1:9/v1", solver))

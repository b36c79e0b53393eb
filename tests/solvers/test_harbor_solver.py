"""Agents of the real harbor package in real workspaces, against a scripted model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from engines import require
from harbor_model import refused
from loopback import Call, Loopback, Reply, text_reply
from parts import part
from runs import rows
from tmux_image import tmux_image

from nemo_evaluator import evaluate_async
from nemo_evaluator.results.trajectory_row import read_trajectories

KEY = "sk-real-key-of-the-endpoint"
BENCH = """
from nemo_evaluator import SandboxSpec, ScorerInput, benchmark, scorer

@benchmark(
    name="tasks",
    dataset=[{"n": n, "target": "Hello"} for n in range(2)],
    prompt="Write Hello to hello.txt",
    workspace=lambda row: SandboxSpec(cwd="/root", read_only=False, user=0),
)
@scorer
async def tasks(sample: ScorerInput) -> dict:
    done = await sample.sandbox.exec("cat hello.txt")
    return {"correct": "Hello" in done.stdout, "extracted": done.stdout[:80]}
"""
OWN = """
import os

from harbor import BaseAgent


class Writer(BaseAgent):
    def __init__(self, logs_dir, *, crash=False, api_base=None, api_key=None, **kwargs):
        super().__init__(logs_dir, **kwargs)
        self.crash, self.api_base, self.api_key = crash, api_base, api_key

    @staticmethod
    def name():
        return "writer"

    def version(self):
        return "3"

    async def setup(self, environment):
        await environment.exec("sleep 300 & echo $! > /tmp/daemon")

    async def run(self, instruction, environment, context):
        import json, urllib.request
        request = urllib.request.Request(
            self.api_base + "/chat/completions",
            json.dumps(dict(model="m", messages=[dict(role="user", content=instruction)])).encode(),
            {"Content-Type": "application/json", "Authorization": "Bearer " + self.api_key},
        )
        said = json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"]
        alive = await environment.exec("kill -0 $(cat /tmp/daemon)")
        assert alive.return_code == 0, "what a command left running has ended"
        (self.logs_dir / "said.txt").write_text(said)
        await environment.upload_file(self.logs_dir / "said.txt", "/tmp/deep/said.txt")
        done = await environment.exec("cat /tmp/deep/said.txt > hello.txt; env > env.txt; pwd")
        context.metadata = {"response": f"wrote {said} in {done.stdout.strip()}"}
        if self.crash:
            raise ValueError("I am broken")
"""


def terminus(*turns: dict[str, Any]) -> Any:
    """The reply to a request by the number of answers before it."""

    def script(call: Call) -> Reply:
        said = sum(message["role"] == "assistant" for message in call.body["messages"])
        return text_reply(call, json.dumps(turns[min(said, len(turns) - 1)]))

    return script


def act(*keys: str, done: bool = False) -> dict[str, Any]:
    commands = [{"keystrokes": f"{key}\n", "duration": 0.3} for key in keys]
    return {"analysis": "a", "plan": "p", "commands": commands, "task_complete": done}


@pytest.fixture
def harbor(monkeypatch: pytest.MonkeyPatch) -> None:
    require("docker")
    monkeypatch.setenv("NEL_HARBOR_PYTHON", str(part("harbor") / "bin" / "python"))


def document(tmp_path: Path, url: str, solver: dict[str, Any], **more: Any) -> dict[str, Any]:
    (tmp_path / "tasks.py").write_text(BENCH)
    model = {"type": "api", "url": url, "protocol": "chat_completions", "model": "m"}
    return {
        "services": {"model": {**model, "api_key": KEY}},
        "solver": {"type": "harbor", **solver},
        "benchmarks": [
            {
                "name": str(tmp_path / "tasks.py"),
                "timeout": 100,
                "max_system_retries": 1,
                "sandbox": {"type": "docker", "image": tmux_image(), "stateful": True},
                **more,
            }
        ],
        "output": {"dir": str(tmp_path / "run"), "report": []},
    }


def texts(folder: Path) -> str:
    return "".join(path.read_text() for path in folder.rglob("*") if path.is_file())


@pytest.mark.slow
async def test_terminus_2_completes_a_task(
    tmp_path: Path, loopback: Loopback, harbor: None
) -> None:
    loopback.script(
        terminus(
            act("echo Hello > /root/hello.txt"),
            act("cat /root/hello.txt"),
            act(done=True),
        )
    )
    given = document(tmp_path, loopback.url, {"agent": "terminus-2", "service": "model"})
    result = await evaluate_async(given)
    found = rows(tmp_path / "run/tasks")
    assert [row["reward"] for row in found] == [1.0, 1.0], found
    assert result.exit_code == 0 and len(loopback.calls) == 8
    assert {call.headers["authorization"] for call in loopback.calls} == {f"Bearer {KEY}"}
    trajectories = list(read_trajectories(tmp_path / "run/tasks"))
    assert refused(row.document for row in trajectories) == []
    for row in trajectories:
        assert row.agent.name == "terminus-2" and row.requests == 4
        calls = [call for step in row.steps for call in step.tool_calls]
        assert calls[0].arguments["keystrokes"] == "echo Hello > /root/hello.txt\n"
        assert all(step.metrics for step in row.steps if step.source == "agent")
    assert KEY not in texts(tmp_path / "run")


@pytest.mark.slow
async def test_an_agent_of_ones_own(tmp_path: Path, loopback: Loopback, harbor: None) -> None:
    (tmp_path / "own.py").write_text(OWN)
    loopback.script(lambda call: text_reply(call, "Hello"))
    solver = {"agent": f"{tmp_path / 'own.py'}:Writer", "service": "model"}
    await evaluate_async(document(tmp_path, loopback.url, solver))
    found = rows(tmp_path / "run/tasks")
    assert [row["reward"] for row in found] == [1.0, 1.0], found
    assert found[0]["model_response"] == "wrote Hello in /root"
    assert found[0]["solver_details"]["agent_version"] == "3"
    assert KEY not in texts(tmp_path / "run")


@pytest.mark.slow
async def test_an_agent_that_crashes_after_its_work(
    tmp_path: Path, loopback: Loopback, harbor: None
) -> None:
    (tmp_path / "own.py").write_text(OWN)
    loopback.script(lambda call: text_reply(call, "Hello"))
    solver = {
        "agent": f"{tmp_path / 'own.py'}:Writer",
        "service": "model",
        "agent_kwargs": {"crash": True},
    }
    await evaluate_async(document(tmp_path, loopback.url, solver))
    found = rows(tmp_path / "run/tasks")
    assert [row["reward"] for row in found] == [1.0, 1.0], found
    assert found[0]["solver_details"]["agent_error"] == "ValueError: I am broken"

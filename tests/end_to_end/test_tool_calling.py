"""Whole runs of `tool_calling` by the command line: a task in both engines, limits, failures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from engines import require
from harbor_model import refused
from runs import NEL, rows
from scripted_server import ScriptedServer

from nemo_evaluator.results.result_row import read_rows
from nemo_evaluator.results.trajectory_row import read_trajectories

Nel = Callable[..., subprocess.CompletedProcess[str]]
KEY = "sk-real-key-of-the-endpoint"
BENCH = """
from nemo_evaluator import SandboxSpec, ScorerInput, benchmark, scorer


@benchmark(
    name="logs",
    dataset=[{"n": n, "target": "9"} for n in range(2)],
    prompt="Write the digits 0 to 9 into log, one a line. Task {n}.",
    workspace=lambda row: SandboxSpec(files={"given.txt": b"given"}),
)
@scorer
async def logs(sample: ScorerInput) -> dict:
    seen = await sample.sandbox.exec("cat log 2>/dev/null | tail -n 1")
    return {"correct": seen.stdout.strip() == sample.target, "extracted": seen.stdout.strip()}
"""
TEN = [[["bash", {"command": f"echo {n} >> log; env > env.txt"}]] for n in range(10)]
TASK = [*TEN, [["file_read", {"path": "log"}], ["file_read", {"path": "env.txt"}]], "All written."]


@pytest.fixture
def run(nel: Nel, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    (tmp_path / "bench.py").write_text(BENCH)

    def start(
        server: ScriptedServer, *words: object, engine: str = "local", **more: Any
    ) -> subprocess.CompletedProcess[str]:
        service = {"type": "api", "url": server.url, "model": "m", "api_key": "${KEY}"}
        service |= {"protocol": "chat_completions"}
        service |= {"price": {"prompt": 1.0, "completion": 1.0}, **more.pop("service", {})}
        benchmark = {"name": "./bench.py", "sandbox": {"type": engine}, **more.pop("benchmark", {})}
        if engine == "docker":
            benchmark["sandbox"] |= {"image": "sandbox-base:latest", "network": "none"}
        solver = {"type": "tool_calling", "service": "m", "sandbox_tools": True, **more}
        config = {"services": {"m": service}, "solver": solver, "benchmarks": [benchmark]}
        path = tmp_path / "eval.yaml"
        path.write_text(yaml.safe_dump(config))
        return nel("eval", "run", path, "-o", "out", "--no-progress", *words, KEY=KEY)

    return start


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("engine", ["local", "docker"])
def test_twelve_turns_stand_in_traffic_and_trajectory(
    run: Any, tmp_path: Path, engine: str
) -> None:
    require(engine)
    with ScriptedServer(TASK) as server:
        done = run(server, engine=engine)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "out/logs"
    for row in rows(folder):
        assert (row["reward"], row["extracted_answer"]) == (1.0, "9")
        assert row["model_response"] == "All written." and "ended_by" not in row
        assert row["solver_details"]["turns"] == 12
        assert row["tokens"] == sum(10 * (n + 1) + 7 for n in range(12))
        assert row["cost_usd"] == pytest.approx(row["tokens"] / 1e6)
    assert len(server.requests) == 24
    assert len(lines(folder / "model_traffic.jsonl")) == 24
    for row in lines(folder / "trajectories.jsonl"):
        agent = [step for step in row["steps"] if step["source"] == "agent"]
        assert len(agent) == 12
        assert sum(len(step.get("tool_calls", ())) for step in agent) == 12
        assert sum(s["metrics"]["prompt_tokens"] for s in agent) == 10 * 78
        environment = agent[10]["observation"]["results"][1]["content"]
        assert "PATH=" in environment and KEY not in environment
    everything = b"".join(p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert KEY.encode() not in everything


def test_streams_of_tool_calls(run: Any, tmp_path: Path) -> None:
    require("local")
    streaming = {"proxy": {"interceptors": [{"name": "streaming"}]}}
    with ScriptedServer([[*TEN[8], *TEN[9]], "All written."]) as server:
        done = run(server, service=streaming)
        assert done.returncode == 0, done.stderr
        assert server.requests[0][1]["stream"] is True
    for row in rows(tmp_path / "out/logs"):
        assert (row["reward"], row["model_response"]) == (1.0, "All written.")
        assert row["solver_details"]["tool_calls"] == 2 and row["tokens"] == 44


@pytest.mark.parametrize(
    ("more", "ended_by"),
    [
        ({"max_turns": 10}, "turns"),
        (
            {
                "service": {
                    "proxy": {
                        "interceptors": [{"name": "budget", "config": {"session": {"tokens": 600}}}]
                    }
                }
            },
            "tokens",
        ),
        (
            {
                "service": {
                    "proxy": {
                        "interceptors": [{"name": "budget", "config": {"session": {"usd": 0.0006}}}]
                    }
                }
            },
            "cost",
        ),
    ],
)
def test_budgets_end_a_rollout_and_what_it_left_is_verified(
    run: Any, tmp_path: Path, more: dict[str, Any], ended_by: str
) -> None:
    require("local")
    with ScriptedServer(TASK) as server:
        done = run(server, **more)
    assert done.returncode == 0, done.stderr
    for row in rows(tmp_path / "out/logs"):
        assert row["outcome"] == "scored" and row["ended_by"] == ended_by
        assert row["reward"] == 1.0 and row["tokens"] >= 600  # ten turns were enough


@pytest.mark.slow
def test_the_clock_ends_a_rollout_and_what_it_left_is_verified(run: Any, tmp_path: Path) -> None:
    require("local")
    script = [[["bash", {"command": "echo 9 > log"}]], [["bash", {"command": "sleep 100"}]], "x"]
    with ScriptedServer(script) as server:
        done = run(server, benchmark={"timeout": 4})
    assert done.returncode == 0, done.stderr
    for row in rows(tmp_path / "out/logs"):
        assert (row["reward"], row["ended_by"]) == (1.0, "time")


def test_what_failed_attempts_paid_is_in_the_accounts(run: Any, tmp_path: Path) -> None:
    """The endpoint breaks down in the third turn of every attempt."""
    require("local")
    script = [TEN[0], TEN[1], {"status": 500, "error": "out of memory"}]
    with ScriptedServer(script) as server:
        more = {"service": {"proxy": {"max_retries": 0}}, "benchmark": {"max_system_retries": 2}}
        done = run(server, **more)
    assert done.returncode == 3, done.stderr
    found = rows(tmp_path / "out/logs")
    assert [row["outcome"] for row in found] == ["infra_error"] * 2
    [bundle] = (tmp_path / "out").rglob("eval-*.json")
    assert '"total_tokens": 176' in bundle.read_text()  # 2 rollouts, 2 attempts, 17 + 27 tokens
    for row in lines(tmp_path / "out/logs/trajectories.jsonl"):
        assert len([s for s in row["steps"] if s["source"] == "agent"]) == 2


@pytest.mark.slow
def test_a_run_that_is_resumed_asks_nothing_again(run: Any, tmp_path: Path) -> None:
    require("local")
    with ScriptedServer(TASK) as server:
        done = run(server, "--max-problems", 1)
        assert done.returncode == 0, done.stderr
        asked = len(server.requests)
        again = run(server, "--max-problems", 1, "--resume")
        assert again.returncode == 0 and len(server.requests) == asked


def test_mistakes_are_one_line(run: Any, nel: Nel, tmp_path: Path) -> None:
    with ScriptedServer(["x"]) as server:
        for more, told in (
            ({"sandbox_tools": False}, "needs tools: sandbox_tools, resource_service or mcp"),
            ({"benchmark": {"sandbox": {"type": "none"}}}, "sandbox_tools requires a sandbox"),
            ({"service": {"protocol": "completions"}}, "not protocol completions"),
            ({"tool_protocol": "xml"}, "tool_protocol"),
            ({"mcp_servers": {"a": {}}}, "either a command or a url"),
        ):
            done = run(server, **more)
            assert done.returncode == 2 and told in done.stderr, done.stderr
            assert "Traceback" not in done.stderr
        assert not server.requests


@pytest.mark.slow
def test_harbor_reads_the_trajectories(run: Any, tmp_path: Path) -> None:
    require("local")
    with ScriptedServer(TASK) as server:
        assert run(server).returncode == 0
    documents = [row.document for row in read_trajectories(tmp_path / "out/logs")]
    assert len(documents) == 2 and refused(documents) == []


@pytest.mark.slow
def test_tools_of_an_mcp_server_by_the_command_line(run: Any, tmp_path: Path) -> None:
    program = Path(__file__).resolve().parents[1] / "support" / "mcp_server.py"
    (tmp_path / "sums.py").write_text(
        "from nemo_evaluator import ScorerInput, benchmark, numeric_match, scorer\n"
        "@benchmark(name='sums', dataset=[{'target': 5}], prompt='2 + 3?')\n"
        "@scorer\n"
        "def sums(sample: ScorerInput) -> dict:\n"
        "    return numeric_match(sample)\n"
    )
    benchmark = {"name": "./sums.py", "sandbox": {"type": "none"}}
    server = {"command": [sys.executable, str(program)]}
    more: dict[str, Any] = {"sandbox_tools": False, "benchmark": benchmark}
    with ScriptedServer([[["add", {"a": 2, "b": 3}]], "It is 5."]) as model:
        done = run(model, mcp_servers={"calc": server}, **more)
        assert done.returncode == 0, done.stderr
        assert [row["reward"] for row in rows(tmp_path / "out/sums")] == [1.0]
        dying = {"command": [*server["command"], "--die-at-start"]}
        done = run(model, "-o", "other", mcp_servers={"calc": dying}, **more)
    assert done.returncode == 2, done.stderr
    assert "MCP server 'calc'" in done.stderr and "no such licence" in done.stderr
    with ScriptedServer(["x"]) as model:
        missing = {"command": ["no-such-program"]}
        done = run(model, "-o", "third", mcp_servers={"calc": missing}, **more)
        assert done.returncode == 2 and not model.requests
    assert "mcp_servers.calc: there is no program 'no-such-program'" in done.stderr


def test_an_artifact_is_no_missing_answer(run: Any, tmp_path: Path) -> None:
    require("local")
    with ScriptedServer([[["bash", {"command": "echo 9 > log"}]], "Done."]) as server:
        done = run(server, response_mode="sandbox_artifact")
    assert done.returncode == 0, done.stderr
    for row in read_rows(tmp_path / "out/logs"):
        assert (row.reward, row.model_response, row.response_source) == (1.0, "", "workspace")
        assert row.failure is None and not row.no_answer
        assert row.latency_ms is not None and row.latency_ms > 0


def test_a_killed_run_leaves_no_mcp_server(run: Any, tmp_path: Path) -> None:
    """Neither the server, which does not heed the end of its input, nor what it started."""
    program = tmp_path / "deaf.py"
    program.write_text(
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "open('pids', 'w').write(f'{os.getpid()} {child.pid}')\n"
        "time.sleep(600)\n"
    )
    server = {"command": [sys.executable, str(program)]}
    with ScriptedServer(["x"]) as model:
        run(model, "--dry-run", sandbox_tools=False, mcp_servers={"deaf": server})
        words = ["eval", "run", "eval.yaml", "-o", "out", "--no-progress"]
        started = subprocess.Popen([*NEL, *words], cwd=tmp_path, env={**os.environ, "KEY": KEY})
        until(lambda: (tmp_path / "pids").exists() and (tmp_path / "pids").read_text().count(" "))
        started.kill()
        started.wait()
    pids = (tmp_path / "pids").read_text().split()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def until(true: Callable[[], Any], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)

"""Forty workspaces at once, and everything goes wrong: every rollout ends, and nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engines import require
from runs import NEL, rows

from nemo_evaluator import evaluate_async
from nemo_evaluator.files.owner import LABEL, find_owner
from nemo_evaluator.sandboxes import DockerBackend, LocalBackend, SandboxPool
from nemo_evaluator.sandboxes.docker_api import Engine

TASKS = 40
BENCH = """
from nemo_evaluator import SandboxSpec, ScorerInput, benchmark, scorer
from nemo_evaluator.sandbox_spec import Limits

SPEC = SandboxSpec(stateful=True, files={"given": b"g"}, limits=Limits(disk_mb=8, memory_mb=128))


@benchmark(
    name="tasks", dataset=[{"n": n, "target": "t"} for n in range(40)], prompt="task {n}",
    workspace=SPEC,
)
@scorer
async def tasks(sample: ScorerInput) -> dict:
    before = (await sample.sandbox.exec("cat beat 2>/dev/null | wc -c")).stdout
    found = await sample.sandbox.exec("sleep 0.2; cat out; cat beat 2>/dev/null | wc -c")
    return {"correct": found.stdout == "done\\n" + before, "extracted": found.stdout[:40]}
"""
AGENT = """
import asyncio

from nemo_evaluator.solvers.contract import SolverNeeds
from nemo_evaluator.types import Solution

DAEMON = "(setsid sh -c 'while :; do echo x >> beat; sleep 0.02; done' >/dev/null 2>&1 &)"
FILL = "head -c 100000000 /dev/zero > full; rm full"


class Agent:
    needs = SolverNeeds(sandbox=True)

    async def solve(self, problem, tools):
        box = tools.workspace.sandbox
        n = int(problem.prompt.split()[-1])
        if n % 10 == 3:
            await asyncio.sleep(3600)
        if n % 10 == 4:
            await box.exec(FILL)
        if n % 10 in (5, 6):
            await box.start(["sh", "-c", DAEMON + "; sleep 1000"])
        await box.exec("sleep 0.5; echo done > out")
        return Solution(response="see the files")

    def identity(self):
        return {}

    async def close(self):
        pass
"""


def document(folder: Path, engine: str, *, timeout: float) -> dict[str, Any]:
    (folder / "tasks.py").write_text(BENCH)
    (folder / "agent.py").write_text(AGENT)
    image = {"image": "sandbox-base:latest"} if engine == "docker" else {}
    return {
        "services": {},
        "solver": {"type": "custom", "class_path": f"{folder / 'agent.py'}:Agent"},
        "benchmarks": [
            {
                "name": str(folder / "tasks.py"),
                "timeout": timeout,
                "max_concurrent": TASKS,
                "max_system_retries": 2,
                "sandbox": {"type": engine, "network": "none", "concurrency": TASKS, **image},
            }
        ],
        "output": {"dir": str(folder / "run"), "report": []},
    }


async def containers(pid: int) -> list[str]:
    """The containers that a process has made, and that are still there."""
    query = {"all": "1", "filters": json.dumps({"label": [LABEL]})}
    found = await Engine().expect("GET", "/containers/json", query=query)
    owners = {one["Id"]: find_owner(one["Labels"][LABEL]) for one in found}
    return [name for name, owner in owners.items() if owner is not None and owner.pid == pid]


def processes(pid: int) -> Iterator[int]:
    """The processes of local sandboxes that a process has made."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if f".{pid}." in words and "NEL_SANDBOX" in words:
            yield int(entry.name)


async def killed_at_random(pid: int, engine: str, every: float, killed: list[object]) -> None:
    """Kill some of a process's sandboxes, until this is cancelled."""
    draw = random.Random(7)
    while True:
        await asyncio.sleep(every)
        if engine == "docker":
            if found := await containers(pid):
                killed.append(draw.choice(found))
                await Engine().request("POST", f"/containers/{killed[-1]}/kill")
        elif running := list(processes(pid)):
            killed.append(draw.choice(running))
            with contextlib.suppress(ProcessLookupError):
                os.kill(draw.choice(running), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["docker", "local"])
async def test_every_rollout_ends_and_nothing_is_left(tmp_path: Path, engine: str) -> None:
    """While sandboxes are killed, agents hang, leave daemons and fill their disks."""
    require(engine)
    killed: list[object] = []
    killer = asyncio.create_task(killed_at_random(os.getpid(), engine, 0.5, killed))
    try:
        result = await evaluate_async(document(tmp_path, engine, timeout=20))
    finally:
        killer.cancel()
        await asyncio.gather(killer, return_exceptions=True)
    assert len(killed) > 5
    outcomes = {row["problem_idx"]: row["outcome"] for row in rows(tmp_path / "run/tasks")}
    assert set(outcomes) == set(range(TASKS)), "a rollout has no end"
    hanging = {n for n in range(TASKS) if n % 10 == 3}
    assert all(outcomes[n] != "scored" for n in hanging)
    scored = [row for row in rows(tmp_path / "run/tasks") if row["outcome"] == "scored"]
    assert len(scored) > TASKS // 2, Counter(outcomes.values())
    wrong = [(row["problem_idx"], row["extracted_answer"]) for row in scored if not row["reward"]]
    assert wrong == [], "a broken sandbox became an answer"
    assert result.exit_code == 3
    if engine == "docker":
        assert await containers(os.getpid()) == []
    else:
        assert list(processes(os.getpid())) == []


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["docker", "local"])
async def test_a_run_that_is_killed_is_resumed(tmp_path: Path, engine: str) -> None:
    """kill -9 in the middle; what it left is removed by the command that goes on."""
    require(engine)
    given = document(tmp_path, engine, timeout=600)
    text = (tmp_path / "agent.py").read_text().replace("n % 10 == 3", "False")
    (tmp_path / "agent.py").write_text(text)
    config = tmp_path / "config.json"
    config.write_text(json.dumps(given))
    command = [*NEL, "eval", "run", str(config)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    first = subprocess.Popen(command, **quiet)  # type: ignore[call-overload]
    journal, end = tmp_path / "run/tasks/journal.jsonl", time.monotonic() + 120
    while not (journal.exists() and journal.read_text().count('"solved"') >= 5):
        assert first.poll() is None and time.monotonic() < end, "nothing was solved in time"
        await asyncio.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    done = subprocess.run([*command, "--resume"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = rows(tmp_path / "run/tasks")
    assert [row["reward"] for row in found] == [1.0] * TASKS
    left = await containers(first.pid) if engine == "docker" else list(processes(first.pid))
    assert left == []


@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("NEL_ENGINE_RESTART"), reason="restarts the engine of this machine"
)
async def test_a_restart_of_the_engine_is_no_answer(tmp_path: Path) -> None:
    """Alone only: NEL_ENGINE_RESTART is the command that restarts Docker."""
    require("docker")

    async def restart() -> None:
        while len(await containers(os.getpid())) < TASKS // 4:
            await asyncio.sleep(0.2)
        command = os.environ["NEL_ENGINE_RESTART"]
        done = await asyncio.create_subprocess_shell(command)
        assert await done.wait() == 0

    restarting = asyncio.create_task(restart())
    result = await evaluate_async(document(tmp_path, "docker", timeout=20))
    await restarting
    assert result.exit_code in (0, 3)
    found = rows(tmp_path / "run/tasks")
    assert len(found) == TASKS
    assert all(row["reward"] == 1.0 for row in found if row["outcome"] == "scored")
    async with SandboxPool(DockerBackend()):
        assert await containers(os.getpid()) == []


@pytest.mark.slow
async def test_nothing_else_is_touched(tmp_path: Path) -> None:
    """A container of somebody else, and a sandbox of a process that lives, outlive all of it."""
    require("docker")
    beside = subprocess.run(
        ["docker", "run", "-d", "--rm", "sandbox-base:latest", "sleep", "600"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    owner = "import sys; sys.stdin.read()"
    living = subprocess.Popen([sys.executable, "-c", owner], stdin=subprocess.PIPE)
    try:
        async with (
            SandboxPool(DockerBackend(image="sandbox-base:latest")),
            SandboxPool(LocalBackend()),
        ):
            pass
        got = await Engine().request("GET", f"/containers/{beside}/json")
        assert got.json()["State"]["Running"]
        assert living.poll() is None
    finally:
        living.communicate()
        subprocess.run(["docker", "rm", "-f", beside], check=True, capture_output=True)

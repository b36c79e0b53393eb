"""NeMo Gym itself: its agent on a benchmark that we serve; its gym and agent in runs of ours."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port
from gyms import serving, sums
from parts import part
from runs import ROOT, rows

from nemo_evaluator import evaluate_async
from nemo_evaluator.config.services import SimulatedService
from nemo_evaluator.errors import InfraError
from nemo_evaluator.results.trajectory_row import read_trajectories
from nemo_evaluator.services.json_server import JsonServer
from nemo_evaluator.services.simulated.model import SimulatedModel
from nemo_evaluator.services.simulated.server import serving as simulated

pytestmark = [pytest.mark.slow, pytest.mark.process, pytest.mark.timeout(300)]
SCRIPT = str(ROOT / "tests/support/ng_servers.py")
PATIENCE = 150.0


def command(which: str, ports: Mapping[str, int], base_url: str) -> list[str]:
    python = str(part("gym") / "bin/python")
    return [python, "-P", SCRIPT, which, json.dumps(ports), base_url]


@contextmanager
def running(*commands: list[str]) -> Iterator[None]:
    processes = [subprocess.Popen(words, stderr=subprocess.DEVNULL) for words in commands]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


async def up(port: int) -> None:
    calls = JsonServer(f"http://127.0.0.1:{port}")
    for _ in range(int(PATIENCE)):
        try:
            await calls.session().get("/openapi.json")
        except InfraError:
            await asyncio.sleep(1.0)
        else:
            await calls.close()
            return
    pytest.fail("the server of nemo-gym is not up")


async def test_its_agent_solves_what_we_serve_and_every_call_is_a_rollouts(tmp_path: Path) -> None:
    agent, model = free_port(), free_port()
    async with serving(sums) as (url, _):
        ports = {"gym": int(url.rpartition(":")[2]), "model": model, "agent": agent}
        words = [shlex.join(command(which, ports, "URL")) for which in ("model", "agent")]
        line = f"{words[0]} & exec {words[1]}".replace("URL", '"$OPENAI_BASE_URL"')
        result = await evaluate_async(
            {
                "services": {
                    "m": {"type": "simulated", "protocol": "responses", "accuracy": 0.5},
                    "g": {
                        "type": "gym",
                        "server_cmd": line,
                        "port": agent,
                        "model": "m",
                        "startup_timeout": PATIENCE,
                    },
                },
                "benchmarks": [
                    {
                        "name": f"gym://127.0.0.1:{ports['gym']}",
                        "max_problems": 12,
                        "max_concurrent": 4,
                        "solver": {"type": "gym_delegation", "service": "m", "gym_service": "g"},
                    }
                ],
                "output": {"dir": str(tmp_path / "run"), "report": []},
            }
        )
    assert result.exit_code == 0, result.messages
    found = rows(tmp_path / "run/sums")
    assert len(found) == 12 and {row["reward"] for row in found} == {0.0, 1.0}
    # Its gym is what we serve: the agent was told the verdict that we give.
    assert all(row["solver_details"]["gym_reward"] == row["reward"] for row in found)
    traffic = (tmp_path / "run/sums/model_traffic.jsonl").read_text().splitlines()
    sessions = {json.loads(line)["session_id"] for line in traffic}
    assert sessions == {f"sums/{row['problem_idx']}/0" for row in found}


async def test_its_gym_and_its_agent_in_runs_of_ours(tmp_path: Path) -> None:
    ports = {name: free_port() for name in ("weather", "model", "agent")}
    packages = part("gym") / "lib/python3.12/site-packages"
    data = packages / "resources_servers/example_single_tool_call/data/example.jsonl"
    answering = SimulatedModel(SimulatedService(tool_call_rate=0.5))
    async with simulated(answering) as url:
        commands = [command(name, ports, url) for name in ports]
        with running(*commands):
            await asyncio.gather(*map(up, ports.values()))
            for trusted in (True, False):
                result = await evaluate_async(document(tmp_path, ports, data, trusted))
                assert result.exit_code == 0, result.messages
    for name, detail in (("True", "scoring_details"), ("False", "solver_details")):
        found = rows(tmp_path / name / f"gym-127.0.0.1_{ports['weather']}")
        assert [row["reward"] for row in found] == [1.0] * 5
        told = [row[detail].get("reward_source") or row[detail]["gym_reward"] for row in found]
        assert set(told) == ({"gym"} if name == "True" else {1.0})
        assert all(row["tokens"] > 0 for row in found)  # the gym's own count: nothing passed us
    calls = [
        call.function_name
        for row in read_trajectories(tmp_path / "True" / f"gym-127.0.0.1_{ports['weather']}")
        for step in row.steps
        for call in step.tool_calls
    ]
    assert "get_weather" in calls


def document(tmp_path: Path, ports: Mapping[str, int], data: Path, trusted: bool) -> dict[str, Any]:
    solver = {"type": "gym_delegation", "service": "m", "gym_service": "g"}
    return {
        "services": {
            "m": {"type": "simulated", "protocol": "responses"},
            "g": {"type": "gym", "url": f"http://127.0.0.1:{ports['agent']}"},
        },
        "benchmarks": [
            {
                "name": f"gym://127.0.0.1:{ports['weather']}?data={data}",
                "solver": {**solver, "trust_reward": trusted},
            }
        ],
        "output": {"dir": str(tmp_path / str(trusted)), "report": []},
    }

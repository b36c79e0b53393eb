"""How a run ends that was told to end in a job of a cluster."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from loopback import Call, Loopback, Manner, Reply, answer
from runs import BENCH, NEL, rows

from nemo_evaluator.results.requests import Action, ControlRequest
from nemo_evaluator.results.status import State, status_of
from nemo_evaluator.tasks.steer import steer


def document(tmp_path: Path, url: str) -> dict[str, Any]:
    (tmp_path / "sums.py").write_text(BENCH % {"size": 9})
    model = {"type": "api", "url": url, "protocol": "chat_completions", "model": "m"}
    return {
        "services": {"model": model},
        "benchmarks": [{"name": str(tmp_path / "sums.py"), "max_concurrent": 2}],
        "output": {"dir": str(tmp_path / "run"), "report": []},
    }


@pytest.mark.slow
async def test_what_is_in_flight_is_given_up_before_the_job_is_killed(
    tmp_path: Path, loopback: Loopback
) -> None:
    def script(call: Call) -> Reply:
        return answer(call) if len(loopback.calls) <= 5 else Reply(manner=Manner.HANG)

    loopback.script(script)
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(document(tmp_path, loopback.url)))
    inner = {"NEL_INNER_EXECUTION": "1", "NEL_GRACE_SECONDS": "3"}
    argv = [*NEL, "eval", "run", str(tmp_path / "c.yaml")]
    with subprocess.Popen(argv, env={**os.environ, **inner}, stderr=subprocess.PIPE) as process:
        while len(loopback.calls) < 7:
            await asyncio.sleep(0.05)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        while process.poll() is None:
            await asyncio.sleep(0.05)
            assert time.monotonic() - began < 60
        assert process.stderr is not None
        said = process.stderr.read().decode()
    assert process.returncode == 143
    assert "the rollouts in flight have 1 s to finish" in said and "Traceback" not in said
    state = status_of(tmp_path / "run")
    assert (state.state, state.exit_code) == (State.INTERRUPTED, 143)
    assert len(rows(tmp_path / "run/sums")) == 5
    assert json.loads((tmp_path / "run/run.json").read_text())["status"] == "interrupted"


@pytest.mark.slow
async def test_a_job_whose_run_was_asked_to_finish_is_done(
    tmp_path: Path, loopback: Loopback
) -> None:
    """Its cluster would start another job that goes on, if it ended with 3."""
    loopback.script(lambda _: Reply(manner=Manner.HANG))
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(document(tmp_path, loopback.url)))
    env = {**os.environ, "NEL_INNER_EXECUTION": "1"}
    argv = [*NEL, "eval", "run", str(tmp_path / "c.yaml")]
    with subprocess.Popen(argv, env=env, stderr=subprocess.DEVNULL) as process:
        while not loopback.calls:
            await asyncio.sleep(0.05)
        await steer([tmp_path / "run"], ControlRequest(action=Action.FINISH))
        await asyncio.to_thread(process.wait, 60)
    assert process.returncode == 0
    state = status_of(tmp_path / "run")
    assert (state.state, state.exit_code) == (State.INCOMPLETE, 3)
    assert state.messages[0].startswith("finished early by request")

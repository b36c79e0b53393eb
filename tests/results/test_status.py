"""The state of a run as others see it: from its files, its lock and its heartbeat."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from loopback import Loopback, answer, error
from msgspec.structs import replace
from running import running
from runs import BENCH, NEL

from nemo_evaluator import evaluate_async
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.results.lock import directory_lock, owner_of, reading_lock
from nemo_evaluator.results.progress_file import read_progress, write_progress
from nemo_evaluator.results.run_info import RunStatus
from nemo_evaluator.results.status import State, status_of

ELSEWHERE = "another-host"


def config(tmp_path: Path, url: str, size: int = 8) -> dict[str, Any]:
    (tmp_path / "sums.py").write_text(BENCH % {"size": size})
    return {
        "services": {
            "model": {"type": "api", "url": url, "protocol": "chat_completions", "model": "m"}
        },
        "benchmarks": [{"name": str(tmp_path / "sums.py"), "max_concurrent": 2}],
        "output": {"dir": str(tmp_path / "run"), "report": []},
    }


def started(directory: Path, owner: str, seconds_ago: float) -> None:
    directory.mkdir(exist_ok=True)
    (directory / ".lock").write_text(owner)
    then = time.time() - seconds_ago
    os.utime(directory / ".lock", (then, then))


@contextmanager
def beating(directory: Path, ahead: float = 0.0) -> Iterator[None]:
    """The owner's clock is ``ahead`` of this one."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(0.05):
            now = time.time() + ahead
            os.utime(directory / ".lock", (now, now))

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def hold(directory: Path) -> None:
    with directory_lock(directory):
        pass


def test_a_run_on_another_host_keeps_its_directory_while_its_heart_beats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started(tmp_path, f"pid 7 on {ELSEWHERE}", 10)
    assert status_of(tmp_path).state is State.STARTING
    with beating(tmp_path):
        with pytest.raises(
            ConfigError, match="in use by pid 7 on another-host, which was seen 0 s"
        ):
            hold(tmp_path)
        with pytest.raises(ConfigError, match="in use"), reading_lock(tmp_path):
            pass
    monkeypatch.setattr("nemo_evaluator.results.owner.FRESH_SECONDS", 0.3)
    hold(tmp_path)
    assert owner_of(tmp_path) is None


@pytest.mark.parametrize("ahead", [-120.0, 120.0])
def test_clocks_that_differ_neither_kill_a_run_nor_keep_a_dead_one_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    monkeypatch.setattr("nemo_evaluator.results.owner.FRESH_SECONDS", 0.5)
    started(tmp_path, f"pid 7 on {ELSEWHERE}", -ahead)
    with (
        beating(tmp_path, ahead),
        pytest.raises(ConfigError, match="in use by pid 7 on another-host"),
    ):
        hold(tmp_path)
    hold(tmp_path)


@pytest.mark.parametrize("ahead", [-120.0, 120.0])
def test_clocks_that_differ_do_not_make_a_run_dead_or_alive(tmp_path: Path, ahead: float) -> None:
    started(tmp_path, f"pid 7 on {ELSEWHERE}", -ahead)
    with beating(tmp_path, ahead):
        state = status_of(tmp_path, patience=5)
    assert state.state is State.STARTING and state.owner is not None and state.owner.seen == 0
    with pytest.raises(ConfigError, match="holds no run"):
        status_of(tmp_path, patience=0.5)


def test_a_dead_process_of_this_host_is_taken_over_at_once(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    started(tmp_path, f"pid {dead.pid} on {socket.gethostname()}", 0)
    hold(tmp_path)


async def test_progress_that_changes_elsewhere_is_a_lock_as_well(
    tmp_path: Path, loopback: Loopback
) -> None:
    document = config(tmp_path, loopback.url)
    await evaluate_async(document)
    ended = read_progress(tmp_path / "run")
    assert ended is not None
    running = replace(ended, state=RunStatus.RUNNING, host=ELSEWHERE, heartbeat=time.time())
    write_progress(tmp_path / "run", running)
    again = asyncio.create_task(evaluate_async(document, resume=True))
    await asyncio.sleep(0.1)
    write_progress(tmp_path / "run", replace(running, heartbeat=time.time()))
    with pytest.raises(ConfigError, match=f"in use by pid {ended.pid} on {ELSEWHERE}"):
        await again
    write_progress(tmp_path / "run", replace(running, heartbeat=time.time() - 3600))
    assert (await evaluate_async(document, resume=True)).exit_code == 0


def test_the_owner_notices_that_its_directory_was_taken_over(tmp_path: Path) -> None:
    with directory_lock(tmp_path) as lock:
        assert not lock.lost
        (tmp_path / ".lock").write_text(f"pid 7 on {ELSEWHERE}")
        assert lock.lost
    assert (tmp_path / ".lock").read_text() == f"pid 7 on {ELSEWHERE}"


async def test_the_state_of_a_run_that_is_done(tmp_path: Path, loopback: Loopback) -> None:
    await evaluate_async(config(tmp_path, loopback.url))
    state = status_of(tmp_path / "run")
    assert (state.state, state.exit_code, state.owner) == (State.DONE, 0, None)
    [sums] = state.benchmarks.values()
    assert (sums.done, sums.total, sums.finished) == (8, 8, True)
    assert sums.score is not None and sums.score.measure == "pass@1"
    written = json.loads((tmp_path / "run/progress.json").read_text())
    assert written["pid"] == os.getpid() and written["host"] == socket.gethostname()


async def test_without_progress_the_journal_tells(tmp_path: Path, loopback: Loopback) -> None:
    loopback.script(answer, error(500, "broken"), answer)
    document = config(tmp_path, loopback.url)
    document["services"]["model"]["proxy"] = {"max_retries": 0}
    document["benchmarks"][0]["max_system_retries"] = 1
    await evaluate_async(document)
    told = status_of(tmp_path / "run")
    (tmp_path / "run/progress.json").unlink()
    counted = status_of(tmp_path / "run")
    assert told.state is counted.state is State.INCOMPLETE
    for state in (told, counted):
        [sums] = state.benchmarks.values()
        assert (sums.done, dict(sums.failed)) == (7, {"server_error": 1})


def test_no_run_is_no_state(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no run"):
        status_of(tmp_path)


def test_a_killed_run_is_told_from_one_that_runs(tmp_path: Path) -> None:
    document = config(tmp_path, "", 500)
    document["services"]["model"] = {"type": "simulated", "latency": {"mean_ms": 50}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(document))
    process = subprocess.Popen(
        [*NEL, "eval", "run", str(tmp_path / "config.yaml")], stderr=subprocess.DEVNULL
    )
    try:
        state = running(tmp_path / "run")
        assert state.owner is not None and state.owner.pid == process.pid
    finally:
        process.kill()
        process.wait()
    state = status_of(tmp_path / "run")
    assert state.state is State.KILLED
    assert next(iter(state.benchmarks.values())).done < 500


def test_every_end_of_a_run_is_a_state() -> None:
    ends = [status for status in RunStatus if status is not RunStatus.RUNNING]
    assert [State(end).value for end in ends] == [end.value for end in ends]
    assert not any(State(end).active for end in ends)

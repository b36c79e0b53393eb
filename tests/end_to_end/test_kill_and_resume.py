"""Killed at any moment, resumed until done: the results are those of an uninterrupted run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from runs import NEL, counts, paid, timeless

from nemo_evaluator.results.journal import Scored, Solved, events
from nemo_evaluator.types import RolloutKey

FAULTS = {
    "rate_limit": 0.10,
    "server_error": 0.05,
    "drop": 0.03,
    "invalid_json": 0.02,
    "hang": 0.01,
}
CYCLES = 30

CONFIG = """
services:
  model:
    type: api
    url: {url}
    protocol: chat_completions
    model: m
    timeouts: {{first_byte: 1.0}}
benchmarks:
  - {{name: {bench}, repeats: 2, max_concurrent: {concurrency}}}
output: {{dir: {folder}, report: []}}
"""


def write_config(tmp_path: Path, url: str, bench: Path, folder: str, concurrency: int) -> Path:
    path = tmp_path / f"{folder}.yaml"
    text = CONFIG.format(url=url, bench=bench, folder=tmp_path / folder, concurrency=concurrency)
    path.write_text(text)
    return path


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_thirty_kills_change_nothing(
    tmp_path: Path, bench: Callable[[int], Path], serve: Callable[..., str]
) -> None:
    size = 1500
    file = bench(size)
    random.seed(7)
    calm = write_config(tmp_path, serve(), file, "calm", 32)
    subprocess.run([*NEL, "eval", "run", str(calm)], check=True, capture_output=True)

    url = serve(faults=FAULTS, seed=3, latency_ms=40)
    rough = write_config(tmp_path, url, file, "rough", 32)
    command = [*NEL, "eval", "run", str(rough), "--resume"]
    journal = tmp_path / "rough" / "sums" / "journal.jsonl"
    kills = 0
    while kills < CYCLES:
        before, asked = paid(journal), counts(url)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        started = len(paid(journal))
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            if len(paid(journal)) > started + random.randrange(size // 12):
                break
            time.sleep(0.02)
        if process.poll() is not None:
            break
        time.sleep(random.uniform(0, 0.1))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
        assert before <= paid(journal)
        check_nothing_asked_again(before, asked, counts(url))
    done = subprocess.run(command, capture_output=True, text=True)
    while done.returncode == 3:
        done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert kills >= 20, "the run ended before it could be killed often enough"
    assert timeless(tmp_path / "rough" / "sums") == timeless(tmp_path / "calm" / "sums")
    solved = Counter((e.problem_idx, e.repeat) for e in events(journal) if isinstance(e, Solved))
    scored = Counter((e.problem_idx, e.repeat) for e in events(journal) if isinstance(e, Scored))
    assert set(solved.values()) == {1} and set(scored.values()) == {1}
    assert len(scored) == size * 2


def check_nothing_asked_again(
    journaled: set[RolloutKey], before: dict[str, int], after: dict[str, int]
) -> None:
    """A problem whose repeats were all journaled before this cycle was not asked in it."""
    complete = {k.problem_idx for k in journaled if k.repeat == 0} & {
        k.problem_idx for k in journaled if k.repeat == 1
    }
    for idx in complete:
        prompt = f"How much is {idx} modulo 50?"
        assert after.get(prompt) == before.get(prompt)

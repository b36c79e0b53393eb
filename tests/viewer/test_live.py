"""Runs in progress, and runs that were killed, from their journals alone."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from runs import NEL
from viewing import Client

pytestmark = pytest.mark.process
View = Callable[..., Client]
SLOW = """
services:
  model: {type: simulated, latency: {mean_ms: 150}}
benchmarks:
  - {name: sample, repeats: 50, max_concurrent: 4}
output: {dir: RUN}
"""
"""It would take minutes: however slow this machine is, it goes on until it is killed."""


@pytest.fixture
def slow_run(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    folder = tmp_path / "live" / "slow"
    config = tmp_path / "slow.yaml"
    config.write_text(SLOW.replace("RUN", str(folder)))
    words = [*NEL, "eval", "run", str(config), "--no-progress"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not (folder / "sample" / "journal.jsonl").exists():
            assert process.poll() is None
            time.sleep(0.05)
        time.sleep(1.0)
        yield folder, process
    finally:
        process.kill()
        process.wait()


def count(text: str) -> int:
    import re

    found = re.search(r'id="total">([\d,]+) rollout', text)
    return int(found[1].replace(",", "")) if found is not None else 0


def test_a_run_in_progress_updates_and_is_not_touched(
    view: View, slow_run: tuple[Path, subprocess.Popen[bytes]]
) -> None:
    folder, process = slow_run
    client = view(folder.parent)
    run = client.run("slow")
    assert '"active":true' in client.get(f"{run}/live").text
    first = 0
    for _ in range(600):
        if first := count(client.get(f"{run}/sample/samples").text):
            break
        time.sleep(0.1)
    assert 0 < first < 6000
    assert not (folder / "sample" / "results.jsonl").exists(), "a viewer writes nothing into a run"
    later = first
    for _ in range(600):
        if (later := count(client.get(f"{run}/sample/samples?part=table").text)) > first:
            break
        time.sleep(0.1)
    assert later > first
    process.kill()
    process.wait()
    assert "killed" in client.get(run).text
    done = client.rollouts(client.get(f"{run}/sample/samples").text)
    page = client.get(f"{run}/sample/sample/{done[0]}")
    assert page.status == 200 and "What the scorer said" in page.text

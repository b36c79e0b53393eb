"""The real Slurm that tests submit to: ``.ci/slurm start`` makes one, NEL_SLURM says where it is.

Absent, the test is skipped; in CI it fails (NEL_REQUIRE: ``slurm``).
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from parts import needed
from runs import NEL, ROOT, rows

BENCH = """
from nemo_evaluator import ScorerInput, benchmark, numeric_match, scorer

ROWS = [{"a": i, "target": (i + (i %% 3 == 0)) %% 50} for i in range(%(size)d)]


@benchmark(name="sums", dataset=ROWS, prompt="How much is {a} modulo 50?")
@scorer
def sums(sample: ScorerInput) -> dict:
    return numeric_match(sample)
"""
"""The server of `fake_engines` is right in two of three."""
ENGINES = ROOT / "tests" / "support" / "fake_engines"
SCRIPT = ROOT / ".ci" / "slurm"
FOLDER = Path(os.environ.get("NEL_SLURM") or "/var/tmp/nel-slurm")
PATIENCE = 2
"""The machine may be shared with other tests."""
ACTIVE = ("pending", "starting", "running", "stopping")


@dataclass(frozen=True, slots=True)
class Cluster:
    """Four nodes, n1 and n2 in the partition batch, n3 and n4 in cpu."""

    folder: Path
    env: dict[str, str]

    def act(self, *words: str) -> None:
        """What `.ci/slurm` can do to it: ``node-down n1``."""
        subprocess.run([SCRIPT, *words, self.folder], check=True, timeout=90, capture_output=True)

    def ask(self, *words: str) -> str:
        """What one of Slurm's own commands says."""
        done = subprocess.run(words, env=self.env, capture_output=True, text=True, timeout=60)
        return done.stdout

    def nel(self, *words: object, cwd: Path, timeout: float = 120) -> tuple[int, str, str]:
        """A command of ours, as a process of its own."""
        command = [*NEL, *map(str, words)]
        done = subprocess.run(
            command, cwd=cwd, env=self.env, capture_output=True, text=True, timeout=timeout
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout, done.stderr


@contextmanager
def cluster(data: Path) -> Iterator[Cluster]:
    """The cluster, with a list of runs of its own; skips or fails the test where there is none.

    Tests take nodes and the controller away, so that only one process may use it at a time.
    """
    conf = FOLDER / "slurm.conf"
    env = {**os.environ, "SLURM_CONF": str(conf), "XDG_DATA_HOME": str(data)}
    env["PATH"] = f"{ENGINES}:{env['PATH']}"
    try:
        subprocess.run(["squeue", "-h"], env=env, check=True, timeout=20, capture_output=True)
    except (OSError, subprocess.SubprocessError):
        (pytest.fail if needed("slurm") else pytest.skip)("there is no Slurm: .ci/slurm start")
    with (FOLDER / "tests.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pytest.fail("another process tests with this Slurm: with -n, use --dist loadfile")
        yield Cluster(FOLDER, env)


class Run:
    """A run of a benchmark of sums in a folder of its own, here or on the cluster."""

    def __init__(self, on: Cluster, folder: Path, text: str, size: int) -> None:
        self._on, self.folder = on, folder
        self.env = dict(on.env)
        folder.mkdir(parents=True)
        (folder / "sums.py").write_text(BENCH % {"size": size})
        (folder / "c.yaml").write_text(text)

    @property
    def directory(self) -> Path:
        """Where it writes."""
        return self.folder / "run"

    def nel(self, *words: object, timeout: float = 120) -> tuple[int, str, str]:
        """A command, in its folder."""
        return Cluster(self._on.folder, self.env).nel(*words, cwd=self.folder, timeout=timeout)

    def submit(self, *words: object, timeout: float = 120) -> str:
        """Submit it: what was printed."""
        code, out, err = self.nel("eval", "run", "c.yaml", *words, timeout=timeout)
        assert code == 0, err
        return out

    def status(self) -> dict[str, Any]:
        """What `nel eval status` says."""
        code, out, err = self.nel("eval", "status", "run", "--json")
        assert code == 0, err
        found: dict[str, Any] = json.loads(out)
        return found

    def until(self, seen: Callable[[dict[str, Any]], object], seconds: float) -> dict[str, Any]:
        """The status once something is seen in it."""
        end = time.monotonic() + seconds * PATIENCE
        while not seen(state := self.status()):
            assert time.monotonic() < end, (state, self.logs())
            time.sleep(0.5)
        return state

    def ended(self, seconds: float) -> dict[str, Any]:
        """The status once nothing goes on."""
        return self.until(lambda state: state["state"] not in ACTIVE, seconds)

    def done(self, seconds: float) -> dict[str, Any]:
        """The status of a run that has ended well."""
        state = self.ended(seconds)
        assert state["state"] == "done", (state, self.logs())
        return state

    def begun(self, count: int, seconds: float) -> dict[str, Any]:
        """The status once so many rollouts are done."""
        return self.until(lambda state: finished(state) >= count, seconds)

    def logs(self) -> str:
        """What `nel eval logs` says."""
        code, out, err = self.nel("eval", "logs", "run")
        return out if code == 0 else err

    def journaled(self) -> list[tuple[Path, int, int]]:
        """Journal, problem and repeat of every verdict: none may be there twice."""
        found = []
        for journal in self.directory.glob("**/journal.jsonl"):
            for line in journal.read_bytes().splitlines():
                event = json.loads(line)
                if event.get("event") == "scored":
                    found.append((journal, event["problem_idx"], event["repeat"]))
        return sorted(found)


def finished(state: dict[str, Any]) -> int:
    """Rollouts with a verdict."""
    return sum(benchmark["done"] for benchmark in state["benchmarks"].values())


def essence(directory: Path) -> list[tuple[object, ...]]:
    """What a run found, without what depends on when and where it ran."""
    names = ("problem_idx", "repeat", "reward", "expected_answer", "model_response")
    return [tuple(row.get(name) for name in names) for row in rows(directory / "sums")]


def scores(directory: Path) -> dict[str, Any]:
    """The scores of the bundle of a run, without how long it took."""
    [bundle] = (directory / "sums").glob("eval-*.json")
    found: dict[str, Any] = json.loads(bundle.read_text())["benchmark"]["scores"]
    del found["runtime"]
    return found

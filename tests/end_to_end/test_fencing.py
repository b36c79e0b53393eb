"""Two writers never: where file locks tell nothing, one process has a run directory, and one that
was given up for dead writes nothing more."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from lying import lying_locks, nel
from running import ended, running, until
from runs import BENCH, rows

from nemo_evaluator.results.journal import Scored, events, scan
from nemo_evaluator.results.layout import JOURNAL
from nemo_evaluator.results.owner import token_in

SIZE = 150
RACER = """
import sys
from pathlib import Path
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.results.lock import directory_lock
for line in sys.stdin:
    try:
        with directory_lock(Path(line.strip())) as lock:
            print("held", lock.owner.token, flush=True)
            sys.stdin.readline()
            print("lost" if lock.lost else "kept", flush=True)
    except ConfigError as error:
        print("refused", "in use by" in str(error), flush=True)
        sys.stdin.readline()
        print("kept", flush=True)
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return lying_locks(tmp_path)


def write_config(tmp_path: Path) -> Path:
    (tmp_path / "sums.py").write_text(BENCH % {"size": SIZE})
    document = {
        "services": {"model": {"type": "simulated", "latency": {"mean_ms": 60}}},
        "benchmarks": [{"name": str(tmp_path / "sums.py"), "max_concurrent": 2}],
        "output": {"dir": str(tmp_path / "run"), "report": []},
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


@contextmanager
def run(env: dict[str, str], *words: str, **kind: float | str) -> Iterator[subprocess.Popen[str]]:
    argv = nel("eval", "run", *words, **kind)  # type: ignore[arg-type]
    with subprocess.Popen(
        argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def until_journaled(directory: Path) -> None:
    """Wait for the first verdicts."""
    while not any(path.stat().st_size > 5000 for path in directory.glob(f"*/{JOURNAL}")):
        time.sleep(0.05)


def check_whole(directory: Path) -> None:
    """The journal is intact, and every rollout was judged once."""
    [folder] = [path.parent for path in directory.glob(f"*/{JOURNAL}")]
    assert not scan(folder / JOURNAL).damaged
    scored = Counter(
        (event.problem_idx, event.repeat)
        for event in events(folder / JOURNAL)
        if isinstance(event, Scored)
    )
    assert len(scored) == SIZE and set(scored.values()) == {1}
    assert len(rows(folder)) == SIZE
    assert (directory / ".lock").read_text().startswith("free ")
    assert not list(directory.glob(".lock.*"))


@pytest.mark.parametrize("rounds", [8, pytest.param(100, marks=pytest.mark.slow)])
def test_of_those_that_start_at_once_one_gets_the_directory(
    tmp_path: Path, env: dict[str, str], rounds: int
) -> None:
    argv = [sys.executable, "-c", RACER]
    racers = [
        subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]

    def all_say(text: str) -> list[str]:
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write(f"{text}\n")
            racer.stdin.flush()
        return [racer.stdout.readline().strip() for racer in racers if racer.stdout is not None]

    try:
        tokens = []
        for _ in range(rounds):
            answers = Counter(all_say(str(tmp_path / "run")))
            [held] = [answer for answer in answers if answer.startswith("held ")]
            assert answers[held] == 1 and answers["refused True"] == 2
            tokens.append(int(held.removeprefix("held ")))
            assert set(all_say("done")) == {"kept"}
        assert tokens == sorted(set(tokens))
    finally:
        for racer in racers:
            racer.kill()
            racer.communicate()


@pytest.mark.slow
def test_a_run_that_goes_on_is_not_taken_over(tmp_path: Path, env: dict[str, str]) -> None:
    config = write_config(tmp_path)
    with run(env, str(config)) as first:
        running(tmp_path / "run")
        with run(env, str(config), "--resume") as second:
            assert "in use by pid" in second.communicate(timeout=30)[1]
            assert second.returncode == 2
        first.communicate(timeout=60)
        assert first.returncode == 0
    check_whole(tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("machine", ["", "host-b"])
def test_one_that_was_held_up_until_it_was_given_up_writes_nothing_more(
    tmp_path: Path, env: dict[str, str], machine: str
) -> None:
    config = write_config(tmp_path)
    with run(env, str(config)) as first:
        running(tmp_path / "run")
        os.kill(first.pid, signal.SIGSTOP)
        if not machine:  # the clock is the same: it tells since when it is silent
            with run(env, str(config), "--resume", fresh=30) as second:
                assert "in use by" in second.communicate(timeout=30)[1]
            until(tmp_path / "run", lambda s: s.owner is not None and s.owner.seen > 1.5)
        with run(env, str(config), "--resume", machine=machine) as second:
            until(
                tmp_path / "run", lambda s: s.owner is not None and s.owner.pid == second.pid, 180
            )
            running(tmp_path / "run")
            written = (tmp_path / "run/.lock").read_bytes()
            os.kill(first.pid, signal.SIGCONT)
            told = first.communicate(timeout=30)[1]
            assert first.returncode == 2
            assert "was taken over by pid" in told and "Traceback" not in told
            # The second has it, or has given it back: never the first.
            assert token_in((tmp_path / "run/.lock").read_bytes()) == token_in(written) == 2
            said = second.communicate(timeout=60)[1]
            assert second.returncode == 0, said
    check_whole(tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("ahead", [-120.0, 120.0])
def test_a_clock_that_is_wrong_does_not_end_a_run(
    tmp_path: Path, env: dict[str, str], ahead: float
) -> None:
    config = write_config(tmp_path)
    with run(env, str(config), machine="host-a", ahead=ahead) as first:
        until_journaled(tmp_path / "run")
        with run(env, str(config), "--resume", machine="host-b") as second:
            assert "in use by pid" in second.communicate(timeout=30)[1]
        first.communicate(timeout=60)
        assert first.returncode == 0
    check_whole(tmp_path / "run")


@pytest.mark.slow
def test_one_that_was_killed_is_taken_over(tmp_path: Path, env: dict[str, str]) -> None:
    config = write_config(tmp_path)
    with run(env, str(config)) as first:
        running(tmp_path / "run")
        first.kill()
        first.wait()
    with run(env, str(config), "--resume") as second:
        said = second.communicate(timeout=60)[1]
        assert second.returncode == 0, said
    ended(tmp_path / "run")
    check_whole(tmp_path / "run")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(3))
def test_whatever_becomes_of_the_writers_there_is_one_at_a_time(
    tmp_path: Path, env: dict[str, str], seed: int
) -> None:
    """Processes on three machines with clocks of their own want the run; they are suspended, go on
    and are killed at any moment."""
    rng = random.Random(seed)
    config = write_config(tmp_path)
    begun: list[subprocess.Popen[bytes]] = []

    def begin(machine: str, ahead: float) -> None:
        argv = nel("eval", "run", str(config), "--resume", machine=machine, ahead=ahead)
        with (tmp_path / f"said-{len(begun)}").open("wb") as said:
            begun.append(subprocess.Popen(argv, env=env, stdout=said, stderr=said))

    clocks = {"host-a": 0.0, "host-b": 90.0, "host-c": -90.0}
    try:
        for _ in range(12):
            for machine in rng.sample([*clocks], 2):  # at the same moment
                begin(machine, clocks[machine])
            time.sleep(rng.uniform(0.5, 3))
            for process in begun:
                signal_ = rng.choice((signal.SIGSTOP, signal.SIGCONT, signal.SIGKILL, None))
                if signal_ is not None and process.poll() is None:
                    process.send_signal(signal_)
        for process in begun:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
        for process in begun:
            process.wait(timeout=60)
        begin("host-a", 0.0)
        assert begun[-1].wait(timeout=60) == 0
    finally:
        for process in begun:
            process.kill()
            process.wait()
    said = "".join(path.read_text() for path in tmp_path.glob("said-*"))
    assert "Traceback" not in said
    check_whole(tmp_path / "run")


@pytest.mark.slow
def test_of_merges_at_the_same_moment_one_writes_at_a_time(
    tmp_path: Path, env: dict[str, str]
) -> None:
    (tmp_path / "sums.py").write_text(BENCH % {"size": SIZE})
    document = {
        "services": {"model": {"type": "simulated"}},
        "benchmarks": [{"name": str(tmp_path / "sums.py")}],
        "output": {"dir": str(tmp_path / "run"), "report": []},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(document))
    for index in range(3):
        with run(env, str(tmp_path / "config.yaml"), "--shard", f"{index}/3") as shard:
            assert shard.wait(60) == 0
    merges = [
        subprocess.Popen(
            nel("eval", "merge", str(tmp_path / "run")),
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    said = [merge.communicate(timeout=60)[1] for merge in merges]
    assert 0 in [merge.returncode for merge in merges]
    for merge, text in zip(merges, said, strict=True):
        assert merge.returncode == 0 or (merge.returncode == 2 and "in use by" in text), text
    check_whole(tmp_path / "run")

"""A run on a login node behind a real sshd, where only Slurm's commands are played."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Nel
from slurm_played import Shims
from sshd import far_host

from nemo_evaluator.executors.slurm import handle
from nemo_evaluator.executors.slurm.plan import SECRETS

pytestmark = pytest.mark.slow


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shims]:
    """The commands of Slurm are on the PATH of sessions there, and not here."""
    here = os.environ["PATH"]
    slurm = Shims(tmp_path / "slurm", monkeypatch)
    there = os.environ["PATH"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("CANARY", "canary-4471")
    monkeypatch.setattr(handle, "SETTLE_SECONDS", 0.0)
    with tempfile.TemporaryDirectory(prefix="h") as home:
        monkeypatch.setenv("HOME", home)
        with far_host(tmp_path / "sshd", {"PATH": there}) as programs:
            monkeypatch.setenv("PATH", f"{programs}:{here}")
            yield slurm


def write_config(directory: Path) -> None:
    document = {
        "services": {"m": {"type": "simulated"}},
        "benchmarks": [{"name": "own.jsonl"}],
        "solver": {"type": "simple", "service": "m"},
        "cluster": {
            "type": "slurm",
            "hostname": "far",
            "walltime": "01:00:00",
            "node_pools": {"main": {"partition": "cpu"}},
            "container_env": {"TOKEN": "${CANARY}"},
            "shards": 2,
        },
        "output": {"dir": str(directory), "timestamped": False},
    }
    Path("c.yaml").write_text(json.dumps(document))
    rows = [{"prompt": f"{i} + 1?", "target": str(i + 1)} for i in range(6)]
    Path("own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_run_is_submitted_followed_and_copied(
    far: Shims, nel: Nel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "far away" / "run"
    write_config(directory)
    code, out, err = nel("eval", "run", "c.yaml")
    assert code == 0 and f"submitted to slurm as 100, 101: far:{directory}\n" in out, err
    assert (directory / SECRETS).stat().st_mode & 0o777 == 0o600
    assert (directory / "own.jsonl").exists() and (directory / "nel_eval.sbatch").exists()
    state = json.loads(nel("eval", "status", directory, "--json")[1])
    assert state["state"] == "pending" and state["shards"]["1"]["state"] == "pending"
    for shard in ("0", "1"):
        with monkeypatch.context() as job:
            job.setenv("NEL_INNER_EXECUTION", "1")
            job.setenv("NEL_SHARD_IDX", shard)
            job.setenv("NEL_TOTAL_SHARDS", "2")
            job.chdir(directory)
            assert nel("eval", "run", "job.yaml", "--resume")[0] == 0
    (directory / "logs/slurm-100_1.log").write_text("from there\n")
    assert "from there" in nel("eval", "logs", directory)[1]
    assert nel("eval", "merge", directory)[0] == 0
    far.turn("COMPLETED")
    state = json.loads(nel("eval", "status", directory, "--json")[1])
    assert state["state"] == "done" and state["benchmarks"]["own"]["done"] == 6
    assert not (directory / SECRETS).exists()
    for _ in range(2):
        assert nel("eval", "fetch", directory, "--into", "copy")[0] == 0
    assert nel("eval", "report", "copy", "-f", "csv") == nel(
        "eval", "report", directory, "-f", "csv"
    )
    assert "canary-4471" not in (tmp_path / "sshd" / "asked").read_text()


def test_what_is_not_there_is_one_line(far: Shims, nel: Nel, tmp_path: Path) -> None:
    write_config(tmp_path / "there")
    for name in ("sbatch", "squeue"):
        # Not removed: where a real Slurm is installed, its commands would be found instead.
        absent = f"#!/bin/sh\necho 'sh: {name}: not found' >&2\nexit 127\n"
        (tmp_path / "slurm/bin" / name).write_text(absent)
    code, _, err = nel("eval", "run", "c.yaml")
    assert code == 2 and err.count("error: ") <= 2 and "sbatch" in err, err
    assert not (tmp_path / "there" / SECRETS).exists() and nel("eval", "jobs")[1] == "No runs.\n"
    code, _, err = nel("eval", "run", "c.yaml", "-O", "cluster.hostname=closed")
    assert code == 2 and "closed: ssh: " in err and "must work without a question" in err
    code, _, err = nel("eval", "run", "c.yaml", "-O", "cluster.hostname=-oProxyCommand=x")
    assert code == 2 and "is not the name of a host" in err
    assert nel("eval", "run", "c.yaml", "-O", "cluster={type: local}", "-o", "here")[0] == 0
    code, _, err = nel("eval", "fetch", "here")
    assert code == 2 and "is on this host already" in err

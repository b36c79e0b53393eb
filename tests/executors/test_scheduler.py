"""Whether a job that holds a run still runs, as the scheduler says."""

from __future__ import annotations

from pathlib import Path

import pytest

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.executors.scheduler import job_runs
from nemo_evaluator.results.lock import directory_lock
from nemo_evaluator.results.owner import Owner, this_process

SAYS = """#!/bin/sh
printf '%s ' "$@" >> "$0.asked"
[ -z "{state}" ] || echo "$(printf '%s\n' "$@" | sed -n s/--jobs=//p) {state}"
echo {error} >&2
exit {code}
"""


def squeue(folder: Path, state: str = "", error: str = "", code: int = 0) -> Path:
    path = folder / "squeue"
    path.write_text(SAYS.format(state=state, error=error, code=code))
    path.chmod(0o755)
    return folder / "squeue.asked"


@pytest.fixture(autouse=True)
def only_this_scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for name in ("SLURM_JOB_ID", "SLURM_RESTART_COUNT", "SLURM_CLUSTER_NAME"):
        monkeypatch.delenv(name, raising=False)


def owner(job: str = "7", **more: str) -> Owner:
    return Owner(1, "another-host", 10.0, 3, job=job, **more)


@pytest.mark.parametrize(
    ("state", "error", "code", "runs"),
    [
        ("RUNNING", "", 0, True),
        ("SUSPENDED", "", 0, True),
        ("", "", 0, False),
        ("PENDING", "", 0, False),
        ("COMPLETING", "", 0, None),
        ("", "slurm_load_jobs error: Invalid job id specified", 1, False),
        ("", "slurm_load_jobs error: Unable to contact slurm controller", 1, None),
    ],
)
def test_what_the_scheduler_says(
    tmp_path: Path, state: str, error: str, code: int, runs: bool | None
) -> None:
    asked = squeue(tmp_path, state, error, code)
    assert job_runs(owner(cluster="far")) is runs
    assert asked.read_text() == "--noheader --jobs=7 --format=%A %T "


def test_other_tasks_of_an_array_are_other_jobs(tmp_path: Path) -> None:
    """One task of an array has the number of the array."""
    squeue(tmp_path, "PENDING\n8 RUNNING")
    assert job_runs(owner()) is False


def test_another_cluster_is_asked_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CLUSTER_NAME", "near")
    asked = squeue(tmp_path, "RUNNING")
    assert job_runs(owner(cluster="far"))
    assert "--clusters=far" in asked.read_text()


def test_who_is_in_no_job_or_in_this_one_is_not_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = squeue(tmp_path, "RUNNING")
    assert job_runs(owner(job="")) is None
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert job_runs(owner()) is None
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert job_runs(owner()) is False  # the same job before it was requeued
    assert not asked.exists()


@pytest.mark.parametrize(("state", "free"), [("RUNNING", False), ("", True)])
def test_a_run_is_taken_over_at_once_where_its_job_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, free: bool
) -> None:
    squeue(tmp_path, state)
    run = tmp_path / "run"
    run.mkdir()
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    (run / ".lock").write_bytes(this_process(5).line().replace(b"kernel=", b"kernel=another"))
    monkeypatch.delenv("SLURM_JOB_ID")
    if not free:
        hint = r"in use by pid \d+ on .* \(job 12\).* or end its job \(12\)"
        with pytest.raises(ConfigError, match=hint), directory_lock(run, runs=job_runs):
            pass
        return
    with directory_lock(run, runs=job_runs) as lock:
        assert lock.owner.token == 6
        assert lock.taken_from is not None and lock.taken_from.job == "12"

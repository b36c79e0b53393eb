"""Submitting, following, stopping and resuming a run where only Slurm's commands are played."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from commands import Nel
from runs import NEL
from slurm_played import Shims

from nemo_evaluator.executors.slurm import client, handle, log
from nemo_evaluator.executors.slurm.plan import CHAIN, ENDS, SECRETS
from nemo_evaluator.results.progress_file import read_progress, write_progress

CONFIG: dict[str, Any] = {
    "services": {"m": {"type": "simulated"}},
    "benchmarks": [
        {"name": "sample", "max_problems": 6, "solver": {"type": "simple", "service": "m"}}
    ],
    "cluster": {
        "type": "slurm",
        "walltime": "01:00:00",
        "node_pools": {"main": {"partition": "cpu"}},
        "container_env": {"TOKEN": "${CANARY}"},
        "shards": 2,
    },
    "output": {"dir": "run", "timestamped": False},
}


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shims:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("CANARY", "canary-93b1")
    monkeypatch.setattr(client, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(client, "SETTLED_SECONDS", 0.0)
    monkeypatch.setattr(handle, "SETTLE_SECONDS", 0.0)
    configure()
    return Shims(tmp_path / "slurm", monkeypatch)


def configure(**cluster: object) -> None:
    text = json.dumps({**CONFIG, "cluster": {**CONFIG["cluster"], **cluster}})
    Path("c.yaml").write_text(text)


def status(nel: Nel, *words: object) -> dict[str, Any]:
    code, out, err = nel("eval", "status", "run", "--json", *words)
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


FAILS = (
    *("-O", "services.m.faults={server_error: 1}", "-O", "services.m.proxy.max_retries=0"),
    *("-O", "benchmarks.0.max_system_retries=1"),
)


def play(
    nel: Nel, monkeypatch: pytest.MonkeyPatch, shard: int | None, *words: str, code: int = 0
) -> None:
    """What the job of a shard does, or of a run without shards."""
    with monkeypatch.context() as job:
        job.setenv("NEL_INNER_EXECUTION", "1")
        if shard is not None:
            job.setenv("NEL_SHARD_IDX", str(shard))
            job.setenv("NEL_TOTAL_SHARDS", "2")
        assert nel("eval", "run", "run/job.yaml", "--resume", *words)[0] == code


def test_jobs_are_submitted_in_order_and_recorded(slurm: Shims, nel: Nel) -> None:
    code, out, err = nel("eval", "run", "c.yaml")
    assert code == 0 and "submitted to slurm as 100, 101: run\n" in out, err
    first, second = slurm.jobs
    assert first["tasks"] == [0, 1] and first["after"] == ""
    assert second["after"] == "afterany:100" and second["name"] != first["name"]
    secrets = Path("run", SECRETS)
    assert secrets.stat().st_mode & 0o777 == 0o600 and "canary-93b1" in secrets.read_text()
    others = [p for p in Path("run").rglob("*") if p.is_file() and p != secrets]
    assert others and not any("canary-93b1" in path.read_text() for path in others)
    assert "canary-93b1" not in json.dumps(slurm.asked("sbatch"))
    state = status(nel)
    assert (state["state"], state["reason"]) == ("pending", "other jobs come first (Priority)")
    assert {s["state"] for s in state["shards"].values()} == {"pending"}
    slurm.turn("PENDING", "Dependency")
    assert status(nel)["jobs"] == [
        "job 100, an array of the shards: 2 PENDING",
        "job 101 PENDING: it starts after the shards",
    ]
    slurm.turn("PENDING", "QOSMaxCpuPerUserLimit")
    assert "limit of the account" in status(nel, "--shard", 1)["reason"]


def test_a_dry_run_submits_and_writes_nothing(slurm: Shims, nel: Nel) -> None:
    code, out, _ = nel("eval", "run", "c.yaml", "--dry-run")
    assert code == 0 and "#SBATCH --array=0-1" in out and "canary-93b1" not in out
    assert not Path("run").exists() and not slurm.asked("sbatch")


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("Invalid partition name specified", "node_pools.*.partition"),
        ("Invalid job array specification", "MaxArraySize"),
        ("Requested node configuration is not available", "no node has what node_pools.* asks for"),
        ("Slot machine is empty", "nothing of this job was submitted"),
    ],
)
def test_what_is_refused_as_a_whole_leaves_no_run(
    slurm: Shims, nel: Nel, said: str, hint: str
) -> None:
    slurm.fail("sbatch", f"Batch job submission failed: {said}")
    code, _, err = nel("eval", "run", "c.yaml")
    assert code == 2 and f"sbatch refuses it: {said} — " in err and hint in err
    assert not Path("run", SECRETS).exists() and Path("run/nel_eval.sbatch").exists()
    assert nel("eval", "status", "run")[0] == 2 and nel("eval", "jobs")[1] == "No runs.\n"
    assert nel("eval", "run", "c.yaml")[0] == 0  # the same command, once the file is right
    assert len(slurm.jobs) == 2


def test_many_shards_that_are_alike_take_one_line(slurm: Shims, nel: Nel) -> None:
    configure(shards=600)
    assert nel("eval", "run", "c.yaml")[0] == 0
    out = nel("eval", "status", "run")[1]
    assert "  shards 0-599: pending (other jobs come first (Priority))" in out
    slurm.turn("NODE_FAIL")
    Path("run/shard_7").mkdir()
    Path("run/shard_7", CHAIN).write_text("777_7\n")
    out = nel("eval", "status", "run")[1]
    assert "reason     shards 0-599 failed: job 100_0: a node failed; nel eval" in out
    assert "  shards 0-599: failed (job 100: a node failed; nel eval resume goes on with it" in out
    assert nel("eval", "resume", "run")[0] == 0
    assert "--array=0-599" in slurm.asked("sbatch")[-2]


def test_a_full_disk_leaves_no_secrets(slurm: Shims) -> None:
    command = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000)); "
        "from nemo_evaluator.cli.main import main; sys.argv = ['nel', *sys.argv[1:]]; main()"
    )
    words = [sys.executable, "-c", command, "eval", "run", "c.yaml"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 2 and "cannot be written: File too large" in done.stderr
    assert Path("run").is_dir() and not Path("run", SECRETS).exists() and not slurm.jobs


def test_a_place_that_is_no_folder_is_said(slurm: Shims, nel: Nel) -> None:
    Path("file").touch()
    code, _, err = nel("eval", "run", "c.yaml", "-o", "file/run")
    assert code == 2 and "file: cannot be written: Not a directory" in err.replace(
        "file/run", "file"
    )


def test_a_refused_resume_leaves_the_run_as_it_was(slurm: Shims, nel: Nel) -> None:
    assert nel("eval", "run", "c.yaml")[0] == 0
    slurm.turn("TIMEOUT")
    before = json.loads(Path("run/submission.json").read_text())["details"]
    slurm.fail("sbatch", "Batch job submission failed: Invalid qos specification")
    code, _, err = nel("eval", "resume", "run")
    assert code == 2 and "cluster.qos" in err
    assert json.loads(Path("run/submission.json").read_text())["details"] == before
    assert status(nel)["state"] == "failed" and not Path("run", SECRETS).exists()
    assert nel("eval", "resume", "run")[0] == 0 and len(slurm.jobs) == 4


def test_an_array_that_is_cancelled_before_it_begins_is_cancelled(slurm: Shims, nel: Nel) -> None:
    assert nel("eval", "run", "c.yaml")[0] == 0
    slurm.turn("CANCELLED")
    slurm.as_one()
    state = status(nel)
    assert state["state"] == "cancelled" and "shards 0, 1 cancelled" in state["reason"]
    assert {shard["state"] for shard in state["shards"].values()} == {"cancelled"}


def test_what_says_when_a_run_begins_is_for_its_first_job(slurm: Shims, nel: Nel) -> None:
    configure(
        sbatch_extra=["--dependency=afterok:7", "--begin=20:00"], sbatch_extra_flags={"hold": True}
    )
    when = ["--hold", "--dependency=afterok:7", "--begin=20:00"]
    code, out, _ = nel("eval", "run", "c.yaml", "--dry-run")
    assert code == 0 and f"sbatch {' '.join(when)} " in out
    assert nel("eval", "run", "c.yaml")[0] == 0
    first, merge = slurm.asked("sbatch")
    assert all(word in first for word in when)
    assert not {word.partition("=")[0] for word in merge} & {"--hold", "--begin"}
    for script in Path("run").glob("*.sbatch"):
        assert not re.search(r"#SBATCH --(hold|dependency|begin)", script.read_text())
    slurm.turn("PENDING", "Dependency")
    shard = status(nel, "--shard", 0)
    assert shard["jobs"] == ["job 100_0 PENDING: it waits for the job it was told to wait for"]
    slurm.turn("TIMEOUT")
    assert nel("eval", "resume", "run")[0] == 0
    assert not set(slurm.asked("sbatch")[2]) & set(when)


def test_the_second_job_is_refused(slurm: Shims, nel: Nel) -> None:
    slurm.fail("sbatch", "", "Batch job submission failed: Job violates accounting policy")
    code, _, err = nel("eval", "run", "c.yaml")
    assert code == 2 and "accounting policy" in err and "evaluation as job 100" in err
    assert "nel eval resume" in err and Path("run", SECRETS).exists()
    assert status(nel)["state"] == "pending" and Path("run", SECRETS).exists()
    code, out, err = nel("eval", "resume", "run")
    assert code == 0 and "100, 101" in out, err
    assert len(slurm.jobs) == 2 and slurm.jobs[1]["after"] == "afterany:100"


def test_an_answer_that_is_lost_makes_no_second_job(slurm: Shims, nel: Nel) -> None:
    slurm.fail("sbatch", "lost", "lost")
    assert nel("eval", "run", "c.yaml")[0] == 0
    assert len(slurm.jobs) == 2


def test_a_submission_that_was_killed_is_found_and_completed(
    slurm: Shims, nel: Nel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after sbatch had accepted the first job, before anything of it was noted."""
    monkeypatch.setattr(client, "PATIENCE_SECONDS", 0.0)
    slurm.fail("sbatch", "lost")
    slurm.fail("squeue", "Invalid user, and the process is gone")
    assert nel("eval", "run", "c.yaml")[0] == 2
    assert len(slurm.jobs) == 1
    assert "ids" not in json.loads(Path("run/submission.json").read_text())
    assert status(nel)["state"] == "pending"
    assert json.loads(Path("run/submission.json").read_text())["ids"] == ["100"]
    assert nel("eval", "resume", "run")[0] == 0
    assert [job["id"] for job in slurm.jobs] == ["100", "101"]


def test_a_run_that_is_being_submitted_has_not_failed(slurm: Shims, nel: Nel) -> None:
    slurm.fail("sbatch", "away")
    slurm.fail("squeue", "Invalid user, and the process is gone")
    assert nel("eval", "run", "c.yaml")[0] == 2 and not slurm.jobs
    slurm.fail("squeue", *["away"] * 2)
    state = status(nel)
    assert state["state"] == "pending" and "Slurm does not answer" in state["reason"]
    state = status(nel)
    assert state["state"] == "pending" and "is being submitted" in state["reason"]
    submission = json.loads(Path("run/submission.json").read_text())
    submission["created"] = "2020-01-01T00:00:00+00:00"
    Path("run/submission.json").write_text(json.dumps(submission))
    assert status(nel)["state"] == "failed"
    assert nel("eval", "resume", "run")[0] == 0 and len(slurm.jobs) == 2


def test_only_what_is_incomplete_is_submitted_again(
    slurm: Shims, nel: Nel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert nel("eval", "run", "c.yaml")[0] == 0
    play(nel, monkeypatch, 1)
    slurm.turn("NODE_FAIL")
    state = status(nel)
    assert (
        state["state"] == "failed" and "shard 0 failed: job 100_0: a node failed" in state["reason"]
    )
    assert state["shards"]["1"]["state"] == "done" and not Path("run", SECRETS).exists()
    monkeypatch.setenv("CANARY", "canary-new")
    code, out, err = nel("eval", "resume", "run")
    assert code == 0, err
    assert [job["tasks"] for job in slurm.jobs[2:]] == [[0], None]
    Path("run/shard_0").mkdir()
    Path("run/shard_0", CHAIN).write_text("100_0\n777_0\n")
    for job in ("777", "777_0", "102_0", "101"):
        assert "directory  run\n" in nel("eval", "status", "--job-id", job)[1]
    Path("run/shard_0", CHAIN).unlink()
    assert "canary-new" in Path("run", SECRETS).read_text()
    code, _, err = nel("eval", "resume", "run")
    assert code == 2 and "goes on by itself: job 102_0 is PENDING" in err
    play(nel, monkeypatch, 0)
    slurm.turn("COMPLETED")
    state = status(nel)
    assert state["state"] == "incomplete" and "nel eval merge run" in state["reason"]
    assert nel("eval", "resume", "run")[0] == 0
    assert slurm.jobs[-1]["after"] == "" and len(slurm.jobs) == 5  # only the merge
    assert nel("eval", "merge", "run")[0] == 0
    slurm.turn("COMPLETED")
    state = status(nel)
    assert (state["state"], state["exit_code"]) == ("done", 0)
    assert state["benchmarks"]["sample"]["score"]["measure"] == "pass@1"
    assert re.search(r"sample 6/6 pass@1 \d", nel("eval", "status", "run")[1])
    assert "there is nothing to go on with" in nel("eval", "resume", "run")[2]
    code, out, _ = nel("eval", "status", "run", "--watch")
    assert code == 0 and "  shard 1: done 3/3" in out


def test_how_long_a_run_takes_counts_from_its_first_job(
    slurm: Shims, nel: Nel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert nel("eval", "run", "c.yaml")[0] == 0
    for index in (0, 1):
        play(nel, monkeypatch, index)
        folder = Path(f"run/shard_{index}")
        progress = read_progress(folder)
        assert progress is not None and progress.first_started == progress.started
        earlier = progress.started - 3600 * (index + 1)
        write_progress(folder, msgspec.structs.replace(progress, first_started=earlier))
    before = status(nel)
    assert before["run_id"] == json.loads(Path("run/submission.json").read_text())["run_id"]
    assert before["first_started"] == pytest.approx(before["started"] - 7200, abs=60)
    assert nel("eval", "merge", "run")[0] == 0
    slurm.turn("COMPLETED")
    merged = status(nel)
    assert merged["first_started"] == before["first_started"]
    assert merged["ended"] == max(shard["ended"] for shard in merged["shards"].values())
    assert ", 2h00m long" in nel("eval", "status", "run")[1]


def test_attempts_count_on_where_that_is_asked(slurm: Shims, nel: Nel) -> None:
    assert nel("eval", "run", "c.yaml")[0] == 0
    slurm.turn("TIMEOUT")
    assert nel("eval", "resume", "run", "--continue-attempts")[0] == 0
    words = slurm.asked("sbatch")[2]
    assert words[-4:] == [str(Path("run/nel_eval.sbatch").resolve()), "1", "", "0"]


def test_stop_takes_waiting_jobs_back(slurm: Shims, nel: Nel) -> None:
    assert nel("eval", "run", "c.yaml")[0] == 0
    code, out, err = nel("eval", "stop", "run", "--wait", 5)
    assert code == 0 and out == "stopped: cancelled\n", err
    assert {job["state"] for job in slurm.jobs} == {"CANCELLED"}
    assert not Path("run", SECRETS).exists()
    assert "is not running: it is cancelled" in nel("eval", "stop", "run")[2]


def test_where_slurm_does_not_answer_files_say_what_they_know(
    slurm: Shims, nel: Nel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert nel("eval", "run", "c.yaml")[0] == 0
    play(nel, monkeypatch, 0)
    slurm.fail("squeue", "away")
    state = status(nel)
    assert "Slurm does not answer" in state["reason"] and "the files say" in state["reason"]
    assert state["benchmarks"]["sample"]["done"] == 3 and Path("run", SECRETS).exists()
    assert state["state"] == "pending" and state["shards"]["1"]["state"] == "pending"
    slurm.fail("squeue", *["away"] * 3)
    for command in ("stop", "resume"):
        code, _, err = nel("eval", command, "run")
        assert code == 2 and "Slurm does not answer" in err


def test_a_directory_with_results_is_refused(slurm: Shims, nel: Nel) -> None:
    local = ("-O", "cluster={type: local}")
    assert nel("eval", "run", "c.yaml", *local)[0] == 0
    code, _, err = nel("eval", "run", "c.yaml")
    assert code == 2 and "already holds" in err and not slurm.asked("sbatch")
    assert nel("eval", "run", "c.yaml", "--resume")[0] == 0


def test_each_run_has_a_folder_unless_it_is_told_otherwise(slurm: Shims, nel: Nel) -> None:
    assert nel("eval", "run", "c.yaml", "-O", "output.timestamped=null")[0] == 0
    assert nel("eval", "run", "c.yaml", "-O", "output.timestamped=null")[0] == 0
    first, second = sorted(Path("run").iterdir())
    assert nel("eval", "status", "run")[1] == nel("eval", "status", second)[1]
    slurm.turn("TIMEOUT")
    again = nel("eval", "run", "c.yaml", "-O", "output.timestamped=null", "--resume")
    assert again[0] == 0 and str(second) in again[1] and len(slurm.jobs) == 6
    assert len(nel("eval", "jobs")[1].splitlines()) == 3 and first.is_dir()


def test_a_host_without_slurm_says_so(
    slurm: Shims, nel: Nel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert nel("eval", "run", "c.yaml", "-o", "other")[0] == 0
    monkeypatch.setenv("PATH", "/nonexistent")
    code, out, _ = nel("eval", "status", "other")
    assert code == 0 and "there is no command 'squeue'" in out and "the files say" in out
    code, _, err = nel("eval", "run", "c.yaml")
    assert code == 2 and "there is no command 'sbatch' on this host" in err


def test_why_a_job_failed_is_what_it_wrote(slurm: Shims, nel: Nel) -> None:
    assert nel("eval", "run", "c.yaml")[0] == 0
    slurm.turn("FAILED")
    reasons = {index: shard["reason"] for index, shard in status(nel)["shards"].items()}
    assert "ended with an error" in reasons["0"] and "no rollout was made" in reasons["0"]
    Path("run/shard_0").mkdir()
    Path("run/shard_0", ENDS).write_text("99_0 143 \n100_0 2 port 8000 of n1 is in use\n")
    state = status(nel)
    assert state["state"] == "failed" and state["exit_code"] == 3
    assert state["reason"].startswith("shards 0, 1 failed: job 100_0: port 8000 of n1 is in use;")


def test_what_every_job_would_find_missing_is_said_before_it_waits(slurm: Shims, nel: Nel) -> None:
    for name, why in (
        ("gsm9k", "there is no benchmark 'gsm9k' — did you mean 'gsm8k'"),
        ("./sums.py:one", "./sums.py:one: there is no such file"),
        ("nowhere://x", "nowhere://x: unknown scheme nowhere://"),
    ):
        for more in ("--dry-run", "--wait"):
            code, out, err = nel("eval", "run", "c.yaml", "-O", f"benchmarks.0.name={name}", more)
            assert (code, out) == (2, "") and f"benchmarks[0].name: {why}" in err
    proxy = "services.m.proxy.interceptors=[{name: cachin}]"
    assert "did you mean 'caching'" in nel("eval", "run", "c.yaml", "-O", proxy)[2]
    assert not slurm.asked("sbatch") and not Path("run").exists()
    # Jobs that run another installation may know more.
    there = ("-O", "benchmarks.0.name=gsm9k", "-O", "cluster.conda_env=more")
    assert nel("eval", "run", "c.yaml", "--dry-run", *there)[0] == 0


def test_a_mistake_that_a_job_finds_is_for_the_user_to_fix(slurm: Shims, nel: Nel) -> None:
    configure(shards=None)
    assert nel("eval", "run", "c.yaml")[0] == 0
    slurm.turn("FAILED")
    Path("run", ENDS).write_text("100 2 sums.py:3: the file cannot be read\n")
    state = status(nel)
    assert (state["state"], state["exit_code"]) == ("failed", 2)
    assert state["reason"].startswith("job 100: sums.py:3: the file cannot be read; ")


def test_what_an_incomplete_shard_says_is_shown(
    slurm: Shims, nel: Nel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert nel("eval", "run", "c.yaml")[0] == 0
    play(nel, monkeypatch, 0)
    play(nel, monkeypatch, 1, *FAILS, code=3)
    slurm.turn("COMPLETED")
    out = nel("eval", "status", "run")[1]
    assert "  shard 0: done 3/3\n  shard 1: incomplete 0/3 (" in out
    assert "    incomplete: sample: 3 of 3 rollouts have no verdict" in out


def test_how_the_last_job_ended_is_not_said_of_the_next_one(
    slurm: Shims, nel: Nel, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(shards=None)
    assert nel("eval", "run", "c.yaml")[0] == 0
    play(nel, monkeypatch, None, *FAILS, code=3)
    for state, shown in (("RUNNING", "starting"), ("PENDING", "pending")):
        slurm.turn(state)
        seen = status(nel)
        assert (seen["state"], seen["exit_code"], seen["messages"]) == (shown, None, [])
    slurm.turn("COMPLETED")
    assert status(nel)["exit_code"] == 3 and status(nel)["messages"]


def test_jobs_are_told_in_the_order_of_their_submission(slurm: Shims, nel: Nel) -> None:
    """The follow-up of the first job is older than the job of the resume."""
    configure(shards=None)
    other = Path("other.yaml")
    other.write_text(Path("c.yaml").read_text().replace('"run"', '"other"'))
    assert nel("eval", "run", "c.yaml")[0] == 0
    assert nel("eval", "run", other)[0] == 0  # job 101 stands for the follow-up of job 100
    slurm.turn("CANCELLED")
    assert nel("eval", "resume", "run")[0] == 0
    Path("run", CHAIN).write_text("100\n101\n")
    assert [text[:7] for text in status(nel)["jobs"]] == ["job 100", "job 101", "job 102"]
    assert "goes on by itself: job 102 is PENDING" in nel("eval", "resume", "run")[2]


def test_a_cluster_without_accounting_is_followed_by_its_queue(slurm: Shims, nel: Nel) -> None:
    assert nel("eval", "run", "c.yaml")[0] == 0
    slurm.fail("sacct", *["Slurm accounting storage is disabled"] * 3)
    assert status(nel)["state"] == "pending"
    Path("slurm/bin/sacct").unlink()
    slurm.turn("TIMEOUT")
    state = status(nel)
    assert state["state"] == "failed" and "the time limit of 1:00:00 was reached" in state["reason"]


def test_a_log_is_followed_from_one_job_into_the_next(
    slurm: Shims, nel: Nel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handle, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(log, "POLL_SECONDS", 0.05)
    configure(shards=None)
    assert nel("eval", "run", "c.yaml")[0] == 0
    code, _, err = nel("eval", "logs", "run")
    assert code == 2 and "there is no log yet: the run is pending" in err
    with subprocess.Popen([*NEL, "eval", "logs", "run", "-f"], stdout=subprocess.PIPE) as follower:
        assert follower.stdout is not None
        write_log("100", "one\ntw")
        assert follower.stdout.readline() == b"one\n"
        write_log("100", "o\n")
        assert follower.stdout.readline() == b"two\n"
        Path("run", CHAIN).write_text("100\n101\n")
        write_log("101", "three\nlast")
        follower.terminate()
    slurm.turn("COMPLETED")
    code, out, _ = nel("eval", "logs", "run", "-f")
    lines = ["==> logs/slurm-100.log <==", "one", "two", "==> logs/slurm-101.log <==", "three"]
    assert (code, out.splitlines()) == (0, [*lines, "last"])
    assert nel("eval", "logs", "run", "-n", 1)[1].splitlines() == ["three", "last"]


def write_log(job: str, text: str) -> None:
    with Path(f"run/logs/slurm-{job}.log").open("a") as file:
        file.write(text)


def test_a_job_that_ends_while_it_is_looked_at_is_no_failure(
    slurm: Shims, nel: Nel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run ends after its files were read, and before Slurm is asked."""
    configure(shards=None)
    assert nel("eval", "run", "c.yaml")[0] == 0
    slurm.turn("RUNNING")
    real = client.Slurm.numbered

    async def late(self: client.Slurm, ids: Iterable[str]) -> list[client.JobState]:
        if not Path("run/run.json").exists():
            env = {**os.environ, "NEL_INNER_EXECUTION": "1"}
            job = [*NEL, "eval", "run", "run/job.yaml", "--resume"]
            await asyncio.to_thread(subprocess.run, job, env=env, check=True, capture_output=True)
            slurm.turn("COMPLETED")
        return await real(self, ids)

    monkeypatch.setattr(client.Slurm, "numbered", late)
    assert status(nel)["state"] == "done"

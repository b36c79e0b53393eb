"""Slurm's commands fail, hang and lie about it: nothing is submitted twice, nothing is lost."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slurm_played import Shims

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.executors.host import TIMED_OUT, Done, Host, ThisHost
from nemo_evaluator.executors.slurm import client
from nemo_evaluator.executors.slurm.client import JobState, Slurm, SlurmAway
from nemo_evaluator.executors.slurm.reasons import hopeless, why_ended, why_waiting


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shims:
    monkeypatch.setattr(client, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(client, "SETTLED_SECONDS", 0.0)
    (tmp_path / "job.sh").write_text("#!/bin/bash\n")
    return Shims(tmp_path / "slurm", monkeypatch)


def words(tmp_path: Path) -> list[str]:
    return ["--", str(tmp_path / "job.sh")]


async def test_a_lost_answer_is_found_by_the_name(slurm: Shims, tmp_path: Path) -> None:
    slurm.fail("sbatch", "lost")
    assert await Slurm(ThisHost()).submit("nel-a-1", words(tmp_path)) == "100"
    assert len(slurm.jobs) == 1 and len(slurm.asked("sbatch")) == 1
    assert slurm.asked("sbatch")[0][:3] == ["--parsable", "--export=NONE", "--job-name=nel-a-1"]


async def test_a_controller_that_is_away_is_waited_for_and_said_once(
    slurm: Shims, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    slurm.fail("sbatch", "away", "away")
    slurm.fail("squeue", "away", "away", "", "")
    with caplog.at_level(logging.WARNING):
        assert await Slurm(ThisHost()).submit("nel-a-1", words(tmp_path)) == "100"
    assert len(slurm.jobs) == 1 and len(slurm.asked("sbatch")) == 3
    assert caplog.text.count("does not answer") == 1


async def test_patience_ends(slurm: Shims, tmp_path: Path) -> None:
    slurm.fail("sbatch", *["away"] * 50)
    slurm.fail("squeue", *["away"] * 50)
    with pytest.raises(SlurmAway, match=r"Slurm does not answer \(squeue: .*contact"):
        await Slurm(ThisHost(), patience=0.2).submit("nel-a-1", words(tmp_path))
    assert len(slurm.asked("sbatch")) == 1


async def test_what_is_refused_is_not_tried_again(slurm: Shims, tmp_path: Path) -> None:
    slurm.fail("sbatch", "Batch job submission failed: Invalid account or account/partition")
    with pytest.raises(
        ConfigError, match=r"job nel-a-1: sbatch refuses it: Invalid account.*cluster\.account"
    ):
        await Slurm(ThisHost()).submit("nel-a-1", words(tmp_path))
    assert len(slurm.asked("sbatch")) == 1


async def test_jobs_that_are_over_are_cancelled_without_an_error(slurm: Shims) -> None:
    slurm.fail("scancel", "Kill job error on job id 7: Invalid job id specified")
    await Slurm(ThisHost()).cancel(["7"])
    slurm.fail("scancel", "away", "")
    await Slurm(ThisHost()).cancel(["7", "7"])
    assert slurm.asked("scancel") == [["7"]] * 3
    slurm.fail("scancel", "Access/permission denied")
    with pytest.raises(ConfigError, match=r"scancel: .*denied"):
        await Slurm(ThisHost()).cancel(["7"])


async def test_jobs_that_the_queue_forgot_come_from_the_accounting() -> None:
    queue = Done(1, b"", "slurm_load_jobs error: Invalid job id specified")
    rows = (
        b"12|CANCELLED by 1000|None|00:01:00|01:00:00|n1|nel-a|0:15\n13_[0-2]|PENDING|||||nel-a|\n"
    )
    found = await Slurm(Says(queue, Done(0, rows, ""))).numbered(["12", "13"])
    state = JobState("12", "CANCELLED", "by 1000", "00:01:00", "01:00:00", "n1", "nel-a", "0:15")
    assert found == [state]
    assert "by user 1000" in why_ended(state)
    assert await Slurm(Says(queue, Done(1, b"", "no accounting"))).numbered(["1"]) == []
    with pytest.raises(SlurmAway):
        await Slurm(Says(Done(TIMED_OUT, b"", "squeue did not answer"), queue)).numbered(["1"])


class Says:
    """A host on which squeue and sacct have said what they say."""

    name = ""

    def __init__(self, squeue: Done, sacct: Done) -> None:
        self._said = {"squeue": squeue, "sacct": sacct}

    async def run(self, argv: Sequence[str], *, given: bytes = b"", timeout: float = 60) -> Done:
        return self._said[argv[0]]

    async def put(self, directory: Path, files: object) -> None: ...

    async def remove(self, directory: Path, *names: str) -> None: ...

    async def copy(self, directory: Path, into: Path, *, without: Sequence[str]) -> None: ...

    async def read(self, path: Path, offset: int = 0) -> bytes | None: ...

    def files(self, directory: Path, *patterns: str) -> AbstractAsyncContextManager[Path]:
        raise AssertionError


LINES = st.lists(st.text(st.sampled_from("0123456789|_+[]-abPENDING \n"), max_size=80), max_size=5)


@given(LINES, LINES)
async def test_any_output_is_read(queue: list[str], accounts: list[str]) -> None:
    host: Host = Says(*(Done(0, "\n".join(t).encode(), "") for t in (queue, accounts)))
    for job in await Slurm(host).numbered(["1"]):
        assert job.number >= 0 and why_ended(job) and isinstance(why_waiting(job), str)


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("TIMEOUT", "the time limit of 1:00:00 was reached"),
        ("OUT_OF_MEMORY", "more memory"),
        ("NODE_FAIL", "a node (n1) failed"),
        ("PREEMPTED", "another job took its nodes"),
        ("CANCELLED", "was cancelled by user 7"),
        ("FAILED", "with an error (exit code 2)"),
        ("SOMETHING", "ended as SOMETHING"),
    ],
)
def test_ends_are_told_in_words(state: str, says: str) -> None:
    job = JobState("1", state, "by 7", "0:10", "1:00:00", "n1", "a", "2:0")
    assert says in why_ended(job)


def test_waits_are_told_in_words() -> None:
    def waits(reason: str) -> str:
        return why_waiting(JobState("1", "PENDING", reason, "", "", "", "a"))

    assert waits("Priority") == "other jobs come first (Priority)"
    assert "limit of the account" in waits("QOSMaxJobsPerUserLimit")
    assert "cluster.walltime" in waits("PartitionTimeLimit")
    assert waits("NewReason") == "NewReason" and waits("None") == "it was submitted just now"
    assert hopeless(JobState("1", "PENDING", "DependencyNeverSatisfied", "", "", "", "a"))

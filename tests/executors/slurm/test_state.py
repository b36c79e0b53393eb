"""The state of a run by its files and its jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from nemo_evaluator.errors import ExitCode
from nemo_evaluator.executors.slurm.client import JobState
from nemo_evaluator.executors.slurm.state import part_state
from nemo_evaluator.results.status import RunState, State


def job(number: str, state: str, elapsed: str) -> JobState:
    return JobState(number, state, "None", elapsed, "1:00:00", "n1", "nel-eval", "0:0")


@pytest.mark.parametrize(
    ("code", "state"),
    [(ExitCode.INTERRUPTED, State.INTERRUPTED), (ExitCode.TERMINATED, State.CANCELLED)],
)
def test_a_follow_up_that_is_taken_back_says_nothing_of_a_run_that_was_stopped(
    code: ExitCode, state: State
) -> None:
    """After a time limit it was the user who ended the run by it."""
    files = RunState(Path("run"), "id", State.INTERRUPTED, exit_code=code)
    jobs = [job("7_0", "FAILED", "0:30"), job("8_0", "CANCELLED", "0:00")]
    found = part_state(Path("run"), files, jobs, {})
    assert (found.state, found.exit_code) == (state, code)
    why = "job 7_0: it was asked to stop; " if state is State.INTERRUPTED else "job 8_0: it was can"
    assert found.reason.startswith(why)

"""Asks the scheduler that runs a process on another machine whether its job still runs.

Who takes over a run after the failure of a node must know: its process gives no sign of life from
here, while the batch script of a node that is cut off may go on. Where the scheduler cannot be
asked, the heartbeat of the process decides.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from ..results.owner import Owner

SECONDS = 10.0
"""Time that the scheduler has for its answer."""
UNKNOWN_JOB = "invalid job id"
"""What squeue says of a job that has ended long ago."""
ENDED = frozenset(
    [
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PENDING",
        "PREEMPTED",
        "REQUEUED",
        "TIMEOUT",
    ]
)
"""States of a job of which nothing runs (any more, or before it is started again)."""
ENDING = frozenset(("COMPLETING",))
"""Its processes are being ended, which takes long on a node that does not answer."""


def job_runs(owner: Owner) -> bool | None:
    """Whether the Slurm job of an owner still runs; None where that is not known, as of a process
    in the same job as this one."""
    if not owner.job.isdecimal():
        return None
    if owner.job == os.environ.get("SLURM_JOB_ID"):
        again = owner.start != os.environ.get("SLURM_RESTART_COUNT", "")
        return False if again else None
    if (squeue := shutil.which("squeue")) is None:
        return None
    argv = [squeue, "--noheader", f"--jobs={owner.job}", "--format=%A %T"]
    if owner.cluster and owner.cluster != os.environ.get("SLURM_CLUSTER_NAME", owner.cluster):
        argv.append(f"--clusters={owner.cluster}")
    try:
        asked = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if asked.returncode == 0:
        # The number of an array, which one of its tasks has, stands for all of its tasks.
        rows = (line.split() for line in asked.stdout.splitlines())
        states = {row[1] for row in rows if len(row) == 2 and row[0] == owner.job}
        return None if states & ENDING else bool(states - ENDED)
    return False if UNKNOWN_JOB in asked.stderr.lower() else None

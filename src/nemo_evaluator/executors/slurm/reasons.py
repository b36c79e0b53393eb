"""Slurm's words for why a job waits or has ended, in the user's words, with what to do."""

from __future__ import annotations

from .client import JobState

LIVE = frozenset(
    (
        *("RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "STOPPED", "SIGNALING"),
        *("STAGE_OUT", "RESIZING"),
    )
)
WAITING = frozenset(("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"))
RESUME = "nel eval resume goes on with it"
_WAITS = {
    "Priority": "other jobs come first",
    "Resources": "it waits for free nodes",
    "Dependency": "it waits for a job before it",
    "DependencyNeverSatisfied": "a job that it waits for did not end as it must; it will never "
    f"start: {RESUME}",
    "BeginTime": "it waits for the time it may begin at",
    "JobHeldUser": "it is held: scontrol release lets it go",
    "JobHeldAdmin": "an administrator holds it",
    "JobArrayTaskLimit": "as many tasks of the array run as may run at once",
    "ReqNodeNotAvail": "the nodes it asks for are down, or reserved (maintenance?)",
    "PartitionDown": "the partition is down",
    "PartitionInactive": "the partition is not active",
    "PartitionNodeLimit": "it asks for more nodes than the partition gives: node_pools.*.nodes",
    "PartitionTimeLimit": "it asks for more time than the partition gives: cluster.walltime",
    "InvalidAccount": "the account is not valid: cluster.account",
    "InvalidQOS": "the quality of service is not valid: cluster.qos",
    "Licenses": "it waits for a licence",
    "Reservation": "it waits for its reservation",
    "NodeDown": "a node it asks for is down",
    "BadConstraints": "no node fulfils what it asks for",
    "JobLaunchFailure": "it could not be started on its nodes",
    "launch failed requeued held": "it could not be started, and is held",
}
_ENDS = {
    "TIMEOUT": "the time limit{limit} was reached; {resume}, a longer cluster.walltime or more "
    "cluster.shards help",
    "DEADLINE": "it could not end before its deadline; {resume}",
    "OUT_OF_MEMORY": "it used more memory than it asked for; ask for more "
    "(sbatch_extra_flags: {{mem: 64G}}) or lower max_concurrent, then {resume}",
    "NODE_FAIL": "a node{nodes} failed; {resume}",
    "BOOT_FAIL": "a node{nodes} could not be started; {resume}",
    "PREEMPTED": "another job took its nodes; {resume}",
    "CANCELLED": "it was cancelled{by}; {resume}",
    "REVOKED": "another cluster runs it",
    "FAILED": "it ended with an error{code}; nel eval logs shows which",
    "COMPLETED": "it ended",
}


def hopeless(job: JobState) -> bool:
    """Whether a job waits for what will never be."""
    return job.state in WAITING and "DependencyNeverSatisfied" in job.reason


def why_waiting(job: JobState) -> str:
    """Why a job has not started."""
    reason = job.reason.strip("()")
    why = _WAITS.get(reason) or _WAITS.get(reason.split(",")[0])
    if why is None and reason.startswith(("QOS", "Assoc", "Max", "Grp")):
        why = "a limit of the account or the quality of service is reached"
    if reason in ("", "None"):
        return "it was submitted just now"
    return f"{why} ({reason})" if why else reason


def why_ended(job: JobState) -> str:
    """Why a job is over."""
    by = job.reason.removeprefix("by ") if job.reason.startswith("by ") else ""
    code = job.exit_code.partition(":")[0]
    text = _ENDS.get(job.state)
    if text is None:
        return f"it ended as {job.state}; {RESUME}"
    return text.format(
        limit=f" of {job.limit}" if job.limit else "",
        nodes=f" ({job.nodes})" if job.nodes and job.nodes != "None assigned" else "",
        by=f" by user {by}" if by else "",
        code=f" (exit code {code})" if code not in ("", "0") else "",
        resume=RESUME,
    )

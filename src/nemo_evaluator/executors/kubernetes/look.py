"""The state of a run, from what Kubernetes says of its job and pods and from the progress that the
pods write. Looks at nothing but its arguments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from ...engine.shards import FOLDER
from ...results.progress_file import BenchmarkState, RunProgress
from ...results.status import RunState, State
from . import reasons

EXECUTOR = "kubernetes"
INDEX = "batch.kubernetes.io/job-completion-index"
SEPARATOR = "\x1e"
"""Before each document of progress."""


def state_of(
    directory: Path,
    job: Mapping[str, Any],
    pods: Sequence[Mapping[str, Any]],
    progress: Mapping[int, RunProgress],
    shards: int | None,
) -> RunState:
    """The whole run."""
    name = job["metadata"]["name"]
    status = job.get("status", {})
    done, failed = _numbers(status.get("completedIndexes")), _numbers(status.get("failedIndexes"))
    parts: dict[int, RunState] = {}
    for index in range(shards or 1):
        mine = [pod for pod in pods if _index(pod) == index]
        place = directory if shards is None else directory / f"{FOLDER}{index}"
        part = _part(place, mine, done=index in done, failed=index in failed)
        parts[index] = _with_progress(part, progress.get(index))
    whole = _state_of_job(directory, job, list(parts.values()))
    found = {index: state.benchmarks for index, state in parts.items()}
    return replace(
        whole,
        executor=EXECUTOR,
        jobs=(f"job {name}",),
        run_id=next((part.run_id for part in parts.values() if part.run_id), ""),
        started=min((p.started for p in progress.values()), default=None),
        first_started=min((p.first_started or p.started for p in progress.values()), default=None),
        benchmarks=_summed(found.values()),
        shards=parts if shards is not None else {},
    )


def read_progress(text: str) -> dict[int, RunProgress]:
    """Progress by shard of what the pods' files hold, each after its path."""
    found = {}
    for piece in text.split(SEPARATOR)[1:]:
        path, _, document = piece.partition("\n")
        folder = Path(path).parent.name
        index = int(folder.removeprefix(FOLDER)) if folder.startswith(FOLDER) else 0
        try:
            found[index] = msgspec.json.decode(document, type=RunProgress)
        except (msgspec.DecodeError, msgspec.ValidationError):  # it was being written
            continue
    return found


def _part(
    directory: Path, pods: Sequence[Mapping[str, Any]], *, done: bool, failed: bool
) -> RunState:
    """One shard, by its pods."""
    latest = max(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), default=None)
    reason = reasons.of_pod(latest) if latest is not None else ""
    if done:
        return RunState(directory, "", State.DONE)
    if failed:
        return RunState(directory, "", State.FAILED, reason=reason)
    phase = latest.get("status", {}).get("phase") if latest is not None else None
    if phase == "Running":
        return RunState(directory, "", State.RUNNING, reason=reason)
    if phase == "Failed":
        reason = f"runs again; its last pod {reason}" if reason else "runs again"
    return RunState(directory, "", State.PENDING, reason=reason)


def _with_progress(part: RunState, progress: RunProgress | None) -> RunState:
    if progress is None:
        return part
    state = part.state
    if state is State.RUNNING and progress.stopping:
        state = State.STOPPING
    return replace(part, state=state, run_id=progress.run_id, benchmarks=progress.benchmarks)


def _state_of_job(directory: Path, job: Mapping[str, Any], parts: Sequence[RunState]) -> RunState:
    if reasons.has(job, "Complete"):
        return RunState(directory, "", State.DONE)
    if reason := reasons.of_job(job):
        why = next((part.reason for part in parts if part.state is State.FAILED), "")
        return RunState(directory, "", State.FAILED, reason=f"{reason}: {why}" if why else reason)
    states = {part.state for part in parts}
    if job.get("spec", {}).get("suspend"):
        if State.RUNNING in states or State.STOPPING in states:
            return RunState(directory, "", State.STOPPING)
        return RunState(
            directory, "", State.INTERRUPTED, reason="it was stopped; nel eval resume goes on"
        )
    if State.RUNNING in states or State.STOPPING in states:
        return RunState(directory, "", State.RUNNING)
    waiting = (part.reason for part in parts if part.state is State.PENDING and part.reason)
    return RunState(directory, "", State.PENDING, reason=next(waiting, ""))


def _summed(found: Iterable[Mapping[str, BenchmarkState]]) -> dict[str, BenchmarkState]:
    """Each benchmark over all shards."""
    whole: dict[str, BenchmarkState] = {}
    for benchmarks in found:
        for slug, one in benchmarks.items():
            before = whole.get(slug)
            done = one.done + (before.done if before is not None else 0)
            total = one.total + (before.total if before is not None else 0)
            whole[slug] = BenchmarkState(
                name=one.name, total=total, done=done, line=f"{one.name} {done}/{total}"
            )
    return whole


def _index(pod: Mapping[str, Any]) -> int:
    annotations = pod["metadata"].get("annotations", {})
    return int(annotations.get(INDEX, 0))


def _numbers(text: str | None) -> set[int]:
    """Numbers as a job has them.

    >>> sorted(_numbers("0,2-4"))
    [0, 2, 3, 4]
    """
    found: set[int] = set()
    for part in filter(None, (text or "").split(",")):
        first, _, last = part.partition("-")
        found |= {*range(int(first), int(last or first) + 1)}
    return found

"""What Kubernetes says of a pod and of a job, in words for the user, with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...types import Json

_WAITING = {
    "ErrImagePull": "the image cannot be pulled",
    "ImagePullBackOff": "the image cannot be pulled",
    "InvalidImageName": "the name of the image is wrong",
    "ErrImageNeverPull": "the image is not on the node, and may not be pulled",
    "CreateContainerConfigError": "the container cannot be made",
    "CreateContainerError": "the container cannot be made",
    "RunContainerError": "the container cannot be started",
    "CrashLoopBackOff": "a model server ends again and again",
}
_ENDED = {
    "OOMKilled": "was killed for want of memory: raise cluster.memory, or lower max_concurrent",
    "ContainerCannotRun": "could not be started",
    "DeadlineExceeded": "took longer than allowed",
}
_PODS = {
    "Evicted": "was evicted from its node",
    "NodeLost": "was lost with its node",
    "NodeShutdown": "was ended because its node was shut down",
    "Terminated": "was ended because its node was shut down",
    "Preempting": "made room for a pod of a higher priority",
    "UnexpectedAdmissionError": "was refused by its node",
}
_JOBS = {
    "DeadlineExceeded": "the time limit of the job (cluster.walltime) was reached",
    "BackoffLimitExceeded": "too many pods failed",
    "FailedIndexes": "shards failed more than cluster.max_retries times",
    "MaxFailedIndexesExceeded": "too many shards failed",
    "PodFailurePolicy": "a pod failed in a way that a repetition does not help",
}
_KILLED = 137
_USER_ERROR = 2


def of_pod(pod: Mapping[str, Any]) -> str:
    """Why a pod waits, or how it ended; empty where nothing is wrong."""
    status = pod.get("status", {})
    if (text := _PODS.get(status.get("reason", ""))) is not None:
        return f"{text}{_more(status.get('message'))}"
    for container in _containers(status):
        if (text := _of_container(container)) is not None:
            return text
    for condition in status.get("conditions", ()):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"no node can take it{_more(condition.get('message'))}"
    return ""


def of_job(job: Mapping[str, Any]) -> str:
    """Why a job failed; empty where it did not."""
    for condition in job.get("status", {}).get("conditions", ()):
        if condition.get("type") == "Failed" and condition.get("status") == "True":
            reason = str(condition.get("reason", ""))
            return _JOBS.get(reason) or f"{reason}{_more(condition.get('message'))}"
    return ""


def has(job: Mapping[str, Any], kind: str) -> bool:
    """Whether a condition of a job holds."""
    return any(
        condition.get("type") == kind and condition.get("status") == "True"
        for condition in job.get("status", {}).get("conditions", ())
    )


def _containers(status: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from status.get("initContainerStatuses", ())
    yield from status.get("containerStatuses", ())


def _of_container(container: Mapping[str, Any]) -> str | None:
    state = container.get("state", {})
    waiting, ended = state.get("waiting", {}), state.get("terminated")
    if (text := _WAITING.get(waiting.get("reason", ""))) is not None:
        last = container.get("lastState", {}).get("terminated")
        why = _of_end(last) if last is not None else None
        return f"{text}{_more(why or waiting.get('message'))}"
    return _of_end(ended) if ended is not None else None


def _of_end(ended: Mapping[str, Any]) -> str | None:
    code = ended.get("exitCode", 0)
    if (text := _ENDED.get(ended.get("reason", ""))) is not None:
        return text
    if code == _KILLED:
        return "was killed"
    if code == _USER_ERROR:
        return "ended with an error that the user must fix: see nel eval logs"
    return f"ended with exit code {code}" if code else None


def _more(message: Json) -> str:
    text = " ".join(str(message).split()) if message else ""
    return f": {text[:300]}" if text else ""

"""Writes to MLflow, in the interpreter that has it (see ``foreign``), by its client interface."""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING, Any

import mlflow
from mlflow.entities import Metric, Param, RunTag, SpanStatus, SpanStatusCode
from mlflow.tracking import MlflowClient

if TYPE_CHECKING:
    from nemo_evaluator.foreign.child import Peer

Data = Any
"""What JSON can say."""
AT_ONCE = 100
"""Entries of a batch; MLflow's own limit for parameters."""
TRACED = "nel.traces"
"""Tag of a run whose traces are all there."""

logging.basicConfig(stream=sys.stderr, level=logging.WARNING)


class State:
    """The store, and the MLflow run that is being filled."""

    client: MlflowClient
    experiment = ""
    run = ""
    ended_ms = 0
    traced = False


async def open_store(peer: Peer, uri: str, experiment: str) -> None:
    """Connect, and find or make the experiment."""
    mlflow.set_tracking_uri(uri)
    State.client = MlflowClient(tracking_uri=uri)
    State.experiment = mlflow.set_experiment(experiment).experiment_id


async def begin(
    peer: Peer, name: str, started_ms: int, ended_ms: int, tags: dict[str, str]
) -> Data:
    """Find the run of a benchmark by its tags, or make it."""
    where = " and ".join(f"tags.{key} = {_quoted(tags[key])}" for key in ("job_id", "benchmark"))
    found = State.client.search_runs([State.experiment], where, max_results=1)
    new = not found
    run = (
        found[0]
        if found
        else State.client.create_run(
            State.experiment, start_time=started_ms, tags=tags, run_name=name
        )
    )
    State.run, State.ended_ms = run.info.run_id, ended_ms
    State.traced = run.data.tags.get(TRACED) == "all"
    if not new:
        State.client.log_batch(State.run, tags=[RunTag(key, value) for key, value in tags.items()])
    return {"new": new, "run": State.run, "experiment": State.experiment}


async def log(peer: Peer, metrics: dict[str, float], params: dict[str, str]) -> None:
    """Numbers and parameters."""
    now = int(time.time() * 1000)
    logged = [Metric(key, value, now, 0) for key, value in metrics.items()]
    for at in range(0, len(logged), AT_ONCE):
        State.client.log_batch(State.run, metrics=logged[at : at + AT_ONCE])
    named = [Param(key, value) for key, value in params.items()]
    for at in range(0, len(named), AT_ONCE):
        State.client.log_batch(State.run, params=named[at : at + AT_ONCE])


async def artifact(peer: Peer, path: str, place: str) -> None:
    """One file."""
    State.client.log_artifact(State.run, path, place)


async def wants_traces(peer: Peer) -> bool:
    """Whether traces are missing; what an export that was cut off has left is removed."""
    if State.traced:
        return False
    while True:
        found = State.client.search_traces(
            locations=[State.experiment],
            run_id=State.run,
            include_spans=False,
            max_results=AT_ONCE,
        )
        if not found:
            return True
        ids = [one.info.trace_id for one in found]
        State.client.delete_traces(State.experiment, trace_ids=ids)


async def traces(peer: Peer, traces: list[Data], last: bool = False) -> None:
    """Some traces; ``last``: the run has no more."""
    for one in traces:
        _trace(one)
    if last:
        mlflow.flush_trace_async_logging()
        State.client.set_tag(State.run, TRACED, "all")


def _trace(told: Data) -> None:
    root = mlflow.start_span_no_context(
        told["name"],
        span_type="AGENT",
        inputs=told["inputs"],
        attributes=told["attributes"],
        tags={"nel.rollout": told["key"]},
        metadata={"mlflow.sourceRun": State.run},
        experiment_id=State.experiment,
        start_time_ns=told["begun_ns"],
    )
    for one in told["spans"]:
        span = mlflow.start_span_no_context(
            one["name"],
            span_type=one["type"],
            parent_span=root,
            inputs=one["inputs"],
            attributes=one["attributes"],
            start_time_ns=one["begun_ns"],
        )
        span.end(outputs=one["outputs"], status=_status(one), end_time_ns=one["ended_ns"])
    root.end(outputs=told["outputs"], status=_status(told), end_time_ns=told["ended_ns"])


def _status(told: Data) -> SpanStatus:
    if told["error"] is None:
        return SpanStatus(SpanStatusCode.OK)
    return SpanStatus(SpanStatusCode.ERROR, told["error"])


async def end(peer: Peer) -> None:
    """The run is complete."""
    State.client.set_terminated(State.run, "FINISHED", State.ended_ms)


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "") + "'"


METHODS = {
    "open": open_store,
    "begin": begin,
    "log": log,
    "artifact": artifact,
    "wants_traces": wants_traces,
    "traces": traces,
    "end": end,
}

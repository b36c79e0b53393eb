"""A rollout as a trace of MLflow: a root span of the agent, and below it what was done."""

from __future__ import annotations

import datetime
from typing import Any

from ...results.result_row import ResultRow
from ...results.tables import plain_text
from ...results.trajectory_row import TrajectoryRow
from ...results.view import BenchmarkView
from ...types import Json
from ..rollout_timeline import Kind, Work, rollout_work, said_text, shortened

TYPES = {Kind.SAID: "CHAIN", Kind.MODEL: "LLM", Kind.TOOL: "TOOL"}
TOLD = ("task_id", "task_name", "category", "grading_type", "source")
"""Metadata of a problem that are attributes."""


def trace(
    benchmark: BenchmarkView, row: ResultRow, trajectory: TrajectoryRow | None, most: int
) -> dict[str, Json]:
    """A trace as the script makes it. ``most``: characters of a text."""
    bundle = benchmark.bundle
    span, work = rollout_work(benchmark, row, trajectory)
    attributes: dict[str, Json] = {
        "nel.benchmark": bundle.name,
        "nel.model": bundle.model,
        "nel.problem_idx": row.problem_idx,
        "nel.repeat": row.repeat or None,
        "nel.reward": row.reward,
        "nel.outcome": row.outcome.value,
        "nel.failure": None if row.failure is None else row.failure.value,
        "nel.tokens": row.tokens,
        "nel.latency_ms": row.latency_ms,
        "nel.cost_usd": row.cost_usd,
        "nel.scoring_details": shortened(plain_text(dict(row.scoring_details)), most),
    }
    attributes |= {f"nel.{name}": row.metadata.get(name) for name in TOLD}
    attributes |= {
        f"nel.scorer.{name.removeprefix('scorer:')}": value
        for name, value in row.scorer_rewards.items()
    }
    repeat = f".r{row.repeat}" if row.repeat else ""
    return {
        "name": f"sample_{row.problem_idx}{repeat}",
        "key": str(row.key),
        "begun_ns": _ns(span.begun),
        "ended_ns": _ns(span.ended),
        "inputs": {"prompt": shortened(row.prompt, most)},
        "outputs": {
            "reward": row.reward,
            "extracted_answer": shortened(plain_text(row.extracted_answer), most),
            "response": shortened(row.model_response, most),
        },
        "attributes": {name: value for name, value in attributes.items() if value is not None},
        "error": None if row.judged else row.error or str(row.outcome),
        "spans": [_span(one, most) for one in work],
    }


def _span(work: Work, most: int) -> dict[str, Json]:
    attributes: dict[str, Any] = {}
    if work.metrics is not None:
        attributes = {
            "nel.prompt_tokens": work.metrics.prompt_tokens,
            "nel.output_tokens": work.metrics.completion_tokens,
            "nel.cost_usd": work.metrics.cost_usd,
        }
    made = shortened(said_text(work.made), most)
    outputs: dict[str, Json] = {"content": made}
    if work.reasoning:
        outputs["reasoning"] = shortened(work.reasoning, most)
    if work.tool_calls:
        outputs["tool_calls"] = [
            {
                "name": call.function_name,
                "arguments": shortened(plain_text(dict(call.arguments)), most),
            }
            for call in work.tool_calls
        ]
    given = shortened(plain_text(work.given), most)
    return {
        "name": work.name,
        "type": TYPES[work.kind],
        "begun_ns": _ns(work.begun),
        "ended_ns": _ns(work.ended),
        "inputs": None if given is None else {"arguments": given},
        "outputs": outputs,
        "attributes": {name: value for name, value in attributes.items() if value is not None},
        "error": (made or "failed") if work.failed else None,
    }


def _ns(when: datetime.datetime) -> int:
    return round(when.timestamp() * 1_000_000) * 1000

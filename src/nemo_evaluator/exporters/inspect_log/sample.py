"""A rollout as a sample of Inspect: its conversation, verdict, usage and times.

Invariant: a rollout without a verdict is a sample with an ``error`` and without scores.
"""

from __future__ import annotations

import math
from typing import Any

from ...finish import FinishReason
from ...measured import Ratio, metrics_in
from ...results.result_row import ResultRow
from ...results.tables import json_text, plain_text
from ...results.trajectory_row import TrajectoryRow
from ...results.view import BenchmarkView
from ...types import Json
from ..times import rollout_span, spent_ms
from ..verdict_text import explanation
from .events import Transcript, error_of, transcript
from .header import main_score, usage_of

STOPS = {
    FinishReason.STOP: "stop",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_calls",
    FinishReason.CONTENT_FILTER: "content_filter",
}
KEPT = (
    "outcome", "failure", "finish_reason", "truncated", "tokens", "latency_ms", "ttft_ms",
    "wall_ms", "cost_usd", "calls", "cluster", "ended_by",
)  # fmt: skip
"""What else a row tells; under ``nel`` of the sample's metadata."""


def sample(
    benchmark: BenchmarkView, row: ResultRow, trajectory: TrajectoryRow | None
) -> dict[str, Json]:
    """An ``EvalSample``."""
    model = benchmark.bundle.model or "none"
    begun, ended = rollout_span(benchmark, row, trajectory)
    spent = spent_ms(row)
    usage = _usage(row, trajectory)
    messages = transcript(row, trajectory, model, begun)
    found: dict[str, Json] = {
        "id": row.problem_idx,
        "epoch": row.repeat + 1,
        "input": row.prompt or "",
        "target": _target(row.expected_answer),
        "messages": messages.messages,
        "output": _output(row, messages, model, usage),
        "scores": _scores(benchmark, row),
        "metadata": {**row.metadata, "nel": _kept_fields(row)},
        "store": {},
        "events": messages.events,
        "events_data": {"messages": messages.messages, "calls": []},
        "model_usage": {} if usage is None else {model: usage},
        "started_at": begun.isoformat(),
        "completed_at": ended.isoformat(),
        "total_time": None if spent is None else spent / 1000,
        "working_time": None if spent is None else spent / 1000,
        "uuid": f"{benchmark.bundle.run_id}-{benchmark.folder.name}-{row.key}",
        "attachments": {},
    }
    if not row.judged:
        found["error"] = error_of(row)
    return found


def _target(expected: Json) -> Json:
    if isinstance(expected, list | tuple) and all(isinstance(one, str) for one in expected):
        return list(expected)
    return plain_text(expected) or ""


def _usage(row: ResultRow, trajectory: TrajectoryRow | None) -> dict[str, Json] | None:
    tokens = trajectory.model.tokens if trajectory is not None and trajectory.model else None
    if tokens is None or tokens.total is None:
        return usage_of(None, None, None, None, row.cost_usd, row.tokens)
    cached = getattr(getattr(trajectory, "final_metrics", None), "total_cached_tokens", None)
    return usage_of(tokens.prompt, tokens.completion, cached, tokens.reasoning, row.cost_usd)


def _output(
    row: ResultRow, said: Transcript, model: str, usage: dict[str, Json] | None
) -> dict[str, Json]:
    if row.model_response is None:
        return {"model": model, "choices": [], "completion": ""}
    content: Json = row.model_response
    if row.reasoning:
        content = [
            {"type": "reasoning", "reasoning": row.reasoning},
            {"type": "text", "text": row.model_response},
        ]
    message = {"id": "output", "role": "assistant", "source": "generate", "content": content}
    last = said.last_answer
    return {
        "model": model,
        "choices": [
            {
                "message": message if last is None else last,
                "stop_reason": STOPS.get(FinishReason.of(row.finish_reason), "unknown"),
            }
        ],
        "completion": row.model_response,
        "usage": usage,
        "time": None if row.latency_ms is None else row.latency_ms / 1000,
    }


def _scores(benchmark: BenchmarkView, row: ResultRow) -> dict[str, Json] | None:
    if not row.judged:
        return None
    value: Json = row.reward
    if row.reward is None:
        metrics = metrics_in(row.scoring_details.get("metrics"))
        value = {name: _share(one) for name, one in metrics.items()}
    main: dict[str, Json] = {
        "value": value,
        "answer": plain_text(row.extracted_answer),
        "explanation": explanation(row),
        "metadata": {"scoring_details": dict(row.scoring_details)},
        "history": [],
    }
    extra: dict[str, Json] = {
        name: {"value": number, "answer": None, "explanation": None, "metadata": {}, "history": []}
        for name, number in row.scorer_rewards.items()
    }
    return {main_score(benchmark.bundle): main, **extra}


def _share(value: float | Ratio) -> float:
    """A number; a ratio as its quotient, NaN being what Inspect leaves out."""
    if isinstance(value, Ratio):
        return value.numerator / value.denominator if value.denominator else math.nan
    return value


def _kept_fields(row: ResultRow) -> dict[str, Any]:
    found = {name: getattr(row, name) for name in KEPT}
    if row.solver_details:
        found["solver_details"] = json_text(row.solver_details)
    return {name: value for name, value in found.items() if value is not None}

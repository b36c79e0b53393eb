"""Rollouts as spans, and verdicts as evaluation events, by the GenAI semantic conventions.

A rollout is a trace: its root is the evaluation, below it a span ``chat`` per call of a model and
``execute_tool`` per tool. A verdict is an event ``gen_ai.evaluation.result`` of the root; a score
of a benchmark is one that belongs to no span.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ...results.result_row import ResultRow
from ...results.tables import json_text, plain_text
from ...results.trajectory_row import TrajectoryRow
from ...results.view import BenchmarkView, RunView
from ...types import Json
from ...version import __version__
from ..rollout_timeline import Kind, Work, rollout_work, said_text
from ..times import Span, created
from ..verdict_text import explanation
from .encoding import attributes, nanoseconds, span_id, trace_id

INTERNAL, CLIENT = 1, 3
OK, ERROR = 1, 2
INFORMATION = 9
EVENT = "gen_ai.evaluation.result"
UNKNOWN = "_OTHER"
LABELS = {True: "correct", False: "incorrect"}
ROLES = {"user": "user", "system": "system", "assistant": "assistant"}
"""Who says something besides the model; what the environment says is a user's."""


class Telemetry(NamedTuple):
    """What one rollout is."""

    spans: list[Json]
    events: list[Json]


def resource(run: RunView) -> dict[str, Json]:
    """Who sends the telemetry."""
    return {
        "service.name": "nemo-evaluator",
        "service.version": __version__,
        "nel.run_id": run.run_id,
    }


def rollout(
    benchmark: BenchmarkView, row: ResultRow, trajectory: TrajectoryRow | None, *, texts: bool
) -> Telemetry:
    """The spans and events of a rollout. ``texts``: what was said is told, too."""
    span, work = rollout_work(benchmark, row, trajectory)
    bundle = benchmark.bundle
    agent = sum(one.kind is not Kind.SAID for one in work) > 1
    trace = trace_id(bundle.run_id, benchmark.folder.name, str(row.key))
    root = span_id(trace, "root")
    about: dict[str, Json] = {
        "nel.benchmark": bundle.name,
        "nel.problem_idx": row.problem_idx,
        "nel.repeat": row.repeat,
        "nel.outcome": row.outcome.value,
        "nel.reward": row.reward,
        "nel.cost_usd": row.cost_usd,
        "gen_ai.operation.name": "invoke_agent" if agent else None,
        "gen_ai.agent.name": bundle.solver if agent else None,
        "gen_ai.conversation.id": f"{bundle.run_id}/{benchmark.folder.name}/{row.key}",
        "error.type": None if row.judged else _failure(row),
    }
    telemetry = _Told(trace, root, benchmark, texts=texts)
    spans = [
        _span(
            trace, root, "", f"evaluate {bundle.name}", INTERNAL, span, about, _failure_text(row)
        ),
        *telemetry.spans(work, row),
    ]
    return Telemetry(spans, list(_verdicts(benchmark, row, trace, root, span)))


def scores(run: RunView) -> list[Json]:
    """An event per benchmark and metric."""
    events: list[Json] = []
    for benchmark in run.benchmarks():
        bundle, when = benchmark.bundle, nanoseconds(created(benchmark))
        for name, measure in bundle.metrics.items():
            values: dict[str, Json] = {
                "gen_ai.evaluation.name": f"{bundle.name}/{name}",
                "gen_ai.evaluation.score.value": measure.value,
                "gen_ai.request.model": bundle.model,
                "nel.ci_lower": measure.ci_lower,
                "nel.ci_upper": measure.ci_upper,
                "nel.n": measure.n,
                "nel.coverage": bundle.coverage,
                "nel.simulated": bundle.simulated,
            }
            events.append(_event(when, values))
    return events


class _Told:
    """The spans below the root of a rollout."""

    def __init__(self, trace: str, root: str, benchmark: BenchmarkView, *, texts: bool) -> None:
        self._trace, self._root, self._texts = trace, root, texts
        bundle = benchmark.bundle
        generation = {
            f"gen_ai.request.{name}": bundle.config.get(name)
            for name in ("temperature", "top_p", "max_tokens", "seed")
        }
        self._common: dict[str, Json] = {
            "gen_ai.provider.name": bundle.service or UNKNOWN,
            **generation,
        }

    def spans(self, work: Sequence[Work], row: ResultRow) -> Iterator[Json]:
        """One per call of a model or a tool; what was said before is what the model was given."""
        given: list[Json] = []
        last = max((n for n, one in enumerate(work) if one.kind is Kind.MODEL), default=-1)
        for number, one in enumerate(work):
            if one.kind is Kind.SAID:
                given.append(_message(ROLES.get(one.name, "user"), one))
                continue
            if one.kind is Kind.MODEL:
                values = self._model(one, given, row.finish_reason if number == last else None)
                name, kind = f"chat {one.name}", CLIENT
                given = []
            else:
                values = self._tool(one)
                name, kind = f"execute_tool {one.name}", INTERNAL
                given.append(_message("tool", one))
            failed = said_text(one.made) or "failed" if one.failed else None
            own = span_id(self._trace, str(number))
            yield _span(
                *(self._trace, own, self._root, name, kind),
                *(Span(one.begun, one.ended), values, failed),
            )

    def _model(self, work: Work, given: Sequence[Json], finish: str | None) -> dict[str, Json]:
        used = work.metrics
        reason = finish or ("tool_calls" if work.tool_calls else "stop")
        values: dict[str, Json] = {
            "gen_ai.operation.name": "chat",
            **self._common,
            "gen_ai.request.model": work.name,
            "gen_ai.response.model": work.name,
            "gen_ai.response.finish_reasons": [reason],
        }
        if used is not None:
            values["gen_ai.usage.input_tokens"] = used.prompt_tokens
            values["gen_ai.usage.output_tokens"] = used.completion_tokens
            values["gen_ai.usage.cache_read.input_tokens"] = used.cached_tokens
        if self._texts:
            values["gen_ai.input.messages"] = json_text(list(given)) if given else None
            values["gen_ai.output.messages"] = json_text(
                [{**_answer(work), "finish_reason": reason}]
            )
        return values

    def _tool(self, work: Work) -> dict[str, Json]:
        values: dict[str, Json] = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": work.name,
            "gen_ai.tool.type": "function",
            "gen_ai.tool.call.id": work.call_id,
            "error.type": UNKNOWN if work.failed else None,
        }
        if self._texts:
            values["gen_ai.tool.call.arguments"] = plain_text(work.given)
            values["gen_ai.tool.call.result"] = said_text(work.made)
        return values


def _message(role: str, work: Work) -> dict[str, Json]:
    text = said_text(work.made) or ""
    if work.kind is Kind.TOOL:
        part: Json = {"type": "tool_call_response", "id": work.call_id, "response": text}
    else:
        part = {"type": "text", "content": text}
    return {"role": role, "parts": [part]}


def _answer(work: Work) -> dict[str, Json]:
    parts: list[Json] = []
    if work.reasoning:
        parts.append({"type": "reasoning", "content": work.reasoning})
    if text := said_text(work.made):
        parts.append({"type": "text", "content": text})
    parts += [
        {
            "type": "tool_call",
            "id": call.tool_call_id,
            "name": call.function_name,
            "arguments": dict(call.arguments),
        }
        for call in work.tool_calls
    ]
    return {"role": "assistant", "parts": parts}


def _verdicts(
    benchmark: BenchmarkView, row: ResultRow, trace: str, root: str, span: Span
) -> Iterator[Json]:
    """The verdict, and those of extra scorers."""
    when = nanoseconds(span.ended)
    correct = row.scoring_details.get("correct")
    name = str(row.scoring_details.get("method") or benchmark.bundle.name)
    values: dict[str, Json] = {
        "gen_ai.evaluation.name": name if row.judged else benchmark.bundle.name,
        "gen_ai.evaluation.score.value": row.reward,
        "gen_ai.evaluation.score.label": LABELS.get(correct) if isinstance(correct, bool) else None,
        "gen_ai.evaluation.explanation": explanation(row) if row.judged else row.error,
        "error.type": None if row.judged else _failure(row),
    }
    yield _event(when, values, trace, root)
    for scorer, reward in row.scorer_rewards.items():
        extra: dict[str, Json] = {
            "gen_ai.evaluation.name": scorer,
            "gen_ai.evaluation.score.value": reward,
        }
        yield _event(when, extra, trace, root)


def _failure(row: ResultRow) -> str:
    return row.failure.value if row.failure is not None else row.outcome.value


def _failure_text(row: ResultRow) -> str | None:
    return None if row.judged else row.error or _failure(row)


def _span(
    trace: str,
    own: str,
    parent: str,
    name: str,
    kind: int,
    times: Span,
    values: dict[str, Json],
    failed: str | None,
) -> dict[str, Json]:
    status: dict[str, Json] = {"code": OK} if failed is None else {"code": ERROR, "message": failed}
    return {
        "traceId": trace,
        "spanId": own,
        **({"parentSpanId": parent} if parent else {}),
        "name": name,
        "kind": kind,
        "startTimeUnixNano": nanoseconds(times.begun),
        "endTimeUnixNano": nanoseconds(times.ended),
        "attributes": attributes(values),
        "status": status,
    }


def _event(
    when: str, values: dict[str, Json], trace: str | None = None, span: str | None = None
) -> dict[str, Json]:
    where = {} if trace is None else {"traceId": trace, "spanId": span}
    return {
        "timeUnixNano": when,
        "observedTimeUnixNano": when,
        "severityNumber": INFORMATION,
        "eventName": EVENT,
        "attributes": attributes(values),
        **where,
    }

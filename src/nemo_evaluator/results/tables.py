"""The tables that a run is, for SQL, data frames and Parquet: ``runs``, ``scores``, ``rows``,
``calls``.

A column has one type in every run; what is nested is JSON text. Nothing is computed that the run's
files do not say, and records stream.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

import msgspec

from ..types import Json
from .call import Call
from .published import Measure, Published
from .result_row import ResultRow
from .status import state_of
from .view import BenchmarkView, RunView

Cell: TypeAlias = str | int | float | bool | None
T = TypeVar("T")
WIDEST = 2**63
"""Integers from here on do not fit into a column."""


class ColumnType(enum.StrEnum):
    """What a column holds; each may be missing."""

    TEXT = "text"
    INTEGER = "integer"
    REAL = "real"
    BOOLEAN = "boolean"
    JSON = "json"
    """JSON as text."""


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """One column of a table whose records are ``T``."""

    name: str
    type: ColumnType
    cell: Callable[[T], Cell]


class Benchmark(NamedTuple):
    """A benchmark of a run."""

    run: RunView
    view: BenchmarkView
    bundle: Published


@dataclass(frozen=True, slots=True)
class Table(Generic[T]):
    """A table: its columns, and its records of one benchmark of a run."""

    name: str
    about: str
    columns: tuple[Column[T], ...]
    of: Callable[[Benchmark], Iterator[T]]

    def records(self, run: RunView, views: Sequence[BenchmarkView] | None = None) -> Iterator[T]:
        """The records of a run, or of some of its benchmarks."""
        for view in run.benchmarks() if views is None else views:
            yield from self.of(Benchmark(run, view, view.bundle))

    def only(self, names: frozenset[str]) -> tuple[Column[T], ...]:
        """The columns of some names, in the table's order."""
        return tuple(column for column in self.columns if column.name in names)


class BenchmarkScore(NamedTuple):
    """A metric of a benchmark."""

    of: Benchmark
    name: str
    measure: Measure


class Rollout(NamedTuple):
    """A row of ``results.jsonl`` or ``unscored.jsonl``."""

    of: Benchmark
    row: ResultRow


class ModelCall(NamedTuple):
    """A line of the traffic log."""

    of: Benchmark
    call: Call


def _one_benchmark(one: Benchmark) -> Iterator[Benchmark]:
    yield one


def _scores(one: Benchmark) -> Iterator[BenchmarkScore]:
    for name, measure in one.bundle.metrics.items():
        yield BenchmarkScore(one, name, measure)


def _rows(one: Benchmark) -> Iterator[Rollout]:
    for row in one.view.rows():
        yield Rollout(one, row)


def _calls(one: Benchmark) -> Iterator[ModelCall]:
    for call in one.view.calls():
        yield ModelCall(one, call)


def json_text(value: Json) -> str | None:
    """A value as JSON text; None stays None."""
    return None if value is None else msgspec.json.encode(value, enc_hook=str).decode()


def plain_text(value: Json) -> str | None:
    """A text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json_text(value)


def _fits_column(value: int | None) -> int | None:
    return value if value is None or -WIDEST <= value < WIDEST else None


def _mapping(value: Mapping[str, Json]) -> str | None:
    return json_text(value) if value else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _detail(one: Rollout, *names: str) -> Any:
    """What the verdict's details or the problem's metadata say under one of some names."""
    for part in (one.row.metadata, one.row.scoring_details):
        for name in names:
            if (found := part.get(name)) is not None:
                return found
    return None


def _correct(one: Rollout) -> bool | None:
    correct = one.row.scoring_details.get("correct")
    return correct if isinstance(correct, bool) else None


def _tools(one: ModelCall) -> int | None:
    return one.call.tool_calls.count if one.call.tool_calls is not None else None


def _state(one: Benchmark) -> str | None:
    run = one.run
    return state_of(run.directory, run.info).value if run.info is not None else None


_TEXT, _INTEGER, _REAL = ColumnType.TEXT, ColumnType.INTEGER, ColumnType.REAL
_BOOLEAN, _JSON = ColumnType.BOOLEAN, ColumnType.JSON

RUNS: Table[Benchmark] = Table(
    "runs",
    "one line per benchmark of a run: its score, coverage, tokens, cost and times",
    (
        Column("run_id", _TEXT, lambda one: one.run.run_id),
        Column("directory", _TEXT, lambda one: str(one.run.directory)),
        Column("created", _TEXT, lambda one: one.bundle.created),
        Column("version", _TEXT, lambda one: one.bundle.version),
        Column("status", _TEXT, _state),
        Column("benchmark", _TEXT, lambda one: one.bundle.name),
        Column("slug", _TEXT, lambda one: one.bundle.slug),
        Column("model", _TEXT, lambda one: one.bundle.model),
        Column("service", _TEXT, lambda one: one.bundle.service),
        Column("solver", _TEXT, lambda one: one.bundle.solver),
        Column("simulated", _BOOLEAN, lambda one: one.bundle.simulated),
        Column("metric", _TEXT, lambda one: one.bundle.headline),
        Column("score", _REAL, lambda one: one.bundle.score.value if one.bundle.score else None),
        Column(
            "ci_lower", _REAL, lambda one: one.bundle.score.ci_lower if one.bundle.score else None
        ),
        Column(
            "ci_upper", _REAL, lambda one: one.bundle.score.ci_upper if one.bundle.score else None
        ),
        Column("problems", _INTEGER, lambda one: one.bundle.n_problems),
        Column("repeats", _INTEGER, lambda one: one.bundle.repeats),
        Column("planned", _INTEGER, lambda one: one.bundle.n_rollouts),
        Column("scored", _INTEGER, lambda one: one.bundle.n_scored),
        Column("coverage", _REAL, lambda one: one.bundle.coverage),
        Column("truncated", _INTEGER, lambda one: one.bundle.truncated),
        Column("refused", _INTEGER, lambda one: one.bundle.refused),
        Column("no_answer", _INTEGER, lambda one: one.bundle.no_answer),
        Column("total_tokens", _INTEGER, lambda one: one.bundle.runtime.total_tokens),
        Column("prompt_tokens", _INTEGER, lambda one: one.bundle.runtime.total_prompt_tokens),
        Column(
            "completion_tokens", _INTEGER, lambda one: one.bundle.runtime.total_completion_tokens
        ),
        Column("cost_usd", _REAL, lambda one: one.bundle.runtime.cost_usd),
        Column("elapsed_seconds", _REAL, lambda one: one.bundle.runtime.elapsed_seconds),
        Column("tokens_per_second", _REAL, lambda one: one.bundle.runtime.tokens_per_second),
        Column("latency_p50_ms", _REAL, lambda one: _percentile(one, "latency", "p50")),
        Column("latency_p99_ms", _REAL, lambda one: _percentile(one, "latency", "p99")),
        Column("ttft_p50_ms", _REAL, lambda one: _percentile(one, "ttft", "p50")),
        Column("digest", _TEXT, lambda one: one.bundle.digest),
    ),
    _one_benchmark,
)


def _percentile(one: Benchmark, of: str, name: str) -> float | None:
    used = one.bundle.runtime
    found = used.latency_percentiles_ms if of == "latency" else used.ttft_percentiles_ms
    return _number(found.get(name))


SCORES: Table[BenchmarkScore] = Table(
    "scores",
    "one line per benchmark and metric, with the interval",
    (
        Column("run_id", _TEXT, lambda one: one.of.run.run_id),
        Column("created", _TEXT, lambda one: one.of.bundle.created),
        Column("benchmark", _TEXT, lambda one: one.of.bundle.name),
        Column("model", _TEXT, lambda one: one.of.bundle.model),
        Column("metric", _TEXT, lambda one: one.name),
        Column("headline", _BOOLEAN, lambda one: one.name == one.of.bundle.headline),
        Column("value", _REAL, lambda one: one.measure.value),
        Column("ci_lower", _REAL, lambda one: one.measure.ci_lower),
        Column("ci_upper", _REAL, lambda one: one.measure.ci_upper),
        Column("stderr", _REAL, lambda one: one.measure.stderr),
        Column("n", _INTEGER, lambda one: one.measure.n),
        Column("method", _TEXT, lambda one: one.measure.method),
        Column("higher_is_better", _BOOLEAN, lambda one: one.measure.higher_is_better),
    ),
    _scores,
)

ROWS: Table[Rollout] = Table(
    "rows",
    "one line per rollout, those without a verdict included",
    (
        Column("run_id", _TEXT, lambda one: one.of.run.run_id),
        Column("benchmark", _TEXT, lambda one: one.of.bundle.name),
        Column("slug", _TEXT, lambda one: one.of.bundle.slug),
        Column("model", _TEXT, lambda one: one.of.bundle.model),
        Column("problem_idx", _INTEGER, lambda one: one.row.problem_idx),
        Column("repeat", _INTEGER, lambda one: one.row.repeat),
        Column("outcome", _TEXT, lambda one: one.row.outcome.value),
        Column("reward", _REAL, lambda one: one.row.reward),
        Column("correct", _BOOLEAN, _correct),
        Column("failure", _TEXT, lambda one: one.row.failure.value if one.row.failure else None),
        Column("error", _TEXT, lambda one: one.row.error),
        Column("category", _TEXT, lambda one: plain_text(_detail(one, "category"))),
        Column("id", _TEXT, lambda one: plain_text(_detail(one, "id", "task_id"))),
        Column("prompt", _TEXT, lambda one: one.row.prompt),
        Column("model_response", _TEXT, lambda one: one.row.model_response),
        Column("reasoning", _TEXT, lambda one: one.row.reasoning),
        Column("extracted_answer", _TEXT, lambda one: plain_text(one.row.extracted_answer)),
        Column("expected_answer", _TEXT, lambda one: plain_text(one.row.expected_answer)),
        Column("finish_reason", _TEXT, lambda one: one.row.finish_reason),
        Column("truncated", _BOOLEAN, lambda one: one.row.truncated),
        Column("tokens", _INTEGER, lambda one: _fits_column(one.row.tokens)),
        Column("latency_ms", _REAL, lambda one: one.row.latency_ms),
        Column("ttft_ms", _REAL, lambda one: one.row.ttft_ms),
        Column("wall_ms", _REAL, lambda one: one.row.wall_ms),
        Column("cost_usd", _REAL, lambda one: one.row.cost_usd),
        Column("calls", _INTEGER, lambda one: _fits_column(one.row.calls)),
        Column("cluster", _TEXT, lambda one: one.row.cluster),
        Column("ended_by", _TEXT, lambda one: one.row.ended_by.value if one.row.ended_by else None),
        Column("scorer_rewards", _JSON, lambda one: _mapping(one.row.scorer_rewards)),
        Column("scoring_details", _JSON, lambda one: _mapping(one.row.scoring_details)),
        Column("metadata", _JSON, lambda one: _mapping(one.row.metadata)),
        Column("solver_details", _JSON, lambda one: _mapping(one.row.solver_details)),
    ),
    _rows,
)

CALLS: Table[ModelCall] = Table(
    "calls",
    "one line per call of a model, where the traffic log is on",
    (
        Column("run_id", _TEXT, lambda one: one.of.run.run_id),
        Column("benchmark", _TEXT, lambda one: one.of.bundle.name),
        Column("slug", _TEXT, lambda one: one.of.bundle.slug),
        Column("timestamp", _TEXT, lambda one: one.call.timestamp or None),
        Column("problem_idx", _INTEGER, lambda one: _fits_column(one.call.problem_idx)),
        Column("repeat", _INTEGER, lambda one: _fits_column(one.call.repeat)),
        Column("attempt", _INTEGER, lambda one: _fits_column(one.call.attempt)),
        Column("session_id", _TEXT, lambda one: one.call.session_id),
        Column("service", _TEXT, lambda one: one.call.service),
        Column("model", _TEXT, lambda one: plain_text(one.call.model)),
        Column("path", _TEXT, lambda one: one.call.path),
        Column("status_code", _INTEGER, lambda one: _fits_column(one.call.status_code)),
        Column("latency_ms", _REAL, lambda one: one.call.latency_ms),
        Column("ttft_ms", _REAL, lambda one: one.call.ttft_ms),
        Column("finish_reason", _TEXT, lambda one: one.call.finish_reason),
        Column("prompt_tokens", _INTEGER, lambda one: _used(one, "prompt_tokens")),
        Column("completion_tokens", _INTEGER, lambda one: _used(one, "completion_tokens")),
        Column("reasoning_tokens", _INTEGER, lambda one: _used(one, "reasoning_tokens")),
        Column("cached_tokens", _INTEGER, lambda one: _used(one, "cached_tokens")),
        Column("total_tokens", _INTEGER, lambda one: _used(one, "total_tokens")),
        Column("tool_calls", _INTEGER, _tools),
        Column("source", _TEXT, lambda one: one.call.source),
        Column("tries", _INTEGER, lambda one: _fits_column(one.call.tries)),
        Column("cost_usd", _REAL, lambda one: one.call.cost_usd),
        Column("error_type", _TEXT, lambda one: one.call.error_type),
        Column("error_message", _TEXT, lambda one: one.call.error_message),
        Column("request_hash", _TEXT, lambda one: one.call.request_hash),
        Column("message_content", _TEXT, lambda one: one.call.message_content),
        Column("reasoning_content", _TEXT, lambda one: one.call.reasoning_content),
    ),
    _calls,
)


def _used(one: ModelCall, name: str) -> int | None:
    return _fits_column(getattr(one.call.usage, name)) if one.call.usage is not None else None


TABLES: Mapping[str, Table[Any]] = {table.name: table for table in (RUNS, SCORES, ROWS, CALLS)}
"""Every table by its name."""
TEXTS = frozenset({"prompt", "model_response", "reasoning"})
"""Columns of ``rows`` with what was asked and answered."""

"""A report as data: JSON, CSV and a LaTeX table.

Fields of the published format stand where that format has them: metrics and categories of a
benchmark by name in its entry of the JSON, one line per benchmark in the CSV. Our own fields are
added.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from ..results.effort import Effort
from . import figures as show
from .tables import csv_table, latex_table
from .view import REPORT_VERSION, Report, Result, score_cell

CSV_COLUMNS = (
    "benchmark",
    "samples",
    "repeats",
    "metric",
    "score",
    "ci_lower",
    "ci_upper",
    "n",
    "method",
    "model",
    "run_id",
    "scored",
    "planned",
    "coverage",
    "truncated",
    "no_answer",
    "simulated",
    "total_tokens",
    "cost_usd",
    "latency_p50_ms",
    "dataset_size",
    "refused",
    "solved",
    "cost_per_solved",
    "cost_per_solved_lower",
    "cost_per_solved_upper",
    "tokens_per_solved",
    "turns",
    "seconds",
)
"""The first seven are those of the published format."""


def to_json(report: Report) -> str:
    """Everything, results by label; docs/reports.md describes the fields."""
    document = {
        "report_version": REPORT_VERSION,
        "title": report.title,
        "model": report.models[0],
        "models": report.models,
        "n_benchmarks": len(report.results),
        "runs": report.runs,
        "notices": report.notices,
        "leaderboards": report.boards,
        "benchmarks": {result.label: _entry(result) for result in report.results},
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def to_csv(report: Report) -> str:
    """A line per result: its headline. All metrics are in the JSON report."""
    return csv_table(CSV_COLUMNS, list(_csv_rows(report)))


def to_latex(report: Report) -> str:
    """A ``booktabs`` table of the headlines: of benchmarks, or of benchmarks by models."""
    if len(report.columns) > 1:
        columns: tuple[str, ...] = ("Benchmark", *report.heads)
        rows = [
            (name, *(score_cell(report.at(name, column)) for column in report.columns))
            for name in report.benchmarks
        ]
    else:
        columns = ("Benchmark", "Samples", "Score", "Metric", "95 % CI", "Problems")
        rows = [_tex_row(result) for result in report.results]
    head = ["% \\usepackage{booktabs}"]
    if report.simulated:
        head.append("% simulated: some scores say nothing about a real model")
    return "\n".join([*head, *latex_table(columns, rows), ""])


def _entry(result: Result) -> dict[str, object]:
    data: dict[str, Any] = msgspec.to_builtins(result.data)
    known = data["runtime"]["latency_percentiles_ms"]
    breakdowns = data.pop("categories")
    entry = {
        "benchmark": data.pop("name"),
        **data,
        "categories": {
            group: {"mean_reward": measure["value"], **measure}
            for group, measure in breakdowns.get("category", {}).items()
        },
        "breakdowns": breakdowns,
        "samples": data["n_problems"],
        "total_tokens": data["runtime"]["total_tokens"],
        "latency_p50_ms": known.get("p50"),
        "flips": msgspec.to_builtins(result.flips),
        "path": result.path,
    }
    if result.rows is not None:
        entry["results"] = result.rows
    # A metric named like a field stands under "metrics" only.
    return {**data["metrics"], **entry}


def _csv_rows(report: Report) -> Iterator[list[Any]]:
    for result in report.results:
        data, measure = result.data, result.score
        yield [
            result.benchmark,
            data.n_problems,
            data.repeats,
            data.headline or "",
            measure and measure.value,
            measure and measure.ci_lower,
            measure and measure.ci_upper,
            measure and measure.n,
            measure and measure.method,
            data.model,
            data.run_id,
            data.n_scored,
            data.n_rollouts,
            data.coverage,
            data.truncated,
            data.no_answer,
            data.simulated,
            data.runtime.total_tokens,
            data.runtime.cost_usd,
            data.runtime.latency_percentiles_ms.get("p50"),
            data.dataset_size,
            data.refused,
            *_effort(data.effort),
        ]


def _effort(effort: Effort | None) -> list[Any]:
    """What agents took, in the order of the last columns; empty where there are none."""
    if effort is None:
        return [None] * 7
    price = effort.cost_per_solved
    quantities = (effort.tokens_per_solved, effort.turns, effort.seconds)
    return [
        effort.solved,
        price and price.value,
        price and price.ci_lower,
        price and price.ci_upper,
        *(quantity and quantity.value for quantity in quantities),
    ]


def _tex_row(result: Result) -> tuple[str, ...]:
    data, measure = result.data, result.score
    name = result.label + (" (simulated)" if data.simulated else "")
    samples = show.count(data.n_problems)
    if measure is None:
        return (name, samples, "no score", "", "", show.problems(0, data.dataset_size))
    return (
        name,
        samples,
        show.value(measure),
        data.headline or "",
        "" if measure.ci_lower is None else show.interval(measure),
        show.problems(result.problems, data.dataset_size),
    )

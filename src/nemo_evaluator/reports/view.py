"""The view model of a report: rows of ready texts. Every format shows the same."""

from __future__ import annotations

from dataclasses import dataclass

from ..results.summary import (
    Accounts,
    BenchmarkSummary,
    Estimate,
    RunSummary,
    accounts,
    headline_line,
)

COLUMNS = (
    "Benchmark",
    "Model",
    "Metric",
    "Score",
    "95 % CI",
    "Interval",
    "n",
    "Scored",
    "Truncated",
    "No answer",
    "Errors",
    "Tokens",
    "Cost",
    "p50 latency",
)


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class ReportView:
    """Everything a report shows."""

    title: str
    facts: tuple[tuple[str, str], ...]
    headlines: tuple[tuple[str, str], ...]
    simulated: bool
    tables: tuple[Table, ...]


def build_view(run: RunSummary) -> ReportView:
    """The view of a run."""
    info = run.run
    tables = [Table("Scores", COLUMNS, tuple(row for b in run.benchmarks for row in _rows(b)))]
    tables.append(_traffic(run))
    for benchmark in run.benchmarks:
        tables += _details(benchmark)
    models = sorted({b.model or "?" for b in run.benchmarks})
    return ReportView(
        title=f"Evaluation report: {', '.join(models) or 'no model'}",
        facts=(
            ("Run", info.run_id),
            ("Started", info.created),
            ("Status", info.status.value),
            ("Version", info.version),
        ),
        headlines=tuple((b.slug, headline_line(b)) for b in run.benchmarks),
        simulated=any(b.simulated for b in run.benchmarks),
        tables=tuple(tables),
    )


def _rows(benchmark: BenchmarkSummary) -> list[tuple[str, ...]]:
    name = benchmark.slug + (" (simulated)" if benchmark.simulated else "")
    runtime = benchmark.runtime
    errors = sum(
        count for kind, count in benchmark.outcomes.items() if kind not in ("scored", "model_error")
    )
    tail = (
        f"{benchmark.coverage * 100:.1f} %",
        _share(benchmark.truncated, benchmark.n_scored),
        _share(benchmark.no_answer, benchmark.n_scored),
        str(errors),
        f"{runtime.total_tokens:,}",
        "unknown" if runtime.cost_usd is None else f"{runtime.cost_usd:.4f} USD",
        f"{runtime.latency_percentiles_ms['p50']:.0f} ms" if runtime.latency_percentiles_ms else "",
    )
    if not benchmark.metrics:
        return [(name, benchmark.model or "", "", "no score", "", "", "0", *tail)]
    rows = []
    for position, (metric, estimate) in enumerate(_ordered(benchmark)):
        head = (name, benchmark.model or "") if position == 0 else ("", "")
        rest = tail if position == 0 else ("",) * len(tail)
        rows.append((*head, metric, *_cells(estimate), str(estimate.n), *rest))
    return rows


def _traffic(run: RunSummary) -> Table:
    """Tokens, cost and times of every benchmark and of the run."""
    columns = ("Benchmark", "Prompt tokens", "Completion", "Reasoning", "Cached", "Cost")
    times = ("Latency p50", "p90", "p99", "First token p50", "Retries")
    rows = []
    for benchmark in run.benchmarks:
        runtime = benchmark.runtime
        latency = runtime.latency_percentiles_ms
        quantiles = [f"{latency[name]:.0f} ms" if latency else "" for name in ("p50", "p90", "p99")]
        first = runtime.ttft_percentiles_ms
        rows.append(
            (
                *_used(benchmark.slug, accounts([benchmark])),
                *quantiles,
                f"{first['p50']:.0f} ms" if first else "",
                str(runtime.total_retries),
            )
        )
    if len(run.benchmarks) > 1:
        total = run.accounts
        rows.append((*_used("all", total), "", "", "", "", str(total.retries)))
    return Table("Traffic", (*columns, *times), tuple(rows))


def _used(name: str, used: Accounts) -> tuple[str, ...]:
    counts = (used.prompt_tokens, used.completion_tokens, used.reasoning_tokens, used.cached_tokens)
    cost = "unknown" if used.cost_usd is None else f"{used.cost_usd:.4f} USD"
    return (name, *(f"{count:,}" for count in counts), cost)


def _ordered(benchmark: BenchmarkSummary) -> list[tuple[str, Estimate]]:
    """The headline first; mean_reward left out where it only repeats pass@1."""
    items = [(name, value) for name, value in benchmark.metrics.items()]
    first = benchmark.metrics.get("pass@1")
    if first is not None:
        items = [i for i in items if i[0] != "mean_reward" or i[1].value != first.value]
    return items


def _details(benchmark: BenchmarkSummary) -> list[Table]:
    tables = [
        Table(
            f"{benchmark.slug}: by {breakdown}",
            (breakdown.capitalize(), "Mean reward", "95 % CI", "Interval", "n"),
            tuple((group, *_cells(value), str(value.n)) for group, value in groups.items()),
        )
        for breakdown, groups in benchmark.categories.items()
    ]
    if benchmark.failures:
        kinds = tuple(
            (kind, str(failure.count), f"{failure.rate * 100:.1f} %")
            for kind, failure in benchmark.failures.items()
        )
        tables.append(Table(f"{benchmark.slug}: failures", ("Kind", "Rollouts", "Share"), kinds))
        examples = tuple(
            (e.category, f"{e.problem_idx}/{e.repeat}", e.error or e.response_preview)
            for e in benchmark.examples
        )
        columns = ("Kind", "Rollout", "Error or response")
        tables.append(Table(f"{benchmark.slug}: examples of failures", columns, examples))
    retried = benchmark.retried
    if retried.get("rollouts"):
        row = (
            str(retried["rollouts"]),
            _number(retried["mean_reward_retried"]),
            _number(retried["mean_reward_never_retried"]),
        )
        columns = ("Retried rollouts", "Score of retried", "Score of never retried")
        tables.append(Table(f"{benchmark.slug}: retries", columns, (row,)))
    return tables


def _cells(estimate: Estimate) -> tuple[str, str, str]:
    interval = f"[{estimate.ci_lower:.4f}, {estimate.ci_upper:.4f}]"
    return f"{estimate.value:.4f}", interval, estimate.method


def _share(count: int, n: int) -> str:
    return f"{count / n * 100:.1f} %" if n else ""


def _number(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else ""

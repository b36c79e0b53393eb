"""The first part of a report: what it is of, what speaks against it, all scores, what it cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..results.published import Used
from ..results.run_info import RunStatus
from . import figures as show
from .blocks import Block, Document, Facts, Forest, Notices, Section, Table, Tone
from .details import forest, is_share, result_section
from .glossary import glossary
from .view import Report, Result, score_cell

if TYPE_CHECKING:
    from ..decisions.leaderboard import Board

SCORE_COLUMNS = ("Benchmark", "Model", "Metric", "Score", "95 % CI", "Problems")
TRUST_COLUMNS = ("Scored", "No answer", "Truncated", "Errors")
COST_COLUMNS = (
    "Benchmark",
    "Model",
    "Prompt tokens",
    "Completion",
    "Reasoning",
    "Cost",
    "Latency p50",
    "p90",
    "p99",
    "Retries",
    "Duration",
)
MADE = (
    "Made by nel from the files of the runs; a score stands with its 95 % interval over problems."
)


def document(report: Report) -> Document:
    """The whole report."""
    several = len(report.results) > 1
    scored = any(result.data.n_scored != 0 for result in report.results)
    parts: list[Section] = []
    parts += [leaderboard(report.boards)] if report.boards else []
    if several:
        parts += [Section("Scores", tuple(_scores(report)))] if scored else []
        parts.append(Section("Cost and speed", (cost_table(report.results),)))
        parts += [result_section(result, alone=False) for result in report.results]
        if len({result.data.run_id for result in report.results}) > 1:
            parts.append(Section("Runs", (_runs(report),)))
    else:
        parts += [Section("Scores", (score_table(report.results),))] if scored else []
        parts.append(result_section(report.results[0]))
        parts.append(Section("Cost and speed", (cost_table(report.results),)))
    if words := tuple(glossary(result.data for result in report.results)):
        parts.append(Section("Notes", (Facts(words),)))
    return Document(
        title=report.title,
        badges=tuple(_badges(report)),
        blocks=(Facts(tuple(_facts(report))), _notices(report)),
        sections=tuple(parts),
        footer=MADE,
    )


def leaderboard(found: Sequence[Board]) -> Section:
    """Models in order, with the places that the data allow."""
    tables = tuple(
        Table(
            board.title,
            ("Rank", "Model", "Score", "Rank, 95 %", "Problems"),
            tuple(
                (
                    str(place.rank),
                    place.name,
                    show.score(place.score),
                    _ranks(place.rank_low, place.rank_high),
                    show.count(place.n),
                )
                for place in board.places
            ),
        )
        for board in found
    )
    return Section(
        "Leaderboard",
        tables,
        "Over the problems that all models have a verdict on. Ranks between which the data do not "
        "decide are a range; the ranges of one table hold together in 95 % of cases. Of several "
        "benchmarks together each counts equally.",
    )


def _ranks(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"


def score_table(results: Sequence[Result]) -> Table:
    """A row per result: its headline, and how far to trust it. Refusals are a column where there
    are any."""
    columns: tuple[str, ...] = (*SCORE_COLUMNS, *TRUST_COLUMNS)
    rows = [_score_row(result) for result in results]
    if any(result.data.refused for result in results):
        columns = (*columns, "Refused")
        rows = [(*row, show.count(r.data.refused)) for row, r in zip(rows, results, strict=True)]
    return Table("", columns, tuple(rows))


def cost_table(results: Sequence[Result]) -> Table:
    """Tokens, cost and times of every result, and of all."""
    rows = [_cost_row(result) for result in results]
    if len(results) > 1:
        rows.append(_total([result.data.runtime for result in results]))
    note = "Attempts that failed or were repeated are included, and so are judges."
    return Table("", COST_COLUMNS, tuple(rows), note)


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    if len(report.models) > 1:
        yield "Models", ", ".join(report.models)
    by_run = {result.data.run_id: result for result in report.results}
    if len(by_run) > 1:
        yield "Runs", f"{len(by_run):,}, listed at the end"
        return
    result = report.results[0]
    yield "Run", result.data.run_id
    run = result.run
    if run is None:
        yield "Made", f"{result.data.created or 'unknown'}, version {result.data.version or '?'}"
        return
    commit = f", git {run.git}" if run.git else ""
    yield "Started", f"{run.created} on {run.host}, nel {run.version}{commit}"
    if run.command:
        yield "Command", run.command
    if run.rescored_from:
        yield "Answers of", run.rescored_from
    if run.merged_from:
        yield "Merged from", ", ".join(run.merged_from)
    if run.extended:
        yield "Extended", "; ".join(run.extended)


def _runs(report: Report) -> Table:
    """Where the results come from, one row each run."""
    known = {run.run_id: run for run in report.runs}
    rows = []
    for run_id, result in {r.data.run_id: r for r in report.results}.items():
        run = known.get(run_id)
        rows.append(
            (
                run_id,
                result.data.created or show.UNKNOWN,
                run.status.value if run else show.UNKNOWN,
                result.data.version or show.UNKNOWN,
                (run.git if run else None) or show.UNKNOWN,
                run.host if run else show.UNKNOWN,
                (run.command if run else "") or show.UNKNOWN,
            )
        )
    return Table("", ("Run", "Started", "Status", "Version", "git", "Host", "Command"), tuple(rows))


def _badges(report: Report) -> Iterator[tuple[Tone, str]]:
    ended = {run.status for run in report.runs}
    for status in ended - {RunStatus.DONE}:
        yield Tone.BAD, "not ended" if status is RunStatus.RUNNING else status.value
    if report.simulated:
        yield Tone.BAD, "simulated"
    if ended == {RunStatus.DONE}:
        yield Tone.GOOD, "done"


def _notices(report: Report) -> Notices:
    """Each thing said once, with what it is about."""
    alone = len(report.results) == 1
    about: dict[tuple[Tone, str], list[str]] = {}
    for notice in report.notices:
        about.setdefault((notice.tone, notice.text), []).append(notice.about)
    items = tuple(
        (tone, text if alone else f"{_first_names(names)}: {text}")
        for (tone, text), names in about.items()
    )
    return Notices(items or ((Tone.GOOD, "Every rollout has a verdict; few were cut off."),))


def _first_names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:4])
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4:,} more"


def _scores(report: Report) -> Iterator[Block]:
    if len(report.columns) > 1:
        yield _matrix(report)
        yield from _by_benchmark(report)
    else:
        yield from _all_scores(report.results)
    table = score_table(report.results)
    yield Table("What the scores rest on", table.columns, table.rows)


def _matrix(report: Report) -> Table:
    rows = tuple(
        (name, *(score_cell(report.at(name, column)) for column in report.columns))
        for name in report.benchmarks
    )
    return Table("Benchmarks and models", ("Benchmark", *report.heads), rows)


def _by_benchmark(report: Report) -> Iterator[Forest]:
    """Models side by side; where only one has a benchmark there is nothing to see."""
    for name in report.benchmarks:
        found = [r for column in report.columns for r in report.at(name, column)]
        scored = [(result, result.score) for result in found if result.score is not None]
        if len(scored) < 2:
            continue
        alike = len({result.data.headline for result, _ in scored}) == 1
        rows = [
            (r.column if alike else f"{r.column}, {r.data.headline}", score) for r, score in scored
        ]
        yield forest(name, "Model", rows, sizes=[result.data.dataset_size for result, _ in scored])


def _all_scores(results: Sequence[Result]) -> Iterator[Forest]:
    """All headlines on one axis, those that are no shares on another."""
    scored = [(result, result.score) for result in results if result.score is not None]
    shares = [item for item in scored if is_share([item[1]])]
    others = [item for item in scored if not is_share([item[1]])]
    for title, group in (("Scores with their intervals", shares), ("Other scales", others)):
        if group:
            rows = [(f"{result.label} {result.data.headline}", score) for result, score in group]
            sizes = [result.data.dataset_size for result, _ in group]
            yield forest(title, "Benchmark", rows, sizes=sizes)


def _score_row(result: Result) -> tuple[str, ...]:
    data, measure = result.data, result.score
    name = result.benchmark + (" (simulated)" if data.simulated else "")
    head = (name, result.column)
    tail = (
        show.percent(data.coverage),
        show.part(data.no_answer, data.n_scored),
        show.part(data.truncated, data.n_scored),
        show.count(_errors(result)),
    )
    if measure is None:
        return (*head, "", "no score", "", show.problems(0, data.dataset_size), *tail)
    return (
        *head,
        data.shown_headline,
        show.value(measure),
        show.interval(measure),
        show.problems(result.problems, data.dataset_size),
        *tail,
    )


def _errors(result: Result) -> int | None:
    outcomes = result.data.outcomes
    if not outcomes:
        return None
    return sum(n for kind, n in outcomes.items() if kind not in ("scored", "model_error"))


def _cost_row(result: Result) -> tuple[str, ...]:
    used = result.data.runtime
    latency = used.latency_percentiles_ms
    return (
        result.benchmark,
        result.column,
        *_tokens(used),
        show.usd(cost(used)),
        *(show.milliseconds(latency.get(name)) for name in ("p50", "p90", "p99")),
        show.count(used.total_retries),
        show.duration(used.elapsed_seconds),
    )


def cost(used: Used) -> float | None:
    """US dollars, judges included; None while no price is known."""
    known = [usd for usd in (used.cost_usd, used.judge_cost_usd) if usd is not None]
    return sum(known) if known else None


def _tokens(used: Used) -> tuple[str, ...]:
    prompt, completion = used.total_prompt_tokens, used.total_completion_tokens
    if prompt is not None:
        prompt += used.judge_prompt_tokens or 0
    if completion is not None:
        completion += used.judge_completion_tokens or 0
    return tuple(show.count(n) for n in (prompt, completion, used.total_reasoning_tokens))


def _total(all_used: Sequence[Used]) -> tuple[str, ...]:
    """Sums; a sum of which a part is unknown is unknown, but a cost is of what is known."""
    costs = [usd for used in all_used if (usd := cost(used)) is not None]

    def total(*names: str) -> str:
        values = [getattr(used, names[0]) for used in all_used]
        if any(value is None for value in values):
            return show.UNKNOWN
        return show.count(sum(getattr(used, name) or 0 for used in all_used for name in names))

    return (
        "all",
        "",
        total("total_prompt_tokens", "judge_prompt_tokens"),
        total("total_completion_tokens", "judge_completion_tokens"),
        total("total_reasoning_tokens"),
        show.usd(sum(costs) if costs else None),
        "",
        "",
        "",
        total("total_retries"),
        "",
    )

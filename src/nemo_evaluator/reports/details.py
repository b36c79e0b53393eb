"""The part of a report on one benchmark of one run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from ..finish import FinishReason
from ..results.flips import Flips
from ..results.published import Measure, Published
from ..results.repeats import Agreement
from . import figures as show
from .blocks import (
    Block,
    Columns,
    Facts,
    Figure,
    Figures,
    Forest,
    Histogram,
    Interval,
    Section,
    Shares,
    Table,
    Tone,
)
from .effort import effort_blocks
from .identity import identity
from .performance import performance_blocks
from .single import prompt_block, sample_blocks, unsteady_block
from .view import Result, metrics

GROUPS = 60
"""Groups of a breakdown that are drawn; all are in the JSON report."""
FLIPS = 50
"""Flips that are listed; all are in ``flips.json``."""
DISTRIBUTIONS = {
    "latency_ms": "Latency of an answer",
    "ttft_ms": "Time to the first token",
    "completion_tokens": "Completion tokens of an answer",
    "cost_usd": "Cost of an answer",
}


def result_section(result: Result, *, alone: bool = True) -> Section:
    """Everything about one result. ``alone``: there is no other result in the report."""
    data = result.data
    blocks: list[Block] = [Figures(tuple(_figures(data)))] if data.n_scored != 0 else []
    if data.metrics:
        blocks.append(_metrics(data))
    blocks += _breakdowns(data)
    blocks += _rollouts(data)
    blocks += effort_blocks(data.effort)
    if data.agreement is not None:
        blocks += _agreement(data, data.agreement, bool(result.samples.repeated))
        blocks += unsteady_block(result.samples)
    blocks += performance_blocks(data)
    blocks += _distributions(data)
    if data.retried is not None and data.retried.rollouts:
        blocks.append(_retried(data))
    blocks += _failures(data)
    if result.flips is not None:
        blocks += _flips(result.flips)
    blocks += sample_blocks(result.samples, str(Path(result.path).parent), alone=alone)
    blocks.append(Facts(tuple(identity(result)), "What was measured"))
    blocks += prompt_block(result.samples)
    return Section(result.label, tuple(blocks))


def forest(
    title: str,
    first: str,
    measures: Sequence[tuple[str, Measure]],
    note: str = "",
    value: str = "Score",
    sizes: Sequence[int | None] = (),
) -> Forest:
    """Metrics with their intervals. How those were made is a column only where it differs.
    ``sizes``: for each, the problems of its whole dataset."""
    methods = list(dict.fromkeys(m.method for _, m in measures if m.ci_lower is not None))
    columns: tuple[str, ...] = (first, value, "95 % CI", "Problems")
    notes = [note]
    if len(methods) > 1:
        columns = (*columns, "Interval")
    elif methods and methods[0] is not None:
        notes.append(f"Intervals: {methods[0]}; see the notes at the end.")
    return Forest(
        title,
        columns,
        tuple(
            Interval(
                name=name,
                value=measure.value,
                lower=measure.ci_lower,
                upper=measure.ci_upper,
                cells=(
                    show.value(measure),
                    show.interval(measure),
                    show.problems(measure.n, whole),
                    measure.method or show.UNKNOWN,
                )[: len(columns) - 1],
            )
            for (name, measure), whole in zip_longest(measures, sizes)
        ),
        (0.0, 1.0) if is_share([measure for _, measure in measures]) else None,
        note=" ".join(filter(None, notes)),
    )


def is_share(measures: Sequence[Measure]) -> bool:
    """Whether all are shares of 1."""
    ends = [x for m in measures for x in (m.value, m.ci_lower, m.ci_upper) if x is not None]
    return all(0 <= x <= 1 for x in ends)


def _figures(data: Published) -> Iterator[Figure]:
    score = data.score
    if score is None:
        yield Figure("Score", "unknown", "the bundle gives no score", Tone.UNSURE)
    else:
        bounds = f"95 % CI {show.interval(score)}" if score.ci_lower is not None else "no interval"
        yield Figure(data.shown_headline or "Score", show.value(score), bounds)
    rollouts = "" if data.n_rollouts is None else f"of {show.count(data.n_rollouts)} rollouts"
    low = data.coverage is not None and data.coverage < (data.coverage_floor or 1)
    tone = Tone.UNSURE if low else Tone.PLAIN
    yield Figure("With a verdict", show.percent(data.coverage), rollouts, tone)
    times = "" if not data.repeats or data.repeats == 1 else f"× {data.repeats} repeats"
    yield Figure("Problems", show.problems(data.n_problems, data.dataset_size), times)
    if data.n_scored:
        yield Figure("No answer found", show.part(data.no_answer, data.n_scored))
        yield Figure("Cut off", show.part(data.truncated, data.n_scored))
    if data.refused:
        share = show.part(data.refused, data.n_scored)
        yield Figure("Refused", show.count(data.refused), f"{share} of the verdicts", Tone.UNSURE)
    yield from _usage(data)


def _usage(data: Published) -> Iterator[Figure]:
    used = data.runtime
    latency = used.latency_percentiles_ms
    if latency.get("p50") is not None:
        note = f"p90 {show.milliseconds(latency.get('p90'))}, p99 "
        note += show.milliseconds(latency.get("p99"))
        yield Figure("Latency p50", show.milliseconds(latency["p50"]), note)
    if used.total_tokens:
        answers = sum(used.finish_reason_counts.values())
        note = f"{used.total_tokens / answers:,.0f} per answer" if answers else ""
        yield Figure("Tokens", show.count(used.total_tokens), note)
    if used.judge_calls:
        tokens = (used.judge_prompt_tokens or 0) + (used.judge_completion_tokens or 0)
        yield Figure("Judges' replies", show.count(used.judge_calls), f"{tokens:,} tokens")
    known = [usd for usd in (used.cost_usd, used.judge_cost_usd) if usd is not None]
    if known:
        right = _right(data)
        note = f"{show.usd(sum(known) / right)} per right answer" if right else ""
        yield Figure("Cost", show.usd(sum(known)), note)


def _right(data: Published) -> float | None:
    """Number of right answers, if the score is their share."""
    if data.headline != "pass@1" or data.score is None or not data.n_scored:
        return None
    return data.score.value * data.n_scored


def _metrics(data: Published) -> Forest:
    items = metrics(data)
    rows = [(_metric_name(name, measure), measure) for name, measure in items]
    return forest("Metrics", "Metric", rows, sizes=[data.dataset_size] * len(rows))


def _metric_name(name: str, measure: Measure) -> str:
    if measure.total is None:
        return name
    return f"{name} ({show.count(measure.correct)} of {show.count(measure.total)})"


def _breakdowns(data: Published) -> Iterator[Forest]:
    """Mean rewards by group."""
    for name, groups in data.categories.items():
        shown = list(groups.items())[:GROUPS]
        more = len(groups) - len(shown)
        note = f"And {more:,} more in the JSON report." if more else ""
        yield forest(f"By {name}", name.capitalize(), shown, note, "Mean reward")


def _rollouts(data: Published) -> Iterator[Shares]:
    if data.n_rollouts and data.outcomes:
        scored, no_answer = data.n_scored or 0, data.no_answer or 0
        errors = {k: n for k, n in data.outcomes.items() if k not in ("scored", "model_error")}
        parts = [
            ("with an answer", scored - no_answer, Tone.PLAIN),
            ("no answer found, but scored", no_answer, Tone.UNSURE),
            *((kind.replace("_", " "), n, Tone.BAD) for kind, n in errors.items()),
            ("not done", data.n_rollouts - sum(data.outcomes.values()), Tone.FAINT),
        ]
        if scored - no_answer < data.n_rollouts:
            yield Shares("How the rollouts ended", tuple(parts))
    reasons = data.runtime.finish_reason_counts
    if len(reasons) > 1:
        ordered = sorted(reasons.items(), key=lambda item: -item[1])
        yield Shares(
            "Why the model stopped",
            tuple((name, n, _tone(name)) for name, n in ordered),
        )


def _tone(finish: str) -> Tone:
    reason = FinishReason.of(finish)
    if reason.truncated:
        return Tone.BAD
    return Tone.PLAIN if reason is FinishReason.STOP else Tone.UNSURE


def _agreement(data: Published, found: Agreement, listed: bool) -> Iterator[Block]:
    """``listed``: the least steady problems stand below with their questions."""
    if found.always_right is None or found.always_wrong is None:
        parts: tuple[tuple[str, int, Tone], ...] = (
            ("the same reward each time", found.same, Tone.GOOD),
            ("rewards differ", found.problems - found.same, Tone.UNSURE),
        )
    else:
        between = found.problems - found.always_right - found.always_wrong
        parts = (
            ("right each time", found.always_right, Tone.GOOD),
            ("right sometimes", between, Tone.UNSURE),
            ("wrong each time", found.always_wrong, Tone.BAD),
        )
    note = f"Standard deviation of a problem's reward between repeats: {found.within_std:.3f}."
    if found.unsteady and not listed:
        note += f" Least steady, by index: {', '.join(map(str, found.unsteady))}."
    yield Shares(f"What {data.repeats} repeats agree on, by problem", parts, note)
    if len(found.right_counts) > 3:
        yield Columns(
            f"Problems by how many of {data.repeats} repeats are right",
            tuple((str(k), n) for k, n in enumerate(found.right_counts)),
        )


def _retried(data: Published) -> Table:
    assert data.retried is not None
    row = (
        show.count(data.retried.rollouts),
        show.score(data.retried.mean_reward_retried),
        show.score(data.retried.mean_reward_never_retried),
    )
    columns = ("Retried rollouts", "Mean reward of these", "Of the others")
    return Table("Rollouts that were retried", columns, (row,))


def _distributions(data: Published) -> Iterator[Histogram]:
    for name, title in DISTRIBUTIONS.items():
        found = data.distributions.get(name)
        if found is None or found.n < 2:
            continue
        in_seconds = found.unit == "ms" and found.p50 >= 1000
        unit, factor = (" s", 1e-3) if in_seconds else (f" {found.unit}".rstrip(), 1.0)
        yield Histogram(
            title,
            tuple(edge * factor for edge in found.edges),
            found.counts,
            unit,
            found.log,
            tuple((q, getattr(found, q) * factor) for q in ("p50", "p90", "p99")),
            found.min * factor,
            found.max * factor,
        )


def _failures(data: Published) -> Iterator[Table]:
    kinds = sorted(data.failures.items(), key=lambda item: -item[1])
    yield Table(
        "Failures",
        ("Kind", "Rollouts", "Share"),
        tuple((kind, show.count(n), show.part(n, data.n_rollouts)) for kind, n in kinds),
    )
    yield Table(
        "Examples of failures",
        ("Kind", "Rollout", "Error or response"),
        tuple(
            (e.category, f"{e.problem_idx}/{e.repeat}", e.error or e.response_preview or "(empty)")
            for e in data.examples
        ),
        code=(2,),
    )


def _flips(flips: Flips) -> Iterator[Block]:
    yield Shares(
        "Changes from verifying again",
        (
            ("verdict the same", flips.same, Tone.PLAIN),
            ("up", flips.up, Tone.GOOD),
            ("down", flips.down, Tone.BAD),
            ("verdict gained", flips.gained, Tone.UNSURE),
            ("verdict lost", flips.lost, Tone.FAINT),
        ),
    )
    shown = flips.flips[:FLIPS]
    more = len(flips.flips) - len(shown)
    yield Table(
        "Flips",
        ("Rollout", "Reward", "Extracted before", "Extracted after", "Expected"),
        tuple(
            (
                f"{flip.problem_idx}/{flip.repeat}",
                f"{_reward(flip.before)} → {_reward(flip.after)}",
                flip.extracted_before,
                flip.extracted_after,
                flip.expected,
            )
            for flip in shown
        ),
        note=f"and {more:,} more in flips.json" if more else "",
        code=(2, 3, 4),
    )


def _reward(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"

"""Comparisons as reports: of one benchmark, of several, and of several candidates."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any

from ..decisions.categories import CategoryDelta
from ..decisions.compare import Comparison, overall
from ..decisions.flips import Flip, FlipReport
from ..decisions.metrics import REWARD
from ..decisions.multiple import Entry, Field
from ..decisions.verdicts import Verdict, p_text, worst
from .blocks import Block, Document, Facts, Forest, Interval, Notices, Section, Table, Tone
from .verdict_words import direction, known, tone

NOT_CORRECTED = "BROKE is corrected for the number of categories (Holm), the intervals are not."


class Detail(enum.IntEnum):
    """How much of a comparison is shown."""

    VERDICT = 0
    """The verdict, its reasons and warnings."""
    FACTS = 1
    """Also the facts and the categories that dropped."""
    EVERYTHING = 2


def comparison_report(
    c: Comparison, *, flips: int | None = 0, detail: Detail = Detail.EVERYTHING
) -> Document:
    """One benchmark. ``flips``: how many of each kind are listed, None for all."""
    return Document(
        title=f"{c.benchmark}: {_name(c.candidate)} against {_name(c.baseline)}",
        badges=((tone(c.verdict), c.verdict.value),),
        lead=_sentence(c),
        blocks=tuple(_blocks(c, flips, detail)),
        sections=(),
    )


def overview_report(
    comparisons: Mapping[str, Comparison],
    unmatched: Mapping[str, str],
    *,
    missing: Sequence[str] = (),
    flips: int | None = 0,
    detail: Detail = Detail.EVERYTHING,
) -> Document:
    """Several benchmarks of two runs: the worst verdict decides; ``missing`` are benchmarks of the
    baseline that the candidate lacks."""
    verdict = overall(comparisons.values(), missing)
    deciding = [name for name, c in comparisons.items() if c.verdict is verdict]
    first = next(iter(comparisons.values()))
    lead = (
        f"all {len(comparisons)} benchmark{'s' * (len(comparisons) != 1)} of both"
        if verdict is Verdict.PASS or not deciding
        else f"{len(deciding)} of {len(comparisons)} benchmarks: {', '.join(deciding)}"
    )
    lacks = f" The candidate lacks {', '.join(missing)}." if missing else ""
    columns = ("Benchmark", "Verdict", "Baseline", "Candidate", "Difference", "95 % CI", "p", "n")
    forest = Forest(
        "Benchmarks",
        columns,
        tuple(_row(name, c) for name, c in comparisons.items() if c.difference is not None),
        limit=_limit(first),
        zero=True,
    )
    undecided = Table(
        "Not paired",
        ("Benchmark", "Verdict", "Why"),
        tuple(
            (name, c.verdict.value, "; ".join(c.reasons))
            for name, c in comparisons.items()
            if c.difference is None
        ),
    )
    absent = tuple((Tone.UNSURE, f"{name} is not in {at}") for name, at in unmatched.items())
    return Document(
        title=f"{_name(first.candidate)} against {_name(first.baseline)}",
        badges=((tone(verdict), verdict.value),),
        lead=f"{lead}.{lacks}",
        blocks=(Notices(absent), forest, undecided),
        sections=tuple(
            Section(
                title=name,
                lead=f"{c.verdict.value}: {_sentence(c)}",
                blocks=tuple(_blocks(c, flips, detail)),
            )
            for name, c in comparisons.items()
        ),
    )


def field_report(field: Field) -> Document:
    """Several candidates against one baseline."""
    verdict = worst(entry.verdict for entry in field.entries)
    counts = {kind: sum(e.verdict is kind for e in field.entries) for kind in Verdict}
    said = ", ".join(f"{count} {kind.value}" for kind, count in counts.items() if count)
    note = {"holm": "Holm", "bh": "Benjamini-Hochberg"}.get(field.correction)
    columns = ("Candidate", "Benchmark", "Verdict", "Baseline", "Score", "Difference", "95 % CI")
    candidates = Table(
        "Candidates",
        (*columns, "p", "n"),
        tuple(_entry(entry) for entry in field.entries),
        f"p-values corrected for {len(field.entries)} comparisons ({note})" if note else "",
    )
    boards = (
        Table(
            f"Leaderboard: {benchmark}",
            ("Rank", "Run", "Score", "Rank between", "n"),
            tuple(
                (
                    str(place.rank),
                    place.name,
                    f"{place.score:.4f}",
                    f"{place.rank_low} and {place.rank_high}",
                    f"{place.n:,}",
                )
                for place in places
            ),
        )
        for benchmark, places in field.leaderboard.items()
    )
    unmatched = tuple((Tone.UNSURE, f"{name} is not in every run") for name in field.unmatched)
    return Document(
        title=f"{len({e.candidate for e in field.entries})} candidates against {field.baseline}",
        badges=((tone(verdict), verdict.value),),
        lead=f"{said}.",
        blocks=(Notices(unmatched), candidates, *boards),
        sections=(),
    )


def _sentence(c: Comparison) -> str:
    return "; ".join(c.reasons) + "."


def _blocks(c: Comparison, flips: int | None, detail: Detail) -> list[Block]:
    warnings = Notices(tuple((Tone.UNSURE, warning) for warning in c.warnings))
    if detail is Detail.VERDICT:
        return [warnings]
    blocks: list[Block] = [Facts(tuple(_facts(c))), warnings]
    if c.difference is not None:
        blocks.append(_categories(c, all_of_them=detail is Detail.EVERYTHING))
    if detail is Detail.EVERYTHING:
        blocks += [_score_deltas(c), _runtime(c)]
    if c.flips is not None and flips != 0:
        blocks.append(_flips("Regressions", c.flips.regressions, flips))
        blocks.append(_flips("Improvements", c.flips.improvements, flips))
    return blocks


def _row(name: str, c: Comparison) -> Interval:
    assert c.difference is not None
    d = c.difference
    return Interval(
        name=name,
        value=d.delta,
        lower=known(d.lower),
        upper=known(d.upper),
        cells=(c.verdict.value, *_scores(c), _p(c), f"{c.n_paired:,}"),
        tone=_tone(c, d.lower, d.upper),
    )


def _limit(c: Comparison) -> float:
    """The largest drop that is allowed, as a difference of the metric."""
    return -c.options.max_drop if c.higher_is_better else c.options.max_drop


def _tone(c: Comparison, lower: float, upper: float) -> Tone:
    return direction(lower, upper) if c.higher_is_better else direction(-upper, -lower)


def _entry(entry: Entry) -> tuple[str, ...]:
    return (
        entry.candidate,
        entry.comparison.benchmark,
        entry.verdict.value,
        *_scores(entry.comparison),
        "—" if entry.p_worse is None else p_text(entry.p_worse),
        f"{entry.comparison.n_paired:,}",
    )


def _facts(c: Comparison) -> list[tuple[str, str]]:
    rows = []
    for name, run, score in (
        ("baseline", c.baseline, c.baseline_score),
        ("candidate", c.candidate, c.candidate_score),
    ):
        head = f"{score:.4f}  " if score is not None else ""
        rows.append((name, f"{head}{_name(run)}, run {run['run_id']}"))
    d, test = c.difference, c.test
    if d is not None:
        units = "" if d.units == d.n else f", {d.units:,} clusters"
        interval = f"95 % CI {_interval(d.lower, d.upper)}"
        rows.append(("difference", f"{d.delta:+.4f}  {interval} ({d.method}{units})"))
    if test is not None:
        p = f'p = {p_text(test.p_worse)} for "no drop"'
        rows.append(("test", f"{p} ({test.name}: {test.reason})"))
    if c.sides:
        rows.append(("paired", _paired(c)))
    if c.flips is not None:
        table = c.flips.contingency
        rows.append(("flips", _flip_counts(c, c.flips)))
        if c.worse != table.baseline_only_correct or c.better != table.candidate_only_correct:
            rows.append(("changes", f"{c.worse:,} problems score lower, {c.better:,} higher"))
    if c.detectable is not None:
        size = f"a drop of {c.detectable:.4f} would be found in four of five such comparisons"
        rows.append(("power", size))
    if c.options.metric != REWARD or not c.higher_is_better:
        way = "higher" if c.higher_is_better else "lower"
        rows.append(("metric", f"{c.options.metric}, {way} is better"))
    chance = c.chance_beyond
    larger = "" if chance is None else f", a larger drop has a chance of {chance:.1%}"
    rows.append(("max drop", f"{c.options.max_drop:g}{larger}"))
    return rows


def _flip_counts(c: Comparison, flips: FlipReport) -> str:
    """With repeats a problem counts as right where one of them is: that is said."""
    table = flips.contingency
    counts = f"{table.baseline_only_correct:,} regressions, {table.candidate_only_correct:,} "
    counts += f"improvements, {table.both_correct:,} right on both sides, {table.both_wrong:,} "
    repeated = any(side.scored > side.problems for side in c.sides.values())
    return f"{counts}wrong on both" + (" (right: in at least one repeat)" if repeated else "")


def _paired(c: Comparison) -> str:
    text = f"{c.n_paired:,} problems, {c.coverage * 100:.1f} % of what was planned"
    parts = []
    for name, side in c.sides.items():
        missing = side.rollouts - side.scored
        said = [
            f"{count:,} {what}"
            for count, what in (
                (side.only_here, "only here"),
                (missing, "rollouts without a verdict"),
                (side.truncated, "cut off"),
            )
            if count
        ]
        if said:
            parts.append(f"{name}: {', '.join(said)}")
    return "; ".join([text, *parts])


def _categories(c: Comparison, *, all_of_them: bool) -> Forest:
    """BROKE where a drop larger than allowed is shown, corrected for the number of categories; HELD
    where none is seen; WARN where one is seen and not shown."""
    rows = []
    for name, d in c.categories.items():
        sign = -1 if c.higher_is_better else 1
        label = "BROKE" if d.fell else "WARN" if sign * d.delta > c.options.max_drop else "HELD"
        if all_of_them or label != "HELD":
            rows.append(_category(name, label, d, _tone(c, d.ci_lower, d.ci_upper)))
    columns = ("Category", "Change", "Baseline", "Candidate", "Difference", "95 % CI", "n")
    return Forest(
        "Categories", columns, tuple(rows), limit=_limit(c), note=NOT_CORRECTED, zero=True
    )


def _category(name: str, label: str, d: CategoryDelta, shade: Tone) -> Interval:
    return Interval(
        name=name,
        value=d.delta,
        lower=known(d.ci_lower),
        upper=known(d.ci_upper),
        cells=(
            label,
            f"{d.baseline:.4f}",
            f"{d.candidate:.4f}",
            f"{d.delta:+.4f}",
            _interval(d.ci_lower, d.ci_upper),
            f"{d.n:,}",
        ),
        tone=shade,
    )


def _score_deltas(c: Comparison) -> Table:
    rows = tuple(
        (
            metric,
            f"{delta['baseline']:.4f}",
            f"{delta['candidate']:.4f}",
            f"{delta['delta']:+.4f}",
            f"{delta['relative_pct']:+.1f} %",
        )
        for metric, delta in c.score_deltas.items()
    )
    columns = ("Metric", "Baseline", "Candidate", "Difference", "Relative")
    return Table("Metrics as reported by each run", columns, rows)


def _runtime(c: Comparison) -> Table:
    rows = tuple(
        (
            name.replace("_", " "),
            f"{delta['baseline']:,.0f}",
            f"{delta['candidate']:,.0f}",
            f"{delta['relative_pct']:+.1f} %",
        )
        for name, delta in c.runtime_deltas.items()
    )
    return Table("Cost and speed", ("Measure", "Baseline", "Candidate", "Relative"), rows)


def _flips(title: str, flips: tuple[Flip, ...], limit: int | None) -> Table:
    shown = flips if limit is None else flips[:limit]
    return Table(
        f"{title} ({len(flips):,})",
        ("Problem", "Category", "Reward", "Expected", "Baseline", "Candidate"),
        tuple(
            (
                str(flip.problem_idx),
                flip.category or "",
                f"{flip.baseline_reward:g} → {flip.candidate_reward:g}",
                _text(flip.expected_answer),
                _text(flip.baseline_answer or flip.baseline_response),
                _text(flip.candidate_answer or flip.candidate_response),
            )
            for flip in shown
        ),
        f"and {len(flips) - len(shown):,} more" if len(shown) < len(flips) else "",
        code=(3, 4, 5),
    )


def _scores(c: Comparison) -> tuple[str, str, str, str]:
    if c.difference is None or c.baseline_score is None or c.candidate_score is None:
        return "—", "—", "—", "—"
    return (
        f"{c.baseline_score:.4f}",
        f"{c.candidate_score:.4f}",
        f"{c.difference.delta:+.4f}",
        _interval(c.difference.lower, c.difference.upper),
    )


def _interval(low: float, high: float) -> str:
    return "unknown" if known(low) is None else f"[{low:+.4f}, {high:+.4f}]"


def _p(c: Comparison) -> str:
    return "—" if c.test is None else p_text(c.test.p_worse)


def _name(run: Mapping[str, Any]) -> str:
    return str(run["model"] or run["run_id"])


def _text(value: Any) -> str:
    text = " ".join(str(value).split()) if value is not None else ""
    return text if len(text) <= 32 else text[:31] + "…"

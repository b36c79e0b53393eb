"""Comparisons as reports: of one benchmark, of several, and of several candidates."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence

from ..decisions.compare import Comparison, overall, scale_of_comparison
from ..decisions.metrics import REWARD
from ..decisions.multiple import Entry, Field
from ..decisions.provenance import Provenance
from ..decisions.sentences import percent
from ..decisions.verdicts import Verdict, p_number, p_text, worst
from .blocks import Block, Document, Facts, Forest, Interval, Notices, Section, Table, Tone
from .calibrated import calibrated_table
from .changes import categories, sides, signed_limit
from .changes import flips as flip_table
from .evidence import coverage_fact, evidence, evidence_of_many, moment, open_fact
from .verdict_words import known, tone

SAID = 3
"""Benchmarks that the sentence of a decision tells of."""


class Detail(enum.IntEnum):
    """How much of a comparison is shown."""

    VERDICT = 0
    """The verdict, its reasons and warnings."""
    FACTS = 1
    """Also the facts and the categories that dropped."""
    EVERYTHING = 2


def comparison_report(
    c: Comparison,
    *,
    facts: Provenance | None = None,
    flips: int | None = 0,
    detail: Detail = Detail.EVERYTHING,
) -> Document:
    """One benchmark. ``flips``: how many of each kind are listed, None for all; ``facts``: who
    compared, and where."""
    return Document(
        title=f"{c.benchmark}: {_name(c.candidate)} against {_name(c.baseline)}",
        badges=((tone(c.verdict), c.verdict.value),),
        lead=_sentence(c),
        blocks=(*_head(c, facts, detail), *_blocks(c, facts, flips, detail)),
        sections=(),
    )


def overview_report(
    comparisons: Mapping[str, Comparison],
    unmatched: Mapping[str, str],
    *,
    missing: Sequence[str] = (),
    facts: Provenance | None = None,
    flips: int | None = 0,
    detail: Detail = Detail.EVERYTHING,
) -> Document:
    """Several benchmarks of two runs: the worst verdict decides; ``missing`` are benchmarks of the
    baseline that the candidate lacks."""
    verdict = overall(comparisons.values(), missing)
    first = next(iter(comparisons.values()))
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
        lead=_lead(comparisons, verdict, missing),
        blocks=(
            Facts((*_evidence(facts), *_summary_facts(comparisons, missing))),
            Notices(absent),
            *_forests([c for c in comparisons.values() if c.difference is not None]),
            undecided,
        ),
        sections=tuple(
            Section(
                title=name,
                lead=f"{c.verdict.value}: {_sentence(c)}",
                blocks=tuple(_blocks(c, facts, flips, detail)),
            )
            for name, c in comparisons.items()
        ),
        printed=False,
    )


def field_report(field: Field, facts: Sequence[Provenance] = ()) -> Document:
    """Several candidates against one baseline. ``facts``: of each candidate and the baseline."""
    verdict = worst(entry.verdict for entry in field.entries)
    counts = {kind: sum(e.verdict is kind for e in field.entries) for kind in Verdict}
    counted = ", ".join(f"{count} {kind.value}" for kind, count in counts.items() if count)
    note = {"holm": "Holm", "bh": "Benjamini-Hochberg"}.get(field.correction)
    columns = ("Candidate", "Benchmark", "Verdict", "Baseline", "Score", "Change", "95 % CI")
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
        lead=f"{counted}.",
        blocks=(Facts(tuple(evidence_of_many(facts))), Notices(unmatched), candidates, *boards),
        sections=(),
    )


def _sentence(c: Comparison) -> str:
    return "; ".join(c.reasons) + "."


def _blocks(
    c: Comparison, facts: Provenance | None, flips: int | None, detail: Detail
) -> list[Block]:
    warnings = Notices(tuple((Tone.UNSURE, warning) for warning in c.warnings))
    if detail is Detail.VERDICT:
        return [warnings]
    runs = [] if facts is not None else _runs(c)
    blocks: list[Block] = [Facts((*runs, *_facts(c))), _measures(c), warnings]
    blocks.append(calibrated_table([c]))
    if c.difference is not None:
        blocks.append(categories(c, all_of_them=detail is Detail.EVERYTHING))
    if detail is Detail.EVERYTHING:
        blocks += [_score_deltas(c), _runtime(c)]
    if c.flips is not None and flips != 0:
        blocks.append(flip_table("Regressions", c.flips.regressions, flips))
        blocks.append(flip_table("Improvements", c.flips.improvements, flips))
    return blocks


def _head(c: Comparison, facts: Provenance | None, detail: Detail) -> list[Block]:
    if detail is Detail.VERDICT:
        return []
    return [Facts(_evidence(facts)), *_forests([c])]


def _evidence(facts: Provenance | None) -> tuple[tuple[str, str], ...]:
    return () if facts is None else tuple(evidence(facts))


def _summary_facts(
    comparisons: Mapping[str, Comparison], missing: Sequence[str]
) -> list[tuple[str, str]]:
    """Coverage, and what was not decided."""
    open_ = [n for n, c in comparisons.items() if c.verdict is Verdict.INCONCLUSIVE]
    covered = coverage_fact({name: c.coverage for name, c in comparisons.items()})
    return [*covered, open_fact(open_, missing)]


def _lead(comparisons: Mapping[str, Comparison], verdict: Verdict, missing: Sequence[str]) -> str:
    """What decided, and what the candidate lacks."""
    deciding = [name for name, c in comparisons.items() if c.verdict is verdict]
    count = len(comparisons)
    lacks = f"the candidate lacks {', '.join(missing)}" if missing else ""
    if verdict is Verdict.PASS or not deciding:
        both = f"all {count} benchmarks of both" if count > 1 else "the one benchmark of both"
        worst_of_both = worst(c.verdict for c in comparisons.values())
        parts = [lacks, both if verdict is Verdict.PASS else f"{both}: {worst_of_both}"]
    else:
        parts = [
            f"{len(deciding)} of {count} benchmarks: {_deciding(comparisons, deciding)}",
            lacks,
        ]
    return "; ".join(filter(None, parts)) + "."


def _deciding(comparisons: Mapping[str, Comparison], names: Sequence[str]) -> str:
    """What became of the benchmarks that decide, of the first few in a sentence."""
    rows = []
    for name in names[:SAID]:
        reason = comparisons[name].reasons[0]
        rows.append(reason if reason.startswith(name) else f"{name}: {reason}")
    return "; ".join([*rows, *([f"and {', '.join(names[SAID:])}"] if names[SAID:] else [])])


def _forests(comparisons: Sequence[Comparison]) -> list[Forest]:
    """One plot of those whose scores are shares, one of the others: a plot has one unit."""
    found = []
    for points in (True, False):
        chosen = [c for c in comparisons if scale_of_comparison(c).points is points]
        if not chosen:
            continue
        unit = scale_of_comparison(chosen[0]).unit
        columns = (
            "Benchmark", "Verdict", "Baseline", "Candidate", f"Change ({unit})", "95 % CI",
            "Limit", "p", "n",
        )  # fmt: skip
        note = "Change: candidate − baseline; limit: the dashed line; p: of no drop, one-sided."
        rows = tuple(_row(c) for c in chosen if c.difference is not None)
        found.append(Forest("Change", columns, rows, note=note, zero=True, status=True))
    return found


def _row(c: Comparison) -> Interval:
    assert c.difference is not None
    d, scale = c.difference, scale_of_comparison(c)
    factor = 100.0 if scale.points else 1.0
    low, high = known(d.lower), known(d.upper)
    return Interval(
        name=c.benchmark,
        value=factor * d.delta,
        lower=None if low is None else factor * low,
        upper=None if high is None else factor * high,
        cells=(
            c.verdict.value,
            *_scores(c),
            scale.signed_limit(c.options.max_drop),
            _p(c),
            f"{c.n_paired:,}",
        ),
        tone=tone(c.verdict),
        limit=factor * signed_limit(c),
    )


def _entry(entry: Entry) -> tuple[str, ...]:
    return (
        entry.candidate,
        entry.comparison.benchmark,
        entry.verdict.value,
        *_scores(entry.comparison),
        "—" if entry.p_worse is None else p_number(entry.p_worse),
        f"{entry.comparison.n_paired:,}",
    )


def _runs(c: Comparison) -> list[tuple[str, str]]:
    rows = []
    for name, run in (("baseline", c.baseline), ("candidate", c.candidate)):
        begun = f", begun {moment(run['created'])}" if run["created"] else ""
        rows.append((name, f"{_name(run)}, run {run['run_id']}{begun}"))
    return rows


def _facts(c: Comparison) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    d, test, scale = c.difference, c.test, scale_of_comparison(c)
    if d is not None:
        units = "" if d.units == d.n else f", {d.units:,} clusters"
        rows.append(("interval", f"95 %, {d.method}{units}"))
    if test is not None:
        p = f'{p_text(test.p_worse)} for "no drop"'
        rows.append(("test", f"{p} ({test.name}: {test.reason})"))
    if c.sides:
        rows.append(("paired", _paired(c)))
    if c.flips is not None:
        table = c.flips.contingency
        rows.append(("flips", sides(c, table)))
        if c.worse != table.baseline_only_correct or c.better != table.candidate_only_correct:
            rows.append(("changes", f"{c.worse:,} problems score lower, {c.better:,} higher"))
    if c.detectable is not None:
        size = f"a {scale.drop} of {scale.with_unit(c.detectable)}"
        rows.append(("power", f"{size} would be found in four of five such comparisons"))
    if c.options.metric != REWARD or not c.higher_is_better:
        way = "higher" if c.higher_is_better else "lower"
        rows.append(("metric", f"{c.options.metric}, {way} is better"))
    chance = c.chance_beyond
    larger = "" if chance is None else f", a larger one has a chance of {percent(chance)}"
    limit = f"a {scale.drop} of {scale.limit(c.options.max_drop)}{' points' * scale.points}"
    rows.append(("allowed", f"{limit}{larger}"))
    return rows


def _paired(c: Comparison) -> str:
    text = f"{c.n_paired:,} problems, {c.coverage * 100:.1f} % of what was planned"
    text += "" if c.stopped is None else f" ({c.stopped.after})"
    parts = []
    for name, side in c.sides.items():
        missing = side.rollouts - side.scored
        facts = [
            f"{count:,} {what}"
            for count, what in (
                (side.only_here, "only here"),
                (missing, "rollouts without a verdict"),
                (side.truncated, "cut off"),
            )
            if count
        ]
        if facts:
            parts.append(f"{name}: {', '.join(facts)}")
    return "; ".join([text, *parts])


def _measures(c: Comparison) -> Table:
    """Metrics that are no means of rows: they cannot be paired."""
    rows = tuple(
        (
            *_metric_cells(metric, delta),
            f"{delta['ci_lower']:+.4f} to {delta['ci_upper']:+.4f}" if "ci_lower" in delta else "—",
            "higher" if delta["higher_is_better"] else "lower",
        )
        for metric, delta in c.score_deltas.items()
        if delta.get("measure")
    )
    columns = ("Measure", "Baseline", "Candidate", "Difference", "95 % CI", "Better")
    note = "not paired; judged where --metric or a policy names one"
    return Table("Measures of all rows", columns, rows, note)


def _metric_cells(metric: str, delta: Mapping[str, float]) -> tuple[str, str, str, str]:
    """A metric as both bundles have it, and the change."""
    before, after = f"{delta['baseline']:.4f}", f"{delta['candidate']:.4f}"
    return metric, before, after, f"{delta['delta']:+.4f}"


def _score_deltas(c: Comparison) -> Table:
    rows = tuple(
        (
            *_metric_cells(metric, delta),
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


def _scores(c: Comparison) -> tuple[str, str, str, str]:
    """Baseline, candidate, change and its interval."""
    d, scale = c.difference, scale_of_comparison(c)
    if d is None or c.baseline_score is None or c.candidate_score is None:
        return "—", "—", "—", "—"
    ends = "unknown" if known(d.lower) is None else scale.interval(d.lower, d.upper)
    one, other = scale.score(c.baseline_score), scale.score(c.candidate_score)
    return one, other, scale.change(d.delta), ends


def _p(c: Comparison) -> str:
    return "—" if c.test is None else p_number(c.test.p_worse)


def _name(run: Mapping[str, object]) -> str:
    return str(run["model"] or run["run_id"])

"""A gate as a page that is signed and filed: the decision in one sentence, on which runs it rests,
each benchmark beside its limit, and what was not decided."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from ..decisions.damage import Bounds
from ..decisions.gate import GateReport, GateVerdict
from ..decisions.gate_benchmark import BenchmarkGate
from ..decisions.gate_rules import CALIBRATED, Rule, Status
from ..decisions.sentences import Scale, percent, scale_of, told
from ..decisions.suite import Suite
from .blocks import Block, Document, Facts, Forest, Interval, Notices, Table, Tone
from .calibrated import calibrated_table
from .evidence import coverage_fact, evidence, open_fact
from .policy_odds import odds_facts, odds_tables
from .verdict_words import known, tone

UNEVEN = 0.01
"""p-value below which the benchmarks are said to have dropped unlike."""
SAID = 3
"""Benchmarks that the sentence of the decision tells of."""
DROP = "max_drop"
UNKNOWN = "—"


def gate_report(report: GateReport, *, explain: bool = False) -> Document:
    """The decision. ``explain``: every rule with its numbers, not only what speaks against."""
    others = tuple(item for item in report.benchmarks if item.delta is None)
    facts = report.provenance
    sides = (facts.candidate.name, facts.baseline.name) if facts else ()
    return Document(
        title=" ".join(["Quality gate", *([f"of {sides[0]} against {sides[1]}"] if sides else [])]),
        badges=((tone(report.verdict), report.verdict.value),),
        lead=_decision(report),
        blocks=(
            Facts((*_sides(report), *_further_facts(report))),
            *_forests(report),
            Table(
                "Without a difference",
                ("Benchmark", "Status", "Why"),
                tuple((x.benchmark, x.status.value, "; ".join(x.reasons)) for x in others),
            ),
            *_rules(report, explain),
            calibrated_table([x.comparison for x in report.benchmarks if x.comparison is not None]),
            Notices(tuple((Tone.UNSURE, warning) for warning in _warnings(report))),
            *_chances(report.suite, explain),
            *(odds_tables(report.odds) if explain else ()),
        ),
        sections=(),
    )


def _decision(report: GateReport) -> str:
    """One sentence: what decided, or for a GO what came closest to its limit."""
    gated = [item for item in report.benchmarks if item.decides]
    if report.verdict is GateVerdict.NO_GO:
        deciding = [x for x in gated if x.status in (Status.BREACH, Status.MISSING)]
    elif report.verdict is GateVerdict.INCONCLUSIVE:
        deciding = [x for x in gated if x.status is Status.INSUFFICIENT_EVIDENCE]
    else:
        count = len(gated)
        held = f"all {count} gated benchmarks passed" if count > 1 else "the gated benchmark passed"
        nearest = max(gated, key=_nearness)
        return f"{held}; {_deciding_rules(nearest)}." if nearest.delta is not None else f"{held}."
    if not deciding:
        return "; ".join(report.reasons) + "."
    if len(deciding) == 1 and (needed := _needed(deciding[0])):
        more = f"about {needed:,} problems would decide if there is no difference"
        return f"{_deciding_rules(deciding[0])}; {more}."
    sentences = [_deciding_rules(item) for item in deciding[:SAID]]
    if len(deciding) > SAID:
        others = len(deciding) - SAID
        sentences.append(f"and {others} more benchmark{'s' * (others > 1)}")
    return "; ".join(sentences) + "."


def _nearness(item: BenchmarkGate) -> float:
    """How much of what is allowed the worst end of the interval takes."""
    damage = _damage(item)
    return damage.upper - item.rules.max_drop if damage else -float("inf")


def _deciding_rules(item: BenchmarkGate) -> str:
    """What decided a benchmark: the rules of its status; the drop itself where it passed."""
    deciding = [rule for rule in item.applied if rule.status is item.status]
    if item.status is Status.PASS:
        deciding = [rule for rule in deciding if rule.name in (DROP, CALIBRATED)][:1]
    parts = [_why(item, rule, item.benchmark) for rule in deciding]
    return "; ".join(
        text if rule.name == DROP and item.delta is not None else f"{item.benchmark}: {text}"
        for rule, text in zip(deciding, parts, strict=True)
    )


def _why(item: BenchmarkGate, rule: Rule, name: str = "") -> str:
    """A rule in plain words; with the name of the benchmark where the words need one."""
    damage = _damage(item)
    if rule.name != DROP or damage is None:
        return rule.explanation
    limit = item.rules.max_drop
    text = told(name, damage, limit, _scale(item))
    if rule.status is not Status.INSUFFICIENT_EVIDENCE:
        return text
    if damage.lower > limit:
        return f"{text}, which one of so many rules may show by chance (Holm)"
    return text


def _needed(item: BenchmarkGate) -> int | None:
    """Problems that would rule the drop out where there is none, if there are too few."""
    damage, needed = _damage(item), item.comparison.needed if item.comparison else None
    open_ = any(
        rule.name == DROP and rule.status is Status.INSUFFICIENT_EVIDENCE for rule in item.applied
    )
    more = open_ and damage is not None and damage.lower <= 0 and (needed or 0) > item.n_paired
    return needed if more else None


def _damage(item: BenchmarkGate) -> Bounds | None:
    """The change as damage, whichever way the metric points."""
    low, high = item.delta_ci_lower, item.delta_ci_upper
    if item.delta is None or low is None or high is None:
        return None
    if item.higher_is_better:
        return Bounds(damage=-item.delta, lower=-high, upper=-low)
    return Bounds(damage=item.delta, lower=low, upper=high)


def _scale(item: BenchmarkGate) -> Scale:
    return scale_of(
        item.metric,
        higher_is_better=item.higher_is_better,
        limit=item.rules.max_drop,
        scores=(item.baseline_score, item.candidate_score),
        config=item.comparison.baseline["config"] if item.comparison else {},
    )


def _sides(report: GateReport) -> list[tuple[str, str]]:
    if report.provenance is None:
        return [("baseline", report.baseline), ("candidate", report.candidate)]
    return evidence(report.provenance, rules=report.policy.rules.value)


def _further_facts(report: GateReport) -> list[tuple[str, str]]:
    """Coverage, what was not decided, and the benchmarks together."""
    rows = coverage_fact(
        {x.benchmark: x.coverage for x in report.benchmarks if x.coverage is not None}
    )
    rows += [("ended", text) for text in _stopped(report)]
    open_ = [x.benchmark for x in report.benchmarks if x.status is Status.INSUFFICIENT_EVIDENCE]
    rows.append(open_fact(open_, report.missing))
    points = all(_scale(x).points for x in report.benchmarks if x.decides and x.delta is not None)
    return [*rows, *_suite(report.suite, Scale(points=points)), *odds_facts(report.odds)]


def _stopped(report: GateReport) -> list[str]:
    """The benchmarks that ended early: what is planned of them is what the decision rests on."""
    ended = [
        f"{item.benchmark} {item.comparison.stopped.after}"
        for item in report.benchmarks
        if item.comparison is not None and item.comparison.stopped is not None
    ]
    return ["; ".join(ended)] if ended else []


def _forests(report: GateReport) -> list[Block]:
    """One plot for all scores that are shares, one for each other metric: a plot has one unit."""
    measured = [item for item in report.benchmarks if item.delta is not None]
    found: list[Block] = []
    groups = groupby(sorted(measured, key=_group), key=_group)
    for name, group in groups:
        items = list(group)
        found.append(_forest(name, items, report))
    return found


def _group(item: BenchmarkGate) -> str:
    """Shares first."""
    return "" if _scale(item).points else item.metric or ""


def _forest(name: str, items: list[BenchmarkGate], report: GateReport) -> Forest:
    tiers = len({item.tier for item in items}) > 1
    metrics = len({item.metric for item in items}) > 1
    unit = _scale(items[0]).unit
    columns = [
        "Benchmark", "Status", *(["Tier"] if tiers else []), *(["Metric"] if metrics else []),
        "Baseline", "Candidate", f"Change ({unit})", "95 % CI", "Limit", "n",
    ]  # fmt: skip
    same = [f"tier: {items[0].tier}"] if not tiers else []
    same += [f"metric: {items[0].metric}"] if not metrics else []
    corrected = "breaches are corrected for their number (Holm)" if report.policy.corrected else ""
    note = "; ".join(
        filter(None, ["change: candidate − baseline, limit: the dashed line", *same, corrected])
    )
    return Forest(
        f"Benchmarks: {name}" if name else "Benchmarks",
        tuple(columns),
        tuple(_row(item, tiers, metrics) for item in items),
        note=f"{note[0].upper()}{note[1:]}.",
        zero=True,
        status=True,
    )


def _row(item: BenchmarkGate, tiers: bool, metrics: bool) -> Interval:
    scale, delta = _scale(item), item.delta or 0.0
    low, high = (
        None if x is None else known(x) for x in (item.delta_ci_lower, item.delta_ci_upper)
    )
    factor = 100.0 if scale.points else 1.0
    limit = item.rules.max_drop * (-1 if item.higher_is_better else 1)
    scores = (item.baseline_score, item.candidate_score)
    return Interval(
        name=item.benchmark,
        value=factor * delta,
        lower=None if low is None else factor * low,
        upper=None if high is None else factor * high,
        cells=(
            item.status.value,
            *([item.tier.value] if tiers else []),
            *([item.metric or UNKNOWN] if metrics else []),
            *(UNKNOWN if score is None else scale.score(score) for score in scores),
            scale.change(delta),
            UNKNOWN if low is None or high is None else scale.interval(low, high),
            scale.signed_limit(item.rules.max_drop),
            f"{item.n_paired:,}",
        ),
        tone=tone(item.status),
        limit=factor * limit,
    )


def _rules(report: GateReport, explain: bool) -> Iterable[Table]:
    """Every rule where all is explained; else what is breached, and what is not decided."""
    if explain:
        rows = tuple(
            (item.benchmark, rule.name, rule.status.value, rule.explanation)
            for item in report.benchmarks
            for rule in item.applied
        )
        return [Table("Rules", ("Benchmark", "Rule", "Status", "With its numbers"), rows)]
    return [
        Table("Beyond the limits", ("Benchmark", "Why"), _against(report, Status.BREACH)),
        _open(report),
    ]


def _against(report: GateReport, status: Status) -> tuple[tuple[str, str], ...]:
    """The benchmarks of a status that have a difference, each with all that speaks against it."""
    return tuple(
        (item.benchmark, "; ".join(_why(item, r) for r in item.applied if r.status != Status.PASS))
        for item in _with_status(report, status)
    )


def _open(report: GateReport) -> Table:
    """What is not decided, and how many problems would decide."""
    status = Status.INSUFFICIENT_EVIDENCE
    needed = [_needed(item) for item in _with_status(report, status)]
    rows = _against(report, status)
    if not any(needed):
        return Table("Not decided", ("Benchmark", "Why"), rows)
    return Table(
        "Not decided",
        ("Benchmark", "Why", "Problems to decide"),
        tuple(
            (*row, UNKNOWN if n is None else f"{n:,}") for row, n in zip(rows, needed, strict=True)
        ),
        note="Problems to decide: about so many, if there is no difference.",
    )


def _with_status(report: GateReport, status: Status) -> list[BenchmarkGate]:
    return [x for x in report.benchmarks if x.status is status and x.delta is not None]


def _suite(suite: Suite | None, scale: Scale) -> list[tuple[str, str]]:
    if suite is None:
        return []
    low, high = suite.any_range
    count = len(suite.parts)
    chance = percent(suite.any_beyond)
    if count > 1:
        chance += (
            f" in any of {count} benchmarks ({percent(low)} to {percent(high)} for any dependence)"
        )
    rows = [("chance of a drop beyond the limit", chance)]
    if count > 1:
        text = told("", suite.damage, suite.limit, scale)
        uneven = suite.differ is not None and suite.differ <= UNEVEN
        rows.append(
            (
                "mean over benchmarks",
                text + ("; the benchmarks did not drop alike" if uneven else ""),
            )
        )
    return rows


def _chances(suite: Suite | None, explain: bool) -> list[Table]:
    """The chance of each benchmark, and what is assumed."""
    if suite is None or not explain:
        return []
    rows = tuple((p.benchmark, f"{p.limit:g}", percent(p.beyond)) for p in suite.parts)
    columns = ("Benchmark", "Allowed", "Chance of a larger drop")
    return [Table("Chances", columns, rows, f"assumed: {'; '.join(suite.assumptions)}")]


def _warnings(report: GateReport) -> list[str]:
    """The same words about several benchmarks are said once."""
    about: dict[str, list[str]] = {}
    for item in report.benchmarks:
        for text in item.warnings:
            about.setdefault(text, []).append(item.benchmark)
    return [*report.warnings, *(f"{', '.join(names)}: {text}" for text, names in about.items())]

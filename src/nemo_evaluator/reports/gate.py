"""A gate as a report, and as JUnit XML for a CI."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from ..decisions.gate import BenchmarkGate, GateReport
from ..decisions.gate_rules import Status
from ..decisions.suite import Suite
from .blocks import Document, Facts, Forest, Interval, Notices, Table, Tone
from .verdict_words import direction, tone

UNEVEN = 0.01
"""p-value below which the benchmarks are said to have dropped unlike."""
COLUMNS = (
    "Benchmark",
    "Tier",
    "Status",
    "Metric",
    "Baseline",
    "Candidate",
    "Delta",
    "95 % CI",
    "Allowed",
    "n",
)


def gate_report(report: GateReport, *, explain: bool = False) -> Document:
    """The decision. ``explain``: every rule with its numbers, not only what speaks against."""
    measured = [item for item in report.benchmarks if item.delta is not None]
    others = [item for item in report.benchmarks if item.delta is None]
    return Document(
        title="Quality gate",
        badges=((tone(report.verdict), report.verdict.value),),
        lead="; ".join(report.reasons) + ".",
        blocks=(
            Facts(
                (
                    ("baseline", report.baseline),
                    ("candidate", report.candidate),
                    *_suite(report.suite),
                )
            ),
            Notices(tuple((Tone.UNSURE, warning) for warning in _warnings(report))),
            Forest(
                "Benchmarks",
                COLUMNS,
                tuple(_interval(item) for item in measured),
                note=_note(report),
                zero=True,
            ),
            Table("Without a difference", COLUMNS[:4], tuple(_cells(item)[:4] for item in others)),
            _rules(report, explain),
            *_chances(report.suite, explain),
        ),
        sections=(),
    )


def junit(report: GateReport) -> str:
    """A suite with one case per benchmark: a breach fails, what is undecided is an error, and what
    is advisory is skipped where it does not pass."""
    suite = Element("testsuite", name="nel gate", tests=str(len(report.benchmarks) + 1))
    counts = {"failures": 0, "errors": 0, "skipped": 0}
    for item in report.benchmarks:
        case = SubElement(suite, "testcase", classname=f"gate.{item.tier}", name=item.benchmark)
        if item.status is Status.PASS:
            continue
        if not item.decides:
            tag, count = "skipped", "skipped"
        elif item.status is Status.INSUFFICIENT_EVIDENCE:
            tag, count = "error", "errors"
        else:
            tag, count = "failure", "failures"
        counts[count] += 1
        text = "; ".join(item.reasons)
        SubElement(case, tag, message=f"{item.status}: {text}", type=item.status.value)
    # The verdict itself: a policy under which nothing was evaluated must not look green.
    case = SubElement(suite, "testcase", classname="gate", name="verdict")
    if report.verdict != "GO":
        tag, count = ("failure", "failures") if report.verdict == "NO-GO" else ("error", "errors")
        counts[count] += 1
        message = f"{report.verdict}: {'; '.join(report.reasons)}"
        SubElement(case, tag, message=message, type=report.verdict.value)
    for name, number in counts.items():
        suite.set(name, str(number))
    root = Element("testsuites")
    root.append(suite)
    indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{tostring(root, encoding="unicode")}\n'


def _interval(item: BenchmarkGate) -> Interval:
    low, high = item.delta_ci_lower, item.delta_ci_upper
    shade = Tone.PLAIN
    if low is not None and high is not None:
        shade = direction(low, high) if item.higher_is_better else direction(-high, -low)
    return Interval(
        name=item.benchmark,
        value=item.delta or 0.0,
        lower=low,
        upper=high,
        cells=_cells(item)[1:],
        tone=shade,
    )


def _cells(item: BenchmarkGate) -> tuple[str, ...]:
    unknown = "—"
    interval = unknown
    if item.delta_ci_lower is not None and item.delta_ci_upper is not None:
        interval = f"[{item.delta_ci_lower:+.4f}, {item.delta_ci_upper:+.4f}]"
    return (
        item.benchmark,
        item.tier.value,
        item.status.value,
        item.metric or unknown,
        unknown if item.baseline_score is None else f"{item.baseline_score:.4f}",
        unknown if item.candidate_score is None else f"{item.candidate_score:.4f}",
        unknown if item.delta is None else f"{item.delta:+.4f}",
        interval,
        f"{item.rules.max_drop:g}",
        f"{item.n_paired:,}",
    )


def _rules(report: GateReport, explain: bool) -> Table:
    """What was applied. A PASS is shown only where all is explained."""
    rows = tuple(
        (item.benchmark, rule.name, rule.status.value, rule.explanation)
        for item in report.benchmarks
        for rule in item.applied
        if explain or rule.status is not Status.PASS
    )
    title = "Rules" if explain else "Rules that are not met"
    return Table(title, ("Benchmark", "Rule", "Status", "With its numbers"), rows)


def _suite(suite: Suite | None) -> list[tuple[str, str]]:
    if suite is None:
        return []
    low, high = suite.any_range
    d = suite.damage
    count = len(suite.parts)
    of = f"any of {count} benchmarks" if count > 1 else "the benchmark"
    rows = [
        (
            "chance of a drop beyond the limit",
            f"{suite.any_beyond:.1%} in {of} ({low:.1%} to {high:.1%} for any dependence)"
            if count > 1
            else f"{suite.any_beyond:.1%}",
        )
    ]
    if count > 1:
        text = f"{d.damage:+.4f} [{d.lower:+.4f}, {d.upper:+.4f}], {suite.limit:g} allowed"
        uneven = suite.differ is not None and suite.differ <= UNEVEN
        text += "; the benchmarks did not drop alike" if uneven else ""
        rows.append(("mean drop", text))
    return rows


def _chances(suite: Suite | None, explain: bool) -> list[Table]:
    """The chance of each benchmark, and what is assumed."""
    if suite is None or not explain:
        return []
    rows = tuple((p.benchmark, f"{p.limit:g}", f"{p.beyond:.1%}") for p in suite.parts)
    columns = ("Benchmark", "Allowed", "Chance of a larger drop")
    return [Table("Chances", columns, rows, f"assumed: {'; '.join(suite.assumptions)}")]


def _note(report: GateReport) -> str:
    if not report.policy.corrected:
        return ""
    return "Breaches are corrected for the number of rules and benchmarks (Holm)."


def _warnings(report: GateReport) -> list[str]:
    own = [f"{item.benchmark}: {text}" for item in report.benchmarks for text in item.warnings]
    return [*report.warnings, *own]

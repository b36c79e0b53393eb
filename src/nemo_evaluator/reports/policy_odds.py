"""The odds of a gate policy as a report."""

from __future__ import annotations

from ..decisions.policy_odds import BenchmarkOdds, PolicyOdds
from .blocks import Document, Facts, Table, Tone
from .power import percent

COLUMNS = (
    "Benchmark",
    "Limit",
    "Problems",
    "PASS if equal",
    "BREACH at the limit",
    "BREACH at twice",
    "Cheapest design",
    "Cost",
)
NOTE = (
    "PASS and BREACH on the problems and repeats of the baseline. The cheapest designs together "
    "reach the GO asked for."
)
ASSUMED = (
    "independent benchmarks, all rollouts scored; only the limits of drops are counted, breaches "
    "at the first step of Holm's correction"
)


def odds_report(odds: PolicyOdds) -> Document:
    """What a gate would say."""
    total = "not known" if odds.cost_usd is None else f"${odds.cost_usd:,.2f}"
    lead = f"An equal model gets GO in {percent(odds.go_if_equal)} of cases"
    lead += f"; {odds.in_the_way} stands in the way most."
    facts = Facts(
        (
            ("GO asked for", f"{odds.power * 100:g} % for an equal model (--power)"),
            ("cost of the designs", total),
            ("assumed", ASSUMED),
        )
    )
    rows = tuple(_row(row) for row in odds.benchmarks)
    return Document(
        title="Odds of the gate",
        badges=((Tone.PLAIN, "PLAN"),),
        lead=lead,
        blocks=(facts, Table("Benchmarks", COLUMNS, rows, NOTE)),
        sections=(),
    )


def _row(row: BenchmarkOdds) -> tuple[str, ...]:
    design, cost = row.cheapest, None if row.cheapest is None else row.cheapest.cost_usd
    return (
        row.benchmark,
        f"{row.limit:.4g}",
        f"{row.problems:,} × {row.repeats}",
        percent(row.pass_if_equal),
        percent(row.breach_at_limit),
        percent(row.breach_at_twice),
        "none" if design is None else f"{design.problems:,} × {design.repeats}",
        "not known" if cost is None else f"${cost:,.2f}",
    )

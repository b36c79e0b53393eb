"""The odds of a gate policy as a report."""

from __future__ import annotations

from collections.abc import Sequence

from ..decisions.policy_odds import BenchmarkOdds, GateOdds, PolicyOdds
from .blocks import Document, Facts, Table, Tone
from .power import percent

CHANCES = (
    "Benchmark",
    "Limit",
    "Problems",
    "PASS if equal",
    "BREACH at the limit",
    "BREACH at twice",
)
DESIGN = ("Cheapest design", "BREACH at the limit there", "at twice there", "Cost")
NOTE = (
    "PASS and BREACH on the problems and repeats of the baseline. The cheapest designs together "
    "reach the GO asked for; a breach at a drop of the limit is an error."
)
ASSUMED = (
    "independent benchmarks, all rollouts scored; only the limits of drops are counted, breaches "
    "at the first step of Holm's correction"
)
HAD = (
    "Before the answers were known, on the problems and repeats that were paired, rollouts without "
    "a verdict counted against the candidate. Benchmarks are taken as independent; only the limits "
    "of drops are counted."
)
NO_GO = "NO-GO if every drop is the limit"
NO_GO_TWICE = "NO-GO if every drop is twice the limit"


def odds_report(odds: PolicyOdds) -> Document:
    """What a gate would say."""
    total = "not known" if odds.cost_usd is None else f"${odds.cost_usd:,.2f}"
    facts = [
        ("GO asked for", f"{odds.power * 100:g} % for an equal model (--power)"),
        (NO_GO, _chance_here_and_designed(odds.no_go_at_limit, odds.designed_no_go_at_limit)),
        (NO_GO_TWICE, _chance_here_and_designed(odds.no_go_at_twice, odds.designed_no_go_at_twice)),
        ("cost of the designs", total),
        ("assumed", ASSUMED),
    ]
    rows = tuple((*_chances(row), *_design(row)) for row in odds.benchmarks)
    return Document(
        title="Odds of the gate",
        badges=((Tone.PLAIN, "PLAN"),),
        lead=f"An equal model gets GO in {_chance_of_go(odds)}.",
        blocks=(Facts(tuple(facts)), Table("Benchmarks", (*CHANCES, *DESIGN), rows, NOTE)),
        sections=(),
    )


def odds_facts(odds: GateOdds | None) -> list[tuple[str, str]]:
    """What the evidence of a gate could decide, in a line."""
    if odds is None:
        return []
    worse = f"NO-GO in {percent(odds.no_go_at_twice)} if every drop is twice its limit"
    at_limit = f"in {percent(odds.no_go_at_limit)} if it is the limit"
    return [
        (
            "odds on this evidence",
            f"GO for an equal model in {_chance_of_go(odds)}; {worse}, {at_limit}",
        )
    ]


def odds_tables(odds: GateOdds | None) -> Sequence[Table]:
    """What the evidence of a gate could decide, by benchmark."""
    rows = () if odds is None else tuple(_chances(row) for row in odds.benchmarks)
    return (Table("Odds on this evidence", CHANCES, rows, HAD),)


def _chance_of_go(odds: GateOdds) -> str:
    text = f"{percent(odds.go_if_equal)} of cases"
    return f"{text}; {odds.in_the_way} stands in the way most" if len(odds.benchmarks) > 1 else text


def _chance_here_and_designed(here: float, designed: float | None) -> str:
    there = "" if designed is None else f"; on the cheapest designs {percent(designed)}"
    return f"{percent(here)} on the baseline's problems{there}"


def _chances(row: BenchmarkOdds) -> tuple[str, ...]:
    return (
        row.benchmark,
        f"{row.limit:.4g}",
        f"{row.problems:,} × {row.repeats}",
        percent(row.pass_if_equal),
        percent(row.breach_at_limit),
        percent(row.breach_at_twice),
    )


def _design(row: BenchmarkOdds) -> tuple[str, ...]:
    design = row.cheapest
    if design is None:
        return ("none", "—", "—", "not known")
    cost = "not known" if design.cost_usd is None else f"${design.cost_usd:,.2f}"
    return (
        f"{design.problems:,} × {design.repeats}",
        percent(design.breach_at_limit),
        percent(design.breach_at_twice),
        cost,
    )

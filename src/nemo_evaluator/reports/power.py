"""A power plan as a report."""

from __future__ import annotations

from collections.abc import Callable

from ..decisions.odds import MOST_PROBLEMS
from ..decisions.planning import Planned, PowerPlan
from .blocks import Document, Facts, Table, Tone

COLUMNS = ("Repeats", "Problems to show {drop:g}", "Problems to rule out {drop:g}")


def power_report(plan: PowerPlan, name: str = "") -> Document:
    """How many problems it takes to see a drop, and to rule it out."""
    columns = tuple(column.format(drop=plan.drop) for column in COLUMNS)
    if plan.problems is not None:
        there = f"on {plan.problems:,} problems"
        columns = (
            *columns,
            f"Detectable {there}",
            f"Chance to show {plan.drop:g} {there}",
            f"Chance to rule out {plan.drop:g} {there}",
        )
    facts = Facts(
        (
            ("score", f"{plan.spread.score:.4f}"),
            ("basis", plan.spread.basis),
            ("shown", f"the {1 - 2 * plan.alpha:.0%} interval of the drop lies above 0"),
            ("ruled out", "that interval ends below the drop, where the models are equally good"),
            ("chance", f"{plan.power * 100:g} %, for the numbers of problems"),
        )
    )
    if plan.drop > plan.spread.room:
        return _document(name, _sentence(plan), facts)
    note = "One repeat: summed exactly. Several that differ: an approximation by Student's t."
    exact = any(row.exact for row in plan.rows)
    rows = tuple(_row(row, plan) for row in plan.rows)
    table = Table("What it takes", columns, rows, note if exact else "")
    return _document(name, _sentence(plan), facts, table)


def _document(name: str, lead: str, *blocks: Facts | Table) -> Document:
    return Document(
        title="Power" + (f": {name}" if name else ""),
        badges=((Tone.PLAIN, "PLAN"),),
        lead=lead,
        blocks=blocks,
        sections=(),
    )


def _sentence(plan: PowerPlan) -> str:
    if plan.drop > plan.spread.room:
        return (
            f"A score of {plan.spread.score:.4g} cannot drop by {plan.drop:g}: the largest drop "
            f"there can be is {plan.spread.room:.4g}."
        )
    show = _cheapest(plan, lambda row: row.problems_needed)
    rule_out = _cheapest(plan, lambda row: row.problems_to_rule_out)
    text = f"{show} to show a drop of {plan.drop:g} in {plan.power * 100:g} % of cases"
    return f"{text}; {rule_out} to rule it out as often where there is none."


def _cheapest(plan: PowerPlan, needed: Callable[[Planned], int | None]) -> str:
    """The number of repeats with the fewest rollouts, in words."""
    found = [(n * row.repeats, n, row.repeats) for row in plan.rows if (n := needed(row))]
    if not found:
        return f"more than {MOST_PROBLEMS:,} problems"
    _, n, repeats = min(found)
    return f"{n:,} problems" + ("" if repeats == 1 else f" × {repeats} repeats")


def _row(row: Planned, plan: PowerPlan) -> tuple[str, ...]:
    more = f"> {MOST_PROBLEMS:,}"
    show, rule_out = (
        more if n is None else f"{n:,}" for n in (row.problems_needed, row.problems_to_rule_out)
    )
    cells = (str(row.repeats), show, rule_out)
    if plan.problems is None:
        return cells
    return (
        *cells,
        "none" if row.detectable is None else f"{row.detectable:.4f}",
        percent(row.power or 0.0),
        percent(row.power_to_rule_out or 0.0),
    )


def percent(share: float) -> str:
    """Never 100 % where that is not sure."""
    return f"{min(share, 0.999) * 100:.1f} %" if share > 0.99 else f"{share * 100:.0f} %"

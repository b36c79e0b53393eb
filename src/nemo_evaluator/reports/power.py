"""A power plan as a report."""

from __future__ import annotations

import math

from ..decisions.planning import Planned, PowerPlan
from .blocks import Document, Facts, Table, Tone

COLUMNS = ("Repeats", "Problems needed", "Rollouts per run")


def power_report(plan: PowerPlan, name: str = "") -> Document:
    """What it takes to see a drop."""
    rows = tuple(_row(row, plan) for row in plan.rows)
    best = min(
        (row for row in plan.rows if row.rollouts_needed is not None),
        key=lambda row: row.rollouts_needed or math.inf,
        default=None,
    )
    if best is None:
        sentence = f"no number of problems shows a drop of {plan.drop:g}"
    else:
        times = "" if best.repeats == 1 else f" × {best.repeats} repeats"
        sentence = (
            f"{best.problems_needed:,} problems{times} per run show a drop of {plan.drop:g} in "
            f"{plan.power:.0%} of cases"
        )
    columns: tuple[str, ...] = COLUMNS
    if plan.problems is not None:
        there = f"on {plan.problems:,} problems"
        columns = (*columns, f"Detectable {there}", f"Chance to see {plan.drop:g} {there}")
    facts = Facts(
        (
            ("score", f"{plan.spread.score:.4f}"),
            ("basis", plan.spread.basis),
            ("test", f"one-sided at {plan.alpha:g}; drops in units of the score"),
        )
    )
    exact = any(row.exact for row in plan.rows)
    note = "One repeat: McNemar's exact test. Several: normal approximation." if exact else ""
    return Document(
        title="Power" + (f": {name}" if name else ""),
        badges=((Tone.PLAIN, "PLAN"),),
        lead=sentence + ".",
        blocks=(facts, Table("What it takes", columns, rows, note)),
        sections=(),
    )


def _row(row: Planned, plan: PowerPlan) -> tuple[str, ...]:
    cells = (
        str(row.repeats),
        "—" if row.problems_needed is None else f"{row.problems_needed:,}",
        "—" if row.rollouts_needed is None else f"{row.rollouts_needed:,}",
    )
    if plan.problems is None:
        return cells
    return (
        *cells,
        "—" if row.detectable is None else f"{row.detectable:.4f}",
        "—" if row.power is None else f"{row.power * 100:.0f} %",
    )

"""Holds a judge against people's labels: every row is judged as a run would have it judged, and
the verdicts are compared. What could not be judged is counted, never taken for a verdict.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import msgspec

from ..errors import ConfigError, InfraError
from ..results.judgements import JudgeTotals
from ..scoring.judged import Labels
from ..types import Json, Problem, Record
from .agreement import (
    Agreement,
    Share,
    agreement,
    length_bias_of_grades,
    length_bias_of_pairs,
    share,
)
from .judge import Judge
from .labels import PAIR_LABELS, LabelFile, Row
from .metrics import PAIR, PASS_SHARE, WIN, RubricMetric
from .prompts import SYSTEM, comparison, grading
from .sitting import Court, Sitting, together

EXAMPLES = 10


@dataclass(frozen=True, slots=True)
class Examined:
    """The judge under examination."""

    judge: Judge
    rubric: str
    max_score: float = 5.0
    reference_free: bool = False
    swap_check: bool = True
    """Pairs are shown in both orders, and a verdict that turns with the order is a tie."""
    identity: Mapping[str, Json] | None = None


class Disagreement(Record, frozen=True, kw_only=True, omit_defaults=False):
    """A row that the judge sees otherwise."""

    line: int
    human: str
    judge: str


class Calibration(Record, frozen=True, kw_only=True, omit_defaults=False):
    """How far a judge agrees with people, and what it costs."""

    kind: str
    agreement: Agreement
    by_order: tuple[Share, ...] = ()
    """Pairs: accuracy of the verdicts with A shown first, and with B shown first."""
    disagreements: tuple[Disagreement, ...] = ()
    """The first ten."""
    failures: tuple[str, ...] = ()
    """Why there was no verdict; the first ten."""
    calls: int = 0
    tokens: int = 0
    cost_usd: float | None = None
    judge: Mapping[str, Json] = {}
    """Model, rubric and parameters: what the numbers hold for."""


@dataclass(frozen=True, slots=True)
class _Said:
    """What came of one row."""

    label: str | None
    """None: no verdict."""
    value: float | None = None
    """A grade, on the scale."""
    orders: tuple[str, ...] = ()
    """Of a pair in both orders, as verdicts on the answers."""
    failure: str = ""
    paid: JudgeTotals | None = None


async def calibrate(examined: Examined, labels: LabelFile, court: Court) -> Calibration:
    """Judge every row. Replies are kept in the court's file, so a repetition pays for nothing.

    Raises ConfigError if not one row could be judged.
    """
    await examined.judge.client.check()
    said = await asyncio.gather(
        *(_row(examined, labels, row, i, court) for i, row in enumerate(labels.rows))
    )
    if all(one.label is None for one in said):
        first = f"line {labels.rows[0].line}: {said[0].failure}"
        raise ConfigError(f"no row could be judged; {first}", where=str(labels.path))
    human = [_human(row, labels.kind) for row in labels.rows]
    known = _names(labels)
    found = agreement([one.label for one in said], human, labels=known)
    found = _with_biases(found, labels, said, human, examined)
    paid = [one.paid for one in said if one.paid is not None]
    costs = [one.cost_usd for one in paid if one.cost_usd is not None]
    return Calibration(
        kind=labels.kind,
        agreement=found,
        by_order=_by_order(said, human),
        disagreements=tuple(
            Disagreement(line=row.line, human=person, judge=one.label)
            for row, person, one in zip(labels.rows, human, said, strict=True)
            if one.label is not None and one.label != person
        )[:EXAMPLES],
        failures=tuple(
            f"line {row.line}: {one.failure}"
            for row, one in zip(labels.rows, said, strict=True)
            if one.failure
        )[:EXAMPLES],
        calls=sum(one.calls for one in paid),
        tokens=sum(one.prompt_tokens + one.completion_tokens for one in paid),
        cost_usd=sum(costs) if costs else None,
        judge=examined.identity or {},
    )


async def _row(examined: Examined, labels: LabelFile, row: Row, number: int, court: Court) -> _Said:
    sitting = court.sit(number, 0)
    try:
        if labels.kind == "pairs":
            said = await _pair(examined, row, sitting)
        elif labels.kind == "words":
            said = await _word(examined, labels, row, sitting)
        else:
            said = await _grade(examined, labels.kind, row, sitting)
    except InfraError as error:
        said = _Said(None, failure=str(error))
    finally:
        sitting.close()
    return replace(said, paid=sitting.totals)


async def _grade(examined: Examined, kind: str, row: Row, sitting: Sitting) -> _Said:
    metric = RubricMetric(
        name="judge",
        judge=examined.judge,
        rubric=examined.rubric,
        max_score=examined.max_score,
        reference_free=examined.reference_free,
    )
    problem = Problem(idx=sitting.problem_idx, prompt=row.prompt, target=row.reference)
    graded = await metric.grade(problem, row.answers[0], sitting)
    value = graded.value * examined.max_score
    if kind == "verdicts":
        return _Said(str(graded.value >= PASS_SHARE).lower(), value)
    return _Said(_number(value), value)


async def _word(examined: Examined, labels: LabelFile, row: Row, sitting: Sitting) -> _Said:
    reference = None if examined.reference_free else row.reference
    prompt = grading(row.prompt, row.answers[0], reference, examined.rubric)
    system = examined.judge.manner.system or SYSTEM
    ruling = await examined.judge.ask(sitting, prompt, Labels(labels.words), system=system)
    return _Said(str(ruling.value))


async def _pair(examined: Examined, row: Row, sitting: Sitting) -> _Said:
    a, b = row.answers
    shown = [(a, b), (b, a)] if examined.swap_check else [(a, b)]
    system = examined.judge.manner.system or SYSTEM
    rulings = await together(
        examined.judge.ask(
            sitting, comparison(row.prompt, first, second, examined.rubric), PAIR, system=system
        )
        for first, second in shown
    )
    turned = {"A": "B", "B": "A", "tie": "tie"}
    orders = [str(rulings[0].value), *(turned[str(ruling.value)] for ruling in rulings[1:])]
    mean = fmean(WIN[verdict] for verdict in orders)
    label = "A" if mean > 0.5 else "B" if mean < 0.5 else "tie"
    return _Said(label, orders=tuple(orders))


def _with_biases(
    found: Agreement,
    labels: LabelFile,
    said: Sequence[_Said],
    human: Sequence[str],
    examined: Examined,
) -> Agreement:
    """Position bias of pairs, and length bias."""
    if labels.kind == "pairs":
        both = [one.orders for one in said if len(one.orders) == 2]
        changed = [orders for orders in both if orders[0] != orders[1]]
        first = [orders for orders in changed if _favours_first(orders)]
        longer = [_longer(*row.answers) for row in labels.rows]
        return msgspec.structs.replace(
            found,
            position=share(len(changed), len(both)) if both else None,
            first_preferred=share(len(first), len(changed)) if both else None,
            length=length_bias_of_pairs([one.label for one in said], human, longer),
        )
    if labels.kind == "words":
        return found
    scale = 1.0 if labels.kind == "numbers" else examined.max_score
    return msgspec.structs.replace(
        found,
        length=length_bias_of_grades(
            [one.value for one in said],
            [float(row.label) * scale for row in labels.rows],
            [len(row.answers[0]) for row in labels.rows],
        ),
    )


def _favours_first(orders: Sequence[str]) -> bool:
    """Whether the answer that stood first gained by it: A first in one order, B in the other."""
    return WIN[orders[0]] > WIN[orders[1]]


def _longer(a: str, b: str) -> str:
    return "" if len(a) == len(b) else "A" if len(a) > len(b) else "B"


def _by_order(said: Sequence[_Said], human: Sequence[str]) -> tuple[Share, ...]:
    rows = [(one.orders, person) for one, person in zip(said, human, strict=True)]
    both = [(orders, person) for orders, person in rows if len(orders) == 2]
    return tuple(
        share(sum(orders[i] == person for orders, person in both), len(both))
        for i in range(2 if both else 0)
    )


def _human(row: Row, kind: str) -> str:
    if kind == "verdicts":
        return str(row.label).lower()
    return _number(float(row.label)) if kind == "numbers" else str(row.label)


def _names(labels: LabelFile) -> Sequence[str]:
    """The labels in their order; of numbers those that occur."""
    if labels.kind == "pairs":
        return PAIR_LABELS
    if labels.kind == "verdicts":
        return ("true", "false")
    return labels.words if labels.kind == "words" else ()


def _number(value: float) -> str:
    return f"{value:g}"

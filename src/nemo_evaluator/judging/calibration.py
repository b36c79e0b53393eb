"""Compares a judge with people's labels: every row is judged as a run would have it judged, and
the verdicts are compared. Rows that could not be judged are counted, never taken for a verdict.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import msgspec

from ..errors import ConfigError, InfraError
from ..results.judgements import JudgeTotals
from ..scoring.judged import Labels
from ..traffic.client import ModelClient
from ..types import Json, Problem, Record, Score
from .agreement import (
    Agreement,
    Share,
    agreement,
    consistency,
    length_bias_of_grades,
    length_bias_of_pairs,
    offset,
    share,
    weighted_kappa,
)
from .labels import PAIR_LABELS, LabelFile, Row
from .metrics import PAIR, PASS_SHARE, WIN, Metric, PairwiseMetric, RubricMetric
from .prompts import SYSTEM, comparison, grading
from .reward import RewardMetric
from .verification import JudgeFile, Verification, together

EXAMPLES = 10


@dataclass(frozen=True, slots=True)
class Examined:
    """The metric under examination."""

    metric: Metric
    clients: Sequence[ModelClient]
    """The models it asks."""
    max_score: float = 5.0
    """Its grades are shares of this."""
    repeats: int = 1
    """How often each row is judged."""
    identity: Mapping[str, Json] | None = None
    verify: Callable[[Row, Verification], Awaitable[Score]] | None = None
    """The judge of a benchmark: its verdict on the response of a row."""


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

    judged: tuple[tuple[float, float], ...] = ()
    """Of every row with a verdict what the judge and what people gave, as shares of the best; empty
    for pairs and words. What `nel judge correct` corrects a run's score by."""

    simulated: bool = False
    """A simulated judge: the numbers say nothing about a real one."""

    @property
    def decisive(self) -> Share:
        """What a floor is held against: kappa, of grades the weighted one."""
        return self.agreement.weighted_kappa or self.agreement.kappa


@dataclass(frozen=True, slots=True)
class _Said:
    """What came of one row."""

    label: str | None
    """The label; None if there is no verdict."""
    value: float | None = None
    """A grade, on the scale."""
    orders: tuple[str, ...] = ()
    """The verdicts on a pair in both orders, as verdicts on the answers."""
    failure: str = ""
    paid: JudgeTotals | None = None


async def calibrate(examined: Examined, labels: LabelFile, judge_file: JudgeFile) -> Calibration:
    """Judge every row. Replies are kept in the judges' file, so a repetition pays for nothing.

    Of several repeats the first is compared with people, since a run has one; all of them tell how
    steady the judge is. Raises ConfigError if not one row could be judged.
    """
    for client in examined.clients:
        await client.check()
    times = range(examined.repeats)
    every = await asyncio.gather(
        *(
            _row(examined, labels, row, i, k, judge_file)
            for i, row in enumerate(labels.rows)
            for k in times
        )
    )
    rows = [every[i : i + examined.repeats] for i in range(0, len(every), examined.repeats)]
    judged = [row[0] for row in rows]
    if all(one.label is None for one in judged):
        first = f"line {labels.rows[0].line}: {judged[0].failure}"
        raise ConfigError(f"no row could be judged; {first}", where=str(labels.path))
    human = [_human(row, labels.kind) for row in labels.rows]
    found = agreement([one.label for one in judged], human, labels=_names(labels, judged))
    found = _with_biases(found, labels, judged, human, examined)
    if examined.repeats > 1:
        steady = consistency([[one.label for one in row] for row in rows])
        found = msgspec.structs.replace(found, consistency=steady)
    return _accounted(
        Calibration(
            kind=labels.kind,
            agreement=found,
            by_order=_by_order(judged, human),
            disagreements=tuple(
                Disagreement(line=row.line, human=person, judge=one.label)
                for row, person, one in zip(labels.rows, human, judged, strict=True)
                if one.label is not None and one.label != person
            )[:EXAMPLES],
            failures=tuple(
                f"line {row.line}: {one.failure}"
                for row, one in zip(labels.rows, judged, strict=True)
                if one.failure
            )[:EXAMPLES],
            judge=examined.identity or {},
            judged=_shares(examined, labels, judged),
        ),
        [one.paid for one in every if one.paid is not None],
    )


def _shares(
    examined: Examined, labels: LabelFile, said: Sequence[_Said]
) -> tuple[tuple[float, float], ...]:
    """Judge and people by row, as shares of the best; a benchmark's own rewards are shares."""
    if labels.kind == "verdicts":
        return tuple(
            (float(one.label == "true"), float(bool(row.label)))
            for row, one in zip(labels.rows, said, strict=True)
            if one.label is not None
        )
    if labels.kind != "numbers":
        return ()
    scale = examined.max_score if examined.verify is None else 1.0
    return tuple(
        (one.value / scale, float(row.label) / scale)
        for row, one in zip(labels.rows, said, strict=True)
        if one.value is not None
    )


def _accounted(found: Calibration, paid: Sequence[JudgeTotals]) -> Calibration:
    costs = [one.cost_usd for one in paid if one.cost_usd is not None]
    return msgspec.structs.replace(
        found,
        calls=sum(one.calls for one in paid),
        tokens=sum(one.prompt_tokens + one.completion_tokens for one in paid),
        cost_usd=sum(costs) if costs else None,
        simulated=any(one.simulated for one in paid),
    )


async def _row(
    examined: Examined, labels: LabelFile, row: Row, number: int, repeat: int, judge_file: JudgeFile
) -> _Said:
    verification = judge_file.verification(number, repeat)
    try:
        if examined.verify is not None:
            judged = _verified(await examined.verify(row, verification), labels.kind)
        elif labels.kind == "pairs":
            judged = await _pair(examined.metric, row, verification)
        elif labels.kind == "words":
            judged = await _word(examined.metric, labels, row, verification)
        else:
            judged = await _grade(examined, labels.kind, row, verification)
    except InfraError as error:
        judged = _Said(None, failure=str(error))
    finally:
        verification.close()
    return replace(judged, paid=verification.totals)


def _verified(score: Score, kind: str) -> _Said:
    """A benchmark's verdict, in the terms of the labels."""
    if kind == "numbers":
        return _Said(_number(score.reward), score.reward)
    if kind == "verdicts":
        right = score.reward >= PASS_SHARE if score.correct is None else score.correct
        return _Said(str(right).lower(), score.reward)
    if score.extracted is None:
        return _Said(None, failure=f"the benchmark gave no verdict ({score.failure})")
    return _Said(str(score.extracted))


async def _grade(examined: Examined, kind: str, row: Row, verification: Verification) -> _Said:
    graded = await examined.metric.grade(_problem(row, verification), row.answers[0], verification)
    value = graded.value * examined.max_score
    if kind == "verdicts":
        right = graded.details.get("correct", graded.value >= PASS_SHARE)
        return _Said(str(bool(right)).lower(), value)
    return _Said(_number(value), value)


async def _word(metric: Metric, labels: LabelFile, row: Row, verification: Verification) -> _Said:
    assert isinstance(metric, RubricMetric)
    reference = None if metric.reference_free else row.reference
    prompt = grading(row.prompt, row.answers[0], reference, metric.rubric)
    system = metric.judge.manner.system or SYSTEM
    ruling = await metric.judge.ask(verification, prompt, Labels(labels.words), system=system)
    return _Said(str(ruling.value))


async def _pair(metric: Metric, row: Row, verification: Verification) -> _Said:
    if isinstance(metric, RewardMetric):
        problem = _problem(row, verification)
        a, b = await together(metric.grade(problem, answer, verification) for answer in row.answers)
        return _Said("A" if a.value > b.value else "B" if a.value < b.value else "tie")
    assert isinstance(metric, PairwiseMetric)
    first, second = row.answers
    shown = [(first, second), (second, first)] if metric.swap_check else [(first, second)]
    system = metric.judge.manner.system or SYSTEM
    rulings = await together(
        metric.judge.ask(
            verification, comparison(row.prompt, one, other, metric.rubric), PAIR, system=system
        )
        for one, other in shown
    )
    turned = {"A": "B", "B": "A", "tie": "tie"}
    orders = [str(rulings[0].value), *(turned[str(ruling.value)] for ruling in rulings[1:])]
    mean = fmean(WIN[verdict] for verdict in orders)
    label = "A" if mean > 0.5 else "B" if mean < 0.5 else "tie"
    return _Said(label, orders=tuple(orders))


def _problem(row: Row, verification: Verification) -> Problem:
    return Problem(idx=verification.problem_idx, prompt=row.prompt, target=row.reference)


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
    graded = labels.kind == "numbers"
    given = [float(row.label) * (1.0 if graded else examined.max_score) for row in labels.rows]
    values = [one.value for one in said]
    lengths = [len(row.answers[0]) for row in labels.rows]
    return msgspec.structs.replace(
        found,
        length=length_bias_of_grades(values, given, lengths),
        weighted_kappa=weighted_kappa(values, given) if graded else None,
        offset=offset(values, given) if graded else None,
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


def _names(labels: LabelFile, said: Sequence[_Said]) -> Sequence[str]:
    """The labels in their order; those that occur, where there is no end of them."""
    if labels.kind == "pairs":
        return PAIR_LABELS
    if labels.kind == "verdicts":
        return ("true", "false")
    numbers = labels.kind == "numbers"
    heard = {one.label for one in said if one.label is not None}
    named = {_human(row, labels.kind) for row in labels.rows} | heard
    return sorted(named, key=float) if numbers else sorted(named)


def _number(value: float) -> str:
    return f"{value:g}"

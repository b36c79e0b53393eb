"""What lm_eval makes of answers, as our scores and measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...asked import Answer, RequestKind
from ...measured import Measure, Measures
from ...records import Json, Record
from ...types import Failure, Score
from .modes import chosen, letters_of
from .options import Mode
from .replies import Doc

MODE = "mode"
"""Which detail of a verdict tells how a choice was asked for, where lm_eval asks otherwise."""
RIGHT_OR_WRONG = ("acc", "em", "exact_match", "pass", "prompt_level")
"""How the metrics begin that say right or wrong."""
OF_A_CHOICE = ("acc", "acc_norm", "f1", "mcc")
"""Metrics that need the choice only, and not how probable each option is."""


class Filtered(Record, frozen=True, kw_only=True):
    """What one filter made of an answer."""

    metrics: Mapping[str, Json]
    filtered: Json


class Graded(Record, frozen=True, kw_only=True):
    """What lm_eval made of one document's answers."""

    filters: Mapping[str, Filtered] = {}
    error: str | None = None
    """Why it could not be scored."""


class Verdict(Record, frozen=True, kw_only=True):
    """What metrics say of an answer: the first that is a share is the reward."""

    metric: str | None
    reward: float
    rated: bool
    correct: bool | None


def verdict_of(metrics: Mapping[str, float]) -> Verdict:
    """The verdict, by metrics in lm_eval's order.

    >>> verdict_of({"exact_match,strict": 1.0}).correct
    True
    """
    shares = {name: value for name, value in metrics.items() if 0 <= value <= 1}
    first = next(iter(shares), None)
    reward = 0.0 if first is None else shares[first]
    binary = first is not None and first.startswith(RIGHT_OR_WRONG) and reward in (0.0, 1.0)
    return Verdict(
        metric=first,
        reward=reward,
        rated=first is not None,
        correct=reward == 1.0 if binary else None,
    )


class Measured(Record, frozen=True, kw_only=True):
    """One result of lm_eval."""

    task: str
    name: str
    filter: str
    value: float | None
    absent: str | None = None
    """Why it has no value."""
    raised: bool = False
    """Its function raised an error."""
    stderr: float | None
    higher_is_better: bool
    n: int


def score_of(
    graded: Mapping[str, Filtered], doc: Doc, answers: Sequence[Answer], mode: Mode | None
) -> Score:
    """The verdict: the first metric of the first filter that is a share is the reward."""
    metrics = {
        f"{metric},{name}": float(value)
        for name, filtered in graded.items()
        for metric, value in filtered.metrics.items()
        if isinstance(value, int | float) and (mode is None or metric in OF_A_CHOICE)
    }
    verdict = verdict_of(metrics)
    choice = _choice(doc, answers, mode)
    details: dict[str, Json] = {}
    if doc.choices is None:
        details["filtered"] = {name: filtered.filtered for name, filtered in graded.items()}
    if mode is not None:
        details[MODE] = mode.value
    return Score(
        reward=verdict.reward,
        rated=verdict.rated,
        correct=verdict.correct,
        extracted=next(iter(graded.values())).filtered if doc.choices is None else choice,
        failure=Failure.FORMAT if mode is not None and choice is None else None,
        metrics=metrics,
        details=details,
    )


def _choice(doc: Doc, answers: Sequence[Answer], mode: Mode | None) -> str | None:
    """The option that was chosen: its letter where it was asked for, else its text."""
    if doc.choices is None:
        return None
    if mode is None:
        return response_of(doc, answers)
    place = chosen(doc, mode, answers[0])
    return None if place is None else letters_of(doc)[place]


def response_of(doc: Doc, answers: Sequence[Answer]) -> str:
    """What was written last, or the likeliest of the given texts."""
    texts = [answer.text for answer in answers if answer.text is not None]
    if texts:
        return texts[-1]
    written = [
        (answer.logprob, str(asked.args[1]))
        for asked, answer in zip(doc.requests, answers, strict=False)
        if asked.kind == RequestKind.LOGLIKELIHOOD and answer.logprob is not None
    ]
    return max(written, key=lambda one: one[0])[1] if written else ""


def finish_of(answers: Sequence[Answer]) -> str | None:
    """Why the last text ended."""
    return next((a.finish_reason for a in reversed(answers) if a.finish_reason), None)


def measures_of(
    repeats: Sequence[Sequence[Measured]], whole: str | None, mode: Mode | None
) -> Measures:
    """The results of one repeat, or the means over several; what one of them lacks has no value.
    ``whole`` names the benchmark."""
    found: dict[tuple[str, str, str], list[Measured]] = {}
    for repeat in repeats:
        for one in repeat:
            found.setdefault((one.task, one.name, one.filter), []).append(one)
    measures: list[Measure] = []
    absent: dict[str, str] = {}
    raised: list[str] = []
    for same in found.values():
        one = same[0]
        values = [each.value for each in same if each.value is not None]
        measure = Measure(
            name=f"{one.name},{one.filter}",
            value=sum(values) / max(1, len(values)),
            stderr=one.stderr if len(repeats) == 1 else None,
            n=one.n,
            higher_is_better=one.higher_is_better,
            group=None if one.task == whole else one.task,
        )
        if not _is_known(one.name, mode):
            absent[measure.key] = "needs how probable each option is (mode: loglikelihood)"
        elif len(values) < len(repeats):
            absent[measure.key] = next(
                filter(None, (each.absent for each in same)), "lacks in a repeat"
            )
            raised += [measure.key] if any(each.raised for each in same) else []
        else:
            measures.append(measure)
    measures.sort(key=lambda measure: measure.group is not None)
    return Measures(measures=tuple(measures), absent=absent, raised=tuple(raised))


def _is_known(metric: str, mode: Mode | None) -> bool:
    """Whether a metric can be computed in a mode."""
    choice_only = mode in (Mode.FIRST_TOKEN, Mode.GENERATE)
    return not choice_only or metric in OF_A_CHOICE or metric.startswith(RIGHT_OR_WRONG)

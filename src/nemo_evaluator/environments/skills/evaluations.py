"""Evaluation types of NeMo Skills that can be run on its prepared data alone.

Invariant: a type that is not here is an error before anything is paid, never another one's rule.
"""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ...judging.factual import FORM, question, verdict
from ...judging.prompts import SYSTEM
from ...measured import Measure
from ...scoring.grade import Grade
from ...scoring.input import ScorerInput
from ...scoring.multichoice import multichoice_regex
from ...scoring.primitives import find_scorer, math_match_async
from ...scoring.reasoning import visible
from ...scoring.targets import impossible, no_value
from ...stats.passk import reported_k
from ...types import Failure
from ..contract import Aggregates
from ..define import PrepareRow
from ..scored import ScoredProblem
from .prompts import CHOICE, MATH, PLAIN
from .rows import prepared, with_instructions, with_options


def majority(rows: Sequence[ScoredProblem]) -> Sequence[Measure]:
    """``majority@k`` over the first k answers of each problem: the grade of the most frequent one,
    the mean grade of those that tie. No answer has no vote."""
    problems: dict[int, list[ScoredProblem]] = {}
    for row in rows:
        problems.setdefault(row.problem.idx, []).append(row)
    most = max(map(len, problems.values()), default=0)
    measures = []
    for k in reported_k(most):
        votes = [_voted(answers[:k]) for answers in problems.values() if len(answers) >= k]
        if votes and k > 1:
            value = statistics.fmean(votes)
            measures.append(Measure(name=f"majority@{k}", value=value, n=len(votes)))
    return measures


def _voted(rows: Sequence[ScoredProblem]) -> float:
    votes = Counter(
        (str(row.score.extracted), row.score.reward)
        for row in rows
        if row.score.extracted is not None
    )
    most = max(votes.values(), default=0)
    grades = [grade for (_, grade), count in votes.items() if count == most]
    return statistics.fmean(grades) if grades else 0.0


NATIVE_LETTERS = dict(zip("أبجدঅবডঢকখগঘ", "ABCD" * 3, strict=True))
"""What NeMo Skills reads as A to D, and the first letters of the Bengali alphabet."""
_LETTER = r"\w\u0600-\u06ff\u0980-\u09ff"  # with the vowel signs of both scripts
NATIVE = re.compile(rf"(?<![{_LETTER}])[{''.join(NATIVE_LETTERS)}](?![{_LETTER}])")


class Evaluation(NamedTuple):
    """How a type is asked and graded."""

    prompt_config: str
    """What is asked where the dataset does not say it."""
    scorer: Any
    prepare_row: PrepareRow = prepared
    judge: bool = False
    aggregate: Aggregates | None = None


async def skills_math(sample: ScorerInput) -> Grade:
    """The boxed or last stated answer equals the target as mathematics."""
    return await math_match_async(sample)


def skills_multichoice(sample: ScorerInput) -> Grade:
    """The letter chosen last; where it is none of Latin script, the Arabic or Bengali letter that
    stands for A to D."""
    found = multichoice_regex(sample)
    plain = NATIVE.sub(lambda at: NATIVE_LETTERS[at[0]], sample.response)
    if found["extracted"] is not None or plain == sample.response:
        return found
    return multichoice_regex(replace(sample, response=plain))


async def skills_factual(sample: ScorerInput) -> Grade:
    """A judge says whether the answer is correct, incorrect, or no attempt at one."""
    if not sample.response.strip():
        return verdict(None)
    asked = question(sample.metadata["problem"], sample.target, sample.response)
    ruling = await sample.judge.ask(asked, FORM, system=SYSTEM)
    return {**verdict(str(ruling.value)), "explanation": ruling.explanation}


def skills_ruler_all(sample: ScorerInput) -> Grade:
    """The share of the expected texts that the response holds."""
    return _graded(sample, statistics.fmean)


def skills_ruler_part(sample: ScorerInput) -> Grade:
    """Whether the response holds one of the expected texts."""
    return _graded(sample, max)


def _graded(sample: ScorerInput, rule: Callable[[Sequence[float]], float]) -> Grade:
    wanted = sample.target_raw
    if (why := no_value(wanted)) is not None:
        return impossible(why)
    wanted = wanted if isinstance(wanted, list) else [wanted]
    said = visible(sample.response).text.strip()
    if not said:
        return {"reward": 0.0, "extracted": None, "failure": Failure.EMPTY.value}
    held = [float(str(text).casefold() in said.casefold()) for text in wanted]
    return {"reward": rule(held), "extracted": said}


RULER: Mapping[str, Any] = {"all": skills_ruler_all, "part": skills_ruler_part}
"""What ``eval_config.match_type`` may be."""
EVALUATIONS: Mapping[str, Evaluation] = {
    "math": Evaluation(MATH, skills_math, aggregate=majority),
    "multichoice": Evaluation(CHOICE, skills_multichoice, with_options, aggregate=majority),
    "if": Evaluation(PLAIN, find_scorer("ifeval"), with_instructions),
    "ruler": Evaluation(PLAIN, None),
    "simpleqa": Evaluation(PLAIN, skills_factual, judge=True),
    "exact_match": Evaluation(PLAIN, find_scorer("exact_match")),
}
GRADED_ROWS = frozenset(
    ("math", "math_multilingual", "multichoice", "multichoice_multilingual", "if", "ruler")
)
"""Metrics types that sum up what the evaluation type graded; any other decides how it is graded."""
_ELSEWHERE = """
answer-judgement aalcr arena audio bfcl bigcodebench bird code code_exec code_metrics compute-eval
evalplus hle human_eval_infilling icpc ifbench ioi lean4-proof lean4-statement livebench_coding
livecodebench livecodebench_pro mmau-pro mrcr mt_bench ojbench ruler2 scicode swe-bench translation
"""
ELSEWHERE = frozenset(_ELSEWHERE.split())
"""Types that need programs or data which the prepared data does not hold."""

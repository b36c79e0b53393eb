"""SimpleQA: short questions with one undisputed answer (Wei et al. 2024, arXiv 2411.04368).

The question is asked as it is. A judge says whether the answer is correct, incorrect, or no attempt
at one; the three-way rule is that of simple-evals, in our own words. Metrics: the three rates,
accuracy given attempted C/(C+I), and the F-score, the harmonic mean of it and the correct rate.
"""

from __future__ import annotations

import ast
from random import Random
from typing import Any

from ..environments.define import benchmark, scorer
from ..environments.fingerprint import digest
from ..judging.factual import FORM, GRADER, question, verdict
from ..judging.prompts import SYSTEM
from ..scoring.input import ScorerInput


def prepare(row: dict[str, Any], idx: int, rng: Random) -> dict[str, Any]:
    """Question and answer; the topic and the kind of answer group the results."""
    about = row.get("metadata")
    try:
        found = ast.literal_eval(about) if isinstance(about, str) else about
    except (ValueError, SyntaxError):
        found = None
    found = found if isinstance(found, dict) else {}
    return {
        "problem": row["problem"],
        "target": row["answer"],
        "topic": found.get("topic"),
        "breakdowns": {"answer_type": found["answer_type"]} if "answer_type" in found else {},
    }


@benchmark(
    name="simpleqa",
    dataset="hf://basicv8vc/SimpleQA?split=test",
    prompt="{problem}",
    prepare_row=prepare,
    category_field="topic",
    extra={"grader": digest(GRADER)},
    requirements=["judge"],
    own_rubric=True,
)
@scorer
async def simpleqa(sample: ScorerInput) -> dict[str, Any]:
    """A, B or C, as the judge says."""
    if not sample.response.strip():
        return verdict(None)
    asked = question(sample.metadata["problem"], sample.target, sample.response)
    ruling = await sample.judge.ask(asked, FORM, system=SYSTEM)
    return {**verdict(str(ruling.value)), "explanation": ruling.explanation}

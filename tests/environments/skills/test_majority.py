"""The majority's score, against results that NeMo Skills recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nemo_evaluator.environments.contract import ScoredProblem
from nemo_evaluator.environments.skills.evaluations import majority
from nemo_evaluator.types import Problem, Score, Solution


def row(idx: int, repeat: int, said: str | None, right: bool) -> ScoredProblem:
    return ScoredProblem(
        problem=Problem(idx=idx),
        repeat=repeat,
        solution=Solution(response=said or ""),
        score=Score(reward=float(right), correct=right, extracted=said),
    )


def values(rows: list[ScoredProblem]) -> dict[str, float]:
    return {measure.key: measure.value for measure in majority(rows)}


def test_the_most_frequent_answer_counts_and_ties_are_shared() -> None:
    answers = [
        [("7", True), ("8", False), ("8", False)],
        [(None, False), ("7", True), (None, False)],
    ]
    rows = [
        row(idx, repeat, *answer)
        for idx, given in enumerate(answers)
        for repeat, answer in enumerate(given)
    ]
    assert values(rows) == {"majority@2": 0.75, "majority@3": 0.5}
    assert values([row(0, 0, "7", True)]) == {}
    assert values([row(0, repeat, None, False) for repeat in range(2)]) == {"majority@2": 0.0}


@pytest.mark.shared
def test_recorded_results_are_met(shared_dir: Path) -> None:
    folder = shared_dir / "data" / "recorded" / "nemo_skills_eval"
    expected = json.loads((folder / "expected_metrics.json").read_text())["math"]
    texts = [(folder / "math" / f"output-rs{repeat}.jsonl").read_text() for repeat in range(3)]
    rows = [
        row(idx, repeat, said["predicted_answer"], said["symbolic_correct"])
        for repeat, text in enumerate(texts)
        for idx, line in enumerate(text.splitlines())
        for said in [json.loads(line)]
    ]
    rows.sort(key=lambda one: (one.problem.idx, one.repeat))
    assert values(rows) == {
        name: pytest.approx(expected[name]["symbolic_correct"] / 100)
        for name in ("majority@2", "majority@3")
    }

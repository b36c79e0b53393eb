"""Measures of whole tables, by hand-made rows."""

from __future__ import annotations

import pytest

from nemo_evaluator.environments.contract import ScoredProblem
from nemo_evaluator.environments.vlmevalkit.measures import MME_PARTS, measures_of
from nemo_evaluator.environments.vlmevalkit.rules import Kind
from nemo_evaluator.types import Problem, Score, Solution


def row(right: bool, about: dict[str, str], target: str = "Yes", repeat: int = 0) -> ScoredProblem:
    """A row whose answer is right or wrong."""
    said = target if right else {"Yes": "No", "No": "Yes"}[target]
    return ScoredProblem(
        problem=Problem(idx=0, target=target, metadata=about),
        repeat=repeat,
        solution=Solution(response=said),
        score=Score(reward=float(right), correct=right, extracted=said),
    )


async def measured(
    name: str, rows: list[ScoredProblem], kind: Kind = Kind.YES_OR_NO, rotated: bool = False
) -> dict[str, float]:
    aggregate = measures_of(name, kind, rotated)
    assert aggregate is not None
    found = aggregate(rows)
    assert isinstance(found, list)
    return {measure.key: measure.value for measure in found}


async def test_hallusion_counts_figures_and_questions_that_are_right_throughout() -> None:
    rights = {"0_0_0": True, "0_0_1": True, "0_1_0": True, "0_1_1": False}
    rows = [
        row(right, {"index": f"VS_x_math_{place}", "l2-category": "math"})
        for place, right in rights.items()
    ]
    rows += [row(True, {"index": "VS_x_ocr_0_1_1", "l2-category": "ocr"})]
    found = await measured("HallusionBench", rows)
    assert found == pytest.approx({"aAcc": 4 / 5, "fAcc": 2 / 3, "qAcc": 2 / 3})


async def test_mme_gives_points_to_images_with_both_questions_right() -> None:
    rows = [
        row(right, {"category": "count", "image_id": image})
        for image, right in [("a", True), ("a", True), ("b", True), ("b", False), ("c", True)]
    ]
    found = await measured("MME", rows)
    assert found == {"count/mme": pytest.approx(100 * (4 / 5 + 1 / 2))}
    names = [name for part in MME_PARTS.values() for name in part]
    full = [row(True, {"category": name, "image_id": "a"}) for name in names for _ in range(2)]
    found = await measured("MME", full)
    assert found["perception"] == 2000 and found["reasoning"] == 800


async def test_pope_counts_a_row_in_each_of_its_categories() -> None:
    rows = [
        row(True, {"category": "random,popular"}),
        row(False, {"category": "random"}, "No"),
        row(False, {"category": "random"}),
    ]
    found = await measured("POPE", rows)
    assert found == pytest.approx({"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3})
    found = await measured("Own", rows)
    assert found == pytest.approx({"precision": 1 / 2, "recall": 1 / 2, "f1": 1 / 2})


async def test_each_repeat_of_a_rotated_question_counts() -> None:
    rows = [
        row(repeat == 0 or index != "1000001", {"index": index, "rotations": "2"}, repeat=repeat)
        for index in ("1", "1000001")
        for repeat in (0, 1)
    ]
    rows.append(row(True, {"index": "2", "rotations": "2"}))  # the other was not asked
    assert await measured("MMBench", rows, Kind.CHOICE, rotated=True) == {"circular": 0.5}


def test_a_mean_needs_no_measure() -> None:
    assert measures_of("ChartQA_TEST", Kind.CHART, rotated=False) is None

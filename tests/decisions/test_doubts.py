"""What lets nothing pass, though the interval of the whole would: each is named in the headline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from published import constant, share_right, write_results

from nemo_evaluator import compare_results, compare_runs, gate_runs


def both(tmp_path: Path, one: Any, other: Any, **options: Any) -> dict[str, Any]:
    """Comparison of two sides, and the gate of the same, which must agree that nothing passes."""
    limit = options.get("min_effect", 0.05)
    report = compare_runs(tmp_path / "a", tmp_path / "b", **options)
    rules = {"metric": "mean_reward", "max_drop": limit}
    verdict = gate_runs(tmp_path / "a", tmp_path / "b", {"defaults": rules})["verdict"]
    assert (report["verdict"] == "PASS") == (verdict == "GO")
    return report


def kinds(report: dict[str, Any]) -> list[str]:
    return [doubt["kind"] for doubt in report.get("doubts", [])]


def categories(n: int, k: int) -> dict[int, str]:
    return {i: f"c{i % k}" for i in range(n)}


def test_nothing_odd_is_no_doubt(tmp_path: Path) -> None:
    for side in "ab":
        write_results(tmp_path / side, share_right(150, 300), categories=categories(300, 10))
    report = both(tmp_path, "a", "b")
    assert report["verdict"] == "PASS" and not kinds(report)


def test_a_bundle_that_its_rows_contradict(tmp_path: Path) -> None:
    write_results(tmp_path / "a", constant(1.0, 300))
    write_results(tmp_path / "b", constant(1.0, 300), scores={"mean_reward": {"value": 0.2}})
    report = both(tmp_path, "a", "b")
    assert report["verdict"] == "INCONCLUSIVE" and kinds(report) == ["bundle"]
    said = "the bundle of the candidate says mean_reward 0.2000, its rows say 1.0000"
    assert report["verdict_reasons"][0] == said
    published = compare_runs(tmp_path / "a", tmp_path / "b", rules="published")
    assert published["verdict"] == "PASS" and said in published["warnings"]


@pytest.mark.parametrize("score", [0.5, 0.4, 0.4002])
def test_a_bundle_may_count_what_is_missing_as_wrong(tmp_path: Path, score: float) -> None:
    rewards = {i: [1.0 if i < 120 else 0.0 if i < 240 else None] for i in range(300)}
    for side in "ab":
        scores = {"mean_reward": {"value": score}}
        write_results(tmp_path / side, rewards, scores=scores)
    assert not kinds(compare_runs(tmp_path / "a", tmp_path / "b"))


def test_a_candidate_that_was_cut_off(tmp_path: Path) -> None:
    write_results(tmp_path / "a", constant(1.0, 300))
    write_results(tmp_path / "b", constant(1.0, 300), rows={"finish_reason": "length"})
    report = both(tmp_path, "a", "b")
    assert report["verdict"] == "INCONCLUSIVE" and kinds(report) == ["truncated"]
    assert "100.0% of the candidate's answers were cut off" in report["verdict_reasons"][0]


def test_a_category_that_fell_while_the_whole_held(tmp_path: Path) -> None:
    names = categories(1000, 10)
    base = {i: [float(i // 10 % 3 > 0)] for i in names}
    moved = {i: [0.0] if i % 10 == 0 else r for i, r in base.items()}
    for i in [i for i, r in moved.items() if r == [0.0] and i % 10][:66]:
        moved[i] = [1.0]
    write_results(tmp_path / "a", base, categories=names)
    write_results(tmp_path / "b", moved, categories=names)
    report = both(tmp_path, "a", "b")
    assert report["verdict"] == "INCONCLUSIVE" and kinds(report) == ["category"]
    assert report["verdict_reasons"][0].startswith("category c0 went from 0.66")
    assert "the change differs between categories" in report["verdict_reasons"][-1]
    assert report["category_deltas"]["c0"]["fell"] and not report["category_deltas"]["c1"]["fell"]


def test_nearly_all_categories_fell(tmp_path: Path) -> None:
    names = categories(2000, 20)
    base = constant(1.0, 2000)
    moved = {i: [0.0] if i < 19 else [1.0] for i in names}
    base[19], moved[19] = [0.0], [1.0]
    for i in range(20, 40):
        base[i] = [0.0]
        moved[i] = [float(i == 39)]
    write_results(tmp_path / "a", base, categories=names)
    write_results(tmp_path / "b", moved, categories=names)
    report = compare_runs(tmp_path / "a", tmp_path / "b")
    assert "most_categories" in kinds(report) and report["verdict"] != "PASS"
    assert "19 of 20 categories that changed got worse" in report["verdict_reasons"]


def test_a_change_of_the_mixture_is_no_gain() -> None:
    """Every category falls, and the published means rise: the candidate skipped the hard ones."""
    one = [
        {"problem_idx": i, "reward": float(i % 10 < (9 if i < 100 else 2)),
         "metadata": {"category": "easy" if i < 100 else "hard"}}
        for i in range(200)
    ]  # fmt: skip
    other = [
        {**row, "reward": float(row["problem_idx"] % 10 < (8 if row["problem_idx"] < 100 else 1))}
        for row in one
        if row["problem_idx"] < 120
    ]
    report = compare_results(one, other)
    assert "mixture" in kinds(report)
    assert any("every one of 2 categories fell" in text for text in report["verdict_reasons"])

"""Several candidates against one baseline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from published import write_results

from nemo_evaluator import ConfigError
from nemo_evaluator.config.gate_policy import Rules
from nemo_evaluator.decisions.documents import field_document
from nemo_evaluator.decisions.options import CompareOptions
from nemo_evaluator.decisions.verdicts import Verdict
from nemo_evaluator.tasks.decide import compare_many


def right(share: float, n: int, seed: int) -> dict[int, list[float | None]]:
    draws = np.random.default_rng(seed).uniform(0, 1, n)
    return {i: [float(x < share)] for i, x in enumerate(draws)}


@pytest.mark.parametrize(
    ("rules", "lost", "p"), [(Rules.SOUND, 12, 0.0184), (Rules.PUBLISHED, 10, 0.0461)]
)
def test_one_of_many_is_no_alarm_by_chance(
    tmp_path: Path, rules: Rules, lost: int, p: float
) -> None:
    """A drop shown at the level of one candidate is a WARN alone, and nothing among six."""
    n = 400
    base = {i: [1.0 if i < 200 else 0.0] for i in range(n)}
    write_results(tmp_path / "base", base)
    worse = {i: [0.0 if i < lost else r[0]] for i, r in base.items()}
    for i in range(200, 203):
        worse[i] = [1.0]
    write_results(tmp_path / "a", worse)
    for name in "bcdef":
        write_results(tmp_path / name, base)
    options = CompareOptions(max_drop=0.05, rules=rules)
    others = [tmp_path / name for name in "abcdef"]
    alone = compare_many(tmp_path / "base", others, options, "none")
    assert alone.entries[0].p_worse == pytest.approx(p, abs=1e-3)
    assert alone.entries[0].verdict is Verdict.WARN
    corrected = compare_many(tmp_path / "base", others, options, "holm")
    assert corrected.entries[0].p_worse == pytest.approx(6 * p, abs=1e-2)
    assert corrected.entries[0].verdict is Verdict.PASS


def test_a_leaderboard(tmp_path: Path) -> None:
    for name, share in (("base", 0.6), ("good", 0.9), ("same", 0.6)):
        write_results(tmp_path / name, right(share, 500, len(name)))
    field = compare_many(
        tmp_path / "base", [tmp_path / "good", tmp_path / "same"], CompareOptions(), "holm"
    )
    board = field.leaderboard["bench"]
    assert board[0].name == "good" and (board[0].rank_low, board[0].rank_high) == (1, 1)
    assert {place.rank_high for place in board[1:]} == {3}
    document = field_document(field)
    assert document["leaderboard"]["bench"][0]["name"] == "good"
    assert len(document["candidates"]) == 2


def test_a_leaderboard_counts_clusters_and_goes_by_the_metric(tmp_path: Path) -> None:
    """Two models, each better on whole passages of 50 questions: 8 passages show no order."""
    moved = [1, 1, 1, 1, 1, 1, 0, 0]
    names = {i: f"passage {i // 50}" for i in range(400)}
    one = {i: [float(moved[i // 50] != i % 3)] for i in range(400)}
    two: dict[int, list[float | None]] = {i: [0.0] for i in range(400)}
    for i in range(400):
        two[i] = [float(i % 3 == 0) if moved[i // 50] else 1.0]
    for clusters, apart in ((names, False), (None, True)):
        for name, rewards in (("one", one), ("two", two)):
            write_results(tmp_path / f"{apart}" / name, rewards, clusters=clusters)
        folder = tmp_path / f"{apart}"
        board = compare_many(
            folder / "one", [folder / "two"], CompareOptions(), "holm"
        ).leaderboard["bench"]
        assert (board[0].rank_high == 1) is apart
    lower = CompareOptions(metric="mean_reward", higher_is_better=False)
    turned = compare_many(folder / "one", [folder / "two"], lower, "holm").leaderboard["bench"]
    assert [place.name for place in turned] == [place.name for place in reversed(board)]


def test_unmatched_benchmarks_are_named(tmp_path: Path) -> None:
    write_results(tmp_path / "base/x", right(0.5, 50, 0), name="x")
    write_results(tmp_path / "base/y", right(0.5, 50, 0), name="y")
    write_results(tmp_path / "a/x", right(0.5, 50, 0), name="x")
    write_results(tmp_path / "b/x", right(0.5, 50, 0), name="x")
    field = compare_many(
        tmp_path / "base", [tmp_path / "a", tmp_path / "b"], CompareOptions(), "holm"
    )
    assert field.unmatched == ("y",) and list(field.leaderboard) == ["x"]


def test_nothing_in_common(tmp_path: Path) -> None:
    write_results(tmp_path / "base", right(0.5, 50, 0), name="x")
    for name in "ab":
        write_results(tmp_path / name, right(0.5, 50, 0), name="y")
    with pytest.raises(ConfigError, match="No matching benchmarks"):
        compare_many(tmp_path / "base", [tmp_path / "a", tmp_path / "b"], CompareOptions(), "holm")


def test_the_same_run_twice_is_refused(tmp_path: Path) -> None:
    write_results(tmp_path / "base", right(0.5, 50, 0))
    write_results(tmp_path / "a", right(0.5, 50, 0))
    with pytest.raises(ConfigError, match="given twice"):
        compare_many(tmp_path / "base", [tmp_path / "a", tmp_path / "a"], CompareOptions(), "holm")

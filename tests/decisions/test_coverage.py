"""Coverage counts rollouts, on both sides."""

from __future__ import annotations

from pathlib import Path

from published import constant, write_results

from nemo_evaluator import compare_results, compare_runs, gate_runs


def test_half_of_the_rollouts_is_half(tmp_path: Path) -> None:
    """Every problem has one verdict left of two."""
    write_results(tmp_path / "a", constant(1.0, 300, 2))
    write_results(tmp_path / "b", {i: [1.0, None] for i in range(300)})
    report = compare_runs(tmp_path / "a", tmp_path / "b")
    assert report["coverage"]["share"] == 0.5 and report["coverage"]["paired"] == 300
    assert report["verdict"] == "INCONCLUSIVE"
    assert report["coverage"]["candidate"]["planned_rollouts"] == 600
    rules = {"metric": "mean_reward", "max_drop": 0.2, "min_coverage": 0.6}
    gated = gate_runs(tmp_path / "a", tmp_path / "b", {"defaults": rules})
    assert gated["verdict"] == "INCONCLUSIVE"
    assert "50.0% of the planned rollouts" in gated["verdict_reasons"][0]


def test_rollouts_that_left_no_line_are_missing_too(tmp_path: Path) -> None:
    write_results(tmp_path / "a", constant(1.0, 100, 4))
    write_results(tmp_path / "b", {i: [1.0] * (4 if i < 50 else 1) for i in range(100)})
    report = compare_runs(tmp_path / "a", tmp_path / "b")
    assert report["coverage"]["share"] == (50 * 4 + 50) / 400


def test_sides_may_differ_in_repeats(tmp_path: Path) -> None:
    write_results(tmp_path / "a", constant(1.0, 100, 4))
    write_results(tmp_path / "b", constant(1.0, 100, 1))
    assert compare_runs(tmp_path / "a", tmp_path / "b")["coverage"]["share"] == 1.0


def test_rows_in_memory_plan_as_many_repeats_as_any_problem_has() -> None:
    rows = [{"problem_idx": i, "repeat": r, "reward": 1.0} for i in range(100) for r in range(2)]
    report = compare_results(
        rows, [row for row in rows if row["repeat"] == 0 or row["problem_idx"] < 1]
    )
    assert report["coverage"]["share"] == 101 / 200


def test_a_drop_that_hides_in_time_outs_is_no_pass(tmp_path: Path) -> None:
    """A tenth of the answers went wrong, and every wrong one of the candidate timed out."""
    base = {i: [float(i % 10 < 8)] for i in range(1000)}
    candidate = {i: [1.0 if i % 10 < 7 else None] for i in range(1000)}
    write_results(tmp_path / "a", base)
    write_results(tmp_path / "b", candidate)
    report = compare_runs(tmp_path / "a", tmp_path / "b", min_coverage=0.5)
    assert report["difference"]["delta"] == 0.0
    assert report["verdict"] == "INCONCLUSIVE"
    assert (
        compare_runs(tmp_path / "a", tmp_path / "b", rules="published", min_coverage=0.5)["verdict"]
        == "PASS"
    )

"""Judged scores decided as people would judge them: wider, moved, and demanded by a policy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from commands import Nel
from published import share_right, write_results

from nemo_evaluator import compare_runs, gate_runs
from nemo_evaluator.errors import ConfigError

N = 400
POLICY: dict[str, Any] = {
    "defaults": {"metric": "mean_reward", "max_drop": 0.05},
    "benchmarks": {"bench": {}},
}


def judged(folder: Path, right: int, corrected: float | None, half: float) -> Path:
    """A run whose judge approved so many of 400; people's labels of a sample move its score."""
    value = right / N
    scores: dict[str, Any] = {
        "mean_reward": {"value": value, "ci_lower": value - 0.03, "ci_upper": value + 0.03}
    }
    if corrected is not None:
        scores["quality:corrected"] = {
            "value": corrected,
            "ci_lower": corrected - half,
            "ci_upper": corrected + half,
        }
    return write_results(folder, share_right(right, N), scores=scores)


def demanded(*, calibration: bool = True) -> Mapping[str, Any]:
    rules = {**POLICY["defaults"], "require_calibration": calibration}
    return {**POLICY, "defaults": rules}


def test_the_difference_is_moved_and_wider(tmp_path: Path) -> None:
    """The judge sees no drop; people do, of 0.06, and know each score within 0.04."""
    one = judged(tmp_path / "a", 320, 0.80, 0.05)
    other = judged(tmp_path / "b", 320, 0.74, 0.05)
    report = compare_runs(one, other)
    found = report["calibrated"]
    assert found["metric"] == "quality:corrected"
    assert (found["baseline"]["score"], found["candidate"]["raw"]) == (0.80, 0.80)
    assert found["baseline"]["below"] == pytest.approx(0.04), "0.05 less 0.03, squared"
    damage, half = found["damage"], (2 * 0.04**2) ** 0.5
    assert damage["damage"] == pytest.approx(0.06)
    assert damage["upper"] - damage["damage"] > half and damage["damage"] - damage["lower"] > half
    assert report["verdict"] == "PASS", "the judge's own score decides where nothing else is said"


def test_a_policy_decides_as_people_would(tmp_path: Path) -> None:
    one = judged(tmp_path / "a", 320, 0.80, 0.031)
    same = judged(tmp_path / "same", 320, 0.80, 0.031)
    worse = judged(tmp_path / "worse", 320, 0.66, 0.031)
    unsure = judged(tmp_path / "unsure", 320, 0.80, 0.08)
    assert gate_runs(one, worse, demanded(calibration=False))["verdict"] == "GO"
    verdicts = {
        side.name: gate_runs(one, side, demanded())["verdict"] for side in (same, worse, unsure)
    }
    assert verdicts == {"same": "GO", "worse": "NO-GO", "unsure": "INCONCLUSIVE"}
    odds = [gate_runs(one, side, demanded())["odds"]["go_if_equal"] for side in (same, unsure)]
    assert odds[0] > 0.9 and odds[1] < 0.1, "the odds know of the judge's error"


@pytest.mark.parametrize("missing", ["a", "b"])
def test_a_missing_calibration_is_never_a_go(tmp_path: Path, missing: str) -> None:
    sides = [
        judged(tmp_path / side, 320, None if side == missing else 0.8, 0.03) for side in ("a", "b")
    ]
    report = gate_runs(*sides, demanded())
    assert report["verdict"] == "INCONCLUSIVE"
    assert "calibration of the judge" in report["benchmarks"][0]["reasons"][0]


def test_the_published_rules_refuse_it(tmp_path: Path) -> None:
    one = judged(tmp_path / "a", 320, 0.8, 0.03)
    with pytest.raises(ConfigError, match="do not know the error of a judge"):
        gate_runs(one, one, {**demanded(), "rules": "published"})


def test_both_scores_stand_side_by_side(nel: Nel, tmp_path: Path) -> None:
    one, other = judged(tmp_path / "a", 320, 0.8, 0.04), judged(tmp_path / "b", 312, 0.7, 0.04)
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        "version: 1\ndefaults: {metric: mean_reward, max_drop: 0.05, require_calibration: true}\n"
        "benchmarks: {bench: {}}\n"
    )
    for command in (("compare",), ("gate", "-p", str(policy))):
        for form in ("text", "markdown", "html"):
            _, out, err = nel(command[0], str(one), str(other), *command[1:], "--format", form)
            assert "As people would judge" in out and "70.0" in out, (command, form, err)

"""A candidate that stopped early: the verdict is the one that was certain, at an end of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from published import write_results

from nemo_evaluator import ConfigError, compare_runs, gate_runs
from nemo_evaluator.decisions.damage import LEVEL, Damage, Sides
from nemo_evaluator.decisions.interim_damage import Watched
from nemo_evaluator.results.stopping import Decision, Stopping, StoppingRule
from nemo_evaluator.stats.sequential import Looks

POLICY: dict[str, Any] = {
    "version": 1,
    "benchmarks": {"bench": {"metric": "mean_reward", "max_drop": 0.05, "tier": "critical"}},
}


def rewards(lost: int, won: int, n: int = 400) -> tuple[list[float], list[float]]:
    """Baseline and candidate: so many answers of each hundred lost and won, the rest alike."""
    baseline = [1.0 if i % 100 < 70 else 0.0 for i in range(n)]
    candidate = list(baseline)
    for i in range(n):
        if i % 100 < lost:
            candidate[i] = 0.0
        elif 70 <= i % 100 < 70 + won:
            candidate[i] = 1.0
    return baseline, candidate


def write(folder: Path, values: Sequence[float | None], name: str = "bench") -> None:
    write_results(folder, {i: [value] for i, value in enumerate(values)}, name=name)


def stopped(
    folder: Path,
    *,
    after: int | None,
    planned: int = 1000,
    pending: tuple[str, ...] = (),
) -> None:
    """Say in the bundle that the run was looked at, and that it stopped after so many problems."""
    (path,) = folder.glob("eval-*.json")
    bundle = json.loads(path.read_text())
    rule = StoppingRule(
        policy="p.yaml", policy_digest="d", baseline="b", problems=planned, horizon=planned
    )
    decision = None
    if after is not None:
        decision = Decision(
            status="BREACH",
            reason="",
            problems=tuple(range(after)),
            verdict="NO-GO",
            pending=pending,
        )
    found = Stopping(rule=rule, decision=decision)
    bundle["benchmark"] |= {"stopping": msgspec.to_builtins(found), "samples": planned}
    path.write_text(json.dumps(bundle))


def gated(tmp_path: Path, lost: int, won: int, n: int, **how: Any) -> dict[str, Any]:
    one, other = rewards(lost, won, 1000)
    write(tmp_path / "a", one)
    write(tmp_path / "b", other[:n])
    stopped(tmp_path / "b", **how)
    return gate_runs(tmp_path / "a", tmp_path / "b", POLICY)


def test_a_stop_is_judged_over_the_problems_of_its_decision(tmp_path: Path) -> None:
    """300 answers of 1,000 planned, 200 of them counted: full coverage and a NO-GO by limits that
    hold at such an end."""
    report = gated(tmp_path, 25, 5, 300, after=200)
    (found,) = report["benchmarks"]
    assert (report["verdict"], found["coverage"], found["n_paired"]) == ("NO-GO", 1.0, 200)
    assert found["regression_report"]["difference"]["method"] == "always valid (betting)"
    assert "test_used" not in found["regression_report"]
    stop = found["regression_report"]["stopped"]
    assert (stop["problems"], stop["planned"], stop["certain"]) == (200, 1000, "NO-GO")
    # Both intervals are named; the ordinary one is narrower, and decides nothing.
    assert found["delta_ci_lower"] < stop["ordinary"][0] <= stop["ordinary"][1]
    assert any("an ordinary 95 % interval" in warning for warning in found["warnings"])
    assert any("stopped early: NO-GO was certain by p.yaml after 200 of 1,000" in w
               for w in found["warnings"])  # fmt: skip


def test_what_an_ordinary_interval_shows_is_not_enough_at_such_an_end(tmp_path: Path) -> None:
    one, other = rewards(14, 2, 200)
    write(tmp_path / "whole_a", one)
    write(tmp_path / "whole_b", other)
    planned = gate_runs(tmp_path / "whole_a", tmp_path / "whole_b", POLICY)
    chosen = gated(tmp_path, 14, 2, 200, after=200)
    assert (planned["verdict"], chosen["verdict"]) == ("NO-GO", "INCONCLUSIVE")
    narrow, wide = (r["benchmarks"][0] for r in (planned, chosen))
    assert wide["delta_ci_lower"] < narrow["delta_ci_lower"]
    assert wide["delta_ci_upper"] > narrow["delta_ci_upper"]


def test_compare_and_gate_read_the_same_limits(tmp_path: Path) -> None:
    report = gated(tmp_path, 25, 5, 300, after=200)
    compared = compare_runs(tmp_path / "a", tmp_path / "b", min_effect=0.05)
    assert compared["verdict"] == "BLOCK"
    assert compared["difference"]["ci_lower"] == report["benchmarks"][0]["delta_ci_lower"]
    assert any("stopped early" in warning for warning in compared["warnings"])


def test_a_rollout_without_a_verdict_before_the_stop_counts_at_its_best(tmp_path: Path) -> None:
    one, other = rewards(25, 5, 1000)
    missing: list[float | None] = [None if i % 4 == 0 else r for i, r in enumerate(other[:200])]
    write(tmp_path / "a", one)
    write(tmp_path / "b", missing)
    stopped(tmp_path / "b", after=200)
    report = gate_runs(tmp_path / "a", tmp_path / "b", POLICY)
    assert report["verdict"] == "INCONCLUSIVE"
    assert report["benchmarks"][0]["coverage"] == pytest.approx(0.75)


def test_a_benchmark_that_was_not_needed_is_not_missing(tmp_path: Path) -> None:
    for name in ("bench", "later"):
        write(tmp_path / "a" / name, rewards(0, 0, 1000)[0], name=name)
    write(tmp_path / "b" / "bench", rewards(30, 3, 1000)[1][:200])
    stopped(tmp_path / "b" / "bench", after=200, pending=("later",))
    report = gate_runs(tmp_path / "a", tmp_path / "b", POLICY)
    statuses = {b["benchmark"]: b["status"] for b in report["benchmarks"]}
    assert statuses == {"bench": "BREACH", "later": "INSUFFICIENT_EVIDENCE"}
    assert report["verdict"] == "NO-GO" and report["missing"] == []
    assert len(report["verdict_reasons"]) == 1


def test_published_rules_decide_nothing_at_such_an_end(tmp_path: Path) -> None:
    gated(tmp_path, 25, 5, 300, after=200)
    report = gate_runs(tmp_path / "a", tmp_path / "b", POLICY, rules="published")
    assert report["verdict"] == "INCONCLUSIVE" and "stopped early" in report["verdict_reasons"][0]
    compared = compare_runs(tmp_path / "a", tmp_path / "b", rules="published")
    assert compared["verdict"] == "INCONCLUSIVE"


def test_a_run_that_was_looked_at_to_its_end_has_the_ordinary_limit_at_half_the_level() -> None:
    one, other = (np.array(side) for side in rewards(5, 4, 1000))
    looked = Watched(Looks(1000), stopped=False, within=(0.0, 1.0))
    watched = Damage(Sides(one, other), watched=looked)
    plain = Damage(Sides(one, other))
    assert watched.bounds().upper == pytest.approx(plain.bounds(LEVEL / 2).upper)
    assert watched.bounds().lower < plain.bounds().lower
    stop = Damage(Sides(one, other), watched=Watched(Looks(1000), stopped=True, within=(0.0, 1.0)))
    assert stop.bounds().upper > watched.bounds().upper
    # A p-value is where the limit crosses.
    for found in (watched, stop):
        for limit in (0.0, 0.02, 0.05, 0.1):
            assert (found.bounds().upper <= limit) is (found.p_within(limit) <= LEVEL)
            assert (found.bounds().lower > limit) is (found.p_beyond(limit) <= LEVEL)


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_the_limits_of_either_direction_and_of_a_share(higher_is_better: bool) -> None:
    one, other = (np.array(side) for side in rewards(20, 2, 400))
    watched = Watched(Looks(1000), stopped=True, within=(0.0, 1.0))
    damage = Damage(Sides(one, other), higher_is_better, watched=watched)
    mirrored = Damage(Sides(1 - one, 1 - other), not higher_is_better, watched=watched)
    assert damage.bounds() == mirrored.bounds()
    share = damage.bounds(share=0.1)
    assert share.lower <= share.damage <= share.upper
    sign = 1 if higher_is_better else -1
    assert share.damage == pytest.approx(sign * (one.mean() * (1 - sign * 0.1) - other.mean()))


def test_cut_off_answers_must_be_shown_to_be_few(tmp_path: Path) -> None:
    """At an end of its own choosing a rate just within the limit says nothing."""
    one, other = rewards(0, 0, 1000)
    write(tmp_path / "a", one)
    write(tmp_path / "b", other[:400])
    rows = [json.loads(line) for line in (tmp_path / "b" / "results.jsonl").read_text().split("\n")
            if line]  # fmt: skip
    for row in rows[:32]:
        row["finish_reason"] = "length"
    (tmp_path / "b" / "results.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    stopped(tmp_path / "b", after=400)
    report = gate_runs(tmp_path / "a", tmp_path / "b", POLICY)
    assert report["verdict"] == "INCONCLUSIVE"
    assert "do not show" in report["verdict_reasons"][0]


def test_a_bundle_that_cannot_be_read_is_not_taken_for_a_planned_end(tmp_path: Path) -> None:
    one, other = rewards(0, 0, 100)
    write(tmp_path / "a", one)
    write(tmp_path / "b", other)
    (path,) = (tmp_path / "b").glob("eval-*.json")
    path.write_text(json.dumps({"benchmark": {"name": "bench", "stopping": {"rule": 1}}}))
    with pytest.raises(ConfigError, match=r"benchmark\.stopping"):
        gate_runs(tmp_path / "a", tmp_path / "b", POLICY)


def test_what_looks_cannot_decide_has_the_ordinary_limits_at_the_last_problem(
    tmp_path: Path,
) -> None:
    """Latencies have no known range: a run that was looked at shows a slower model at its end."""
    for side, milliseconds in (("a", 100.0), ("b", 900.0)):
        write(tmp_path / side, rewards(0, 0, 200)[0])
        path = tmp_path / side / "results.jsonl"
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        lines = [json.dumps({**row, "latency_ms": milliseconds + i}) for i, row in enumerate(rows)]
        path.write_text("\n".join(lines) + "\n")
    policy = {"version": 1, "benchmarks": {"bench": {"metric": "latency_ms", "max_drop": 500}}}
    planned = gate_runs(tmp_path / "a", tmp_path / "b", policy)
    stopped(tmp_path / "b", after=None, planned=200)
    looked_at = gate_runs(tmp_path / "a", tmp_path / "b", policy)
    assert planned["verdict"] == looked_at["verdict"] == "NO-GO"
    stopped(tmp_path / "b", after=150, planned=400)
    assert gate_runs(tmp_path / "a", tmp_path / "b", policy)["verdict"] == "INCONCLUSIVE"

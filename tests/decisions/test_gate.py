"""Statuses and verdicts of the gate, by the published rules and where ours fail closed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nemo_evaluator.engine.gate import load_gate_policy
from published import constant, share_right, write_results

from nemo_evaluator import ConfigError, compare_runs, gate_runs
from nemo_evaluator.decisions.documents import GateDocument
from nemo_evaluator.decisions.gate import GateVerdict


def gated(
    tmp_path: Path,
    baseline: Any,
    candidate: Any,
    policy: Mapping[str, Any] | None = None,
    **rules: Any,
) -> dict[str, Any]:
    """One benchmark under one rule of ours."""
    write_results(tmp_path / "a", baseline)
    write_results(tmp_path / "b", candidate)
    entry = {"metric": "mean_reward", "tier": "critical", **rules}
    full = {"version": 1, "benchmarks": {"bench": entry}, **(policy or {})}
    return gate_runs(tmp_path / "a", tmp_path / "b", full)


def published(*arguments: Any, **rules: Any) -> dict[str, Any]:
    """One benchmark under one published rule."""
    return gated(*arguments, {"rules": "published"}, **rules)


def status(report: Mapping[str, Any]) -> str:
    return str(report["benchmarks"][0]["status"])


def test_the_rules_of_a_benchmark_are_those_of_each_model(tmp_path: Path) -> None:
    for side, right in (("a", 800), ("b", 795)):
        for model in ("large", "small"):
            folder = tmp_path / side / f"bench_{model}"
            write_results(folder, share_right(right, 1000), name=f"bench@{model}")
    entry = {"metric": "mean_reward", "tier": "critical", "max_drop": 0.05}
    tight = {**entry, "max_drop": 0.0}

    def passed(entries: dict[str, Any]) -> tuple[dict[str, bool], list[str]]:
        policy = {"version": 1, "benchmarks": entries}
        report = gate_runs(tmp_path / "a", tmp_path / "b", policy)
        found = {one["benchmark"]: one["status"] == "PASS" for one in report["benchmarks"]}
        return found, report["missing"]

    assert passed({"bench": entry}) == ({"bench@large": True, "bench@small": True}, [])
    for entries in (
        {"bench": entry, "bench@small": tight},
        {"bench@small": tight, "bench": entry},
    ):
        assert passed(entries) == ({"bench@large": True, "bench@small": False}, [])
    assert passed({"ben": entry})[1] == ["ben"]


@pytest.mark.parametrize(
    ("one", "other", "rules", "expected", "verdict"),
    [
        (0.8, 0.795, {"max_drop": 0.01}, "PASS", "GO"),
        (1.0, 0.95, {"max_drop": 0.01}, "BREACH", "NO-GO"),
        (1.0, 0.9, {"tier": "supporting"}, "BREACH", "NO-GO"),
        (1.0, 0.5, {"tier": "advisory"}, "BREACH", "INCONCLUSIVE"),
        (
            0.10,
            0.095,
            {"max_drop": 0.015, "max_relative_drop": 0.02, "relative_guard_below": 0.20},
            "BREACH",
            "NO-GO",
        ),
        (
            0.80,
            0.76,
            {"max_drop": 0.05, "max_relative_drop": 0.02, "relative_guard_below": 0.20},
            "PASS",
            "GO",
        ),
        (0.7, 0.9, {}, "PASS", "GO"),
        (5.0, 5.5, {"direction": "lower_is_better", "max_drop": 0.3}, "BREACH", "NO-GO"),
        (5.0, 4.5, {"direction": "lower_is_better", "max_drop": 0.3}, "PASS", "GO"),
        (0.6, 0.4, {"metric": "pass@1"}, "PASS", "GO"),
    ],
)
def test_fifty_equal_rewards(
    tmp_path: Path, one: float, other: float, rules: dict[str, Any], expected: str, verdict: str
) -> None:
    report = published(tmp_path, constant(one), constant(other), **rules)
    assert (status(report), report["verdict"]) == (expected, verdict)


def test_an_advisory_breach_does_not_stop_others(tmp_path: Path) -> None:
    for side, low in (("a", 1.0), ("b", 0.5)):
        write_results(tmp_path / side / "one", constant(1.0), name="one")
        write_results(tmp_path / side / "two", constant(low), name="two")
    rules = {"one": {"metric": "mean_reward", "max_drop": 0.1}, "two": {"tier": "advisory"}}
    report = gate_runs(tmp_path / "a", tmp_path / "b", {"version": 1, "benchmarks": rules})
    assert report["verdict"] == "GO"
    assert [item["status"] for item in report["benchmarks"]] == ["PASS", "BREACH"]


def test_what_straddles_is_insufficient(tmp_path: Path) -> None:
    candidate = {i: [0.98 if i < 25 else 1.0] for i in range(50)}
    report = published(tmp_path, constant(1.0), candidate, max_drop=0.01)
    assert (status(report), report["verdict"]) == ("INSUFFICIENT_EVIDENCE", "INCONCLUSIVE")
    item = report["benchmarks"][0]
    assert (item["delta_ci_lower"], item["delta_ci_upper"]) == pytest.approx(
        (-0.012871, -0.007129), abs=1e-6
    )
    assert "straddles" in item["reasons"][0]


def test_the_interval_is_students(tmp_path: Path) -> None:
    differences = [0.5, -0.5, 0.3, -0.3, 0.1] * 2
    base = {i: [0.5] for i in range(10)}
    report = published(tmp_path, base, {i: [0.5 + d] for i, d in enumerate(differences)})
    item = report["benchmarks"][0]
    half = 2.262157 * np.std(differences, ddof=1) / np.sqrt(10)
    assert item["delta_ci_upper"] - item["delta"] == pytest.approx(half, abs=1e-6)


def test_missing_on_either_side(tmp_path: Path) -> None:
    write_results(tmp_path / "a/x", constant(1.0), name="x")
    write_results(tmp_path / "b/y", constant(1.0), name="y")
    rules = {name: {"metric": "mean_reward"} for name in ("x", "y", "z")}
    report = gate_runs(tmp_path / "a", tmp_path / "b", {"benchmarks": rules})
    assert report["verdict"] == "NO-GO" and report["missing"] == ["x", "y", "z"]
    assert [item["status"] for item in report["benchmarks"]] == ["MISSING"] * 3


def test_a_breach_beats_what_is_open(tmp_path: Path) -> None:
    for side, low in (("a", 1.0), ("b", 0.5)):
        write_results(tmp_path / side / "one", constant(1.0, 5), name="one")
        write_results(tmp_path / side / "two", constant(low), name="two")
    rules = {name: {"metric": "mean_reward"} for name in ("one", "two")}
    report = gate_runs(tmp_path / "a", tmp_path / "b", {"benchmarks": rules})
    assert report["verdict"] == "NO-GO"


def test_unlisted_benchmarks_take_the_defaults(tmp_path: Path) -> None:
    write_results(tmp_path / "a", constant(1.0))
    write_results(tmp_path / "b", constant(0.9))
    report = gate_runs(tmp_path / "a", tmp_path / "b", {"version": 1})
    assert report["verdict"] == "NO-GO"
    assert report["benchmarks"][0]["tier"] == "supporting"


# Fails closed.


def test_empty_folders_are_no_go_ahead(tmp_path: Path) -> None:
    for side in "ab":
        (tmp_path / side).mkdir()
    report = gate_runs(tmp_path / "a", tmp_path / "b", {"version": 1})
    assert report["verdict"] == "INCONCLUSIVE"
    assert report["verdict_reasons"] == ["no gated benchmark was evaluated"]


def test_two_percent_are_no_go_ahead(tmp_path: Path) -> None:
    report = gated(tmp_path, constant(1.0, 1000), {i: [1.0] for i in range(20)})
    assert report["verdict"] == "INCONCLUSIVE"
    assert "2.0% of the planned rollouts are paired" in report["benchmarks"][0]["reasons"][0]


def test_three_items_are_no_go_ahead(tmp_path: Path) -> None:
    scores = {"mean_reward": {"value": 0.8, "ci_lower": 0.8, "ci_upper": 0.8}}
    write_results(tmp_path / "a", constant(1.0, 3), scores=scores)
    write_results(tmp_path / "b", constant(0.0, 3), scores=scores)
    rules = {"bench": {"metric": "mean_reward"}}
    report = gate_runs(tmp_path / "a", tmp_path / "b", {"benchmarks": rules})
    assert report["verdict"] == "INCONCLUSIVE"
    assert "only 3 paired items" in report["benchmarks"][0]["reasons"][0]


def test_only_advisory_benchmarks_are_no_go_ahead(tmp_path: Path) -> None:
    report = gated(tmp_path, constant(1.0), constant(1.0), tier="advisory")
    assert report["verdict"] == "INCONCLUSIVE"


def test_without_results_there_is_no_evidence(tmp_path: Path) -> None:
    write_results(tmp_path / "a", constant(1.0), results=False)
    write_results(tmp_path / "b", constant(1.0), results=False)
    rules = {"bench": {"metric": "mean_reward"}}
    report = gate_runs(tmp_path / "a", tmp_path / "b", {"benchmarks": rules})
    assert status(report) == "INSUFFICIENT_EVIDENCE"


@pytest.mark.parametrize(
    ("high", "tier", "expected"),
    [
        (0.80, "critical", "INSUFFICIENT_EVIDENCE"),
        (0.80, "advisory", "PASS"),
        (0.78, "critical", "BREACH"),
        (0.78, "advisory", "BREACH"),
    ],
)
def test_bundles_alone_show_a_breach_but_no_pass(
    tmp_path: Path, high: float, tier: str, expected: str
) -> None:
    for side, value in (("a", 0.80), ("b", high)):
        scores = {"mean_reward": {"value": value, "ci_lower": value, "ci_upper": value}}
        write_results(tmp_path / side, constant(1.0), scores=scores, results=False)
    rules = {"bench": {"metric": "mean_reward", "tier": tier}}
    report = gate_runs(tmp_path / "a", tmp_path / "b", {"benchmarks": rules})
    assert status(report) == expected


def test_what_is_not_of_the_same_thing_is_no_evidence(tmp_path: Path) -> None:
    write_results(tmp_path / "a", constant(1.0), config={"system_prompt": "a"})
    write_results(tmp_path / "b", constant(1.0), config={"system_prompt": "b"})
    rules = {"bench": {"metric": "mean_reward", "max_drop": 0.1}}
    report = gate_runs(tmp_path / "a", tmp_path / "b", {"benchmarks": rules})
    assert report["verdict"] == "INCONCLUSIVE"
    assert "system prompt" in report["benchmarks"][0]["reasons"][0]
    forced = gate_runs(tmp_path / "a", tmp_path / "b", {"benchmarks": rules}, force=True)
    assert forced["verdict"] == "GO"


def test_all_rollouts_errored(tmp_path: Path) -> None:
    report = gated(tmp_path, constant(1.0), constant(None))
    assert report["verdict"] == "INCONCLUSIVE"


def test_noise_on_a_low_baseline_is_no_breach(tmp_path: Path) -> None:
    """A relative drop that only the point estimate shows."""
    generator = np.random.default_rng(5)
    one, other = (generator.uniform(0, 1, (2, 200)) < 0.1).astype(float)
    other[: int(other.sum() - one.sum())] = other[: int(other.sum() - one.sum())]
    lower = {i: [float(x)] for i, x in enumerate(np.minimum(one, other))}
    base = {i: [float(x)] for i, x in enumerate(np.maximum(one * 0.5, np.minimum(one, other)))}
    report = published(tmp_path, base, lower, max_drop=0.5, max_relative_drop=0.5)
    assert status(report) in ("BREACH", "INSUFFICIENT_EVIDENCE")
    rule = next(r for r in report["benchmarks"][0]["rules"] if r["name"] == "max_relative_drop")
    assert (rule["status"] == "BREACH") == ("reaches down" not in rule["explanation"])


def test_no_change_on_few_problems_is_said_to_prove_little(tmp_path: Path) -> None:
    report = published(tmp_path, constant(1.0), constant(1.0), max_drop=0.01)
    assert report["verdict"] == "GO"
    assert "up to 7.1% of all could change unseen" in " ".join(report["benchmarks"][0]["warnings"])


# Opt-in rules.


def test_equivalence_is_two_sided(tmp_path: Path) -> None:
    assert status(gated(tmp_path, constant(0.5), constant(0.9))) == "PASS"
    report = gated(tmp_path, constant(0.5), constant(0.9), equivalence=0.05)
    assert status(report) == "BREACH"
    assert status(gated(tmp_path, constant(0.5), constant(0.52), equivalence=0.1)) == "PASS"


def test_a_minimum_of_problems(tmp_path: Path) -> None:
    report = gated(tmp_path, constant(1.0), constant(1.0), min_problems=51)
    assert "only 50 paired items, at least 51" in report["benchmarks"][0]["reasons"][0]


def test_a_minimum_of_coverage(tmp_path: Path) -> None:
    candidate = {i: [1.0] for i in range(96)}
    assert status(gated(tmp_path, constant(1.0, 100), candidate, max_drop=0.2)) == "PASS"
    report = gated(tmp_path, constant(1.0, 100), candidate, min_coverage=0.99)
    assert status(report) == "INSUFFICIENT_EVIDENCE"


def test_a_maximum_of_truncated_answers(tmp_path: Path) -> None:
    write_results(tmp_path / "a", constant(1.0))
    write_results(tmp_path / "b", constant(1.0), rows={"finish_reason": "length"})
    rules = {"bench": {"metric": "mean_reward", "max_truncation_rate": 0.02}}
    report = gate_runs(tmp_path / "a", tmp_path / "b", {"benchmarks": rules})
    assert status(report) == "BREACH" and report["benchmarks"][0]["truncation_rate"] == 1.0


def test_a_required_revision(tmp_path: Path) -> None:
    identity = {"environment.dataset_revision": "abc", "environment.dataset_digest": "sha256:d"}
    for side in "ab":
        write_results(tmp_path / side, constant(1.0), config={"identity": identity})
    for revision, expected in (
        ("abc", "PASS"),
        ("sha256:d", "PASS"),
        ("def", "INSUFFICIENT_EVIDENCE"),
    ):
        rules = {"bench": {"metric": "mean_reward", "max_drop": 0.1, "dataset_revision": revision}}
        report = gate_runs(tmp_path / "a", tmp_path / "b", {"benchmarks": rules})
        assert status(report) == expected


def test_holms_correction_over_benchmarks(tmp_path: Path) -> None:
    """One of many just beyond its limit is what chance gives; one far beyond is not."""
    generator = np.random.default_rng(7)
    noise = generator.normal(0, 0.1, 60)
    noise -= noise.mean()
    error = noise.std(ddof=1) / np.sqrt(60)
    drops = {"slight": 0.02 + 3.2 * error, "far": 0.02 + 9 * error}
    for name in ("slight", "far", *(f"same{i}" for i in range(12))):
        shift = drops.get(name, 0.0)
        write_results(tmp_path / "a" / name, constant(0.5, 60), name=name)
        lower = {i: [0.5 - shift + float(x)] for i, x in enumerate(noise)}
        write_results(tmp_path / "b" / name, lower, name=name)
    rules = {"version": 1, "defaults": {"metric": "mean_reward", "max_drop": 0.02}}
    plain = gate_runs(tmp_path / "a", tmp_path / "b", {**rules, "correction": "none"})
    by_name = {item["benchmark"]: item["status"] for item in plain["benchmarks"]}
    assert by_name["slight"] == by_name["far"] == "BREACH"
    corrected = gate_runs(tmp_path / "a", tmp_path / "b", rules)
    by_name = {item["benchmark"]: item["status"] for item in corrected["benchmarks"]}
    assert by_name["slight"] == "INSUFFICIENT_EVIDENCE" and by_name["far"] == "BREACH"


def test_the_published_report(tmp_path: Path) -> None:
    report = gated(tmp_path, constant(1.0), constant(0.9))
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    item = report["benchmarks"][0]
    assert item.keys() >= {
        "benchmark", "tier", "status", "metric", "baseline_score", "candidate_score", "delta",
        "relative_drop_pct", "delta_ci_lower", "delta_ci_upper", "n_paired",
        "max_drop_threshold", "max_relative_drop_threshold", "direction", "absolute_breached",
        "relative_breached", "reasons", "regression_report",
    }  # fmt: skip
    assert item["absolute_breached"] and not item["relative_breached"]
    assert item["relative_drop_pct"] == pytest.approx(-10.0)
    assert item["regression_report"]["verdict"] == "BLOCK"


# Policies.


def test_defaults_are_inherited_and_can_be_switched_off(tmp_path: Path) -> None:
    defaults = {"metric": "mean_reward", "max_relative_drop": 0.01, "max_drop": 0.5}
    for own, expected in (({}, "BREACH"), ({"max_relative_drop": None}, "PASS")):
        report = gated(
            tmp_path,
            constant(0.5),
            constant(0.4),
            {"defaults": defaults, "benchmarks": {"bench": own}},
        )
        assert status(report) == expected


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("version: 2\n", ["policy.yaml:1: version: Unsupported gate policy version 2"]),
        ("- a\n", ["must be a mapping, not a list"]),
        ("", ["is empty; a policy is a YAML mapping"]),
        (
            "version: 1\ndefaults:\n  max_drops: 1\n  tier: vital\n",
            [
                "policy.yaml:3: defaults.max_drops: unknown field",
                "did you mean 'max_drop'?",
                ":4: defaults.tier: must be one of 'critical', 'supporting', 'advisory'",
            ],
        ),
        ("rules: lenient\n", ["policy.yaml:1: rules: must be one of 'sound', 'published'"]),
        ("defaults: {max_drop: -1}\n", ["defaults.max_drop: must be at least 0"]),
        ("defaults: {relative_guard_below: 1.5}\n", ["relative_guard_below"]),
        (
            "benchmarks:\n  mmlu: {tier: critical}\n",
            ["policy.yaml:2: benchmarks.mmlu: a benchmark that decides needs an explicit metric"],
        ),
        (
            "rules: published\nbenchmarks:\n  mmlu: {metric: exact_match}\n",
            ["policy.yaml:3: benchmarks.mmlu.metric: unsupported metric 'exact_match'"],
        ),
        (
            "rules: published\ndefaults: {metric: bleu}\nbenchmarks:\n  mmlu: {}\n",
            ["policy.yaml:2: defaults.metric: unsupported metric 'bleu' for mmlu"],
        ),
    ],
)
def test_a_broken_policy_is_explained(tmp_path: Path, text: str, messages: list[str]) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        gate_runs(tmp_path, tmp_path, path)
    for message in messages:
        assert message in str(caught.value)


def test_no_policy_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        gate_runs(tmp_path, tmp_path, tmp_path / "none.yaml")


def test_an_advisory_benchmark_needs_no_metric(tmp_path: Path) -> None:
    report = gated(tmp_path, constant(1.0), constant(1.0), metric="exact_match", tier="advisory")
    assert status(report) == "INSUFFICIENT_EVIDENCE"
    assert "'exact_match' is not in the rows" in report["benchmarks"][0]["reasons"][0]


# Sound by default: what the published rules get wrong.


def lost(n: int, flips: int, of: int = 0) -> tuple[dict[int, Any], dict[int, Any]]:
    """All right, or the first ``of``; then so many of them wrong."""
    of = of or n
    one = {i: [float(i < of)] for i in range(n)}
    return one, {i: [0.0] if i < flips else one[i] for i in range(n)}


@pytest.mark.parametrize(("n", "limit"), [(10, 0.01), (50, 0.02), (50, 0.05), (70, 0.05)])
def test_no_flip_is_no_go_where_the_limit_would_often_show_none(
    tmp_path: Path, n: int, limit: float
) -> None:
    """A drop as large as the limit shows no flip in (1 - limit)^n of all runs: more than 2.5 %."""
    assert (1 - limit) ** n > 0.025
    one, other = lost(n, 0)
    assert gated(tmp_path, one, other, max_drop=limit)["verdict"] == "INCONCLUSIVE"
    assert published(tmp_path, one, other, max_drop=limit)["verdict"] == "GO"
    report = compare_runs(tmp_path / "a", tmp_path / "b", min_effect=limit)
    assert report["verdict"] == "INCONCLUSIVE"


@pytest.mark.parametrize("flips", [0, 3, 8, 12, 20, 40])
@pytest.mark.parametrize("limit", [0.01, 0.05])
def test_a_gate_and_a_comparison_agree(tmp_path: Path, flips: int, limit: float) -> None:
    report = gated(tmp_path, *lost(200, flips), max_drop=limit)
    compared = compare_runs(tmp_path / "a", tmp_path / "b", min_effect=limit)
    expected = {
        "PASS": {"PASS"},
        "BREACH": {"BLOCK"},
        "INSUFFICIENT_EVIDENCE": {"INCONCLUSIVE", "WARN"},
    }
    within = compared["shown"]["within"]
    assert (status(report) == "PASS") == within
    assert compared["verdict"] in expected[status(report)] | ({"WARN"} if within else set())
    item = report["benchmarks"][0]
    assert item["delta_ci_lower"] == compared["difference"]["ci_lower"]


def test_a_relative_limit_is_held_by_the_interval(tmp_path: Path) -> None:
    """A point estimate just within its limit is no pass, one far within or beyond decides."""
    for flips, expected in ((48, "INSUFFICIENT_EVIDENCE"), (0, "PASS"), (150, "BREACH")):
        report = gated(tmp_path, *lost(1000, flips, of=500), max_drop=1.0, max_relative_drop=0.1)
        rule = next(r for r in report["benchmarks"][0]["rules"] if r["name"] == "max_relative_drop")
        assert rule["status"] == status(report) == expected
        assert rule["p_value"] is not None
    assert (
        status(published(tmp_path, *lost(1000, 48, of=500), max_drop=1.0, max_relative_drop=0.1))
        == "PASS"
    )


def test_holm_counts_every_rule(tmp_path: Path) -> None:
    """Of twelve relative rules one is beyond its limit at 2.5 %: that is chance."""
    for i in range(12):
        one, other = lost(400, 36 if i == 0 else 10, of=200)
        write_results(tmp_path / "a" / f"b{i}", one, name=f"b{i}")
        write_results(tmp_path / "b" / f"b{i}", other, name=f"b{i}")
    rules = {"metric": "mean_reward", "max_drop": 1.0, "max_relative_drop": 0.12}
    found = {}
    for correction in ("none", "holm"):
        policy = {"defaults": rules, "correction": correction}
        report = gate_runs(tmp_path / "a", tmp_path / "b", policy)
        found[correction] = {b["benchmark"]: b["status"] for b in report["benchmarks"]}["b0"]
    assert found == {"none": "BREACH", "holm": "INSUFFICIENT_EVIDENCE"}


def test_pass_at_1_is_what_the_run_calls_correct(tmp_path: Path) -> None:
    """Grades of a judge are above zero, and wrong all the same."""
    for side, right in (("a", True), ("b", False)):
        rows = {"scoring_details": {"correct": right}}
        write_results(tmp_path / side, constant(7.2 if right else 1.0, 100), rows=rows)
    rules = {"bench": {"metric": "pass@1", "max_drop": 0.05}}
    report = gate_runs(tmp_path / "a", tmp_path / "b", {"benchmarks": rules})
    item = report["benchmarks"][0]
    assert report["verdict"] == "NO-GO"
    assert (item["baseline_score"], item["candidate_score"]) == (1.0, 0.0)


@pytest.mark.parametrize(("metric", "higher"), [("scorer:toxicity", False), ("latency_ms", None)])
def test_any_metric_is_gated_in_its_direction(
    tmp_path: Path, metric: str, higher: bool | None
) -> None:
    generator = np.random.default_rng(4)
    for side, level in (("a", 0.03), ("b", 0.3)):
        folder = write_results(tmp_path / side, constant(1.0, 200))
        path = folder / "results.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            value = level * generator.uniform(0.5, 1.5)
            line |= {"scorer_rewards": {metric: value}, metric: value}
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    entry: dict[str, Any] = {"metric": metric, "max_drop": 0.05}
    if higher is not None:
        entry["direction"] = "lower_is_better"
    ours = {"benchmarks": {"bench": entry}}
    report = gate_runs(tmp_path / "a", tmp_path / "b", ours)
    assert report["verdict"] == "NO-GO"
    assert report["benchmarks"][0]["direction"] == "lower_is_better"
    assert gate_runs(tmp_path / "b", tmp_path / "a", ours)["verdict"] == "GO"


def test_a_metric_that_is_not_there_decides_nothing(tmp_path: Path) -> None:
    report = gated(tmp_path, constant(1.0), constant(1.0), metric="bleu")
    assert report["verdict"] == "INCONCLUSIVE"
    assert "metric 'bleu' is not in the rows" in report["benchmarks"][0]["reasons"][0]


def test_wrong_answers_that_time_out_are_no_go(tmp_path: Path) -> None:
    """The candidate is wrong in 30 of 300 more, and those have no verdict: nothing seen changed."""
    candidate = {i: [None] if i < 30 else [1.0] for i in range(300)}
    report = gated(tmp_path, constant(1.0, 300), candidate, max_drop=0.05, min_coverage=0.5)
    assert status(report) == "INSUFFICIENT_EVIDENCE"
    assert report["benchmarks"][0]["delta"] == 0.0
    assert report["benchmarks"][0]["delta_ci_lower"] < -0.1


def test_a_benchmark_that_only_the_baseline_has_is_missing(tmp_path: Path) -> None:
    for name in ("x", "y"):
        write_results(tmp_path / "a" / name, constant(1.0, 300), name=name)
    write_results(tmp_path / "b/x", constant(1.0, 300), name="x")
    policy: dict[str, Any] = {"benchmarks": {"x": {"metric": "mean_reward"}}}
    report = gate_runs(tmp_path / "a", tmp_path / "b", policy)
    assert report["verdict"] == "NO-GO" and report["missing"] == ["y"]
    for loose in ({"require_all_of_baseline": False}, {"rules": "published"}):
        report = gate_runs(tmp_path / "a", tmp_path / "b", {**policy, **loose})
        assert report["verdict"] == "GO" and "y is not in" in report["warnings"][0]


def test_a_candidate_that_is_cut_off_is_no_go_unless_the_policy_says_so(tmp_path: Path) -> None:
    write_results(tmp_path / "a", constant(1.0, 300))
    write_results(tmp_path / "b", constant(1.0, 300), rows={"finish_reason": "length"})
    entry: dict[str, Any] = {"metric": "mean_reward"}
    report = gate_runs(tmp_path / "a", tmp_path / "b", {"benchmarks": {"bench": entry}})
    assert report["verdict"] == "NO-GO"
    assert "100.0% of the candidate's answers are cut off" in report["verdict_reasons"][0]
    entry["max_truncation_rate"] = None
    report = gate_runs(tmp_path / "a", tmp_path / "b", {"benchmarks": {"bench": entry}})
    assert report["verdict"] == "GO"


def test_a_category_that_falls_is_held_against_its_own_limit(tmp_path: Path) -> None:
    """One of ten categories falls to nothing, the others gain what it lost."""
    names = {i: f"c{i % 10}" for i in range(1000)}
    base = {i: [float(i // 10 % 3 > 0)] for i in names}
    moved = {i: [0.0] if i % 10 == 0 else r for i, r in base.items()}
    wrong = [i for i, r in moved.items() if r == [0.0] and i % 10]
    for i in wrong[:66]:
        moved[i] = [1.0]
    write_results(tmp_path / "a", base, categories=names)
    write_results(tmp_path / "b", moved, categories=names)
    entry = {"metric": "mean_reward", "max_drop": 0.05, "max_category_drop": 0.2}
    report = gate_runs(tmp_path / "a", tmp_path / "b", {"benchmarks": {"bench": entry}})
    assert report["verdict"] == "NO-GO"
    assert "worst of 10 categories is c0: worse by 0.66" in report["verdict_reasons"][0]


def test_the_report_is_typed_and_a_loaded_policy_will_do(tmp_path: Path) -> None:
    write_results(tmp_path / "a", constant(1.0))
    write_results(tmp_path / "b", constant(0.0))
    path = tmp_path / "policy.yaml"
    path.write_text("version: 1\ndefaults: {metric: mean_reward, tier: critical, max_drop: 0.1}\n")
    report = gate_runs(tmp_path / "a", tmp_path / "b", load_gate_policy(path))
    assert isinstance(report, GateDocument) and isinstance(report.verdict, GateVerdict)
    assert report.verdict == report["verdict"] == "NO-GO"
    assert [item.status for item in report.benchmarks] == ["BREACH"]


def test_what_differs_stands_on_one_line(tmp_path: Path) -> None:
    write_results(tmp_path / "a", constant(1.0), config={"scorers": ["x"], "system_prompt": "s"})
    write_results(tmp_path / "b", constant(1.0), config={"scorers": ["y"], "system_prompt": "t"})
    report = gate_runs(
        tmp_path / "a", tmp_path / "b", {"benchmarks": {"bench": {"metric": "mean_reward"}}}
    )
    [reason] = report.benchmarks[0].reasons
    assert reason.startswith("the results are not comparable: they differ in ")
    assert "; " in reason and "\n" not in reason and "  " not in reason


def test_the_published_pass_1_counts_rewards_above_0(tmp_path: Path) -> None:
    """70 of 200 rewards are above 0 on both sides; the run calls 63, then none of them correct."""
    for side, right in (("a", 63), ("b", 0)):
        rewards = {i: [0.6 if i < right else 0.3 if i < 70 else 0.0] for i in range(200)}
        rows = write_results(tmp_path / side, rewards) / "results.jsonl"
        told = [json.loads(line) for line in rows.read_text().splitlines()]
        marked = [{**r, "scoring_details": {"correct": r["reward"] > 0.5}} for r in told]
        rows.write_text("".join(json.dumps(row) + "\n" for row in marked))
    sides = (tmp_path / "a", tmp_path / "b")
    policy = {"defaults": {"metric": "pass@1", "max_drop": 0.05}}
    assert gate_runs(*sides, policy)["verdict"] == "NO-GO"
    found = gate_runs(*sides, policy, rules="published")
    assert found["verdict"] == "GO" and found["benchmarks"][0]["candidate_score"] == 0.35


@pytest.mark.parametrize("field", ["max_drop", "min_problems", "min_coverage", "equivalence"])
def test_a_limit_that_is_yes_or_no_is_refused(tmp_path: Path, field: str) -> None:
    """`max_drop: yes` allowed a drop of 1."""
    run = write_results(tmp_path / "run", constant(1.0, 40))
    policy = {"version": 1, "defaults": {"metric": "mean_reward", field: True}}
    with pytest.raises(ConfigError, match=rf"defaults\.{field}: must be a"):
        gate_runs(run, run, policy)

"""Verdicts of `compare_runs` and `compare_results` on results in the published format."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from published import constant, share_right, write_results
from scipy import stats as scipy_stats

from nemo_evaluator import ConfigError, compare_results, compare_runs


def compared(
    tmp_path: Path, baseline: Any, candidate: Any, *, max_drop: float = 0.05, **options: Any
) -> dict[str, Any]:
    write_results(tmp_path / "a", baseline)
    write_results(tmp_path / "b", candidate)
    return compare_runs(tmp_path / "a", tmp_path / "b", min_effect=max_drop, **options)


def as_published(*arguments: Any, **options: Any) -> dict[str, Any]:
    """By the published rules."""
    return compared(*arguments, rules="published", **options)


def flips(lost: int, won: int, n: int) -> tuple[dict[int, list[Any]], dict[int, list[Any]]]:
    """Two sides of n problems with so many flips; half of the others are right."""
    one = {i: [1.0 if i < lost or (i >= lost + won and i % 2) else 0.0] for i in range(n)}
    other = {i: [1.0 - one[i][0]] if i < lost + won else list(one[i]) for i in range(n)}
    return one, other


# What NVIDIA NeMo Evaluator gets wrong.


def test_a_massive_drop_over_repeats_is_blocked(tmp_path: Path) -> None:
    candidate = {i: [1.0, 0.0, 0.0, 0.0] for i in range(100)}
    report = compared(tmp_path, constant(1.0, 100, 4), candidate)
    assert report["verdict"] == "BLOCK"
    assert report["difference"]["delta"] == pytest.approx(-0.75)
    assert report["flip_report"]["changes"] == {"worse": 100, "better": 0, "same": 0}


def test_a_drop_of_judge_scores_is_blocked(tmp_path: Path) -> None:
    assert compared(tmp_path, constant(0.9), constant(0.1))["verdict"] == "BLOCK"


def test_a_tiny_uniform_drop_is_not_blocked_whatever_its_cohens_d(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    base = {i: [float(x)] for i, x in enumerate(generator.uniform(0.4, 0.9, 300))}
    report = compared(tmp_path, base, {i: [r[0] - 0.004] for i, r in base.items()})
    assert report["verdict"] == "WARN"
    assert "5 were allowed" in report["verdict_reasons"][0]


def test_a_real_drop_with_a_large_spread_is_blocked(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    base = generator.uniform(0, 1, 1000)
    lower = np.clip(base - 0.1 + generator.normal(0, 0.4, 1000), -1, 2)
    report = compared(tmp_path, *({i: [float(x)] for i, x in enumerate(s)} for s in (base, lower)))
    assert report["verdict"] == "BLOCK"


def test_three_flips_in_a_thousand_are_no_want_of_power(tmp_path: Path) -> None:
    report = compared(tmp_path, *flips(2, 1, 1000))
    assert report["verdict"] == "PASS"
    assert report["difference"]["minimum_detectable_drop"] < 0.011


def test_a_clear_improvement_passes(tmp_path: Path) -> None:
    report = compared(tmp_path, *flips(0, 30, 200), max_drop=0.0)
    assert report["verdict"] == "PASS" and "bench rose 15.0 points" in report["verdict_reasons"][0]


def test_too_small_to_tell_is_inconclusive_and_says_what_would(tmp_path: Path) -> None:
    report = compared(tmp_path, *flips(5, 4, 60), max_drop=0.01)
    assert report["verdict"] == "INCONCLUSIVE"
    needed = report["difference"]["problems_needed"]
    assert needed > 1000 and f"about {needed:,} problems" in report["verdict_reasons"][1]


def test_a_verdict_at_the_promised_size(tmp_path: Path) -> None:
    """With about as many problems as asked for, no difference becomes a PASS."""
    report = compared(tmp_path, *flips(5, 5, 60), max_drop=0.05)
    needed = report["difference"]["problems_needed"]
    each = round(needed * 5 / 60)
    report = compared(tmp_path, *flips(each, each, needed), max_drop=0.05)
    assert report["verdict"] == "PASS"


def test_errored_rollouts_are_missing_not_wrong(tmp_path: Path) -> None:
    candidate = share_right(80, 100)
    for i in range(0, 100, 25):
        candidate[i] = [None]
    report = compared(tmp_path, share_right(80, 100), candidate)
    assert report["coverage"]["paired"] == 96
    assert report["flip_report"]["summary"]["n_regressions"] == 0
    assert "4 of 100 rollouts have no verdict" in " ".join(report["warnings"])


def test_twenty_of_a_thousand_are_never_a_pass(tmp_path: Path) -> None:
    candidate = {i: [1.0] for i in range(20)}
    report = compared(tmp_path, constant(1.0, 1000), candidate)
    assert report["verdict"] == "INCONCLUSIVE"
    assert "only 2.0% of what was planned" in report["verdict_reasons"][0]


def test_all_rollouts_errored(tmp_path: Path) -> None:
    report = compared(tmp_path, constant(1.0), constant(None))
    assert report["verdict"] == "INCONCLUSIVE"
    assert report["verdict_reasons"] == ["no problem has a verdict on both sides"]


def test_nan_rewards_are_no_verdicts(tmp_path: Path) -> None:
    candidate = constant(1.0)
    candidate[3] = [math.nan]
    report = compared(tmp_path, constant(1.0), candidate)
    assert report["coverage"]["paired"] == 49
    assert "1 × a reward that is not a number" in " ".join(report["warnings"])


def test_few_problems_are_no_evidence(tmp_path: Path) -> None:
    report = compared(tmp_path, constant(1.0, 3), constant(1.0, 3))
    assert report["verdict"] == "INCONCLUSIVE"
    assert "only 3 paired problems" in report["verdict_reasons"][0]


# Published numbers and rules.


@pytest.mark.parametrize(
    ("lost", "won", "n", "p", "effect"),
    [
        (8, 2, 10, 0.0546875, 0.6),
        (15, 2, 20, 0.00117493, 0.65),
        (5, 2, 20, 0.2265625, 0.15),
        (8, 2, 1000, 0.0546875, 0.006),
        (20, 0, 20, 2**-20, 1.0),
    ],
)
def test_the_p_value_is_that_of_mcnemars_exact_test(
    tmp_path: Path, lost: int, won: int, n: int, p: float, effect: float
) -> None:
    report = as_published(tmp_path, *flips(lost, won, n))
    test = report["mcnemar"]
    assert test["p_value"] == pytest.approx(p, rel=1e-5)
    exact = scipy_stats.binomtest(lost, lost + won, alternative="greater").pvalue
    assert test["p_value"] == pytest.approx(exact, abs=1e-12)
    assert test["effect_size"] == pytest.approx(effect, abs=1e-12)
    assert test["n_discordant"] == lost + won and test["method"] == "exact_binomial"
    assert report["test_used"] == "mcnemar"


def test_walds_interval_of_the_published_format(tmp_path: Path) -> None:
    test = as_published(tmp_path, *flips(8, 2, 10))["mcnemar"]
    assert (test["ci_lower"], test["ci_upper"]) == pytest.approx((0.104155, 1.095845), abs=1e-6)
    assert as_published(tmp_path, *flips(20, 0, 20))["mcnemar"]["ci_lower"] is None


def test_fifteen_of_twenty_flips_block(tmp_path: Path) -> None:
    assert as_published(tmp_path, *flips(15, 2, 20))["verdict"] == "BLOCK"


@pytest.mark.parametrize("n", [25, 400, 3000])
def test_the_permutation_is_that_of_the_known_rule(tmp_path: Path, n: int) -> None:
    generator = np.random.default_rng(n)
    base, cand = generator.uniform(0, 1, (2, n))
    report = compared(tmp_path, *({i: [float(x)] for i, x in enumerate(s)} for s in (base, cand)))
    drops = base - cand
    signs = np.random.default_rng(42).choice([-1, 1], (10_000, n))
    p = (1 + ((signs * drops).mean(axis=1) >= drops.mean()).sum()) / 10_001
    test = report["permutation_test"]
    assert test["p_value"] == pytest.approx(p, abs=1e-9)
    assert test["observed_mean_diff"] == pytest.approx(drops.mean(), abs=1e-12)
    assert test["effect_size"] == pytest.approx(drops.mean() / drops.std(ddof=1), abs=1e-9)


def test_a_sign_test_on_request(tmp_path: Path) -> None:
    base = {i: [0.5] for i in range(18)}
    cand = {i: [0.2 if i < 15 else 0.7] for i in range(18)}
    test = compared(tmp_path, base, cand, test="sign")["sign_test"]
    assert test["p_value"] == pytest.approx(0.003769, abs=1e-6)
    assert (test["n_positive"], test["n_negative"], test["n_ties"]) == (15, 3, 0)


def test_repeats_are_averaged_first(tmp_path: Path) -> None:
    one = {0: [1.0, 1.0, 0.0], 1: [0.0, 1.0, 0.0], **{i: [1.0] * 3 for i in range(2, 12)}}
    report = compared(tmp_path, one, {i: [1.0] * 3 for i in range(12)})
    assert report["test_used"] == "permutation"
    first = report["flip_report"]["summary"]
    assert first["n_paired"] == 12 and first["n_improvements"] == 0
    assert report["difference"]["baseline"] == pytest.approx((2 / 3 + 1 / 3 + 10) / 12)


def test_flips_in_the_published_format(tmp_path: Path) -> None:
    baseline = {i: [1.0 if i in (0, 1, 2, 3, 4, 7, 8) else 0.0] for i in range(10)}
    candidate = {i: [1.0 if i in (0, 1, 2, 3, 4, 9) else 0.0] for i in range(10)}
    report = compared(tmp_path, baseline, candidate)["flip_report"]
    assert report["contingency"] == {
        "both_correct": 5,
        "baseline_only_correct": 2,
        "candidate_only_correct": 1,
        "both_wrong": 2,
    }
    assert report["summary"]["regression_rate"] == 0.2
    assert report["regressions"][0] == {
        "problem_idx": 7,
        "repeat": 0,
        "baseline_reward": 1.0,
        "candidate_reward": 0.0,
        "expected_answer": "answer 7",
        "baseline_response": "response 7/0",
        "candidate_response": "response 7/0",
        "scoring_details": {},
        "candidate_scoring_details": {},
    }


def test_a_threshold_for_what_is_correct(tmp_path: Path) -> None:
    one = {0: [0.3], 1: [0.8], **{i: [0.9] for i in range(2, 12)}}
    other = {0: [0.8], 1: [0.3], **{i: [0.9] for i in range(2, 12)}}
    summary = compared(tmp_path, one, other, reward_threshold=0.5)["flip_report"]["summary"]
    assert (summary["n_regressions"], summary["n_improvements"]) == (1, 1)


def test_the_shown_answers_are_those_that_changed(tmp_path: Path) -> None:
    base = {i: [0.0, 1.0] for i in range(12)}
    cand = {i: [0.0, 0.0] if i == 5 else [1.0, 0.0] for i in range(12)}
    flip = compared(tmp_path, base, cand)["flip_report"]["regressions"][0]
    assert flip["problem_idx"] == 5 and flip["baseline_response"] == "response 5/1"


def test_only_common_problems_are_paired(tmp_path: Path) -> None:
    one = {i: [1.0] for i in range(10)}
    other = {i: [1.0] for i in range(5, 15)}
    report = compared(tmp_path, one, other)
    assert report["flip_report"]["summary"]["n_paired"] == 5
    assert report["coverage"]["baseline"]["only_here"] == 5
    assert report["coverage"]["share"] == pytest.approx(1 / 3)


def test_a_lone_repeat_is_paired_with_whatever_repeat_there_is(tmp_path: Path) -> None:
    rows = [{"problem_idx": i, "repeat": 1, "reward": 1.0} for i in range(12)]
    others = [{"problem_idx": i, "repeat": 0, "reward": 1.0} for i in range(12)]
    assert compare_results(rows, others)["flip_report"]["summary"]["n_paired"] == 12


def test_the_last_line_of_a_rollout_counts(tmp_path: Path) -> None:
    write_results(tmp_path / "a", constant(1.0))
    write_results(tmp_path / "b", constant(1.0))
    with (tmp_path / "b/results.jsonl").open("a") as file:
        file.write('{"problem_idx": 0, "repeat": 0, "reward": 0.0}\n{"problem_idx": 1, "rep')
    report = compare_runs(tmp_path / "a", tmp_path / "b")
    assert report["flip_report"]["summary"]["n_regressions"] == 1
    assert "candidate: 1 × a torn last line" in report["warnings"]
    assert "candidate: 1 × an earlier line of the same rollout" in report["warnings"]


def test_without_results_only_the_bundles_speak(tmp_path: Path) -> None:
    scores = {"pass@1": {"value": 0.8, "ci_lower": 0.7, "ci_upper": 0.9}, "other": {"value": "x"}}
    write_results(tmp_path / "a", constant(1.0), scores=scores, results=False)
    lower = {"pass@1": {"value": 0.5, "ci_lower": 0.4, "ci_upper": 0.6}, "other": {"value": 1}}
    write_results(tmp_path / "b", constant(1.0), scores=lower)
    report = compare_runs(tmp_path / "a", tmp_path / "b")
    assert report["verdict"] == "INCONCLUSIVE" and "results.jsonl" in report["warnings"][0]
    assert report["score_deltas"] == {
        "pass@1": {
            "baseline": 0.8,
            "candidate": 0.5,
            "delta": pytest.approx(-0.3),
            "relative_pct": pytest.approx(-37.5),
            "ci_overlap": False,
        }
    }
    assert "flip_report" not in report


def test_categories_with_intervals(tmp_path: Path) -> None:
    names = {i: "even" if i % 2 == 0 else "odd" for i in range(100)}
    write_results(tmp_path / "a", constant(1.0, 100), categories=names)
    worse = {i: [float(i % 2)] for i in range(100)}
    write_results(tmp_path / "b", worse, categories=names)
    report = compare_runs(tmp_path / "a", tmp_path / "b")
    assert report["category_deltas"]["even"]["delta"] == -1.0
    assert report["category_deltas"]["odd"]["delta"] == 0.0
    breakdown = report["flip_report"]["summary"]["category_breakdown"]
    assert breakdown == {"even": {"regressions": 50, "improvements": 0}}


def test_clusters_are_respected(tmp_path: Path) -> None:
    """Ten clusters that move together are ten observations, not two hundred."""
    generator = np.random.default_rng(3)
    moves = generator.choice([-1, 0, 1], 10)
    rows, others = [], []
    for i in range(200):
        drop = moves[i % 10] * 0.3
        common = {"problem_idx": i, "cluster": f"c{i % 10}"}
        rows.append({**common, "reward": 0.5})
        others.append({**common, "reward": 0.5 - drop})
    report = compare_results(rows, others)
    assert report["difference"]["units"] == 10
    assert report["test_used"] == "permutation" and "clustered" in report["test_reason"]
    plain = compare_results(
        [{**row, "cluster": None} for row in rows], [{**row, "cluster": None} for row in others]
    )
    wide = report["difference"]["ci_upper"] - report["difference"]["ci_lower"]
    narrow = plain["difference"]["ci_upper"] - plain["difference"]["ci_lower"]
    assert wide > 2 * narrow


# Apples and oranges.


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ({"system_prompt": "Be brief."}, "system prompt"),
        ({"max_problems": 100}, "max problems"),
        ({"scorers": ["exact_match"]}, "scorers"),
        ({"identity": {"environment.dataset_revision": "v2"}}, "dataset revision"),
        ({"identity": {"environment.prompt_digest": "x"}}, "prompt digest"),
        ({"identity": {"environment.scorer": "x"}}, "scorer"),
        ({"identity": {"n_problems": 5}}, "n problems"),
    ],
)
def test_what_is_not_of_the_same_thing_is_refused(
    tmp_path: Path, config: dict[str, Any], what: str
) -> None:
    base = {"system_prompt": None, "max_problems": None, "scorers": []}
    if "identity" in config:
        base["identity"] = {}
    write_results(tmp_path / "a", constant(1.0), config=base)
    write_results(tmp_path / "b", constant(1.0), config={**base, **config})
    with pytest.raises(ConfigError, match=f"differ in\n  {what}: .*--force"):
        compare_runs(tmp_path / "a", tmp_path / "b")
    report = compare_runs(tmp_path / "a", tmp_path / "b", force=True, min_effect=0.1)
    assert report["verdict"] == "PASS" and report["differs"][0]["what"] == what


def test_what_may_differ(tmp_path: Path) -> None:
    one = {"identity": {"model": "a", "model.generation": {"temperature": 0}, "repeats": 1}}
    other = {"identity": {"model": "b", "model.generation": {"temperature": 1}, "repeats": 4}}
    one["identity"] |= {"environment.dataset_digest": "d", "environment.dataset_revision": "main"}
    other["identity"] |= {"environment.dataset_digest": "d", "environment.dataset_revision": "v1"}
    write_results(tmp_path / "a", constant(1.0), config=one)
    write_results(tmp_path / "b", constant(1.0), config=other)
    assert compare_runs(tmp_path / "a", tmp_path / "b", min_effect=0.1)["verdict"] == "PASS"


def test_another_expected_answer_is_another_dataset(tmp_path: Path) -> None:
    write_results(tmp_path / "a", constant(1.0))
    write_results(tmp_path / "b", constant(1.0), rows={"expected_answer": "42"})
    with pytest.raises(ConfigError, match="expected answer of 50 of 50 problems"):
        compare_runs(tmp_path / "a", tmp_path / "b")


def test_another_prompt_is_another_benchmark(tmp_path: Path) -> None:
    write_results(tmp_path / "a", constant(1.0), rows={"prompt": "Think. What is it?"})
    write_results(tmp_path / "b", constant(1.0), rows={"prompt": "What is it?"})
    with pytest.raises(ConfigError, match=r"prompt of 50 of 50 problems"):
        compare_runs(tmp_path / "a", tmp_path / "b")


def test_the_same_text_written_otherwise_is_the_same(tmp_path: Path) -> None:
    write_results(tmp_path / "a", constant(1.0), rows={"expected_answer": "né"})
    write_results(tmp_path / "b", constant(1.0), rows={"expected_answer": "né"})
    path = tmp_path / "b/results.jsonl"
    path.write_text(path.read_text().replace("\\u00e9", "é"), encoding="utf-8")
    assert compare_runs(tmp_path / "a", tmp_path / "b", min_effect=0.1)["verdict"] == "PASS"


# Bad input.


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file or folder"):
        compare_runs(tmp_path / "a", tmp_path / "b")
    (tmp_path / "a").mkdir()
    with pytest.raises(ConfigError, match="holds no bundle"):
        compare_runs(tmp_path / "a", tmp_path / "a")


def test_two_bundles_of_one_benchmark(tmp_path: Path) -> None:
    write_results(tmp_path / "a", constant(1.0))
    write_results(tmp_path / "a", constant(1.0), run_id="eval-2")
    with pytest.raises(ConfigError, match=r"Duplicate benchmark 'bench': .*eval-1.json and .*2"):
        compare_runs(tmp_path / "a", tmp_path / "a")
    one = compare_runs(tmp_path / "a/eval-1.json", tmp_path / "a/eval-2.json", min_effect=0.1)
    assert one["verdict"] == "PASS"


def test_a_benchmark_done_twice_in_one_run(tmp_path: Path) -> None:
    """Folders of one run are told apart by their names in it."""
    for side in "ab":
        for slug in ("bench", "bench-2"):
            folder = write_results(tmp_path / side / slug, constant(1.0))
            bundle = json.loads((folder / "eval-1.json").read_text())
            bundle["benchmark"]["slug"] = slug
            (folder / "eval-1.json").write_text(json.dumps(bundle))
    with pytest.raises(ConfigError, match="holds several benchmarks: bench, bench-2"):
        compare_runs(tmp_path / "a", tmp_path / "b")
    report = compare_runs(tmp_path / "a/bench-2", tmp_path / "b/bench-2", min_effect=0.1)
    assert report["verdict"] == "PASS"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a bundle"),
        ("{}", "is not a bundle"),
        ('{"benchmark": {}}', "its benchmark has no name"),
    ],
)
def test_a_broken_bundle(tmp_path: Path, text: str, message: str) -> None:
    write_results(tmp_path / "a", constant(1.0))
    write_results(tmp_path / "b", constant(1.0))
    (tmp_path / "b/eval-1.json").write_text(text)
    with pytest.raises(ConfigError, match=message):
        compare_runs(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", r"results.jsonl:51: is not JSON"),
        ("[1]", r"results.jsonl:51: is not an object"),
        ('{"reward": 1.0}', r"results.jsonl:51: problem_idx is None, not a whole number"),
        ('{"problem_idx": "a", "reward": 1.0}', "problem_idx is 'a'"),
        ('{"problem_idx": 1, "repeat": null, "reward": 1.0}', "repeat is None"),
        (f'{{"problem_idx": {2**70}, "reward": 1.0}}', f"problem_idx is {2**70}"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    write_results(tmp_path / "a", constant(1.0))
    write_results(tmp_path / "b", constant(1.0))
    with (tmp_path / "b/results.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ConfigError, match=message):
        compare_runs(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize("odd", [r'"\ud800"', "1" * 30, "[NaN]"])
def test_odd_values_beside_a_reward_are_no_obstacle(tmp_path: Path, odd: str) -> None:
    write_results(tmp_path / "a", constant(1.0))
    write_results(tmp_path / "b", constant(1.0))
    line = f'{{"problem_idx": 99, "reward": 1.0, "prompt": {odd}, "truncated": 1}}\n'
    for name in ("a", "b"):
        with (tmp_path / name / "results.jsonl").open("a") as file:
            file.write(line)
    report = compare_runs(tmp_path / "a", tmp_path / "b")
    assert report["coverage"]["paired"] == 51


def test_empty_results(tmp_path: Path) -> None:
    write_results(tmp_path / "a", constant(1.0))
    write_results(tmp_path / "b", {})
    report = compare_runs(tmp_path / "a", tmp_path / "b")
    assert report["verdict"] == "INCONCLUSIVE"


def test_rewards_that_are_no_numbers(tmp_path: Path) -> None:
    rows = [{"problem_idx": i, "reward": 1.0} for i in range(20)]
    others = [{"problem_idx": i, "reward": "yes" if i < 2 else 1} for i in range(20)]
    report = compare_results(rows, others)
    assert report["coverage"]["paired"] == 18
    assert "2 × a reward that is not a number" in " ".join(report["warnings"])


def test_mcnemar_on_clusters_is_refused() -> None:
    rows = [{"problem_idx": i, "reward": 1.0, "cluster": "a"} for i in range(20)]
    with pytest.raises(ConfigError, match="clustered"):
        compare_results(rows, rows, test="mcnemar")


def test_the_report_is_json(tmp_path: Path) -> None:
    report = compared(tmp_path, *flips(15, 2, 20))
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    keys = {"report_version", "baseline", "candidate", "score_deltas", "runtime_deltas"}
    keys |= {"verdict", "verdict_reasons", "threshold", "flip_report", "mcnemar", "test_used"}
    assert keys <= report.keys()
    assert report["baseline"].keys() >= {"run_id", "config"}


def test_a_side_under_its_own_floor_is_inconclusive(tmp_path: Path) -> None:
    write_results(tmp_path / "a", constant(1.0, 100))
    write_results(tmp_path / "b", constant(1.0, 95))
    path = tmp_path / "b/eval-1.json"
    bundle = json.loads(path.read_text())
    bundle["benchmark"]["coverage"] = {"planned": 100, "scored": 95, "floor": 0.97}
    path.write_text(json.dumps(bundle))
    report = compare_runs(tmp_path / "a", tmp_path / "b")
    assert report["verdict"] == "INCONCLUSIVE" and report["coverage"]["floor"] == 0.97
    report = compare_runs(tmp_path / "a", tmp_path / "b", min_coverage=0.9, min_effect=0.2)
    assert report["verdict"] == "PASS"


def test_a_scorer_that_is_not_recorded_is_no_equal_scorer(tmp_path: Path) -> None:
    """The other tool's bundle does not say which function graded: a gain may be the scorer's."""
    write_results(tmp_path / "theirs", share_right(20, 50))
    write_results(
        tmp_path / "ours", share_right(45, 50), config={"identity": {"environment.scorer": "f"}}
    )
    with pytest.raises(ConfigError, match="scorer: 'not recorded: written by another tool' and"):
        compare_runs(tmp_path / "theirs", tmp_path / "ours")
    with pytest.raises(ConfigError, match="and 'not recorded: written by another tool'"):
        compare_runs(tmp_path / "ours", tmp_path / "theirs")


@pytest.mark.parametrize(("text", "number"), [("5", 5), ("2.5", 2.5), ("-1", -1)])
def test_an_expected_answer_written_as_text_is_the_same_as_the_number(
    tmp_path: Path, text: str, number: float
) -> None:
    write_results(tmp_path / "a", constant(1.0), rows={"expected_answer": text})
    write_results(tmp_path / "b", constant(1.0), rows={"expected_answer": number})
    report = compare_runs(tmp_path / "a", tmp_path / "b", min_effect=0.1)
    assert report["verdict"] == "PASS"
    write_results(tmp_path / "c", constant(1.0), rows={"expected_answer": number + 1})
    with pytest.raises(ConfigError, match="expected answer of 50 of 50"):
        compare_runs(tmp_path / "a", tmp_path / "c")


# One metric, one meaning.


def graded(n: int, reward: float, correct: int) -> list[dict[str, Any]]:
    """Rows whose rewards are above zero; the first so many are right."""
    return [
        {"problem_idx": i, "reward": reward, "scoring_details": {"correct": i < correct}}
        for i in range(n)
    ]


def test_flips_are_counted_as_the_run_counts_right_answers() -> None:
    report = compare_results(graded(300, 7.0, 200), graded(300, 6.9, 71), min_effect=0.2)
    flips = report["flip_report"]
    assert flips["summary"]["n_regressions"] == 129 and flips["summary"]["n_improvements"] == 0
    assert flips["regressions"][0]["baseline_reward"] == 7.0
    tested = compare_results(graded(300, 7.0, 200), graded(300, 6.9, 71), test="mcnemar")["mcnemar"]
    assert tested["n_discordant"] == 129


def test_pass_at_1_is_that_of_the_run() -> None:
    report = compare_results(graded(300, 7.0, 95), graded(300, 6.9, 0), metric="pass@1")
    found = report["difference"]
    assert (found["baseline"], found["candidate"]) == pytest.approx((95 / 300, 0.0))
    assert report["verdict"] == "BLOCK" and report["mcnemar"]["n_discordant"] == 95


@pytest.mark.parametrize("metric", ["toxicity", "latency_ms", "truncation_rate"])
def test_more_is_worse_where_less_is_better(metric: str) -> None:
    def rows(share: float) -> list[dict[str, Any]]:
        hits = [float(i < share * 1000) for i in range(1000)]
        return [
            {"problem_idx": i, "reward": 1.0, "toxicity": hit, "latency_ms": hit,
             "truncated": bool(hit)}
            for i, hit in enumerate(hits)
        ]  # fmt: skip

    lower = {"higher_is_better": False} if metric == "toxicity" else {}
    report = compare_results(rows(0.033), rows(0.1), metric=metric, min_effect=0.02, **lower)
    assert report["verdict"] == "BLOCK"
    assert report["mcnemar"]["p_value"] < 1e-6 and report["mcnemar"]["effect_size"] > 0
    assert report["flip_report"]["changes"] == {"worse": 67, "better": 0, "same": 933}
    back = compare_results(rows(0.05), rows(0.033), metric=metric, min_effect=0.02, **lower)
    assert back["verdict"] == "PASS" or metric == "truncation_rate"


def test_a_macro_metric_weighs_categories_alike() -> None:
    def rows(rare: float) -> list[dict[str, Any]]:
        return [
            {"problem_idx": i, "reward": 1.0 if i >= 100 else float(i < rare * 100),
             "metadata": {"category": "rare" if i < 100 else "common"}}
            for i in range(2000)
        ]  # fmt: skip

    plain = compare_results(rows(1.0), rows(0.7))
    macro = compare_results(rows(1.0), rows(0.7), metric="macro:mean_reward")
    assert plain["difference"]["delta"] == pytest.approx(-0.015)
    assert macro["difference"]["delta"] == pytest.approx(-0.15)
    assert plain["verdict"] == "WARN" and macro["verdict"] == "BLOCK"
    assert macro["category_deltas"]["rare"]["delta"] == pytest.approx(-0.3)


def test_rounding_is_no_gain() -> None:
    one = [{"problem_idx": i, "reward": 0.3} for i in range(200)]
    other = [{"problem_idx": i, "reward": 0.1 + 0.2} for i in range(200)]
    for i in range(100):
        one[i]["reward"], other[i]["reward"] = 0.0, 0.1 + 0.2 - 0.3
    for report in (compare_results(one, other), compare_results(other, one)):
        assert report["verdict"] == "PASS" and report["chance_of_larger_drop"] < 0.01
        assert report["flip_report"]["changes"] == {"worse": 0, "better": 0, "same": 200}
        assert report["flip_report"]["contingency"]["both_wrong"] == 100
        assert not any(report["shown"][event] for event in ("worse", "better"))


def test_a_block_needs_the_whole_interval_beyond_the_limit(tmp_path: Path) -> None:
    """At a drop that is just the limit the published rule tosses a coin."""
    one, other = flips(30, 5, 500)  # a drop of 0.05
    sound = compared(tmp_path, one, other, max_drop=0.045)
    assert sound["verdict"] == "WARN" and sound["difference"]["ci_upper"] < 0
    assert as_published(tmp_path, one, other, max_drop=0.045)["verdict"] == "BLOCK"
    assert compared(tmp_path, one, other, max_drop=0.01)["verdict"] == "BLOCK"


def test_no_p_value_is_said_to_be_0(tmp_path: Path) -> None:
    """One category of twenty fell to 0: beyond what a float can tell."""
    groups = {i: f"c{i % 20}" for i in range(1000)}
    before = write_results(tmp_path / "a", constant(1.0, 1000), categories=groups)
    fell = {i: [float(groups[i] != "c3")] for i in range(1000)}
    after = write_results(tmp_path / "b", fell, categories=groups)
    (said,) = [r for r in compare_runs(before, after).verdict_reasons if "differs between" in r]
    assert said.endswith("(p < 1e-99)")


@pytest.mark.parametrize("sides", [("one",), ("other",), ("one", "other")])
def test_clusters_count_whichever_side_names_them(tmp_path: Path, sides: tuple[str, ...]) -> None:
    """Problems of two clusters are two units, also where only the candidate says so."""
    rows, halves = {i: [1.0] for i in range(200)}, {i: f"c{i % 2}" for i in range(200)}
    each = {i: f"c{i}" for i in range(200)}
    clusters = {"one": each if len(sides) == 2 else None, "other": None}
    clusters |= dict.fromkeys(sides[-1:], halves)
    folders = [write_results(tmp_path / side, rows, clusters=clusters[side]) for side in clusters]
    assert compare_runs(*folders)["verdict"] == "INCONCLUSIVE"

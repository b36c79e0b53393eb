"""Bundles as they are read: ours in full, those of other tools as far as they tell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reported import document, repeated, summary, unscored

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.results.read_bundle import published, read_bundle

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


def bare(**benchmark: Any) -> dict[str, Any]:
    return {"run_id": "eval-1", "benchmark": {"name": "b", **benchmark}}


@pytest.mark.parametrize("item", [summary("b"), repeated(), unscored()], ids=lambda i: i.name)
def test_our_bundle_tells_all_that_the_run_knew(item: Any) -> None:
    read = published(json.loads(json.dumps(document(item))), where="x")
    assert (read.name, read.slug, read.model) == (item.name, item.slug, item.model)
    assert (read.n_rollouts, read.n_scored, read.coverage) == (
        item.n_rollouts,
        item.n_scored,
        item.coverage,
    )
    assert (read.truncated, read.no_answer) == (item.truncated, item.no_answer)
    assert read.headline == item.headline and read.coverage_floor == 0.95
    assert read.score_if_rest_wrong == item.bound_if_rest_wrong
    assert {n: (m.value, m.ci_lower, m.n, m.method) for n, m in read.metrics.items()} == {
        n: (m.value, m.ci_lower, m.n, m.method) for n, m in item.metrics.items()
    }
    assert read.categories.keys() == item.categories.keys()
    assert read.failures == {kind: failure.count for kind, failure in item.failures.items()}
    assert read.examples == item.examples
    assert read.agreement == item.agreement and read.distributions == item.distributions
    assert read.runtime.total_tokens == item.runtime.total_tokens
    assert read.runtime.cost_usd == item.runtime.cost_usd
    assert read.retried is not None and read.retried.rollouts == item.retried.get("rollouts", 0)


def test_what_another_tool_does_not_tell_is_not_zero() -> None:
    read = published(bare(scores={"accuracy": {"value": 0.5}}), where="x")
    assert read.headline == "accuracy" and read.score is not None and read.score.ci_lower is None
    assert read.coverage is read.n_scored is read.truncated is read.no_answer is None
    assert read.n_rollouts is read.n_problems is read.runtime.total_tokens is None


def test_the_interval_over_problems_is_taken() -> None:
    entry = {
        "value": 0.8,
        "ci_lower": 0.8,
        "ci_upper": 0.8,
        "bootstrap_ci_lower": 0.6,
        "bootstrap_ci_upper": 0.95,
    }
    measure = published(bare(scores={"pass@1": entry}), where="x").metrics["pass@1"]
    assert (measure.ci_lower, measure.ci_upper, measure.method) == (0.6, 0.95, "bootstrap")


def test_an_interval_from_0_is_an_interval() -> None:
    entry = {"value": 0.0, "ci_lower": 0.0, "ci_upper": 0.1}
    measure = published(bare(scores={"pass@1": entry}), where="x").metrics["pass@1"]
    assert (measure.ci_lower, measure.ci_upper) == (0.0, 0.1)


def test_the_headline_is_a_score_and_no_time() -> None:
    names = ["scorer:x", "gen_seconds", "latency_p50", "total_tokens", "f1"]
    scores = {name: {"value": 1.0} for name in names}
    assert published(bare(scores=scores), where="x").headline == "f1"
    scores = {"mean_reward": {"value": 1.0}, "f1": {"value": 0.0}}
    assert published(bare(scores=scores), where="x").headline == "mean_reward"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "high", True, [1]])
def test_a_score_that_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"the score pass@1 is .*, not a number"):
        published(bare(scores={"pass@1": {"value": value}}), where="x")


def test_a_bound_that_is_no_number_is_no_bound(tmp_path: Path) -> None:
    path = tmp_path / "eval-1.json"
    path.write_text(
        '{"benchmark": {"name": "b", "scores": {"pass@1":'
        ' {"value": 0.5, "ci_lower": NaN, "ci_upper": 1.0}, "runtime": {"elapsed_seconds": NaN}}}}'
    )
    read = read_bundle(path)
    assert read.score is not None and read.score.ci_lower is read.score.ci_upper is None
    assert read.run_id == "eval-1" and read.runtime.elapsed_seconds is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("", "is not JSON"),
        ("\xff", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "it has no benchmark"),
        ('{"benchmark": []}', "it has no benchmark"),
        ('{"benchmark": {"name": ""}}', "its benchmark has no name"),
        (
            '{"benchmark": {"name": "b", "scores": {"runtime": {"total_tokens": "many"}}}}',
            "used cannot be read",
        ),
    ],
)
def test_what_is_no_bundle_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "eval-1.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match=message) as caught:
        read_bundle(path)
    assert str(path) in str(caught.value)


@given(JSON)
def test_anything_is_read_or_refused(scores: Any) -> None:
    for place in ("scores", "categories", "coverage", "breakdowns", "samples", "retried"):
        try:
            published(bare(**{place: scores}), where="x")
        except ConfigError as error:
            assert "x" in str(error)

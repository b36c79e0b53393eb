"""Comparisons with a baseline, ensembles and reward models, in whole runs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from loopback import FAULTS, Call, Loopback, Reply, text_reply

from nemo_evaluator.judging.reward import read_reward

from .conftest import Started, api, results, says

ONLY = {"include_defaults": False}
PAIR = {
    "type": "pairwise_judge",
    "name": "wins",
    "judge_service": "judge",
    "baseline_service": "second",
}
ENSEMBLE = {"type": "ensemble_judge", "name": "jury", "services": ["judge", "second", "third"]}
REWARD = {"type": "reward_model", "name": "reward", "service": "judge", "score_range": [-4, 4]}


@pytest.fixture
async def second() -> AsyncIterator[Loopback]:
    async with Loopback(says("The baseline's words.")) as server:
        yield server


@pytest.fixture
async def third() -> AsyncIterator[Loopback]:
    async with Loopback(says("Score: 1")) as server:
        yield server


def prefers(wanted: str) -> Callable[[Call], Reply]:
    """A judge that prefers the answer holding some words, wherever it stands."""

    def script(call: Call) -> Reply:
        first = call.prompt.split("<answer_B_")[0]
        return text_reply(call, json.dumps({"verdict": "A" if wanted in first else "B"}))

    return script


@pytest.mark.parametrize(
    ("script", "value", "differ"),
    [
        (prefers("The answer is"), 1.0, False),
        (prefers("The baseline's words."), 0.0, False),
        (says('{"verdict": "tie"}'), 0.5, False),
        (says('{"verdict": "A"}'), 0.5, True),  # whatever comes first: a position bias
    ],
)
async def test_a_comparison_in_both_orders(
    run: Started,
    tmp_path: Path,
    judge: Loopback,
    second: Loopback,
    script: Callable[[Call], Reply],
    value: float,
    differ: bool,
) -> None:
    judge.script(script)
    result = await run(PAIR, scoring=ONLY, services={"second": api(second)}, size=3)
    assert result.exit_code == 0 and result.summary.benchmarks[0].score.value == value
    details = results(tmp_path)[0]["scoring_details"]
    assert details["judge"]["disagreement"] is differ
    assert details["judge:wins"]["orders"] == ([1.0, 0.0] if differ else [value, value])


async def test_a_comparison_in_one_order(run: Started, judge: Loopback, second: Loopback) -> None:
    judge.script(says('{"verdict": "A"}'))
    metric = {**PAIR, "swap_check": False}
    result = await run(metric, scoring=ONLY, services={"second": api(second)}, size=2)
    assert result.summary.benchmarks[0].score.value == 1.0 and len(judge.calls) == 2


async def test_the_baseline_is_paid_once_for_all_repeats_and_resumes(
    run: Started, tmp_path: Path, judge: Loopback, second: Loopback
) -> None:
    judge.script(says("Hm."))
    more: dict[str, Any] = {"scoring": ONLY, "services": {"second": api(second)}, "size": 3}
    repeats = {"repeats": 3}
    assert (await run(PAIR, benchmark=repeats, **more)).exit_code in (2, 3)
    assert 1 <= len(second.calls) <= 3
    judge.script(prefers("The answer is"))
    again = await run(PAIR, benchmark=repeats, resume=True, **more)
    assert again.exit_code == 0 and again.summary.benchmarks[0].score.value == 1.0
    assert len(second.calls) == 3
    assert {call.prompt for call in second.calls} == {
        f"How much is {i} modulo 50?" for i in (0, 1, 2)
    }


async def test_a_baseline_that_fails_is_no_win(
    run: Started, tmp_path: Path, judge: Loopback, second: Loopback
) -> None:
    for fault in ("server_error", "bad_request"):
        second.script(FAULTS[fault])
        result = await run(
            PAIR,
            scoring=ONLY,
            services={"second": api(second)},
            size=1,
            resume=fault != "server_error",
        )
        assert result.exit_code == 3 and results(tmp_path)[0]["reward"] is None
    assert not judge.calls


@pytest.mark.parametrize(
    ("aggregation", "value"),
    [("mean", (0.8 + 0.4 + 1.0) / 3), ("median", 0.8), ("majority_vote", 1.0)],
)
async def test_several_judges_become_one(
    run: Started,
    tmp_path: Path,
    second: Loopback,
    third: Loopback,
    aggregation: str,
    value: float,
) -> None:
    second.script(says("Score: 2"))
    third.script(says("Score: 5"))
    services = {"second": api(second), "third": api(third)}
    metric = {**ENSEMBLE, "aggregation": aggregation}
    result = await run(metric, scoring=ONLY, services=services, size=1)
    assert result.summary.benchmarks[0].score.value == pytest.approx(value)
    details = results(tmp_path)[0]["scoring_details"]["judge:jury"]
    assert details["members"] == {"judge": 0.8, "second": 0.4, "third": 1.0}
    assert details["disagreement"] is True


@pytest.mark.parametrize(
    ("aggregation", "other", "code"),
    [
        ("mean", "Score: 4", 3),
        ("median", "Score: 4", 3),
        ("majority_vote", "Score: 4", 0),  # two of three agree: the third cannot change it
        ("majority_vote", "Score: 1", 3),
    ],
)
async def test_a_member_without_a_verdict(
    run: Started,
    tmp_path: Path,
    second: Loopback,
    third: Loopback,
    aggregation: str,
    other: str,
    code: int,
) -> None:
    second.script(says("I would rather not."))
    third.script(says(other))
    services = {"second": api(second), "third": api(third)}
    metric = {**ENSEMBLE, "aggregation": aggregation}
    result = await run(metric, scoring=ONLY, services=services, size=1)
    assert result.exit_code == code
    assert results(tmp_path)[0]["reward"] == (1.0 if code == 0 else None)


def replies(body: dict[str, Any]) -> Callable[[Call], Reply]:
    return lambda call: Reply(json.dumps(body).encode())


POOLING = {"object": "list", "data": [{"index": 0, "object": "pooling", "data": [2.0]}]}
SCORE = {"object": "list", "data": [{"index": 0, "object": "score", "score": 2.0}]}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/pooling", POOLING),
        ("/v1/score", SCORE),
        ("/classify", {"data": [{"index": 0, "label": "good", "probs": [2.0], "num_classes": 1}]}),
        ("/reward", {"logits": [[2.0]]}),
    ],
)
async def test_a_reward_model_behind_a_path_of_its_own(
    run: Started, tmp_path: Path, judge: Loopback, path: str, body: dict[str, Any]
) -> None:
    judge.script(replies(body))
    url = judge.url.removesuffix("/v1") + path
    result = await run(REWARD, scoring=ONLY, services={"judge": api(judge, url=url)}, size=1)
    assert result.exit_code == 0
    summary = result.summary.benchmarks[0]
    assert summary.headline == "pass@1" and summary.score.value == 1.0  # 0.75 is above 0.5
    row = results(tmp_path)[0]
    assert row["reward"] == 0.75 and row["scoring_details"]["judge:reward"]["score"] == 2.0
    sent = judge.calls[0]
    assert sent.path == path
    if path.endswith("/score"):
        assert sent.body["text_1"] == "How much is 0 modulo 50?" and "answer" in sent.body["text_2"]
    else:
        assert [turn["role"] for turn in sent.body["messages"]] == ["user", "assistant"]


async def test_a_reward_model_that_completes(run: Started, tmp_path: Path, judge: Loopback) -> None:
    judge.script(says("helpfulness:-2.0,correctness:3"))
    metric = {**REWARD, "mode": "multi_aspect", "aspect": "helpfulness"}
    result = await run(metric, scoring=ONLY, size=1)
    assert result.exit_code == 0
    assert results(tmp_path)[0]["reward"] == 0.25
    assert result.summary.benchmarks[0].score.value == 0.0


@pytest.mark.parametrize(
    "script",
    [
        says("Good."),
        says("7.5"),
        says("nan"),
        says(""),
        FAULTS["server_error"],
        FAULTS["invalid_json"],
    ],
)
async def test_no_fault_of_a_reward_model_becomes_a_score(
    run: Started, tmp_path: Path, judge: Loopback, script: Callable[[Call], Reply]
) -> None:
    judge.script(script)
    result = await run(REWARD, scoring=ONLY, size=1)
    assert result.exit_code == 3 and results(tmp_path)[0]["reward"] is None
    judge.script(says("4"))
    assert (await run(REWARD, scoring=ONLY, size=1, resume=True)).exit_code == 0
    assert results(tmp_path)[0]["reward"] == 1.0


@pytest.mark.parametrize(
    ("body", "aspect", "score"),
    [
        (SCORE, None, 2.0),
        (POOLING, None, 2.0),
        ({"data": [{"data": [[2.0]]}]}, None, 2.0),
        ({"data": [{"data": [0.1, 0.2, 0.3]}]}, None, None),  # one a token: none is the score
        ({"data": [{"score": 1.0}, {"score": 2.0}]}, None, None),
        ({"data": []}, None, None),
        ({"score": 0.5}, None, 0.5),
        ({"scores": [0.5]}, None, 0.5),
        ({"rewards": [0.5, 0.6]}, None, None),
        ({"score": "0.5"}, None, None),
        ({"score": True}, None, None),
        ({"score": float("nan")}, None, None),
        ({"scores": {"tone": 0.5}}, "tone", 0.5),
        ({"scores": {"tone": 0.5}}, "truth", None),
        ({"choices": [{"message": {"content": "-1.25"}}]}, None, -1.25),
        ({"choices": [{"message": {"content": "about 3"}}]}, None, None),
        ({"choices": [{"message": {"content": "tone: 1, tone: 2"}}]}, "tone", None),
        ({"choices": [{"message": {"content": None}}]}, None, None),
        ({}, None, None),
    ],
)
def test_scores_in_the_shapes_of_servers(
    body: dict[str, Any], aspect: str | None, score: float | None
) -> None:
    assert read_reward(body, aspect=aspect) == score

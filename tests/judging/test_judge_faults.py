"""No fault of a judge becomes a score: every fault, under every metric, through a whole run, which
is then resumed with a judge that works. Nobody who answered already is asked again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from loopback import FAULTS, Call, Loopback, Reply, fixed_chat, text_reply

from .conftest import Started, api, results, says


class Metric(NamedTuple):
    config: dict[str, Any]
    verdict: str
    """What a working judge says, and what it is worth."""
    reward: float
    outside: str
    """A verdict of another scale."""


METRICS = {
    "judge": Metric(
        {"type": "judge", "name": "m", "service": "judge"},
        '{"reasoning": "", "score": 4}',
        0.8,
        '{"reasoning": "", "score": 8}',
    ),
    "pairwise_judge": Metric(
        {
            "type": "pairwise_judge",
            "name": "m",
            "judge_service": "judge",
            "baseline_service": "second",
        },
        '{"reasoning": "", "verdict": "tie"}',
        0.5,
        '{"reasoning": "", "verdict": "C"}',
    ),
    "ensemble_judge": Metric(
        {"type": "ensemble_judge", "name": "m", "services": ["judge", "second"]},
        '{"reasoning": "", "score": 4}',
        0.6,  # the other member gives a 2
        '{"reasoning": "", "score": -1}',
    ),
    "reward_model": Metric(
        {"type": "reward_model", "name": "m", "service": "judge", "score_range": [0, 5]},
        "4",
        0.8,
        "5.001",
    ),
}

UNREADABLE: dict[str, Callable[[Metric], Callable[[Call], Reply]]] = {
    "garbage": lambda _: says("\x00}{ ~~ &&& score? 1/2 ~~"),
    "prose": lambda _: says("A fine answer, all in all."),
    "refusal": lambda _: says("I'm sorry, but I can't help with grading that."),
    "empty": lambda _: fixed_chat(""),
    "blank": lambda _: says(" \n\t "),
    "only reasoning": lambda m: fixed_chat("", reasoning_content=m.verdict),
    "unclosed reasoning": lambda m: says(f"<think>perhaps {m.verdict}"),
    "half json": lambda m: says(m.verdict[:-1] if m.verdict[0] == "{" else '{"score": 4'),
    "cut off": lambda _: fixed_chat('{"reasoning": "I would give it', finish="length"),
    "outside the scale": lambda m: says(m.outside),
    "two verdicts": lambda m: says(f"{m.verdict}, or rather {m.outside}"),
    "no number": lambda _: says('{"score": NaN, "verdict": NaN}'),
    "null": lambda _: FAULTS["null_content"],
}
FAILING = (
    "server_error",
    "rate_limit_bare",
    "drop",
    "cut",
    "invalid_json",
    "bad_request",
    "unauthorized",
    "not_found",
    "content_filter",
    "context_window",
)


def services(second: Loopback) -> dict[str, Any]:
    return {"second": api(second)}


@pytest.mark.parametrize("fault", [*UNREADABLE, *FAILING, "hang"])
@pytest.mark.parametrize("kind", METRICS)
async def test_no_fault_becomes_a_score_and_the_resumed_run_asks_only_the_judge(
    run: Started, tmp_path: Path, loopback: Loopback, judge: Loopback, kind: str, fault: str
) -> None:
    metric = METRICS[kind]
    other = "The answer is 7" if kind == "pairwise_judge" else "Score: 2"
    async with Loopback(says(other)) as second:
        judge.script(UNREADABLE[fault](metric) if fault in UNREADABLE else FAULTS[fault])
        config = {**metric.config, "max_retries": 1}
        if fault == "hang":
            config |= {"timeout": 0.1}
        more: dict[str, Any] = {
            "scoring": {"include_defaults": False},
            "services": services(second),
            "size": 2,
        }
        result = await run(config, **more)
        assert result.exit_code in (2, 3)
        summary = result.summary.benchmarks[0]
        assert summary.n_scored == 0 and summary.score is None
        assert summary.outcomes == {"infra_error": 2}
        for row in results(tmp_path):
            assert row["reward"] is None and row["model_response"]
            details = row["scoring_details"]
            assert details["phase"] == "verify"
            who = "reward model judge" if kind == "reward_model" else "judge judge"
            assert who in details["error"]
        second_calls = len(second.calls)
        judge.calls.clear()
        judge.script(lambda call: text_reply(call, metric.verdict))
        again = await run(config, resume=True, **more)
        assert again.exit_code == 0
        assert [row["reward"] for row in results(tmp_path)] == pytest.approx([metric.reward] * 2)
        assert len(loopback.calls) == 2 and judge.calls
        assert len(second.calls) == second_calls  # what it said was kept


async def test_a_verdict_that_comes_after_the_deadline_is_none(
    run: Started, tmp_path: Path, judge: Loopback
) -> None:
    def late(call: Call) -> Reply:
        reply = text_reply(call, json.dumps({"reasoning": "", "score": 5}))
        reply.delay = 0.5
        return reply

    judge.script(late)
    config = {**METRICS["judge"].config, "timeout": 0.1}
    result = await run(config, scoring={"include_defaults": False}, size=1)
    assert result.exit_code == 3 and results(tmp_path)[0]["reward"] is None

"""Refusals: the endpoint's failure where it refuses everything for a while, else the model's."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loopback import FAULTS, Call, Loopback, Reply, answer, error
from runs import BENCH, rows

from nemo_evaluator import evaluate_async
from nemo_evaluator.engine import refusals
from nemo_evaluator.executors.local import RunResult

REFUSALS = {
    "bad_request": error(400, "Bad request"),
    "too_large": error(413, "Request entity too large"),
    "unprocessable": error(422, "Unprocessable"),
    "context": FAULTS["context_window"],
    "filter": FAULTS["content_filter"],
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "FIRST_DELAY", 0.05)
    monkeypatch.setattr(refusals, "TAIL_SECONDS", (0.05, 0.05, 0.05))


Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, loopback: Loopback) -> Run:
    async def start(
        size: int, *, concurrent: int = 8, resume: bool = False, outage: float = 20
    ) -> RunResult:
        path = tmp_path / "sums.py"
        path.write_text(BENCH % {"size": size})
        loopback.latency = 0.003
        service = {
            "type": "api",
            "url": loopback.url,
            "protocol": "chat_completions",
            "model": "m",
            "proxy": {"max_outage": outage},
        }
        document = {
            "services": {"model": service},
            "benchmarks": [{"name": str(path), "max_concurrent": concurrent}],
            "output": {"dir": str(tmp_path / "run"), "report": []},
        }
        return await evaluate_async(document, resume=resume)

    return start


def number(call: Call) -> int:
    found = re.search(r"How much is (\d+) ", call.prompt)
    assert found is not None
    return int(found[1])


def refusing(which: Callable[[int], bool], refusal: Any = REFUSALS["bad_request"]) -> Any:
    def script(call: Call) -> Reply:
        reply: Reply = (refusal if which(number(call)) else answer)(call)
        return reply

    return script


@pytest.mark.parametrize("concurrent", [1, 8, 64])
@pytest.mark.parametrize("kind", REFUSALS)
async def test_a_burst_in_the_middle_costs_no_score(
    run: Run, loopback: Loopback, kind: str, concurrent: int
) -> None:
    begun: list[float] = []

    def script(call: Call) -> Reply:
        reply: Reply = answer(call)
        if len(loopback.calls) > 60 and (not begun or time.monotonic() - begun[0] < 0.4):
            begun.append(time.monotonic())
            reply = REFUSALS[kind](call)
        return reply

    loopback.script(script)
    result = await run(200, concurrent=concurrent)
    [summary] = result.summary.benchmarks
    assert result.exit_code == 0 and summary.outcomes == {"scored": 200}
    assert len(begun) > 2, "there was no burst"
    again = sum(loopback.answered.values()) - 200
    assert again <= 1, "more than one answer was asked for again, to see whether it answers"


async def test_refusals_among_answers_are_the_models_at_once(run: Run, loopback: Loopback) -> None:
    loopback.script(refusing(lambda n: n % 20 == 7))
    started = time.monotonic()
    result = await run(200)
    [summary] = result.summary.benchmarks
    assert result.exit_code == 0
    assert summary.outcomes == {"model_error": 10, "scored": 190} and summary.refused == 10
    assert time.monotonic() - started < 10
    assert max(loopback.counts.values()) <= 6 and set(loopback.answered.values()) == {1}


@pytest.mark.parametrize("part", ["middle", "end", "start"])
async def test_a_block_of_refused_problems_is_the_models(
    run: Run, tmp_path: Path, loopback: Loopback, part: str
) -> None:
    """Problems sorted by subject: a whole subject is refused while the endpoint is well."""
    first = {"start": 10, "middle": 70, "end": 120}[part]
    loopback.script(refusing(lambda n: first <= n < first + 40))
    result = await run(160)
    [summary] = result.summary.benchmarks
    assert result.exit_code == 0
    assert summary.outcomes == {"model_error": 40, "scored": 120}
    found = rows(tmp_path / "run/sums")
    assert all((row["reward"] == 0.0) for row in found if first <= row["problem_idx"] < first + 40)
    assert sum(loopback.answered.values()) <= 124, "too much was asked again"
    usage = summary.runtime.total_completion_tokens
    assert usage >= sum(loopback.answered.values()), "what was asked again is accounted"


async def test_a_service_that_refuses_for_good_leaves_the_rest_open(
    run: Run, tmp_path: Path, loopback: Loopback
) -> None:
    def script(call: Call) -> Reply:
        reply: Reply = (answer if len(loopback.calls) <= 60 else REFUSALS["bad_request"])(call)
        return reply

    loopback.script(script)
    result = await run(200, outage=0.5)
    [summary] = result.summary.benchmarks
    assert result.exit_code == 3 and "refuses every request since" in result.messages[0]
    assert "proxy.max_outage" in result.messages[0]
    assert summary.n_scored == 60 and summary.refused == 0
    loopback.script(answer)
    again = await run(200, resume=True)
    assert again.exit_code == 0 and again.summary.benchmarks[0].outcomes == {"scored": 200}


async def test_refusals_that_come_back_first_do_not_give_a_benchmark_up(
    run: Run, loopback: Loopback
) -> None:
    """Answers take longer than refusals: the first replies of all may be refusals."""

    def script(call: Call) -> Reply:
        if number(call) % 4 == 0:
            refused: Reply = REFUSALS["bad_request"](call)
            return refused
        reply: Reply = answer(call)
        reply.delay = 0.2
        return reply

    loopback.script(script)
    result = await run(64, concurrent=64)
    assert result.exit_code == 0
    assert result.summary.benchmarks[0].outcomes == {"model_error": 16, "scored": 48}


async def test_a_service_that_never_answers_is_told_at_once(run: Run, loopback: Loopback) -> None:
    loopback.script(REFUSALS["bad_request"])
    result = await run(100)
    assert result.exit_code == 2 and "refuses every request" in result.messages[0]
    assert len(loopback.calls) <= 24
    assert result.summary.benchmarks[0].score is None

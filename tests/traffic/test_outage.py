"""An endpoint that goes away in the middle: calls wait, one tries, all go on or end together."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port
from loopback import FAULTS, Loopback, answer
from runs import BENCH

from nemo_evaluator.api import evaluate_async
from nemo_evaluator.executors.local import RunResult
from nemo_evaluator.results.journal import Errored, events
from nemo_evaluator.traffic import outage as outages
from nemo_evaluator.traffic import retry
from nemo_evaluator.traffic.outage import Outage
from nemo_evaluator.traffic.retry import Action, TryOutcome
from nemo_evaluator.types import Failure

REFUSED = TryOutcome(
    Action.RETRY,
    Failure.CONNECTION,
    "Cannot connect to host h:80 [Connection refused]",
    unreachable=True,
)
BROKEN = TryOutcome(Action.RETRY, Failure.SERVER_ERROR, "HTTP 502: bad gateway", 502)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "BASE_SECONDS", 0.001)
    monkeypatch.setattr(outages, "FIRST_DELAY", 0.02)
    monkeypatch.setattr(outages, "MAX_DELAY", 0.05)


async def run(
    tmp_path: Path, port: int, *, limit: float = 30, resume: bool = False, **more: Any
) -> RunResult:
    path = tmp_path / "sums.py"
    path.write_text(BENCH % {"size": 60})
    service = {
        "type": "api",
        "url": f"http://127.0.0.1:{port}/v1",
        "protocol": "chat_completions",
        "model": "m",
        "proxy": {"max_outage": limit},
    }
    document = {
        "services": {"model": service},
        "benchmarks": [{"name": str(path), "max_concurrent": 4, **more}],
        "output": {"dir": str(tmp_path / "run"), "report": []},
    }
    return await evaluate_async(document, resume=resume)


def errored(tmp_path: Path) -> list[Errored]:
    found = events(tmp_path / "run/sums/journal.jsonl")
    return [event for event in found if isinstance(event, Errored)]


async def gone_after(port: int, answers: int) -> Loopback:
    """A server that stops listening after so many answers."""
    server = Loopback(latency=0.002)

    def script(call: Any) -> Any:
        if len(server.calls) == answers:
            asyncio.get_running_loop().create_task(server.stop())
        return answer(call)

    server.script(script)
    await server.start(port)
    return server


async def test_a_run_goes_on_by_itself_and_burns_no_rollout(
    tmp_path: Path, quick: None, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    first = await gone_after(port, 20)
    back = Loopback()
    with caplog.at_level(logging.WARNING, "nemo_evaluator"):
        running = asyncio.create_task(run(tmp_path, port, timeout=1.5, max_system_retries=1))
        while len(first.calls) < 20:
            await asyncio.sleep(0.01)
        await asyncio.sleep(1.0)
        await back.start(port)
        result = await running
    await back.stop()
    assert result.exit_code == 0 and errored(tmp_path) == []
    assert len(first.calls) + len(back.calls) < 70, "what was answered was asked again"
    said = [record.getMessage() for record in caplog.records]
    assert any(
        "endpoint unreachable since" in text and "(Connection refused)" in text for text in said
    )
    assert any("answers again after" in text for text in said)
    assert len(said) == 2


async def test_one_that_stays_away_ends_the_run_and_leaves_the_rest_open(
    tmp_path: Path, quick: None
) -> None:
    port = free_port()
    first = await gone_after(port, 20)
    result = await run(tmp_path, port, limit=0.5)
    assert result.exit_code == 3 and "endpoint unreachable since" in result.messages[0]
    assert "proxy.max_outage" in result.messages[0]
    assert result.summary.benchmarks[0].n_scored >= 16
    assert len(errored(tmp_path)) <= 8, "rollouts were burned that were never asked"
    asked = len(first.calls)
    async with Loopback() as back:
        await back.stop()
        await back.start(port)
        again = await run(tmp_path, port, resume=True)
        assert again.exit_code == 0 and len(back.calls) + asked <= 64


async def test_before_any_answer_nothing_waits(tmp_path: Path, quick: None) -> None:
    found = Outage("m", 10)
    for call in range(20):
        found.failed(REFUSED, call)
    assert not found.down() and not found.waits(0)


def test_refused_connections_stop_every_try_and_failing_calls_new_ones() -> None:
    now = 100.0
    found = Outage("m", 60, clock=lambda: now)
    found.answered()
    found.failed(REFUSED, 1)
    found.failed(REFUSED, 1)
    assert not found.down()
    found.failed(REFUSED, 1)
    assert found.waits(0) and found.waits(5) and "unreachable since" in found.text()
    found.answered()
    assert not found.down() and found.text() == ""
    for call in range(5):
        found.failed(BROKEN, call)
    assert not found.down(), "it may be a moment"
    now += 11
    found.failed(BROKEN, 2)
    assert found.waits(0) and not found.waits(1) and "failing since" in found.text()
    now += 60
    assert found.over


def test_one_call_that_always_fails_is_no_outage() -> None:
    now = 100.0
    found = Outage("m", 60, clock=lambda: now)
    found.answered()
    for _ in range(20):
        found.failed(BROKEN, 7)
        now += 10
    assert not found.down()


async def test_only_one_tries_while_the_others_wait(quick: None) -> None:
    found = Outage("m", 60)
    found.answered()
    for _ in range(3):
        found.failed(REFUSED, 1)
    waiting = [asyncio.create_task(found.turn()) for _ in range(5)]
    await asyncio.sleep(0.1)
    assert [task.done() for task in waiting].count(True) == 1
    found.answered()
    found.done()
    assert sorted(await asyncio.gather(*waiting)) == [False] * 4 + [True]


@pytest.mark.slow
async def test_a_server_that_answers_with_errors_only_burns_few(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "FAILING_SECONDS", 0.05)
    monkeypatch.setattr(outages, "MAX_FAILING_DELAY", 0.05)
    monkeypatch.setattr(retry, "BASE_SECONDS", 0.05)
    async with Loopback() as server:
        bad = 0

        def script(call: Any) -> Any:
            nonlocal bad
            if len(server.calls) >= 20 and bad < 60:
                bad += 1
                return FAULTS["overloaded"](call)
            return answer(call)

        server.script(script)
        port = int(server.url.split(":")[2].split("/")[0])
        result = await run(tmp_path, port, max_system_retries=2)
    assert result.exit_code == 0
    assert len({event.problem_idx for event in errored(tmp_path)}) <= 12

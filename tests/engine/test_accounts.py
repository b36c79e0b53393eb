"""Money in is money accounted: whatever becomes of an attempt, its calls count."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loopback import Loopback
from runs import BENCH

from nemo_evaluator import evaluate_async
from nemo_evaluator.engine.accounts import NOTHING, Spent, accounted
from nemo_evaluator.executors.local import RunResult
from nemo_evaluator.results.journal import Errored, events
from nemo_evaluator.types import Solution, Usage

AGENT = """
import asyncio

from nemo_evaluator.errors import InfraError, ModelError
from nemo_evaluator.types import Solution


class Agent:
    def __init__(self, how, calls=5):
        self.how, self.calls = how, calls

    async def solve(self, problem, tools):
        for _ in range(self.calls):
            last = await tools.model.generate(prompt=problem.prompt, context=tools.context)
        if self.how == "infra":
            raise InfraError("the sandbox is gone")
        if self.how == "bug":
            raise TypeError("no such tool")
        if self.how == "model":
            raise ModelError("the conversation became too long")
        if self.how == "hang":
            await asyncio.sleep(60)
        if self.how == "last":  # what a careless agent reports
            return Solution(response=last.text, usage=last.usage)
        return Solution(response=last.text)

    def identity(self):
        return {"how": self.how}

    async def close(self):
        pass
"""
QUICK = {"timeout": 0.3, "max_system_retries": 1}


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "spending_agent.py").write_text(AGENT)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("spending_agent", None)


async def run(
    tmp_path: Path, url: str, how: str, *, resume: bool = False, size: int = 4, **more: Any
) -> RunResult:
    path = tmp_path / "sums.py"
    path.write_text(BENCH % {"size": size})
    solver = {
        "type": "custom",
        "service": "model",
        "class_path": "spending_agent:Agent",
        "config": {"how": how},
    }
    entry = {"name": str(path), "solver": solver, "max_concurrent": 2, **more.pop("benchmark", {})}
    service = {
        "type": "api",
        "url": url,
        "protocol": "chat_completions",
        "model": "m",
        "price": {"prompt": 1e3, "completion": 1e3},
    }
    document = {
        "services": {"model": service},
        "benchmarks": [entry],
        "output": {"dir": str(tmp_path / "run"), "report": []},
        **more,
    }
    return await evaluate_async(document, resume=resume)


def paid(tmp_path: Path) -> int:
    """Tokens of all calls in the traffic log."""
    lines = (tmp_path / "run/sums/model_traffic.jsonl").read_text().splitlines()
    usages = [json.loads(line).get("usage") or {} for line in lines]
    return sum((u.get("prompt_tokens") or 0) + (u.get("completion_tokens") or 0) for u in usages)


def accounts(tmp_path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tmp_path / "run/run.json").read_text())["accounts"]
    return found


def asked(loopback: Loopback) -> int:
    """Tokens of all answers of the server."""
    total = 0
    for call in loopback.calls:
        total += len(call.prompt) // 4 + 1
    return total


@pytest.mark.parametrize("how", ["infra", "bug", "model", "hang", "last", "well"])
async def test_every_attempt_is_accounted(
    tmp_path: Path, loopback: Loopback, agent: None, how: str
) -> None:
    benchmark = {"max_system_retries": 2, "timeout": 0.5 if how == "hang" else 60}
    result = await run(tmp_path, loopback.url, how, benchmark=benchmark)
    spent = paid(tmp_path)
    assert spent > 0 and asked(loopback) == accounts(tmp_path)["prompt_tokens"]
    found = accounts(tmp_path)
    assert found["prompt_tokens"] + found["completion_tokens"] == spent
    assert found["cost_usd"] == pytest.approx(spent / 1e3)
    assert result.summary.accounts.prompt_tokens == found["prompt_tokens"]
    attempts = len(loopback.calls) // 5
    assert found["retries"] == attempts - min(attempts, 4)


async def test_failing_attempts_stop_at_the_budget(
    tmp_path: Path, loopback: Loopback, agent: None
) -> None:
    benchmark = {"max_system_retries": 3}
    budget = {"tokens": 600}
    first = await run(tmp_path, loopback.url, "infra", size=20, benchmark=benchmark, budget=budget)
    assert first.exit_code == 3 and "budget of 600 tokens is used up" in first.messages[0]
    assert paid(tmp_path) < 900
    asked_before = len(loopback.calls)
    again = await run(
        tmp_path,
        loopback.url,
        "infra",
        size=20,
        benchmark=benchmark,
        budget=budget,
        resume=True,
    )
    assert again.exit_code == 3
    assert len(loopback.calls) == asked_before, "what failed before counts against the budget"
    assert accounts(tmp_path)["prompt_tokens"] == asked(loopback)


async def test_the_journal_tells_what_a_failed_attempt_used(
    tmp_path: Path, loopback: Loopback, agent: None
) -> None:
    await run(tmp_path, loopback.url, "infra", size=1, benchmark={"max_system_retries": 1})
    [event] = [e for e in events(tmp_path / "run/sums/journal.jsonl") if isinstance(e, Errored)]
    assert (event.calls, event.tries) == (5, 5) and event.usage.total_tokens == paid(tmp_path)


def test_a_solver_may_know_of_more_than_passed_the_pipeline() -> None:
    usage = Usage(prompt_tokens=100, completion_tokens=1)
    own = Solution(response="", usage=usage, cost_usd=2.0)
    seen = Spent(Usage(prompt_tokens=40, completion_tokens=1), 1.0, calls=2, tries=3)
    kept = accounted(own, seen)
    assert (kept.usage, kept.cost_usd, kept.calls, kept.tries) == (usage, 2.0, 2, 3)
    assert accounted(own, NOTHING) is own


async def test_what_was_paid_before_a_stop_is_accounted(
    tmp_path: Path, loopback: Loopback, agent: None
) -> None:
    running = asyncio.create_task(run(tmp_path, loopback.url, "hang", size=1))
    while len(loopback.calls) < 5:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    [event] = [e for e in events(tmp_path / "run/sums/journal.jsonl") if isinstance(e, Errored)]
    assert event.calls == 5 and event.usage.prompt_tokens == asked(loopback)
    assert "stopped before the attempt was over" in event.error.message
    again = await run(tmp_path, loopback.url, "hang", size=1, resume=True, benchmark=QUICK)
    assert again.summary.accounts.prompt_tokens == asked(loopback)


async def test_a_solver_that_only_raises_is_given_up_with_its_line(
    tmp_path: Path, loopback: Loopback, agent: None
) -> None:
    result = await run(tmp_path, loopback.url, "bug", size=40)
    assert result.exit_code == 2 and len(loopback.calls) <= 40
    [text] = result.messages
    assert "the solver fails on every problem: TypeError: no such tool" in text
    assert "spending_agent.py:" in text and "fix the solver first" in text
    assert accounts(tmp_path)["prompt_tokens"] == asked(loopback)

"""A foreign agent (the openai SDK in a custom solver) reaches the model through the run's own
pipeline: counted, limited and logged like any other call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from loopback import Loopback
from openai import AsyncOpenAI, RateLimitError
from runs import BENCH, rows

from nemo_evaluator import evaluate_async
from nemo_evaluator.errors import BudgetExceeded
from nemo_evaluator.solvers.contract import SolveTools
from nemo_evaluator.types import Json, Problem, Solution


class Agent:
    """Asks three times over HTTP; is content with what it has when it is told to stop."""

    model = "m"

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        answer = ""
        url = await tools.base_url()
        async with AsyncOpenAI(base_url=url, api_key="none") as client:
            for _ in range(3):
                try:
                    reply = await client.chat.completions.create(
                        model=self.model, messages=[{"role": "user", "content": problem.prompt}]
                    )
                except RateLimitError as error:
                    assert error.code == "session_budget_exhausted"
                    break
                answer = reply.choices[0].message.content or ""
        return Solution(response=answer)

    def identity(self) -> Mapping[str, Json]:
        return {"type": "agent"}

    async def close(self) -> None:
        pass


class Ambitious(Agent):
    """Asks for a model that is not the run's."""

    model = "a-larger-model"


class Tireless(Agent):
    """Asks again and again, and returns what it has when its budget is used up."""

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        assert tools.model is not None
        for _ in range(200):
            try:
                said = await tools.model.generate(prompt=problem.prompt, context=tools.context)
            except BudgetExceeded as error:
                return Solution(response="as far as it came", ended_by=error.limit)
        return Solution.of(said)


def document(tmp_path: Path, url: str, turns: int, agent: str = "Agent") -> dict[str, Any]:
    path = tmp_path / "sums.py"
    path.write_text(BENCH % {"size": 4})
    return {
        "services": {
            "model": {
                "type": "api",
                "url": url,
                "protocol": "chat_completions",
                "model": "m",
                "price": {"prompt": 1, "completion": 1},
                "proxy": {
                    "interceptors": [{"name": "turn_counter", "config": {"max_turns": turns}}]
                },
            }
        },
        "solver": {"type": "custom", "service": "model", "class_path": f"{__name__}:{agent}"},
        "benchmarks": [{"name": str(path)}],
        "output": {"dir": str(tmp_path / "run"), "report": []},
    }


async def test_all_its_calls_are_the_rollouts(tmp_path: Path, loopback: Loopback) -> None:
    result = await evaluate_async(document(tmp_path, loopback.url, turns=10))
    assert result.exit_code == 0
    summary = result.summary.benchmarks[0]
    assert len(loopback.calls) == 12
    log = (tmp_path / "run/sums/model_traffic.jsonl").read_text().splitlines()
    calls = [json.loads(line) for line in log]
    assert sorted((call["problem_idx"], call["repeat"]) for call in calls) == sorted(
        (idx, 0) for idx in range(4) for _ in range(3)
    )
    tokens = sum(call["usage"]["total_tokens"] for call in calls)
    assert summary.runtime.total_tokens == tokens > 0
    assert summary.runtime.cost_usd is not None


async def test_out_of_turns_is_a_graceful_end(tmp_path: Path, loopback: Loopback) -> None:
    result = await evaluate_async(document(tmp_path, loopback.url, turns=2))
    assert result.exit_code == 0
    assert len(loopback.calls) == 8  # the refused third turns never went upstream, once or more
    assert all(row["outcome"] == "scored" for row in rows(tmp_path / "run/sums"))


class OnceAgent(Agent):
    """Asks once over HTTP."""

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        endpoint = await tools.door()
        async with AsyncOpenAI(base_url=endpoint.openai_url, api_key=endpoint.token) as client:
            reply = await client.chat.completions.create(
                model=endpoint.model, messages=[{"role": "user", "content": problem.prompt}]
            )
        return Solution(response=reply.choices[0].message.content or "")


async def test_waiting_for_a_slot_costs_an_agent_no_time(
    tmp_path: Path, loopback: Loopback
) -> None:
    """Eight agents start at once, one request is admitted at a time: the last waits longer than an
    attempt may take."""
    loopback.latency = 0.3
    config = document(tmp_path, loopback.url, turns=10)
    config["services"]["model"]["proxy"]["max_concurrent_upstream"] = 1
    config["solver"]["class_path"] = f"{__name__}:OnceAgent"
    (tmp_path / "sums.py").write_text(BENCH % {"size": 8})
    config["benchmarks"] = [{"name": str(tmp_path / "sums.py"), "timeout": 1.5}]
    result = await evaluate_async(config)
    assert result.exit_code == 0 and len(loopback.calls) == 8
    assert all(row["outcome"] == "scored" for row in rows(tmp_path / "run/sums"))


async def test_an_agent_cannot_ask_another_model(
    tmp_path: Path, loopback: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    result = await evaluate_async(document(tmp_path, loopback.url, 10, "Ambitious"))
    assert result.exit_code == 0
    assert {call.body["model"] for call in loopback.calls} == {"m"}
    told = [record.message for record in caplog.records if "a-larger-model" in record.message]
    assert len(told) == 1 and "its calls go to 'm'" in told[0]


@pytest.mark.parametrize(
    ("budget", "limit"), [({"usd": 0.001}, "cost"), ({"tokens": 1000}, "tokens")]
)
async def test_the_budget_of_a_run_ends_agents_that_are_in_flight(
    tmp_path: Path, loopback: Loopback, budget: dict[str, float], limit: str
) -> None:
    """Four agents at once, each of which would use several times the budget by itself."""
    given = document(tmp_path, loopback.url, 1000, "Tireless")
    result = await evaluate_async({**given, "budget": budget})
    found = rows(tmp_path / "run/sums")
    assert {row["ended_by"] for row in found} == {limit}, "what they have is verified"
    used = result.summary.benchmarks[0].runtime.total_tokens
    one_call = used / len(loopback.calls)
    assert 1000 <= used <= 1000 + len(found) * one_call, "a call of each at most"

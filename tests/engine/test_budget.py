"""The budget of a run: met, not overrun; forecast; resumed with a higher limit."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from loopback import Call, Loopback, Reply, answer, json_reply
from observing import Said
from runs import BENCH, rows
from virtual import run_virtually

from nemo_evaluator import evaluate_async
from nemo_evaluator.config.budget import BudgetConfig
from nemo_evaluator.config.load import parse
from nemo_evaluator.engine.accounts import Spent
from nemo_evaluator.engine.budget import RunBudget, total_interval
from nemo_evaluator.engine.control import Control
from nemo_evaluator.executors.local import Options, RunResult
from nemo_evaluator.executors.local import run as run_locally
from nemo_evaluator.stats.student import t_quantile
from nemo_evaluator.types import RolloutKey, Usage


def document(tmp_path: Path, url: str, **more: Any) -> dict[str, Any]:
    path = tmp_path / "sums.py"
    path.write_text(BENCH % {"size": 60})
    service = {
        "type": "api",
        "url": url,
        "protocol": "chat_completions",
        "model": "m",
        "price": {"prompt": 1e3, "completion": 1e3},
        **more.pop("service", {}),
    }
    return {
        "services": {"model": service},
        "benchmarks": [{"name": str(path), "max_concurrent": 8}],
        "output": {"dir": str(tmp_path / "run"), "report": []},
        **more,
    }


async def per_call(tmp_path: Path, loopback: Loopback) -> int:
    """Tokens of one rollout."""
    config = document(tmp_path, loopback.url)
    config["benchmarks"][0]["max_problems"] = 1
    config["output"]["dir"] = str(tmp_path / "one")
    result = await evaluate_async(config)
    return result.summary.benchmarks[0].runtime.total_tokens


async def test_a_budget_of_tokens_is_met_and_raised(tmp_path: Path, loopback: Loopback) -> None:
    each = await per_call(tmp_path, loopback)
    said = Said()
    config = document(tmp_path, loopback.url, budget={"tokens": 40 * each})
    result = await run_locally(parse(config), Options(observers=(said,)))
    assert result.exit_code == 3
    used = result.summary.benchmarks[0].runtime.total_tokens
    assert 36 * each <= used <= 41 * each
    assert f"the budget of {40 * each:,} tokens is used up (used: " in result.messages[0]
    assert "raise it and repeat the command with --resume" in result.messages[0]
    [forecast] = [line for line in said.texts if line.startswith("forecast")]
    assert "forecast for sums, from 20 rollouts: about" in forecast
    assert f"the budget of {40 * each:,} tokens is enough for about 6" in forecast
    assert all(row["outcome"] in ("scored", "unscored") for row in rows(tmp_path / "run/sums"))

    config["budget"] = {"tokens": 1000 * each}
    again = await evaluate_async(config, resume=True)
    assert again.exit_code == 0
    assert again.summary.benchmarks[0].n_scored == 60


@pytest.mark.parametrize(
    ("budget", "told"),
    [
        ({"tokens": 5}, "no answer said how many tokens it took: the budget of 5 tokens limits"),
        ({"usd": 0.01}, "no answer has a cost (a service needs its price): the budget of 0.01 USD"),
    ],
)
async def test_a_budget_that_nothing_can_be_held_against_is_told(
    tmp_path: Path, loopback: Loopback, budget: dict[str, float], told: str
) -> None:
    def unmeasured(call: Call) -> Reply:
        return json_reply({**json.loads(answer(call).body), "usage": None})

    loopback.script(unmeasured)
    said = Said()
    config = document(tmp_path, loopback.url, budget=budget)
    result = await run_locally(parse(config), Options(observers=(said,)))
    assert result.exit_code == 0 and result.summary.benchmarks[0].n_scored == 60
    [forecast] = [line for line in said.texts if line.startswith("forecast")]
    assert forecast.startswith("forecast for sums, from 20 rollouts: nothing is known; ")
    assert told in forecast


async def test_what_was_used_before_counts(tmp_path: Path, loopback: Loopback) -> None:
    each = await per_call(tmp_path, loopback)
    config = document(tmp_path, loopback.url, budget={"usd": 30 * each * 1e-3})
    first = await evaluate_async(config)
    asked = len(loopback.calls)
    second = await evaluate_async(config, resume=True)
    assert first.exit_code == second.exit_code == 3
    assert len(loopback.calls) - asked <= 1


def test_a_budget_of_hours_stops_the_run() -> None:
    async def scenario() -> None:
        control = Control()
        budget = RunBudget(BudgetConfig(hours=1.5), control, lambda _: None)
        budget.start()
        await asyncio.sleep(1.4 * 3600)
        assert await budget.admit() and not control.stopping
        budget.release()
        await asyncio.sleep(0.2 * 3600)
        assert control.stopped == "the budget of 1.5 hours is used up"
        assert not await budget.admit()
        budget.stop()

    run_virtually(scenario())


async def test_a_run_out_of_time_stays_open(tmp_path: Path, loopback: Loopback) -> None:
    loopback.latency = 0.05
    result: RunResult = await evaluate_async(
        document(tmp_path, loopback.url, budget={"hours": 0.1 / 3600})
    )
    assert result.exit_code == 3 and "hours is used up" in result.messages[0]


async def test_the_interceptor_ends_the_run_too(tmp_path: Path, loopback: Loopback) -> None:
    each = await per_call(tmp_path, loopback)
    step = {"name": "budget", "config": {"run": {"tokens": 20 * each}}}
    config = document(tmp_path, loopback.url, service={"proxy": {"interceptors": [step]}})
    result = await evaluate_async(config)
    assert result.exit_code == 3
    assert "the budget of the run is used up" in result.messages[0]
    outcomes = {row["outcome"] for row in rows(tmp_path / "run/sums")}
    assert outcomes <= {"scored", "unscored"}


def test_total_interval_reproduces_its_example() -> None:
    low, mean, high = total_interval([10.0, 12.0, 14.0], 30)
    assert mean == 360
    half = 30 * t_quantile(0.975, 2) * 2 / 3**0.5 * (27 / 29) ** 0.5
    assert high - mean == pytest.approx(half) and mean - low == pytest.approx(half)
    assert half == pytest.approx(143.8, abs=0.05)
    low, mean, high = total_interval([1.0, 3.0], 2)
    assert (low, mean, high) == (4, 4, 4)


def test_the_pilot_is_what_was_begun_first() -> None:
    said: list[str] = []
    budget = RunBudget(BudgetConfig(tokens=10), Control(), said.append)
    pilot = budget.pilot("b", 100)
    assert pilot is not None
    keys = [RolloutKey(number, 0) for number in range(30)]
    for key in keys:
        pilot.begin(key)
    for key in reversed(keys):
        spent = Spent(Usage(prompt_tokens=5, completion_tokens=5), None, calls=1, tries=1)
        budget.attempted(spent)
        pilot.attempted(key, spent)
        pilot.end(key)
        assert bool(said) == (key.problem_idx == 0)
    assert "about 1,000 tokens [1,000 tokens, 1,000 tokens]" in said[0]
    assert budget.pilot("small", 20) is None


async def test_budget_flags(tmp_path: Path, loopback: Loopback) -> None:
    config = document(tmp_path, loopback.url)
    result = await evaluate_async(config, budget_tokens=1)
    assert result.exit_code == 3
    saved = (tmp_path / "run/config.yaml").read_text()
    assert "tokens: 1" in saved
    run = json.loads((tmp_path / "run/run.json").read_text())
    assert run["status"] == "incomplete"

"""Code of the user can fail its rollouts; it ends no run, and loses nothing that was paid for."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loopback import Loopback
from runs import BENCH, rows

from nemo_evaluator import evaluate_async
from nemo_evaluator.engine.failures import checked
from nemo_evaluator.environments.user_code import contained
from nemo_evaluator.executors.local import RunResult
from nemo_evaluator.results.journal import Errored, Solved, encode, events
from nemo_evaluator.types import Solution

AGENT = """
import asyncio
import sys

from nemo_evaluator.types import Solution


class Agent:
    async def solve(self, problem, tools):
        answer = await tools.model.generate(prompt=problem.prompt, context=tools.context)
        if problem.idx == 1:
            {odd}
        return Solution(response=answer.text)

    def identity(self):
        return {{}}

    async def close(self):
        {close}
"""
SIZE = 4


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("odd_agent", None)


async def run(
    tmp_path: Path, url: str, odd: str = "pass", *, close: str = "pass", score: str = "pass"
) -> RunResult:
    (tmp_path / "odd_agent.py").write_text(AGENT.format(odd=odd, close=close))
    (tmp_path / "sums.py").write_text(
        "import asyncio, sys\n"
        + (BENCH % {"size": SIZE}).replace(
            "    return numeric_match",
            f"    if sample.metadata['a'] == 1: {score}\n    return numeric_match",
        )
    )
    solver = {"type": "custom", "service": "model", "class_path": "odd_agent:Agent"}
    entry = {"name": str(tmp_path / "sums.py"), "solver": solver, "max_system_retries": 1}
    service = {"type": "api", "url": url, "protocol": "chat_completions", "model": "m"}
    document: dict[str, Any] = {
        "services": {"model": service},
        "benchmarks": [entry],
        "output": {"dir": str(tmp_path / "run"), "report": []},
    }
    return await evaluate_async(document)


def journal(tmp_path: Path) -> list[Any]:
    return list(events(tmp_path / "run/sums/journal.jsonl"))


@pytest.mark.parametrize(
    ("odd", "told"),
    [
        ("sys.exit(1)", "the solver raised SystemExit(1)"),
        ("raise asyncio.CancelledError", "the solver raised CancelledError()"),
        ("raise BaseException('b')", "the solver raised BaseException('b')"),
        ("return None", "a solver returns a Solution, not None"),
        ("return 'The answer is 1'", "a solver returns a Solution, not 'The answer is 1'"),
        ("return Solution(response=5)", "Expected `str`, got `int` - at `$.response`"),
        ("raise KeyError", "KeyError (odd_agent.py"),
    ],
)
async def test_a_solver_fails_its_own_rollout(
    tmp_path: Path, loopback: Loopback, odd: str, told: str
) -> None:
    result = await run(tmp_path, loopback.url, odd)
    [benchmark] = result.summary.benchmarks
    assert (result.exit_code, benchmark.n_scored) == (3, SIZE - 1)
    [event] = [event for event in journal(tmp_path) if isinstance(event, Errored)]
    message = event.error.message.replace(f"{tmp_path}/", "")
    assert told in message and event.calls == 1
    if "raise" in odd or "exit" in odd:
        assert "odd_agent.py" in message
    assert "engine/" not in message, "the place is the user's, or none"


@pytest.mark.parametrize("score", ["sys.exit(1)", "raise asyncio.CancelledError"])
async def test_a_scorer_fails_its_own_verdict(
    tmp_path: Path, loopback: Loopback, score: str
) -> None:
    result = await run(tmp_path, loopback.url, score=score)
    [benchmark] = result.summary.benchmarks
    assert (result.exit_code, benchmark.n_scored) == (3, SIZE - 1)
    [event] = [event for event in journal(tmp_path) if isinstance(event, Errored)]
    assert "the scorer raised" in event.error.message and "sums.py" in event.error.message
    assert sum(isinstance(event, Solved) for event in journal(tmp_path)) == SIZE


@pytest.mark.parametrize(
    "score",
    [
        "d = {'reward': 1.0}; d['itself'] = d; return d",
        "return {'reward': 1.0, 'odd': type('Odd', (), {'__str__': lambda self: 1 / 0})()}",
    ],
)
async def test_a_verdict_that_cannot_be_written_is_a_failure_of_the_scorer(
    tmp_path: Path, loopback: Loopback, score: str, caplog: pytest.LogCaptureFixture
) -> None:
    result = await run(tmp_path, loopback.url, score=score)
    [benchmark] = result.summary.benchmarks
    assert (result.exit_code, benchmark.n_scored) == (3, SIZE - 1)
    [event] = [event for event in journal(tmp_path) if isinstance(event, Errored)]
    assert event.error.message.startswith("what the scorer returned cannot be written as JSON")
    assert "never retrieved" not in caplog.text


@pytest.mark.parametrize(
    ("score", "place"),
    [("return 'yes'", ""), ("numeric_match(None)", "/sums.py:"), ("1 / 0", "/sums.py:")],
)
async def test_the_place_of_a_scorers_error_is_in_its_own_code(
    tmp_path: Path, loopback: Loopback, score: str, place: str
) -> None:
    """Not where we refuse what it returned, nor in a function of ours that it called."""
    await run(tmp_path, loopback.url, score=score)
    [event] = [event for event in journal(tmp_path) if isinstance(event, Errored)]
    assert event.error.message.count(".py:") == bool(place) and place in event.error.message


async def test_a_solver_that_cannot_be_closed_costs_no_results(
    tmp_path: Path, loopback: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    result = await run(tmp_path, loopback.url, close="raise RuntimeError('still busy')")
    assert result.exit_code == 0 and len(rows(tmp_path / "run/sums")) == SIZE
    assert "the solver could not be closed: RuntimeError: still busy" in caplog.text


@pytest.mark.parametrize(
    ("text", "kept"), [("a\\ud800b", "a\ufffdb"), ("\\ud83d\\ude00", "\U0001f600")]
)
async def test_halves_of_characters_cost_no_answer(
    tmp_path: Path, loopback: Loopback, text: str, kept: str
) -> None:
    odd = f"return Solution(response='{text}')"
    score = f"return {{'reward': 1.0, 'note': {{'{text}': ['{text}']}}}}"
    result = await run(tmp_path, loopback.url, odd, score=score)
    assert result.exit_code == 0
    row = rows(tmp_path / "run/sums")[1]
    assert row["model_response"] == kept and row["scoring_details"]["note"] == {kept: [kept]}


async def test_a_real_cancellation_passes() -> None:
    async def wait() -> None:
        with contained("the solver"):
            await asyncio.sleep(60)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_what_is_checked_can_be_read_again() -> None:
    solution = Solution(response="x", details={"a": object()}, trajectory=({"b": {1, 2}},))
    assert checked(solution) is solution and encode(
        Solved(problem_idx=0, repeat=0, attempt=1, at=0.0, solution=solution)
    )

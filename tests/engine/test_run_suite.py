"""Several benchmarks in one run: they share their services, and each ends by itself.

Counts and order only, no times: the endpoint holds answers back until the test lets them go.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from loopback import FAULTS, Call, Loopback, Reply, after_calls, answer
from observing import Said
from runs import NEL, rows

from nemo_evaluator.config.load import parse
from nemo_evaluator.engine import run as engine
from nemo_evaluator.executors.local import RunResult, run
from nemo_evaluator.executors.options import Options
from nemo_evaluator.results.journal import Scored, events

pytestmark = pytest.mark.usefixtures("quick_retries")

BENCH = """
from nemo_evaluator import ScorerInput, benchmark, numeric_match, scorer

ROWS = [{"i": i, "target": i} for i in range(%(size)d)]


@benchmark(name="%(name)s", dataset=ROWS, prompt="%(name)s {i}")
@scorer
def bench(sample: ScorerInput) -> dict:
    %(body)s
"""
GRADED = "return numeric_match(sample)"
SECONDS = 20
"""Nothing here waits for time; without this, a suite that never goes on would."""


class Suite:
    """A configuration of benchmarks against one endpoint."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.directory = folder, folder / "run"
        self.said = Said()
        self.document: dict[str, Any] = {
            "services": {"model": self.service(url)},
            "benchmarks": [],
            "output": {"dir": str(self.directory), "report": ["json"]},
        }

    @staticmethod
    def service(url: str) -> dict[str, Any]:
        return {"type": "api", "url": url, "protocol": "chat_completions", "model": "m"}

    def add(self, name: str, size: int, *, body: str = GRADED, **settings: Any) -> None:
        path = self.folder / f"{name}.py"
        path.write_text(BENCH % {"name": name, "size": size, "body": body})
        self.document["benchmarks"].append({"name": str(path), **settings})

    def shown(self, name: str) -> bool:
        """Whether the user has seen the result of a benchmark."""
        return any(text.startswith(f"{name} has ended") for text in self.said.texts)

    async def run(self, *, resume: bool = False) -> RunResult:
        options = Options(resume=resume, observers=(self.said,))
        return await asyncio.wait_for(run(parse(self.document), options), SECONDS)


@pytest.fixture
def suite(tmp_path: Path, loopback: Loopback) -> Suite:
    return Suite(tmp_path, loopback.url)


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.01)


def held(*prompts: str) -> tuple[Callable[[Call], Reply], asyncio.Event]:
    """A script that holds back the answers to some prompts (to all, if none is named), and what
    lets them go."""
    go = asyncio.Event()

    def script(call: Call) -> Reply:
        reply = answer(call)
        if not prompts or call.prompt in prompts:
            reply.after = go
        return reply

    return script, go


def asked(loopback: Loopback) -> list[str]:
    """The benchmarks of the calls, as they came."""
    return [call.prompt.split()[0] for call in loopback.calls]


async def test_the_next_benchmarks_fill_what_a_slow_answer_leaves_free(
    suite: Suite, loopback: Loopback
) -> None:
    for name in ("a", "b", "c"):
        suite.add(name, 12, max_concurrent=4)
    script, go = held("a 11")
    loopback.script(script)
    going = asyncio.create_task(suite.run())
    await until(lambda: sum(loopback.answered.values()) == 36)
    for name in ("b", "c"):  # derived, reported and shown while the first one is still open
        await until(partial(suite.shown, name))
        assert len(rows(suite.directory / name)) == 12
        assert list((suite.directory / name).glob("eval-*.json"))
    assert not (suite.directory / "a" / "results.jsonl").exists()
    report = json.loads((suite.directory / "report.json").read_text())
    assert "b" in json.dumps(report)
    assert not going.done()
    go.set()
    result = await going
    assert result.exit_code == 0
    assert [b.slug for b in result.summary.benchmarks] == ["a", "b", "c"]
    assert [b.n_scored for b in result.summary.benchmarks] == [12, 12, 12]
    assert loopback.peak <= 4


async def test_the_configured_order_is_kept(suite: Suite, loopback: Loopback) -> None:
    for name in ("a", "b", "c"):
        suite.add(name, 3, max_concurrent=4)
    script, go = held()
    loopback.script(script)
    going = asyncio.create_task(suite.run())
    await until(lambda: loopback.in_flight == 4)
    await asyncio.sleep(0.05)
    assert asked(loopback) == ["a", "a", "a", "b"]
    go.set()
    assert (await going).exit_code == 0
    assert asked(loopback) == ["a"] * 3 + ["b"] * 3 + ["c"] * 3


async def test_a_benchmark_keeps_its_own_limit_beside_a_wider_one(
    suite: Suite, loopback: Loopback
) -> None:
    suite.add("narrow", 20, max_concurrent=2)
    suite.add("wide", 20, max_concurrent=8)
    script, go = held()
    loopback.script(script)
    going = asyncio.create_task(suite.run())
    await until(lambda: loopback.in_flight == 8)
    await asyncio.sleep(0.05)
    assert Counter(asked(loopback)) == {"narrow": 2, "wide": 6}
    go.set()
    assert (await going).exit_code == 0
    assert loopback.peak == 8


async def test_services_are_used_at_the_same_time(suite: Suite, loopback: Loopback) -> None:
    script, go = held()
    loopback.script(script)
    async with Loopback() as other:
        suite.document["services"]["other"] = suite.service(other.url)
        suite.add("a", 5, solver={"type": "simple", "service": "model"})
        suite.add("b", 5, solver={"type": "simple", "service": "other"})
        going = asyncio.create_task(suite.run())
        await until(lambda: sum(other.answered.values()) == 5)
        go.set()
        assert (await going).exit_code == 0


async def test_a_bounded_number_of_benchmarks_is_open(
    suite: Suite, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "OPEN_AT_ONCE", 3)
    for number in range(7):
        suite.add(f"b{number}", 2, max_concurrent=8)
    script, go = held()
    loopback.script(script)
    going = asyncio.create_task(suite.run())
    await until(lambda: loopback.in_flight == 6)
    await asyncio.sleep(0.05)
    assert set(asked(loopback)) == {"b0", "b1", "b2"}
    assert len(list(suite.directory.glob("*/journal.jsonl"))) == 3
    go.set()
    result = await going
    assert [b.n_scored for b in result.summary.benchmarks] == [2] * 7


async def test_a_broken_benchmark_beside_others(suite: Suite, loopback: Loopback) -> None:
    """Its workers wait for places that a slow one holds; it ends at once all the same."""
    suite.add("slow", 2, max_concurrent=2)
    suite.add("broken", 40, body="return {}", max_concurrent=2)
    suite.add("good", 6, max_concurrent=2)
    script, go = held("slow 1")
    loopback.script(script)
    going = asyncio.create_task(suite.run())
    await until(lambda: suite.shown("broken") and suite.shown("good"))
    go.set()
    result = await going
    assert result.exit_code == 2 and "needs 'correct' or 'reward'" in result.messages[0]
    assert [b.n_scored for b in result.summary.benchmarks] == [2, 0, 6]


async def test_a_service_that_goes_down_ends_all_that_use_it(
    suite: Suite, loopback: Loopback
) -> None:
    for name in ("a", "b", "c"):
        suite.add(name, 40, max_concurrent=4)
    loopback.script(after_calls(30, FAULTS["unauthorized"]))
    result = await suite.run()
    assert result.exit_code == 3 and loopback.counts.total() < 50
    assert next(text for text in result.messages if "401" in text).startswith("error: a:")
    loopback.script(answer)
    again = await suite.run(resume=True)
    assert [b.n_scored for b in again.summary.benchmarks] == [40, 40, 40]
    assert max(loopback.answered.values()) == 1


async def test_what_one_refuses_is_no_ones_else(suite: Suite, loopback: Loopback) -> None:
    suite.add("a", 8, max_concurrent=4)
    suite.add("refused", 8, max_concurrent=4)
    suite.add("c", 8, max_concurrent=4)

    def script(call: Call) -> Reply:
        refused = call.prompt.startswith("refused")
        return FAULTS["bad_request"](call) if refused else answer(call)

    loopback.script(script)
    result = await suite.run()
    assert result.exit_code == 2 and "refuses every request" in result.messages[0]
    assert [b.n_scored for b in result.summary.benchmarks] == [8, 0, 8]


async def test_a_budget_is_met_by_all_together(suite: Suite, loopback: Loopback) -> None:
    for name in ("a", "b", "c"):
        suite.add(name, 60, max_concurrent=4)
    suite.document["budget"] = {"tokens": 500}
    result = await suite.run()
    assert result.exit_code == 3 and "budget of 500 tokens" in result.messages[0]
    used = result.summary.accounts
    assert 400 <= used.prompt_tokens + used.completion_tokens <= 500
    del suite.document["budget"]
    again = await suite.run(resume=True)
    assert [b.n_scored for b in again.summary.benchmarks] == [60, 60, 60]
    assert max(loopback.answered.values()) == 1


async def test_finished_benchmarks_are_not_opened_again(suite: Suite, loopback: Loopback) -> None:
    suite.add("a", 5)
    suite.add("b", 5)
    assert (await suite.run()).exit_code == 0
    suite.add("c", 5)
    result = await suite.run(resume=True)
    assert [b.n_scored for b in result.summary.benchmarks] == [5, 5, 5]
    assert Counter(asked(loopback)) == {"a": 5, "b": 5, "c": 5}


async def test_a_result_that_cannot_be_written_yet_stops_nothing(
    suite: Suite, loopback: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    suite.add("a", 6, max_concurrent=2)
    suite.add("b", 2, max_concurrent=2)
    first, go = held("a 5")
    last, end = held("b 1")
    loopback.script(lambda call: first(call) if call.prompt.startswith("a") else last(call))
    going = asyncio.create_task(suite.run())
    await until(lambda: loopback.answered["a 5"] > 0)
    obstacle = suite.directory / "a" / "results.jsonl"
    obstacle.mkdir()
    go.set()
    await until(lambda: "a: not derived yet" in caplog.text)
    obstacle.rmdir()
    end.set()
    result = await going
    assert result.exit_code == 0 and len(rows(suite.directory / "a")) == 6


@pytest.mark.slow
async def test_ctrl_c_ends_all_and_resume_completes_them(
    suite: Suite, loopback: Loopback, tmp_path: Path
) -> None:
    for name in ("a", "b", "c"):
        suite.add(name, 30, max_concurrent=8)
    loopback.latency = 0.05
    config = tmp_path / "suite.json"
    config.write_text(json.dumps(suite.document))
    command = [*NEL, "eval", "run", str(config), "--no-progress"]
    process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE)
    await until(lambda: loopback.answered["b 3"] > 0)
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == 130, err
    done = Counter(
        name
        for name in ("a", "b", "c")
        for event in (
            events(suite.directory / name / "journal.jsonl")
            if (suite.directory / name).exists()
            else ()
        )
        if isinstance(event, Scored)
    )
    assert done["a"] and done["b"] and done.total() < 90
    again = await asyncio.create_subprocess_exec(*command, "--resume", stdout=subprocess.PIPE)
    out, _ = await again.communicate()
    assert again.returncode == 0
    assert max(loopback.answered.values()) == 1 and loopback.answered.total() == 90
    assert all(name in out.decode() for name in ("a", "b", "c"))

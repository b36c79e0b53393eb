"""Runs with a solver's endpoint and a judge's, both scripted, both over loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from loopback import Call, Loopback, Reply, text_reply
from runs import rows

from nemo_evaluator import evaluate_async
from nemo_evaluator.executors.local import RunResult

BENCH = """
from nemo_evaluator import ScorerInput, benchmark, numeric_match, scorer
from nemo_evaluator.scoring.judged import Labels, Scale, needs_judge

ROWS = [{"a": i, "target": i %% 50} for i in range(%(size)d)]


@benchmark(name="sums", dataset=ROWS, prompt="How much is {a} modulo 50?")
@scorer
def sums(sample: ScorerInput) -> dict:
    return numeric_match(sample)


@benchmark(name="open", dataset=ROWS, prompt="Tell of {a}.", requirements=["judge"])
@scorer
def left_to_the_judge(sample: ScorerInput) -> dict:
    return needs_judge(sample, threshold=0.6, tone="asked")


@benchmark(name="untargeted", dataset=[{"a": i} for i in range(%(size)d)], prompt="Tell of {a}.",
           requirements=["judge"])
@scorer
def without_a_target(sample: ScorerInput) -> dict:
    return needs_judge(sample)


@benchmark(name="undeclared", dataset=ROWS, prompt="Tell of {a}.")
@scorer
def undeclared(sample: ScorerInput) -> dict:
    return needs_judge(sample)


@benchmark(name="asking", dataset=ROWS, prompt="Tell of {a}.", requirements=["judge"],
           own_rubric=True)
@scorer
async def asking(sample: ScorerInput) -> dict:
    ruling = await sample.judge.ask("Own prompt: " + sample.response, Labels(("good", "bad")))
    return {"correct": ruling.value == "good", "extracted": ruling.value}
"""
Started = Callable[..., Any]


@pytest.fixture(autouse=True)
def failures_are_quick(quick_retries: None) -> None:
    """Judges are asked again at once."""


@pytest.fixture
async def judge() -> AsyncIterator[Loopback]:
    """A judge that gives everything a 4."""
    async with Loopback(says('{"reasoning": "fine", "score": 4}')) as server:
        yield server


def says(text: str) -> Callable[[Call], Reply]:
    """A judge that always says this."""
    return lambda call: text_reply(call, text)


def api(server: Loopback, **more: Any) -> dict[str, Any]:
    return {
        "type": "api",
        "url": server.url,
        "protocol": "chat_completions",
        "model": "m",
        "price": {"prompt": 1.0, "completion": 2.0},
        "proxy": {"max_retries": 0},
        **more,
    }


@pytest.fixture
def run(tmp_path: Path, loopback: Loopback, judge: Loopback) -> Started:
    async def start(
        *metrics: dict[str, Any],
        bench: str = "sums",
        size: int = 4,
        resume: bool = False,
        services: dict[str, Any] | None = None,
        scoring: dict[str, Any] | None = None,
        benchmark: dict[str, Any] | None = None,
        **more: Any,
    ) -> RunResult:
        path = tmp_path / "bench.py"
        path.write_text(BENCH % {"size": size})
        entry = {
            "name": f"{path}:{bench}",
            "solver": {"type": "simple", "service": "model"},
            "scoring": {"metrics": list(metrics), **(scoring or {})},
            "max_system_retries": 1,
            **(benchmark or {}),
        }
        document = {
            "services": {
                "model": api(loopback),
                "judge": api(judge, model="j"),
                **(services or {}),
            },
            "benchmarks": [entry],
            "output": {"dir": str(tmp_path / "run"), "report": []},
            **more,
        }
        return await evaluate_async(document, resume=resume)

    return start


def results(folder: Path) -> list[dict[str, Any]]:
    [path] = (folder / "run").glob("*/results.jsonl")
    return rows(path.parent)

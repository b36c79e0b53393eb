"""One way to run a scorer: the same sample and the same errors wherever it is called from."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from loopback import Loopback, answer, text_reply

from nemo_evaluator import ScorerInput, evaluate_async
from nemo_evaluator.environments.contract import Grading, VerifyTools
from nemo_evaluator.environments.grading import LONG, Grader
from nemo_evaluator.results.journal import Errored, events
from nemo_evaluator.tasks.rescore import rescore
from nemo_evaluator.types import Problem, Solution

TOLERANT = """
from nemo_evaluator import ScorerInput, benchmark, numeric_match, scorer

ROWS = [{"a": i, "target": i} for i in range(10)]


@benchmark(name="tol", dataset=ROWS, prompt="Say {a}", extra={"tolerance": 2})
@scorer
def same(sample: ScorerInput) -> dict:
    near = abs(len(sample.response) - len("The answer is 1")) <= sample.config["tolerance"]
    return {"correct": near and sample.metadata["a"] == sample.target_raw}
"""
REASONED = """
from nemo_evaluator import ScorerInput, benchmark, scorer

ROWS = [{"a": i, "target": i} for i in range(4)]


@benchmark(name="tol", dataset=ROWS, prompt="Say {a}", keep_reasoning=True)
@scorer
def same(sample: ScorerInput) -> dict:
    return {"correct": "<think>" in sample.response}
"""
DECORATED = """
from nemo_evaluator import ScorerInput, benchmark, scorer
from nemo_evaluator.errors import ConfigError, ModelError


@benchmark(name="b", dataset=[{"a": 1, "target": 1}], prompt="Say {a}")
@scorer
def b(sample: ScorerInput) -> dict:
    raise %s("what is asked for is not there")
"""
SUBCLASSED = """
from nemo_evaluator import EvalEnvironment, SeedResult, register
from nemo_evaluator.errors import ConfigError, ModelError


@register("b")
class B(EvalEnvironment):
    async def dataset_size(self):
        return 1

    async def seed(self, idx):
        return SeedResult(prompt="Say 1", expected_answer="1")

    async def verify(self, response, expected, sandbox=None, **metadata):
        raise %s("what is asked for is not there")
"""


async def run(tmp_path: Path, url: str, text: str, **more: Any) -> Path:
    path = tmp_path / "tol.py"
    path.write_text(text)
    service = {"type": "api", "url": url, "protocol": "chat_completions", "model": "m"}
    document = {
        "services": {"model": service},
        "benchmarks": [{"name": str(path), **more}],
        "output": {"dir": str(tmp_path / "run"), "report": []},
    }
    await evaluate_async(document)
    return tmp_path / "run"


@pytest.mark.parametrize("text", [TOLERANT, REASONED])
@pytest.mark.parametrize(
    "more", [{}, {"scoring": {"metrics": [{"type": "scorer", "name": "exact_match"}]}}]
)
async def test_the_same_function_gives_the_same_verdicts_again(
    tmp_path: Path, loopback: Loopback, text: str, more: dict[str, Any]
) -> None:
    loopback.script(lambda call: text_reply(call, "<think>so</think>The answer is 1"))
    directory = await run(tmp_path, loopback.url, text, **more)
    result = await rescore(directory, scorer=f"{tmp_path}/tol.py:same")
    [before], [after] = result.before.benchmarks, result.after.benchmarks
    assert before.score is not None and before.score.value == 1.0
    assert after.score is not None and after.score.value == 1.0
    [flips] = result.flips
    assert (flips.same, len(flips.flips)) == (before.n_rollouts, 0)


@pytest.mark.parametrize("error", ["ConfigError", "ModelError", "KeyError"])
@pytest.mark.parametrize("text", [DECORATED, SUBCLASSED])
async def test_what_a_scorer_raises_is_one_kind(
    tmp_path: Path, loopback: Loopback, text: str, error: str
) -> None:
    loopback.script(answer)
    directory = await run(tmp_path, loopback.url, text % error)
    [event] = [e for e in events(directory / "b/journal.jsonl") if isinstance(e, Errored)]
    assert event.error.kind == "verifier_error" and event.error.phase == "verify"
    assert error in event.error.message and "tol.py:" in event.error.message


async def test_a_long_response_is_never_read_on_the_event_loop() -> None:
    threads: list[str] = []

    def quick(sample: ScorerInput) -> bool:
        threads.append(threading.current_thread().name)
        return True

    grader = Grader(quick, Grading("b"), inline=True)
    for length in (10, LONG + 1):
        problem = Problem(idx=0, prompt="?", target="1")
        await grader.grade(problem, Solution(response="[" * length), VerifyTools())
    assert threads[0] == "MainThread" and threads[1] != "MainThread"

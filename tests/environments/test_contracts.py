"""Every kind of environment and harness of ours keeps its contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from nemo_evaluator.asked import Answer, Request
from nemo_evaluator.compat.environments import BenchmarkEnvironment
from nemo_evaluator.compat.running import EngineEnvironment
from nemo_evaluator.environments.command_harness import open_command
from nemo_evaluator.environments.contract import Environment
from nemo_evaluator.environments.harness import Harness
from nemo_evaluator.environments.harness_environment import open_python
from nemo_evaluator.environments.other_scorer import OtherScorer
from nemo_evaluator.environments.registry import resolve
from nemo_evaluator.environments.with_metrics import Extras, WithMetrics
from nemo_evaluator.scoring.primitives import exact_match
from nemo_evaluator.testing.environments import EnvironmentContract
from nemo_evaluator.testing.harnesses import HarnessContract
from nemo_evaluator.types import RolloutKey

CLASS = """
from nemo_evaluator import EvalEnvironment, SeedResult, VerifyResult, register


@register("mine")
class Mine(EvalEnvironment):
    async def dataset_size(self):
        return 3

    async def seed(self, idx):
        return SeedResult(prompt=f"Say {idx}", expected_answer=str(idx), metadata={"n": idx})

    async def verify(self, response, expected, sandbox=None, **metadata):
        return VerifyResult(reward=float(response == expected))
"""
PROGRAM = """
import json, os
if os.environ["NEL_TASK"] == "run":
    with open(os.environ["NEL_OUT"], "a") as out:
        for line in open(os.environ["NEL_IN"]):
            todo = json.loads(line)
            result = {"id": todo["id"], "repeat": todo["repeat"]}
            result |= {"error": "no"} if todo["id"] == "1" else {"reward": 0.5}
            print(json.dumps(result), file=out, flush=True)
"""
LOOP = """
from nemo_evaluator import Request
from nemo_evaluator.environments.harness import Finished
from nemo_evaluator.types import Score, Solution


class Loop:
    name = "loop"

    async def prepare(self): ...
    async def close(self): ...
    async def aggregate(self, finished):
        return []

    def identity(self):
        return {"version": 1}

    async def plan(self):
        return ["a", "b", "c"]

    async def run(self, todo, tools):
        for key in todo:
            said = await tools.call(key, Request(prompt="say yes"))
            score = Score(reward=float(said.text == "yes"))
            yield Finished(key=key, solution=Solution(response=said.text), score=score)
"""


def sample() -> Environment:
    (found,) = resolve("sample", params={})
    return found


async def prepared(environment: Environment) -> Environment:
    await environment.prepare()
    return environment


class TestWithMetrics(EnvironmentContract):
    @pytest.fixture
    async def environment(self) -> Environment:
        return await prepared(WithMetrics(sample(), Extras({"exact_match": exact_match})))


class TestOtherScorer(EnvironmentContract):
    @pytest.fixture
    async def environment(self) -> Environment:
        return await prepared(OtherScorer(sample(), exact_match))


class TestGivenByPython(EnvironmentContract):
    @pytest.fixture
    async def environment(self) -> Environment:
        return await prepared(EngineEnvironment(BenchmarkEnvironment(sample(), 7)))


class TestClass(EnvironmentContract):
    @pytest.fixture
    async def environment(self, tmp_path: Path) -> Environment:
        (tmp_path / "mine.py").write_text(CLASS)
        (found,) = resolve(str(tmp_path / "mine.py"), params={})
        return await prepared(found)


class TestDerived(EnvironmentContract):
    """One that derives from the contract has a default for what most do not need."""

    @pytest.fixture
    async def environment(self) -> Environment:
        from nemo_evaluator.environments.contract import VerifyTools
        from nemo_evaluator.types import Json, Problem, Score, Solution

        class Least(Environment):
            name = "least"

            async def prepare(self) -> None: ...
            async def close(self) -> None: ...

            async def size(self) -> int:
                return 2

            async def seed(self, idx: int) -> Problem:
                return Problem(idx=idx, prompt=f"{idx}?", target=idx)

            async def verify(
                self, problem: Problem, solution: Solution, tools: VerifyTools
            ) -> Score:
                return Score(reward=float(solution.response == str(problem.target)))

            def identity(self) -> dict[str, Json]:
                return {"version": 1}

        return await prepared(Least())


def program(folder: Path) -> Harness:
    (folder / "program.py").write_text(PROGRAM)
    (harness,) = open_command(f"command://{folder}/program.py", {"samples": 3})
    return harness


class TestCommand(HarnessContract):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Harness:
        return program(tmp_path)


class TestPython(HarnessContract):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Harness:
        (tmp_path / "loop.py").write_text(LOOP)
        (harness,) = open_python(f"python://{tmp_path}/loop.py:Loop", {})
        return harness

    def answer(self, key: RolloutKey, request: Request) -> Answer:
        return Answer(text="yes")

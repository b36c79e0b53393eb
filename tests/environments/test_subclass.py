"""Benchmarks written as classes."""

from __future__ import annotations

from typing import Any

import pytest

from nemo_evaluator import SandboxSpec
from nemo_evaluator.environments.contract import Environment, VerifyTools
from nemo_evaluator.environments.define import SeedResult
from nemo_evaluator.environments.subclass import (
    REGISTERED,
    EvalEnvironment,
    VerifyResult,
    construct,
    register,
)
from nemo_evaluator.errors import ConfigError, InfraError
from nemo_evaluator.types import Failure, Solution


class Doubles(EvalEnvironment):
    def __init__(self, size: int = 3, *, offset: int = 0) -> None:
        self.size, self.offset = size, offset

    async def dataset_size(self) -> int:
        return self.size

    async def seed(self, idx: int) -> SeedResult:
        return SeedResult(
            prompt=f"Twice {idx}?",
            expected_answer=2 * idx + self.offset,
            metadata={"category": "even", "idx": idx},
        )

    async def verify(
        self, response: str, expected: Any, sandbox: Any = None, **metadata: Any
    ) -> VerifyResult:
        found = response.strip() or None
        return VerifyResult(
            reward=float(found == str(expected)),
            extracted_answer=found,
            scoring_details={"idx": metadata["idx"], "correct": found == str(expected)},
            metadata={"saw": response},
        )


async def test_it_runs_behind_the_engines_contract() -> None:
    tried = construct(Doubles, {"size": 5, "offset": 1})
    assert isinstance(tried, Environment)
    await tried.prepare()
    assert await tried.size() == 5
    problem = await tried.seed(2)
    assert (problem.prompt, problem.target, problem.category) == ("Twice 2?", 5, "even")
    score = await tried.verify(problem, Solution(response="<think>4</think>5"), VerifyTools())
    assert (score.reward, score.correct, score.extracted) == (1.0, True, "5")
    assert score.details == {"idx": 2, "correct": True}
    assert score.metadata == {"saw": "5"}
    await tried.close()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"sise": 5}, "unknown params sise — it accepts size, offset"),
        ({"sise": 5, "offst": 1}, "unknown params sise, offst"),
    ],
)
def test_params_are_checked(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        construct(Doubles, params)


def test_missing_params_and_failing_constructors_are_user_errors() -> None:
    class Needs(Doubles):
        def __init__(self, path: str) -> None:
            raise OSError("no such folder")

    with pytest.raises(ConfigError, match=r"missing params path — it accepts path"):
        construct(Needs, {})
    with pytest.raises(ConfigError, match=r"Needs: __init__ failed: OSError: no such folder"):
        construct(Needs, {"path": "x"})


def test_a_constructor_may_take_anything() -> None:
    class Anything(Doubles):
        def __init__(self, **more: Any) -> None:
            super().__init__(**more)

    assert construct(Anything, {"size": 4}).name == "Anything"


async def test_what_a_class_lacks_is_named() -> None:
    class Sizeless(EvalEnvironment):
        pass

    with pytest.raises(ConfigError, match=r"must implement dataset_size\(\) or __len__\(\)"):
        await construct(Sizeless, {}).prepare()

    class Seedless(EvalEnvironment):
        def __len__(self) -> int:
            return 1

    tried = construct(Seedless, {})
    await tried.prepare()
    with pytest.raises(ConfigError, match=r"must implement seed\(\)"):
        await tried.seed(0)


@pytest.mark.parametrize("answer", [None, 1.0, VerifyResult(reward=float("nan"))])
async def test_a_verdict_that_is_none_is_an_error(answer: Any) -> None:
    class Odd(Doubles):
        async def verify(self, *args: Any, **metadata: Any) -> Any:
            return answer

    tried = construct(Odd, {})
    await tried.prepare()
    with pytest.raises(InfraError) as raised:
        await tried.verify(await tried.seed(0), Solution(response="0"), VerifyTools())
    assert raised.value.info.kind is Failure.VERIFIER
    assert raised.value.info.peer == "Odd.verify"


async def test_identity_covers_source_params_and_own_data() -> None:
    class Dated(Doubles):
        def identity(self) -> dict[str, Any]:
            return {"data": "v2"}

    async def identity(cls: type[EvalEnvironment], **params: Any) -> Any:
        tried = construct(cls, params)
        await tried.prepare()
        return tried.identity()

    assert await identity(Doubles) == await identity(Doubles)
    assert await identity(Doubles) != await identity(Doubles, offset=1)
    assert (await identity(Doubles))["class"] != (await identity(Dated))["class"]
    assert (await identity(Dated))["data"] == "v2"


def test_names_are_not_inherited() -> None:
    try:

        @register("parent-of-test")
        class Parent(Doubles):
            pass

        @register("child-of-test")
        class Child(Parent):
            pass

        assert (Parent.name, Child.name) == ("parent-of-test", "child-of-test")
        assert REGISTERED["child-of-test"] is Child
    finally:
        REGISTERED.pop("parent-of-test", None)
        REGISTERED.pop("child-of-test", None)


class Plain(EvalEnvironment):
    """Written without coroutines, and with commands for an agent's workspace."""

    _dataset = ("a", "b")
    name = "plain"

    def seed(self, idx: int) -> SeedResult:  # type: ignore[override]
        return SeedResult(
            prompt=f"p{idx}", expected_answer="x", capture_cmd="tar", apply_cmd="untar"
        )

    def verify(  # type: ignore[override]
        self, response: str, expected: Any, sandbox: Any = None, **metadata: Any
    ) -> VerifyResult:
        return VerifyResult(reward=response == expected)


async def test_methods_may_be_plain_functions() -> None:
    environment = construct(Plain, {})
    await environment.prepare()
    problem = await environment.seed(1)
    assert (await environment.size(), problem.prompt) == (2, "p1")
    assert (await environment.verify(problem, Solution(response="x"), VerifyTools())).reward == 1.0


async def test_a_problem_has_a_workspace() -> None:
    spec = SandboxSpec(files={"a": b"b"})

    class Own(Plain):
        def seed(self, idx: int) -> SeedResult:  # type: ignore[override]
            return SeedResult(prompt="p", sandbox_spec=spec if idx else {"image": "x"})  # type: ignore[arg-type]

    environment = construct(Own, {})
    assert environment.needs.sandbox is not None and construct(Plain, {}).needs.sandbox is None
    assert (await environment.seed(1)).workspace == spec
    with pytest.raises(ConfigError, match="sandbox_spec is dict, not a SandboxSpec"):
        await environment.seed(0)

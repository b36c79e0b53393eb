"""`run_evaluation`, `ModelClient` and solvers of the known contract, on real runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from loopback import FAULTS, Loopback, fixed_chat

from nemo_evaluator import (
    ChatSolver,
    CompletionSolver,
    ConfigError,
    EvalEnvironment,
    GracefulError,
    InfraError,
    ModelClient,
    SeedResult,
    SolveResult,
    VerifyResult,
    VLMSolver,
    get_environment,
    run_evaluation,
)


class Echo(EvalEnvironment):
    """Ten problems; the answer is their number."""

    name = "echo"

    def __init__(self) -> None:
        self._dataset = list(range(10))
        self.closed = False

    async def seed(self, idx: int) -> SeedResult:
        return SeedResult(prompt=f"say {idx}", expected_answer=str(idx), system="Be brief.")

    async def verify(
        self, response: str, expected: Any, sandbox: Any = None, **metadata: Any
    ) -> VerifyResult:
        return VerifyResult(float(response == expected), response, {"method": "echo"})

    async def close(self) -> None:
        self.closed = True


class Parrot:
    """A solver of the known contract."""

    def __init__(self, fail_on: int = -1, error: Any = None) -> None:
        self.fail_on, self.error, self.closed = fail_on, error, False

    async def solve(self, task: SeedResult, sandbox: Any = None) -> SolveResult:
        number = task.prompt.split()[-1]
        if int(number) == self.fail_on:
            if isinstance(self.error, Exception):
                raise self.error
            return self.error
        return SolveResult(response=number, scoring_details={"asked": task.prompt})

    async def close(self) -> None:
        self.closed = True


async def test_a_solver_of_ones_own() -> None:
    env, solver = Echo(), Parrot()
    bundle = await run_evaluation(env, solver, n_repeats=2, config={"note": "mine"})
    scores = bundle["benchmark"]["scores"]
    assert scores["pass@1"]["value"] == scores["pass@2"]["value"] == 1.0
    assert (bundle["n_results"], len(bundle["_results"])) == (20, 20)
    assert bundle["benchmark"]["name"] == "echo" and bundle["config"]["note"] == "mine"
    row = bundle["_results"][0]
    assert (row["reward"], row["scoring_details"]["method"]) == (1.0, "echo")
    assert row["scoring_details"]["asked"].startswith("say ")
    assert len(bundle["_artifacts"]["steps"]) == 20 and bundle["_artifacts"]["runtime"]
    assert env.closed and solver.closed


@pytest.mark.parametrize(
    ("error", "reward"),
    [
        (GracefulError("gave up"), 0.0),
        (SolveResult(error="gave up", error_kind="graceful"), 0.0),
        (SolveResult(response="?", reward=0.25, scoring_details={"why": "own"}), 0.25),
    ],
)
async def test_what_a_solver_says_of_its_answer(error: Any, reward: float) -> None:
    bundle = await run_evaluation(Echo(), Parrot(3, error))
    rewards = {row["problem_idx"]: row["reward"] for row in bundle["_results"]}
    assert rewards.pop(3) == reward and set(rewards.values()) == {1.0}


@pytest.mark.parametrize(
    "error", [InfraError("down"), SolveResult(error="down", error_kind="infra_error")]
)
async def test_a_failure_of_the_machinery_is_no_score(error: Any) -> None:
    with pytest.raises(RuntimeError, match="1 of 10 rollouts have no verdict"):
        await run_evaluation(Echo(), Parrot(3, error), max_system_retries=1)
    solver = Parrot(3, error)
    bundle = await run_evaluation(Echo(), solver, max_system_retries=1, skip_failed=True)
    assert 3 not in {row["problem_idx"] for row in bundle["_results"]}


async def test_a_run_is_resumed_where_it_was_journaled(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        await run_evaluation(
            Echo(), Parrot(3, InfraError("down")), step_log_dir=tmp_path, max_system_retries=1
        )
    bundle = await run_evaluation(Echo(), Parrot(), step_log_dir=tmp_path, resume=True)
    assert bundle["n_results"] == 10
    with pytest.raises(ConfigError, match="already holds"):
        await run_evaluation(Echo(), Parrot(), step_log_dir=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "indices"),
    [
        ({"max_problems": 3}, {0, 1, 2}),
        ({"problem_range": (4, 6)}, {4, 5}),
        ({"problem_range": (8, 99), "shuffle_seed": 1}, {8, 9}),
        ({"shard_info": (1, 5)}, {2, 3}),
        ({"max_problems": 2, "shuffle_seed": 42}, {7, 3}),
    ],
)
async def test_which_problems_are_in(arguments: dict[str, Any], indices: set[int]) -> None:
    bundle = await run_evaluation(Echo(), Parrot(), **arguments)
    assert {row["problem_idx"] for row in bundle["_results"]} == indices


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"problem_range": (10, 12)}, "holds none of 10 problems"),
        ({"sandbox_manager": object()}, "sandbox_manager is not available"),
        ({"instruction_template": "x.j2"}, "instruction_template is not available"),
        ({"model_traffic_store": object()}, "model_traffic_store is not available"),
        ({"n_repeats": 0}, "repeats"),
    ],
)
async def test_what_is_not_available_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        await run_evaluation(Echo(), Parrot(), **arguments)


async def test_a_chat_solver_runs_through_the_engine(loopback: Loopback) -> None:
    loopback.script(fixed_chat("3"))
    client = ModelClient(loopback.url, "m", temperature=0.5, api_key="key")
    solver = ChatSolver(client, system_prompt="Count.")
    bundle = await run_evaluation(Echo(), solver, max_problems=4)
    assert bundle["benchmark"]["scores"]["pass@1"]["value"] == 0.25
    [body] = {str(call.body["messages"][0]) for call in loopback.calls}
    assert "Count." in body and loopback.calls[0].body["temperature"] == 0.5


async def test_a_benchmark_by_name_runs(loopback: Loopback) -> None:
    loopback.script(fixed_chat("The answer is 3"))
    env = get_environment("sample", num_examples=5)
    bundle = await run_evaluation(env, ChatSolver(ModelClient(loopback.url, "m")))
    assert bundle["n_results"] == 5


async def test_a_client_by_itself(loopback: Loopback) -> None:
    loopback.script(FAULTS["server_error"], fixed_chat("<t>so</t> four"))
    async with ModelClient(
        f"{loopback.url}/chat/completions", "m", seed=7, reasoning_pattern="<t>.*?</t>"
    ) as client:
        said = await client.chat("2 + 2?", system="Be brief.", max_tokens=9)
    assert (said.content, said.finish_reason) == ("four", "stop")
    assert said.total_tokens and len(said.request_hash) == len(said.response_hash) == 16
    body = loopback.calls[-1].body
    assert (body["seed"], body["max_tokens"], len(body["messages"])) == (7, 9, 2)


async def test_completions_and_images(loopback: Loopback, tmp_path: Path) -> None:
    task = SeedResult(prompt="look", images=["data:image/png;base64,AA=="], system="Be brief.")
    async with ModelClient(loopback.url, "m") as client:
        assert (await CompletionSolver(client).solve(task)).response
        assert "/completions" in loopback.calls[-1].path
        assert "chat" not in loopback.calls[-1].path
        result = await VLMSolver(client, image_detail="low").solve(task)
    content = loopback.calls[-1].body["messages"][-1]["content"]
    assert result.response and any(part["type"] == "image_url" for part in content)
    assert "low" in str(content)


def test_a_cache_is_refused() -> None:
    with pytest.raises(ConfigError, match="keeps no cache"):
        ModelClient("http://h/v1", "m", cache_dir="x")

"""``gym_delegation``: a gym's agent solves, its calls pass our door, its reward may be trusted."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from runs import BENCH, ROOT, rows

from nemo_evaluator import evaluate_async
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.results.trajectory_row import read_trajectories
from nemo_evaluator.solvers.gym_bodies import Form, form_of, run_body
from nemo_evaluator.traffic.door.sessions import SESSION_FIELD, Endpoint
from nemo_evaluator.types import Problem

AGENT = str(ROOT / "tests/support/gym_agent.py")
ENDPOINT = Endpoint(
    openai_url="http://door/s/x/v1", anthropic_url="http://door/s/x", token="TOKEN", model="m"
)


def document(tmp_path: Path, *words: str, model: Any = None, **solver: Any) -> dict[str, Any]:
    """A run in which the agent solves four sums."""
    (tmp_path / "sums.py").write_text(BENCH % {"size": 4})
    log = str(tmp_path / "asked.jsonl")
    command = shlex.join([sys.executable, AGENT, "--log", log, *words])
    gym = {"type": "gym", "server_cmd": f"exec {command}  # on $PORT", "model": "m"}
    given = {"type": "gym_delegation", "service": "m", "gym_service": "g", **solver}
    own = {"type": "simulated", "protocol": "responses", "accuracy": 1.0}
    return {
        "services": {"m": model or own, "g": gym},
        "benchmarks": [
            {"name": str(tmp_path / "sums.py"), "solver": given, "max_system_retries": 1}
        ],
        "output": {"dir": str(tmp_path / "run"), "report": []},
    }


def results(tmp_path: Path) -> list[dict[str, Any]]:
    return rows(tmp_path / "run/sums")


@pytest.mark.process
async def test_an_agent_solves_and_the_benchmark_verifies(tmp_path: Path) -> None:
    result = await evaluate_async(document(tmp_path, "--reward", "0.0", "--turns", "3"))
    assert result.exit_code == 0
    found = results(tmp_path)
    assert [row["reward"] for row in found] == [1.0] * 4  # the gym's own 0 is not taken
    assert {row["solver_details"]["gym_reward"] for row in found} == {0.0}
    assert {row["calls"] for row in found} == {3}
    assert all(row["tokens"] > 0 and "gym_session" not in row["solver_details"] for row in found)
    # Every call is a rollout's own, though the address and the key are the same for all.
    traffic = (tmp_path / "run/sums/model_traffic.jsonl").read_text().splitlines()
    sessions = [json.loads(line)["session_id"] for line in traffic]
    assert sorted(sessions) == sorted(f"sums/{idx}/0" for idx in range(4) for _ in range(3))
    assert all(SESSION_FIELD not in line for line in traffic)
    asked = [json.loads(line) for line in (tmp_path / "asked.jsonl").read_text().splitlines()]
    assert {body["expected_answer"] for body in asked} == {0, 1, 2, 3}
    tokens = {body["responses_create_params"]["metadata"][SESSION_FIELD] for body in asked}
    assert len(tokens) == 4
    written = "".join(
        path.read_text(errors="replace") for path in (tmp_path / "run").rglob("*") if path.is_file()
    )
    assert not any(token in written for token in tokens)
    [first, *_] = sorted(read_trajectories(tmp_path / "run/sums"), key=lambda row: row.problem_idx)
    calls = [call for step in first.steps for call in step.tool_calls]
    assert [call.function_name for call in calls] == ["add", "add"]
    assert calls[0].arguments == {"a": 1}
    assert first.steps[0].source == "user"


@pytest.mark.process
async def test_a_trusted_reward_is_the_score(tmp_path: Path) -> None:
    given = document(tmp_path, "--reward", "0.25", "--head", trust_reward=True, gym_agent="simple")
    result = await evaluate_async(given)
    assert result.exit_code == 0
    for row in results(tmp_path):
        assert row["reward"] == 0.25
        assert row["scoring_details"]["reward_source"] == "gym"
        assert row["scoring_details"]["note"] == "from the gym"
    plan = json.loads((tmp_path / "run/plan.lock").read_text())["benchmarks"][0]
    assert plan["identity"]["environment.scorer"] == "trusted:gym"


@pytest.mark.process
@pytest.mark.parametrize(
    ("reward", "message"),
    [
        ("null", "the gym gave no reward"),
        ('"good"', "the gym gave no reward"),
        ("3", "the gym gave the reward 3, which lies outside of 0 to 1"),
    ],
)
async def test_what_is_no_reward_is_no_verdict(reward: str, message: str, tmp_path: Path) -> None:
    result = await evaluate_async(document(tmp_path, "--reward", reward, trust_reward=True))
    assert result.exit_code != 0
    for row in results(tmp_path):
        assert row["reward"] is None and message in row["scoring_details"]["error"]


@pytest.mark.process
async def test_a_limit_that_ends_an_agent_is_told_with_what_was_paid(tmp_path: Path) -> None:
    """The first call is answered and paid for; the second one is refused, and the agent fails."""
    proxy = {"interceptors": [{"name": "turn_counter", "config": {"max_turns": 1}}]}
    model = {"type": "simulated", "protocol": "responses", "proxy": proxy}
    result = await evaluate_async(document(tmp_path, model=model))
    assert result.exit_code == 0
    for row in results(tmp_path):
        assert row["reward"] == 0.0 and row["ended_by"] == "turns" and row["tokens"] > 0


@pytest.mark.process
async def test_an_agent_that_fails_by_itself_is_no_answer(tmp_path: Path) -> None:
    """All its calls were answered and paid for; then the gym breaks."""
    result = await evaluate_async(document(tmp_path, "--reward", "not JSON"))
    assert result.exit_code != 0
    found = results(tmp_path)
    assert all(row["reward"] is None for row in found)
    assert all("/run" in row["scoring_details"]["error"] for row in found)
    [journal] = (tmp_path / "run").rglob("journal*.jsonl")
    errored = [line for line in journal.read_text().splitlines() if "/run" in line]
    assert len(errored) == 4 and all('"completion_tokens"' in line for line in errored)


@pytest.mark.process
@pytest.mark.parametrize(
    ("words", "solver", "message"),
    [
        (["--head"], {}, "the gym has several agents: other, simple"),
        (
            ["--head"],
            {"gym_agent": "simpel"},
            "the gym has no agent 'simpel'; did you mean 'simple'?",
        ),
    ],
)
async def test_which_agent_is_asked_must_be_clear(
    words: list[str], solver: dict[str, Any], message: str, tmp_path: Path
) -> None:
    result = await evaluate_async(document(tmp_path, *words, **solver))
    assert result.exit_code == 2 and any(message in text for text in result.messages)


async def test_a_range_of_rewards_belongs_to_trust(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no effect without trust_reward"):
        await evaluate_async(document(tmp_path, reward_range=[-1, 1]))


# -- bodies ---------------------------------------------------------------------------------------


def test_the_form_follows_the_agent_or_the_problem() -> None:
    swe = Problem(idx=0, prompt="fix", metadata={"instance_id": "i"})
    row = Problem(idx=0, prompt="?", metadata={"instance_id": "i", "responses_create_params": {}})
    assert form_of("OpenHands", row) is Form.SWE and form_of("miniswe", swe) is Form.MINI_SWE
    assert form_of(None, swe) is Form.SWE and form_of(None, row) is Form.ROW
    assert form_of("simple_agent", swe) is Form.ROW


def test_a_task_of_swe_bench() -> None:
    problem = Problem(idx=0, prompt="PROMPT", metadata={"instance_id": "i", "foo": "bar"})
    params: Any = run_body(Form.SWE, problem, ENDPOINT)["responses_create_params"]
    assert params["input"] == [{"role": "user", "content": "PROMPT"}] and params["model"] == "m"
    metadata = params["metadata"]
    assert metadata.pop("instance_dict") == '{"instance_id": "i", "foo": "bar"}'
    assert metadata == {
        "problem_statement": "PROMPT",
        "instance_id": "i",
        "base_commit": "",
        "dataset_name": "",
        "split": "test",
        "api_key": "TOKEN",
        "model_url": "http://door/s/x/v1",
        SESSION_FIELD: "TOKEN",
    }
    mini: Any = run_body(Form.MINI_SWE, problem, ENDPOINT)
    assert mini["instance_id"] == "i" and mini["subset"] == "gym" and mini["split"] == "test"
    assert mini["responses_create_params"]["temperature"] == 0.0


def test_a_row_goes_as_it_is() -> None:
    params = {"input": [{"role": "user", "content": "?"}], "tools": [{"name": "t"}]}
    problem = Problem(
        idx=0,
        messages=({"role": "user", "content": "?"},),
        metadata={"responses_create_params": params, "expected": 3},
    )
    body: Any = run_body(Form.ROW, problem, ENDPOINT)
    assert body["expected"] == 3
    assert body["responses_create_params"] == {
        **params,
        "model": "m",
        "metadata": {SESSION_FIELD: "TOKEN"},
    }
    plain = Problem(
        idx=0, prompt="?", system="Be brief.", target=3, metadata={"tools": [1], "a": 1}
    )
    body = run_body(Form.ROW, plain, None)
    assert body["responses_create_params"]["tools"] == [1] and body["a"] == 1
    assert body["expected_answer"] == 3 and "metadata" not in body["responses_create_params"]
    assert [item["role"] for item in body["responses_create_params"]["input"]] == ["system", "user"]

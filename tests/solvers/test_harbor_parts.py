"""Parts of the harbor solver that need no harbor: what an agent is told, its logs, how it ended,
and the bridge to a workspace."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from engines import require

from nemo_evaluator.config.agent_solvers import AgentSolverConfig, HarborSolverConfig
from nemo_evaluator.config.scrubber import KNOWN
from nemo_evaluator.errors import BudgetExceeded, ConfigError, InfraError
from nemo_evaluator.sandboxes import LocalBackend, SandboxSpec
from nemo_evaluator.solvers.contract import SolveTools
from nemo_evaluator.solvers.harbor.agent import (
    PLACEHOLDER,
    check_arguments,
    named,
    told,
    worker_env,
)
from nemo_evaluator.solvers.harbor.bridge import LONG, Bridge
from nemo_evaluator.solvers.harbor.logs import last_words, trajectory
from nemo_evaluator.solvers.harbor.outcome import Circumstances, Ended, judged
from nemo_evaluator.solvers.harbor.solver import HarborSolver
from nemo_evaluator.solvers.time_limits import TimeLimit
from nemo_evaluator.testing.models import scripted_model
from nemo_evaluator.traffic.client import Window
from nemo_evaluator.traffic.ledger import Totals
from nemo_evaluator.traffic.types import CallContext
from nemo_evaluator.types import EndedBy, Failure


def config(**fields: Any) -> HarborSolverConfig:
    return HarborSolverConfig.model_validate({"service": "m", "agent": "terminus-2", **fields})


def test_an_agent_is_told_of_the_door_and_nothing_else() -> None:
    given = told(
        config(container_env={"LLM_MODEL": "mine", "X": "1"}),
        named("terminus-2"),
        PLACEHOLDER,
        anthropic=False,
    )
    assert (given["model"], given["url"]) == ("openai/model", PLACEHOLDER.openai_url)
    assert given["key"] == given["env"]["LLM_API_KEY"] == PLACEHOLDER.token
    assert given["env"]["LLM_MODEL"] == "mine" and given["env"]["X"] == "1"
    endpoint = msgspec.structs.replace(PLACEHOLDER, model="openai/gpt")
    assert told(config(), named("a"), endpoint, anthropic=False)["model"] == "openai/gpt"
    claude = told(config(), named("claude-code"), PLACEHOLDER, anthropic=True)
    assert (claude["model"], claude["url"]) == ("model", PLACEHOLDER.anthropic_url)
    window = Window(1000, None)
    info = told(config(), named("a"), PLACEHOLDER, anthropic=False, window=window)["model_info"]
    assert (info["max_input_tokens"], info["max_output_tokens"]) == (1000, 262_144)
    alone = told(config(), named("nop"), None, anthropic=False)
    assert alone["model"] is None and alone["key"] is None


@pytest.mark.parametrize(
    "kwargs", [{"api_base": "x"}, {"api_key": "x"}, {"llm_kwargs": {"api_key": "x"}}]
)
def test_arguments_that_pass_the_door_by_are_refused(kwargs: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="reached through the evaluator"):
        check_arguments(config(agent_kwargs=kwargs))
    check_arguments(config(agent_kwargs={"llm_kwargs": {"timeout": 3}}))


def test_the_environment_of_harbor_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVIDIA_API_KEY", "nvapi-123456789")
    monkeypatch.setenv("HARMLESS", "sk-known-secret-value")
    monkeypatch.setenv("KEPT", "1")
    monkeypatch.setenv("no_proxy", "example.org")
    KNOWN.learn("sk-known-secret-value")
    env = worker_env()
    assert env["KEPT"] == "1" and not {"NVIDIA_API_KEY", "HARMLESS"} & set(env)
    assert env["no_proxy"] == "example.org,127.0.0.1,localhost"


def test_where_an_agent_of_ones_own_is(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("")
    assert named(f"{file}:Agent").agent == "mine:Agent"
    assert named(f"{file}:Agent").sys_path == (str(tmp_path),)
    assert named("mine.agents:Agent").sys_path == (str(Path.cwd()),)
    with pytest.raises(ConfigError, match="there is no file"):
        named(f"{tmp_path}/other.py:Agent")
    with pytest.raises(ConfigError, match=r"has no agent\.toml"):
        named(str(tmp_path))


def test_agent_is_another_name_of_harbor() -> None:
    given = AgentSolverConfig.model_validate({"type": "agent", "service": "m", "agent": "nop"})
    assert HarborSolver(given).identity()["type"] == "harbor"
    assert HarborSolver(given).needs.sandbox


def document(*steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    agent = {"name": "a", "version": "1"}
    return {"schema_version": "ATIF-v1.8", "agent": agent, "steps": list(steps), **fields}


def test_a_trajectory_takes_in_the_files_it_refers_to(tmp_path: Path) -> None:
    ref = {"session_id": "s", "trajectory_path": "trajectory.sub-1.json"}
    result = {"content": "done", "subagent_trajectory_ref": [ref]}
    step = {"step_id": 1, "source": "agent", "message": "m", "observation": {"results": [result]}}
    (tmp_path / "trajectory.sub-1.json").write_text(json.dumps(document({"source": "user"})))
    (tmp_path / "trajectory.json").write_text(json.dumps(document(step)))
    found = trajectory(tmp_path)
    assert found is not None and found["agent"]["name"] == "a"
    [inside] = found["subagent_trajectories"]
    assert inside["trajectory_id"] == "trajectory.sub-1.json"
    told = found["steps"][0]["observation"]["results"][0]["subagent_trajectory_ref"][0]
    assert told["trajectory_id"] == "trajectory.sub-1.json"


@pytest.mark.parametrize("text", ["", "[]", '{"steps": 1}', '{"steps": [1], "agent": {}}', "\x00"])
def test_logs_that_are_no_trajectory(tmp_path: Path, text: str) -> None:
    assert trajectory(tmp_path) is None
    (tmp_path / "trajectory.json").write_text(text)
    assert trajectory(tmp_path) is None
    (tmp_path / "mini.traj.json").write_text(json.dumps(document({"source": "user"})))
    assert trajectory(tmp_path) is not None


def test_last_words_are_the_agents_own() -> None:
    said = {"source": "agent", "message": [{"type": "text", "text": "42"}]}
    asked = {"source": "user", "message": "and?"}
    assert last_words(document(said, asked), {}) == "42"
    assert last_words(document(asked), {}) == ""
    assert last_words(document(said), {"response": ""}) == ""


LIMIT = TimeLimit(5, "run_timeout")
RAISED = Ended(timed_out=False, kinds=("ValueError", "Exception"), message="no")
ENDED = Ended(timed_out=False)


def tools(**totals: Any) -> SolveTools:
    """Those of an attempt whose calls came to this."""
    model = scripted_model(lambda request: "")
    last = next(reversed(totals.get("errors", {})), None)
    model.session = lambda context: Totals(failing=last, **totals)  # type: ignore[method-assign]
    return SolveTools(model=model, context=CallContext(session="s"), models={"model": model})


def known(*, asks: bool = True, changed: bool = True, said: bool = True) -> Circumstances:
    return Circumstances(LIMIT, asks, changed, said)


@pytest.mark.parametrize(
    ("ended", "totals", "changed", "limit"),
    [
        (ENDED, {"answers": 3}, False, None),
        (RAISED, {"answers": 3}, True, None),
        (Ended(timed_out=True), {"answers": 3}, False, EndedBy.TIME),
        (RAISED, {"answers": 3, "ended_by": EndedBy.TOKENS}, False, EndedBy.TOKENS),
        (RAISED, {"answers": 1, "errors": {Failure.CONTEXT_WINDOW: 1}}, False, EndedBy.CONTEXT),
        (
            replace(RAISED, kinds=("ContextLengthExceededError",)),
            {"answers": 1},
            False,
            EndedBy.CONTEXT,
        ),
    ],
)
def test_what_is_verified(
    ended: Ended, totals: dict[str, Any], changed: bool, limit: EndedBy | None
) -> None:
    assert judged(ended, tools(**totals), known(changed=changed)) is limit


@pytest.mark.parametrize(
    ("ended", "totals", "changed", "error"),
    [
        (RAISED, {"answers": 3}, False, "the agent raised ValueError: no"),
        (ENDED, {}, True, "before it asked its model"),
        (Ended(timed_out=True), {}, True, "before it asked its model"),
        (RAISED, {"answers": 3, "errors": {Failure.SERVER_ERROR: 1}}, True, "server_error"),
        (replace(RAISED, kinds=("SandboxLost",)), {"answers": 3}, True, "SandboxLost"),
        (replace(RAISED, kinds=("APIConnectionError",)), {"answers": 3}, True, "APIConnection"),
    ],
)
def test_what_says_nothing_about_the_agent(
    ended: Ended, totals: dict[str, Any], changed: bool, error: str
) -> None:
    with pytest.raises(InfraError, match=error):
        judged(ended, tools(**totals), known(changed=changed))


def test_an_agent_that_passes_over_failed_calls() -> None:
    failed = tools(answers=3, errors={Failure.SERVER_ERROR: 2})
    with pytest.raises(InfraError, match="the agent ended by itself"):
        judged(ENDED, failed, known(changed=False, said=False))
    assert judged(ENDED, failed, known(changed=False)) is None
    assert judged(ENDED, failed, known(said=False)) is None
    assert judged(ENDED, tools(answers=3, ended_by=EndedBy.COST), known()) is EndedBy.COST


def test_an_agent_without_a_model() -> None:
    alone = SolveTools(model=None, context=CallContext(session="s"))
    assert judged(ENDED, alone, known(asks=False, changed=False)) is None
    assert judged(RAISED, alone, known(asks=False)) is None
    with pytest.raises(InfraError, match="it had done nothing"):
        judged(Ended(timed_out=True), alone, known(asks=False, changed=False))
    with pytest.raises(BudgetExceeded):
        judged(ENDED, tools(errors={Failure.BUDGET: 1}), known())


@pytest.fixture
async def bridge() -> AsyncIterator[Bridge]:
    require("local")
    backend = LocalBackend()
    sandbox = await backend.create(SandboxSpec())
    bridge = Bridge(sandbox, 3.0)
    await bridge.open()
    yield bridge
    await bridge.close()
    await sandbox.close()
    await backend.close()


async def test_commands_and_files_cross_the_bridge(bridge: Bridge, tmp_path: Path) -> None:
    async def run(command: str, **given: Any) -> Any:
        fields = {"cwd": None, "env": {}, "seconds": None, "user": None}
        return await bridge.exec(command, **{**fields, **given})

    done = await run("echo $A; echo oops >&2; exit 3", env={"A": "b"}, user="root")
    assert done == {"stdout": "b\n", "stderr": "oops\n", "exit_code": 3}
    assert (await run("sleep 60", seconds=0.2))["exit_code"] == 124
    long = await run(f"echo {'x' * LONG} | wc -c")
    assert long["stdout"].strip() == str(LONG + 1)
    assert (await run("cat"))["exit_code"] == 0  # nothing to read

    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.txt").write_text("a")
    await bridge.upload_file(str(tmp_path / "in/a.txt"), "/tmp/deep/a.txt")
    await bridge.upload_folder(str(tmp_path / "in"), "/tmp/folder")
    assert (await run("cat /tmp/deep/a.txt /tmp/folder/a.txt"))["stdout"] == "aa"
    await bridge.download_file("/tmp/deep/a.txt", str(tmp_path / "out/a.txt"))
    await bridge.download_folder("/tmp/folder", str(tmp_path / "back"))
    assert (tmp_path / "out/a.txt").read_text() == (tmp_path / "back/a.txt").read_text() == "a"


async def test_the_limit_of_a_command_is_a_ceiling(bridge: Bridge) -> None:
    done = await bridge.exec("sleep 60", None, {}, 100.0, None)
    assert isinstance(done, dict) and done["exit_code"] == 124

"""What of a configuration cannot be run on Ray, and what is known of a run by its directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nemo_evaluator.config.load import Loaded, parse
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.executors.options import Options
from nemo_evaluator.executors.ray import executor
from nemo_evaluator.executors.ray.executor import RayExecutor, RayRun
from nemo_evaluator.executors.ray.files import Change
from nemo_evaluator.executors.ray.mailbox import Beat, Command, Mailbox
from nemo_evaluator.executors.registry import attach
from nemo_evaluator.executors.submission import Submission, now, write_submission


def loaded(output: str = "out", **cluster: Any) -> Loaded:
    document = {
        "services": {
            "m": {
                "type": "api",
                "url": "http://127.0.0.1:9/v1",
                "protocol": "chat_completions",
                "model": "m",
                "api_key": "${KEY}",
            }
        },
        "benchmarks": [{"name": "sample"}],
        "cluster": {"type": "ray", **cluster},
        "output": {"dir": output},
    }
    return parse(document, env={"KEY": "sk-canary-0123456789"})


def problems(of: Loaded) -> list[str]:
    return [
        f"{problem.path}: {problem.what}, {problem.hint}" for problem in RayExecutor().problems(of)
    ]


@pytest.fixture
def has_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "installed", lambda: True)


def test_without_the_package_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "installed", lambda: False)
    (problem,) = problems(loaded())
    assert "pip install 'nemo-evaluator[ray]'" in problem


def test_a_secret_in_the_runtime_environment_is_refused(has_ray: None) -> None:
    assert problems(loaded(runtime_env={"env_vars": {"PLAIN": "x"}})) == []
    (problem,) = problems(loaded(runtime_env={"env_vars": {"KEY": "${KEY}"}}))
    assert "runtime_env" in problem and "sk-canary" not in problem


async def test_a_directory_with_results_is_not_written_over(tmp_path: Path, has_ray: None) -> None:
    (tmp_path / "shard_0").mkdir()
    found = loaded(output=str(tmp_path))
    with pytest.raises(ConfigError, match="holds a run already"):
        await RayExecutor().submit(found, Options())


async def test_a_run_whose_driver_died_before_it_wrote_anything(tmp_path: Path) -> None:
    write_submission(
        Submission(
            run_id="20260101_000000_abcdef00",
            executor="ray",
            directory=str(tmp_path),
            created=now(),
            shards=2,
        )
    )
    run = attach(tmp_path)
    assert isinstance(run, RayRun)
    state = await run.status()
    assert state.state == "killed" and "nel eval resume" in state.reason
    assert [shard.state for shard in state.shards.values()] == ["cancelled", "cancelled"]


def test_a_shard_that_was_replaced_is_told_to_end_and_not_heard() -> None:
    box = Mailbox()
    box.begin(0, 1)
    assert box.beat(Beat(0, 1, "n1")).command is Command.GO_ON
    box.begin(0, 2)
    assert box.beat(Beat(0, 1, "n1")).command is Command.GIVE_UP
    assert [beat.attempt for beat in box.take().beats] == [1]
    assert box.take().beats == []


def test_what_is_asked_of_a_shard_is_told_once() -> None:
    box = Mailbox()
    box.begin(0, 1)
    request = Change(".ctl-1.json", 0, b"{}")
    box.ask_of(0, [request])
    assert list(box.beat(Beat(0, 1, "n1", shared=False)).requests) == [request]
    assert list(box.beat(Beat(0, 1, "n1", shared=False)).requests) == []


def test_files_of_an_earlier_attempt_are_given_once_for_each() -> None:
    box = Mailbox()
    box.begin(0, 1)
    box.ask(0)
    assert list(box.take().asked) == [0] and box.files(0) is None
    box.give(0, [])
    assert box.files(0) == []
    box.begin(0, 2)
    assert box.files(0) is None

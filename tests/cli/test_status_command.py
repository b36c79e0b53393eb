"""`nel eval status` says how a run ended, and why, whatever the end; asking is no failure."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from loopback import Loopback, Script, answer, error
from runs import BENCH

from nemo_evaluator import evaluate_async
from nemo_evaluator.cli.eval_status import MEANING, command
from nemo_evaluator.errors import ExitCode
from nemo_evaluator.results.progress_file import read_progress, write_progress
from nemo_evaluator.results.run_info import RunStatus, read_run_info, write_run_info


def config(tmp_path: Path, url: str, **benchmark: Any) -> dict[str, Any]:
    (tmp_path / "sums.py").write_text(BENCH % {"size": 4})
    service = {"type": "api", "url": url, "protocol": "chat_completions", "model": "m"}
    return {
        "services": {"model": {**service, "proxy": {"max_retries": 0}}},
        "benchmarks": [{"name": str(tmp_path / "sums.py"), "max_system_retries": 1, **benchmark}],
        "output": {"dir": str(tmp_path / "run"), "report": []},
    }


async def status(directory: Path) -> str:
    runner = CliRunner()
    asked = await asyncio.to_thread(runner.invoke, command, [str(directory)])
    assert asked.exit_code == 0
    return asked.output


@pytest.mark.parametrize(
    ("script", "benchmark", "code", "state", "why"),
    [
        ([answer], {}, 0, "done", "4/4"),
        ([error(500, "broken"), answer], {}, 3, "incomplete", "1 of 4 rollouts have no verdict"),
        (
            [error(500, "broken"), answer],
            {"skip_failed": True, "min_coverage": 0.9},
            1,
            "done",
            "coverage 75.0% is below min_coverage 90.0%",
        ),
        ([error(401, "who are you?")], {}, 2, "incomplete", "who are you?"),
    ],
)
async def test_every_end_of_a_run(
    tmp_path: Path,
    loopback: Loopback,
    script: list[Script],
    benchmark: dict[str, Any],
    code: int,
    state: str,
    why: str,
) -> None:
    loopback.script(*script)
    result = await evaluate_async(config(tmp_path, loopback.url, **benchmark))
    assert result.exit_code == code
    told = await status(tmp_path / "run")
    assert f"state      {state}, exit code {code} ({MEANING[code]})" in told
    assert why in told


@pytest.mark.parametrize("code", [ExitCode.BUG, ExitCode.INTERRUPTED, ExitCode.TERMINATED])
async def test_what_was_stopped_or_crashed(
    tmp_path: Path, loopback: Loopback, code: ExitCode
) -> None:
    await evaluate_async(config(tmp_path, loopback.url))
    run = tmp_path / "run"
    progress = read_progress(run)
    assert progress is not None
    ended = msgspec.structs.replace(
        progress, state=RunStatus.INTERRUPTED, exit_code=code, messages=("so it was",)
    )
    write_progress(run, ended)
    write_run_info(run, msgspec.structs.replace(read_run_info(run), status=RunStatus.INTERRUPTED))
    told = await status(run)
    assert f"state      interrupted, exit code {int(code)} ({MEANING[code]})" in told
    assert "so it was" in told
    assert set(MEANING) == set(ExitCode)


async def test_the_time_of_a_resumed_run_counts_from_its_first_invocation(
    tmp_path: Path, loopback: Loopback
) -> None:
    loopback.script(error(500, "broken"), answer)
    document = config(tmp_path, loopback.url)
    assert (await evaluate_async(document)).exit_code == ExitCode.INCOMPLETE
    run = tmp_path / "run"
    first = read_progress(run)
    assert first is not None
    an_hour_ago = first.started - 3600
    write_progress(
        run, msgspec.structs.replace(first, started=an_hour_ago, first_started=an_hour_ago)
    )
    assert (await evaluate_async(document, resume=True)).exit_code == 0
    second = read_progress(run)
    assert second is not None
    assert second.first_started == an_hour_ago and second.started >= first.started
    assert ", 1h00m long" in await status(run)

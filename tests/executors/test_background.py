"""Runs in processes of their own: started, watched, stopped and resumed by their directory."""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from commands import Nel
from running import ended, running, until
from runs import BENCH, NEL, rows

from nemo_evaluator.cli.detached import Announcer
from nemo_evaluator.cli.main import cli
from nemo_evaluator.config.load import parse
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.executors.background import submit
from nemo_evaluator.executors.contract import Executor, RunHandle
from nemo_evaluator.executors.local_executor import LocalExecutor
from nemo_evaluator.executors.options import Options
from nemo_evaluator.executors.run_handle import LocalRun
from nemo_evaluator.results.status import State, status_of

SIZE = 24


def document(**model: Any) -> dict[str, Any]:
    service = {"type": "simulated", "latency": {"mean_ms": 50}, **model}
    return {
        "services": {"model": service},
        "benchmarks": [{"name": "sums.py", "max_concurrent": 2}],
        "output": {"dir": "run", "report": [], "progress_interval": 0.2},
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    Path("sums.py").write_text(BENCH % {"size": SIZE})
    yield tmp_path
    if (tmp_path / "run/progress.json").exists() and status_of(tmp_path / "run").state.active:
        asyncio.run(LocalRun(tmp_path / "run").stop(now=True))
        ended(tmp_path / "run")


def write(config: dict[str, Any]) -> str:
    Path("config.yaml").write_text(yaml.safe_dump(config))
    return "config.yaml"


def test_a_run_goes_on_without_its_terminal(nel: Nel, folder: Path) -> None:
    code, out, err = nel("eval", "run", write(document()), "--background")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "runs in the background: run"
    code, out, _ = nel("eval", "logs", "run", "-f")
    assert code == 0
    assert out.rstrip().endswith("results: run") and f"{SIZE}/{SIZE} (100.0 %)" in out
    code, out, _ = nel("eval", "status", "run", "--watch")
    assert code == 0 and "state      done, exit code 0" in out
    assert len(rows(Path("run/sums"))) == SIZE


def test_a_run_is_stopped_and_goes_on_from_another_folder(
    nel: Nel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = document(latency={"mean_ms": 1000})
    assert nel("eval", "run", write(slow), "--background")[0] == 0
    assert running(folder / "run").owner is not None
    code, out, _ = nel("eval", "jobs")
    assert code == 0 and "running" in out and "sums" in out
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    code, out, _ = nel("eval", "stop", "../run")
    assert (code, out) == (0, "stopped: interrupted\n")
    code, _, err = nel("eval", "stop", "../run")
    assert code == 2 and "is not running: it is interrupted" in err
    before = status_of(folder / "run")
    assert before.exit_code == 130
    # What was in flight was finished, and is not asked again.
    assert 2 <= before.benchmarks["sums"].done < SIZE
    code, out, _ = nel("eval", "resume", "../run", "-O", "services.model.latency.mean_ms=0")
    assert code == 0
    after = status_of(folder / "run")
    assert after.state is State.DONE and after.run_id == before.run_id
    assert after.benchmarks["sums"].restored == before.benchmarks["sums"].done


def test_now_gives_up_what_is_in_flight(nel: Nel, folder: Path) -> None:
    endless = document(latency={"mean_ms": 100_000})
    assert nel("eval", "run", write(endless), "--background")[0] == 0
    running(folder / "run")
    code, out, _ = nel("eval", "stop", "run", "--wait", 0.1)
    assert code == 0 and "what is in flight is finished first" in out
    until(folder / "run", lambda state: state.state is State.STOPPING)
    began = time.monotonic()
    code, out, _ = nel("eval", "stop", "run", "--now")
    assert (code, out) == (0, "stopped: interrupted\n")
    assert time.monotonic() - began < 20


def test_a_run_that_has_not_begun_is_stopped(nel: Nel, folder: Path) -> None:
    """It is still loading its benchmark."""
    (folder / "sums.py").write_text("import time\nopen('loading', 'w')\ntime.sleep(100)\n")
    words = [*NEL, "eval", "run", write(document())]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as run:
        while not Path("loading").exists():
            time.sleep(0.05)
        code, out, _ = nel("eval", "status", "run")
        assert code == 0 and f"state      starting (pid {run.pid} on " in out
        code, out, _ = nel("eval", "stop", "run")
        assert (code, out) == (0, "stopped: the run had not begun\n")
        assert run.wait() == 130


def test_a_request_from_another_host_stops_a_run(
    nel: Nel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert nel("eval", "run", write(document(latency={"mean_ms": 100_000})), "--background")[0] == 0
    running(folder / "run")
    monkeypatch.setattr("socket.gethostname", lambda: "another-host")
    code, out, _ = nel("eval", "stop", "run", "--now")
    assert (code, out) == (0, "stopped: interrupted\n")
    assert not Path("run/.stop").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"benchmarks": [{"name": "nothing.py"}]}, "nothing.py: there is no such file"),
        ({"output": {"dir": "sums.py"}}, "cannot write there"),
    ],
)
def test_who_starts_a_run_is_told_why_it_does_not_start(
    nel: Nel, folder: Path, change: dict[str, Any], told: str
) -> None:
    code, out, err = nel("eval", "run", write({**document(), **change}), "--background")
    assert (code, out) == (2, "")
    assert told in err and err.startswith("error: ") and len(err.splitlines()) == 1


def test_a_second_run_is_refused_while_the_first_goes_on(nel: Nel, folder: Path) -> None:
    config = write(document(latency={"mean_ms": 100_000}))
    assert nel("eval", "run", config, "--background")[0] == 0
    state = running(folder / "run")
    code, _, err = nel("eval", "run", config, "--background", "--resume")
    assert code == 2 and f"in use by pid {state.owner and state.owner.pid}" in err
    nel("eval", "stop", "run", "--now")


def test_a_shard_is_resumed_as_a_shard(nel: Nel, folder: Path) -> None:
    config = write(document(latency={"mean_ms": 0}))
    for index in range(2):
        assert nel("eval", "run", config, "--shard", f"{index}/2")[0] == 0
    code, out, _ = nel("eval", "status", "run")
    assert code == 0 and out.count("state      done") == 2
    journal = Path("run/shard_1/sums/journal.jsonl")
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-6]))
    code, _, err = nel("eval", "resume", "run")
    assert code == 2 and "holds no run" in err
    assert nel("eval", "resume", "run", "--shard", 1)[0] == 0
    assert nel("eval", "merge", "run")[0] == 0
    assert len(rows(Path("run/sums"))) == SIZE
    code, _, err = nel("eval", "resume", "run")
    assert code == 2 and "holds a run that was merged" in err


def test_secrets_reach_the_process_and_no_file(
    nel: Nel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "sk-" + "a1b2c3d4" * 4
    config = document()
    api = {"url": "http://127.0.0.1:9/v1", "protocol": "chat_completions", "api_key": "${TESTED}"}
    config["services"]["model"] = {"type": "api", **api}
    Path(".env").write_text(f"TESTED={secret}\n")
    assert nel("eval", "run", write(config), "--background")[0] == 0
    state = ended(folder / "run")
    assert state.exit_code == 2 and "unreachable" in state.messages[0]
    for path in (folder / "run").rglob("*"):
        assert path.is_dir() or secret.encode() not in path.read_bytes(), path
    # Found again from anywhere, since the .env file stood beside the configuration.
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    code, _, err = nel("eval", "resume", "../run")
    assert code == 2 and "unreachable" in err


async def test_the_executor_from_python(folder: Path) -> None:
    executor: Executor = LocalExecutor()
    loaded = parse(document())
    assert list(executor.problems(loaded)) == []
    assert executor.attach(Path("run")) is None
    handle: RunHandle = await executor.submit(loaded, Options())
    assert (await handle.status()).state is State.RUNNING
    assert (await handle.wait()).state is State.DONE
    found = executor.attach(Path("run"))
    assert found is not None and found.directory == Path("run")
    lines = [line async for line in found.logs(tail=1)]
    assert lines == [f"results: {handle.directory}"] or lines == ["results: run"]
    again = await found.resume()
    assert (await again.wait()).exit_code == 0


async def test_what_cannot_be_handed_over_is_told(folder: Path) -> None:
    class Local:
        name = "local"

    from nemo_evaluator.engine.prepare import Given

    options = Options(given=Given(Local()))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="cannot be handed to another process"):
        await submit(parse(document()), options)


def test_a_checked_configuration_survives_the_pipe() -> None:
    loaded = parse(document())
    again = pickle.loads(pickle.dumps(loaded))
    assert again.config == loaded.config and again.snapshot("") == loaded.snapshot("")


async def test_a_log_that_is_not_there(folder: Path) -> None:
    with pytest.raises(ConfigError, match="holds no run"):
        [line async for line in LocalRun(Path("run")).logs()]


def test_who_started_a_run_may_be_gone(folder: Path) -> None:
    """The pipe is closed: the run goes on, and writes into its log."""
    from nemo_evaluator.results.run_info import new_run_info

    Path("run").mkdir()
    child = os.fork()
    if not child:
        try:
            read, write_end = os.pipe()
            os.close(read)
            os.dup2(write_end, 2)
            Announcer().opened(Path("run"), new_run_info())
            os.write(2, b"after\n")
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert Path("run/nel_eval.log").read_text() == "after\n"
    (folder / "run/nel_eval.log").unlink()
    (folder / "run").rmdir()


def test_the_list_of_runs_forgets_and_keeps_results(nel: Nel, folder: Path) -> None:
    config = write(document(latency={"mean_ms": 0}))
    assert nel("eval", "run", config)[0] == 0
    run_id = status_of(Path("run")).run_id
    assert nel("eval", "clean", "--older-than", "1d")[1] == "Nothing to remove.\n"
    assert nel("eval", "clean", "--executor", "slurm")[1] == "Nothing to remove.\n"
    assert nel("eval", "clean", "--dry-run")[1] == f"{run_id}  run\n"
    answered = CliRunner().invoke(cli, ["eval", "clean"], input="n\n")
    assert answered.exit_code == 0 and answered.output.endswith("nothing was removed\n")
    code, _, err = nel("eval", "clean", "--older-than", "soon")
    assert code == 2 and "'soon' is not an age" in err
    code, out, _ = nel("eval", "clean", "-y")
    assert code == 0 and out.endswith("removed from the list: 1\n")
    assert len(rows(Path("run/sums"))) == SIZE
    assert nel("eval", "status", "-r", run_id)[0] == 0  # it is below the working directory


def test_a_user_without_a_home_has_no_list(
    nel: Nel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def homeless(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setattr(Path, "expanduser", homeless)
    assert nel("eval", "run", write(document(latency={"mean_ms": 0})))[0] == 0
    left = {path.name for path in folder.iterdir()} - {"__pycache__"}
    assert left == {"config.yaml", "run", "sums.py"}
    code, out, _ = nel("eval", "jobs")
    assert code == 0 and "done" in out
    assert nel("eval", "clean", "-y") == (0, "Nothing to remove.\n", "")

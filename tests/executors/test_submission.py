"""Runs that are handed to something else: submitted, found by every name, listed, gone on with."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from commands import Nel
from runs import NEL

from nemo_evaluator.config.load import Loaded
from nemo_evaluator.config.mistakes import Mistake
from nemo_evaluator.executors.contract import RunHandle
from nemo_evaluator.executors.options import Options
from nemo_evaluator.executors.submission import (
    Submission,
    find_submission,
    folder_of,
    new_run_id,
    now,
    write_submission,
)
from nemo_evaluator.results.lock import directory_lock
from nemo_evaluator.results.status import RunState, State

CONFIG = """\
services: {m: {type: simulated}}
benchmarks: [{name: sample, max_problems: 2, solver: {type: simple, service: m}}]
cluster: {type: "BATCH"}
output: {dir: runs}
""".replace("BATCH", f"{__name__}:Batch")


class Batch:
    """Keeps what it is given in the queue, and says so."""

    detached = True

    def problems(self, loaded: Loaded) -> Iterator[Mistake]:
        return iter(())

    async def describe(self, loaded: Loaded, options: Options) -> str:
        return f"#!/bin/batch\nresume={options.resume}"

    async def submit(self, loaded: Loaded, options: Options) -> RunHandle:
        run_id = new_run_id()
        directory = folder_of(loaded.config.output, run_id, stamped=True)
        directory.mkdir(parents=True, exist_ok=True)
        write_submission(
            Submission(
                run_id=run_id,
                executor=f"{__name__}:Batch",
                directory=str(directory),
                created=now(),
                ids=("41", "42"),
                host=loaded.config.cluster.model_extra.get("login", ""),  # type: ignore[union-attr]
            )
        )
        return Queued(directory)

    def attach(self, directory: Path) -> RunHandle | None:
        found = find_submission(directory)
        return Queued(found.directory, found.shard) if found is not None else None


class Queued:
    def __init__(self, directory: Path, shard: int | None = None) -> None:
        self.directory, self._shard = directory, shard

    async def status(self) -> RunState:
        jobs = ("job 41",) if self._shard is None else (f"job 41_{self._shard}",)
        return RunState(
            self.directory, "", State.PENDING, executor="batch", reason="Priority", jobs=jobs
        )

    async def logs(self, *, follow: bool = False, tail: int | None = None) -> AsyncIterator[str]:
        yield f"log of {self._shard}"

    async def stop(self, *, now: bool = False) -> None: ...

    async def resume(self) -> RunHandle:
        return self

    async def resume_counting(self) -> RunHandle:
        (self.directory / "counted").touch()
        return self

    async def wait(self) -> RunState:
        return await self.status()


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    Path("c.yaml").write_text(CONFIG)


def submitted(nel: Nel, *words: str) -> Path:
    code, out, err = nel("eval", "run", "c.yaml", *words)
    assert code == 0, err
    assert "submitted to " in out and " as 41, 42: " in out
    return Path(out.splitlines()[1].split()[-1])


def test_a_run_is_submitted_and_found_by_every_name(nel: Nel) -> None:
    directory = submitted(nel)
    assert directory.parent == Path("runs")
    run_id = directory.name
    ways = ([directory], ["-r", run_id], ["--job-id", "42"], ["--job-id", "41_3"], ["runs"])
    for way in ways:
        code, out, err = nel("eval", "status", *way)
        assert code == 0, err
        assert "state      pending on batch\n" in out and "reason     Priority" in out
        assert "submitted  job 41\n" in out
    assert "job 41_1" in nel("eval", "status", directory, "--shard", 1)[1]
    assert nel("eval", "logs", directory, "-s", 1)[1] == "log of 1\n"
    document = json.loads(nel("eval", "status", directory, "--json")[1])
    assert document["state"] == "pending" and document["executor"] == "batch"
    assert nel("eval", "status", directory, "--job-id", "42")[0] == 2
    assert nel("eval", "status", "--host", "h")[0] == 2
    assert "no run was submitted as '7'" in nel("eval", "status", "--job-id", "7")[2]


def test_what_is_submitted_is_listed_until_it_is_over(nel: Nel) -> None:
    directory = submitted(nel)
    out = nel("eval", "jobs")[1]
    assert f"{__name__}:Batch" in out and "pending" in out and str(directory) in out
    assert "unknown" in nel("eval", "jobs", "--offline")[1]
    assert nel("eval", "clean", "-y")[1] == "Nothing to remove.\n"


def test_a_run_on_another_host_is_found_by_its_directory_there(nel: Nel) -> None:
    text = CONFIG.replace('Batch"', 'Batch", login: me@far').replace("runs", "/far/away/run")
    Path("c.yaml").write_text(text)
    found = find_submission(Path("/far/away/run"))
    assert found is None
    write_submission(
        Submission(
            run_id="20300101_000000_00000000",
            executor=f"{__name__}:Batch",
            directory="/far/away/run",
            created=now(),
            ids=("7",),
            host="me@far",
        )
    )
    for way in (["/far/away/run"], ["-r", "20300101"], ["--job-id", "7", "--host", "far"]):
        code, out, err = nel("eval", "status", *way)
        assert code == 0 and "pending" in out, err
    assert nel("eval", "status", "--job-id", "7", "--host", "near")[0] == 2


def test_resume_submits_again(nel: Nel) -> None:
    directory = submitted(nel)
    code, out, _ = nel("eval", "resume", directory)
    assert code == 0 and "submitted to " in out and not (directory / "counted").exists()
    assert nel("eval", "resume", directory, "--continue-attempts")[0] == 0
    assert (directory / "counted").exists()
    assert nel("eval", "resume", directory, "-O", "a=b")[0] == 2


def test_a_dry_run_shows_what_is_submitted(nel: Nel) -> None:
    code, out, _ = nel("eval", "run", "c.yaml", "--dry-run", "--resume")
    assert (code, out) == (0, "#!/bin/batch\nresume=True\n") and not Path("runs").exists()


def test_flags_that_make_no_sense_are_refused(nel: Nel) -> None:
    assert "a cluster makes the shards" in nel("eval", "run", "c.yaml", "--shard", "0/2")[2]
    assert nel("eval", "run", "c.yaml", "--wait", "--submit")[0] == 2
    quick = ("--bench", "sample", "--model-url", "simulated")
    assert "cluster.type is 'local'" in nel("eval", "run", *quick, "--submit")[2]
    assert nel("eval", "run", *quick, "-o", "here")[0] == 0
    assert nel("eval", "resume", "here", "--continue-attempts")[0] == 2


def test_inside_of_a_submission_the_run_is_made(nel: Nel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEL_INNER_EXECUTION", "1")
    assert nel("eval", "run", "c.yaml")[0] == 0
    assert Path("runs/sample/results.jsonl").exists()
    assert not list(Path("data").rglob("nel_run.json"))
    monkeypatch.setenv("NEL_INNER_EXECUTION", "true")
    submitted(nel, "-o", "other")


def test_a_job_waits_for_what_still_writes_its_run(
    nel: Nel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the script of a node that Slurm has given up does."""
    words = ("eval", "run", "c.yaml", "-O", "cluster={type: local}", "--resume")
    with directory_lock(Path("runs")):
        code, _, err = nel(*words)
        assert code == 2 and "in use by pid" in err
        monkeypatch.setenv("NEL_INNER_EXECUTION", "1")
        job = subprocess.Popen([*NEL, *words], stderr=subprocess.PIPE, text=True)
        assert job.stderr is not None
        line = job.stderr.readline()
        assert "runs is in use by pid" in line and "goes on when that process has ended" in line
        assert job.poll() is None
    assert job.wait(30) == 0 and Path("runs/sample/results.jsonl").exists()
    job.stderr.close()


def test_a_job_that_waits_can_be_told_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEL_INNER_EXECUTION", "1")
    with directory_lock(Path("runs")):
        words = [*NEL, "eval", "run", "c.yaml", "-O", "cluster={type: local}"]
        job = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        assert job.stderr is not None and "in use by" in job.stderr.readline()
        job.terminate()
        assert job.wait(60) == 143
        job.stderr.close()


def test_a_run_that_is_waited_for_says_where_it_was_submitted(nel: Nel) -> None:
    code, _, err = nel("eval", "run", "c.yaml", "--wait")
    assert code == 3 and "submitted to " in err and " as 41, 42: runs/" in err
    assert "log of None" in err and "Priority" in err


def test_a_run_on_another_host_is_known_by_its_path_there(tmp_path: Path) -> None:
    """Also where a folder of that name is here, and is named relative to this one."""
    there = tmp_path / "run"
    (there / "shard_1").mkdir(parents=True)
    record = Submission(
        run_id="20300101_000000_00000000",
        executor="slurm",
        directory=str(there),
        created=now(),
        host="far",
    )
    write_submission(record)
    assert not list(there.rglob("*.json"))
    for name in ("run", str(there)):
        found = find_submission(Path(name))
        assert found is not None and (found.directory, found.shard) == (there, None)
    part = find_submission(Path("run/shard_1"))
    assert part is not None and (part.directory, part.shard) == (there, 1)

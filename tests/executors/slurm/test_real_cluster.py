"""Runs on a real Slurm: whatever becomes of a job, the results are those of the local run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from slurm_cluster import ENGINES, Cluster, Run, cluster, essence, finished, scores
from sshd import far_host

from nemo_evaluator.executors.slurm.plan import CHAIN, SECRETS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SECRET = "canary-7d1f0c55e2"
QUICK, LONG = 40, 60
Make = Callable[..., Run]


def config(
    *,
    ms: int = 50,
    concurrent: int = 4,
    size: int = QUICK,
    services: dict[str, dict[str, Any]] | None = None,
    **cluster: Any,
) -> str:
    """The configuration of a run of sums, whose model server is a process that poses as vllm; JSON
    is YAML."""
    server = {
        "type": "vllm",
        "model": "tiny",
        "protocol": "chat_completions",
        "startup_timeout": 60,
        "extra_env": {"FAKE_PAUSE": str(ms / 1000), "FAKE_PYTHON": sys.executable},
    }
    named = {name: {**server, **fields} for name, fields in (services or {"m": {}}).items()}
    benchmark = {
        "name": "sums.py",
        "max_problems": size,
        "max_concurrent": concurrent,
        "solver": {"type": "simple", "service": "m"},
    }
    slurm = {
        "type": "slurm",
        "walltime": "00:05:00",
        "node_pools": {"main": {"partition": "cpu"}},
        "container_env": {"CANARY_TOKEN": "${CANARY_TOKEN}"},
        **cluster,
    }
    document = {
        "services": named,
        "benchmarks": [benchmark],
        "cluster": slurm,
        "output": {"dir": "run", "timestamped": False, "progress_interval": 2},
    }
    return json.dumps(document, indent=1)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("data")) as found:
        found.env["CANARY_TOKEN"] = SECRET
        yield found


@pytest.fixture(scope="module")
def make(slurm: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Make:
    folder = tmp_path_factory.mktemp("runs")

    def made(name: str, **options: Any) -> Run:
        size = options.get("size", QUICK)
        return Run(slurm, folder / name, config(**options), size)

    return made


@pytest.fixture(scope="module")
def local(make: Make) -> Callable[[int], Path]:
    """The run of so many sums on this machine."""
    known: dict[int, Path] = {}

    def run(size: int) -> Path:
        if size not in known:
            here = make(f"local{size}", size=size, ms=1, concurrent=32)
            code, _, err = here.nel("eval", "run", "c.yaml", "-O", "cluster={type: local}")
            assert code == 0, err
            known[size] = here.directory
        return known[size]

    return run


@pytest.fixture(scope="module", autouse=True)
def started(slurm: Cluster, make: Make) -> Iterator[dict[str, Run]]:
    """Runs that need a time limit to pass: they wait for it side by side."""
    slow = {"size": LONG, "ms": 1000, "concurrent": 1, "walltime": "00:01:00", "max_retries": 10}
    alone = {"node_pools": {"main": {"partition": "batch"}}}
    runs = {
        "term": make("term", **slow),
        "kill": make("kill", **slow),
        "node": make("node", **{**slow, "walltime": "00:10:00"}, **alone),
    }
    jobs = {name: job_in(run.submit()) for name, run in runs.items()}
    kill_all(runs["kill"].begun(3, 60)["pid"])
    runs["node"].begun(3, 60)
    node = slurm.ask("squeue", "-h", "-j", jobs["node"], "-o", "%N").strip()
    slurm.act("node-down", node)
    yield runs
    slurm.act("node-up", node)
    for run in runs.values():
        run.nel("eval", "stop", "run", "--now")


def kill_all(pid: int) -> None:
    """Kill a process and what it was started by: the script of the job, with its traps."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    for process in (int(stat.rpartition(")")[2].split()[1]), pid):
        os.kill(process, signal.SIGKILL)


def job_in(out: str) -> str:
    """The first job that was submitted, as the command said."""
    return out.partition(" as ")[2].split()[0].strip(":,")


def same(run: Run, reference: Path) -> None:
    """The results are those of the local run, and nothing was paid for twice."""
    assert essence(run.directory) == essence(reference)
    assert scores(run.directory) == scores(reference)
    rollouts = run.journaled()
    assert len(rollouts) == len(set(rollouts))


def test_a_single_job(make: Make, local: Callable[[int], Path]) -> None:
    run = make("single")
    out = run.submit()
    assert "submitted to slurm as " in out and "nel eval status run" in out
    state = run.done(60)
    same(run, local(QUICK))
    assert state["exit_code"] == 0 and state["executor"] == "slurm"
    assert "pass@1" in run.logs() and "ends with code 0" in run.logs()
    code, _, err = run.nel("eval", "resume", "run")
    assert code == 2 and "there is nothing to go on with" in err
    code, _, err = run.nel("eval", "stop", "run")
    assert code == 2 and "it is done" in err
    code, _, err = run.nel("eval", "run", "c.yaml")
    assert code == 2 and "already holds the run" in err and "--resume" in err


def test_shards_and_their_merge(slurm: Cluster, make: Make, local: Callable[[int], Path]) -> None:
    run = make("shards", shards=4)
    out = run.submit()
    state = run.done(90)
    same(run, local(QUICK))
    assert [*state["shards"]] == ["0", "1", "2", "3"]
    assert {shard["state"] for shard in state["shards"].values()} == {"done"}
    assert run.nel("eval", "status", "run", "--shard", 2, "--json")[1].count("shard_2")
    assert run.nel("eval", "status", "run", "--shard", 9)[0] == 2
    logs = run.logs()
    assert "the last lines of its log" not in logs  # no shard has ended the server of another
    assert all(f"_{index}.log <==" in logs for index in range(4)) and "slurm-merge-" in logs
    job = job_in(out)
    assert "done on slurm" in run.nel("eval", "status", "--job-id", f"{job}_1")[1]
    listed = slurm.nel("eval", "jobs", cwd=run.folder)[1]
    assert sum("shards/run" in line or " run" in line[-5:] for line in listed.splitlines()) == 1


def test_servers_in_two_pools_are_a_heterogeneous_job(
    slurm: Cluster, make: Make, local: Callable[[int], Path]
) -> None:
    pools = {"main": {"partition": "cpu"}, "gpu": {"partition": "batch", "gres": "gpu:1"}}
    services = {"m": {"node_pool": "gpu"}, "other": {"node_pool": "main"}}
    run = make("het", node_pools=pools, services=services)
    job = job_in(run.submit())
    run.done(90)
    same(run, local(QUICK))
    asked = ("sacct", "-X", "-n", "-P", "-j", job, "-o", "JobID,Partition")
    deadline = time.monotonic() + 30
    while {*slurm.ask(*asked).split()} != {f"{job}+0|batch", f"{job}+1|cpu"}:
        assert time.monotonic() < deadline, slurm.ask(*asked)  # accounting comes later
        time.sleep(0.5)
    # One for each job: where Slurm cannot make a server's step, the follow-up job tries again.
    jobs = (run.directory / CHAIN).read_text().split()
    logs = (run.directory / "logs").glob("server-m-*.log")
    assert sorted(path.stem for path in logs) == sorted(f"server-m-{number}" for number in jobs)


def test_no_secret_is_left_or_shown(slurm: Cluster, make: Make) -> None:
    run = make("secret", ms=1000)
    job = job_in(run.submit())
    run.begun(1, 60)
    secrets = run.directory / SECRETS
    assert secrets.stat().st_mode & 0o777 == 0o600 and SECRET in secrets.read_text()
    shown = slurm.ask("scontrol", "show", "job", job) + slurm.ask("ps", "axww", "-o", "args")
    run.done(60)
    shown += slurm.ask("sacct", "--env-vars", "-j", job) + slurm.ask("sacct", "-B", "-j", job)
    assert "nel-eval" in shown and SECRET not in shown
    run.until(lambda _: not secrets.exists(), 30)  # the job ends after the run
    found = subprocess.run(["grep", "-rl", SECRET, run.directory], capture_output=True, text=True)
    assert found.stdout == ""


def test_a_cancelled_job_is_resumed(
    slurm: Cluster, make: Make, local: Callable[[int], Path]
) -> None:
    run = make("cancel", ms=2000)
    out = run.submit()
    run.begun(5, 60)
    job = job_in(out)
    code, _, err = run.nel("eval", "resume", "run")
    assert code == 2 and "goes on by itself" in err
    slurm.ask("scancel", job)
    state = run.ended(60)
    assert state["state"] == "cancelled" and "was cancelled" in state["reason"]
    assert not (run.directory / SECRETS).exists()
    kept = finished(state)
    assert kept >= 5
    assert "submitted to slurm" in run.nel("eval", "resume", "run")[1]
    run.done(90)
    same(run, local(QUICK))


def test_stop_lets_it_finish_and_submits_nothing_further(
    make: Make, local: Callable[[int], Path]
) -> None:
    run = make("stop", ms=6000, shards=2)
    run.submit()
    # A job that has not begun to evaluate would be cancelled.
    run.until(lambda state: all(map(finished, state["shards"].values())), 60)
    code, out, err = run.nel("eval", "stop", "run", "--wait", 120, timeout=180)
    assert code == 0 and "stopped: interrupted" in out, err
    state = run.status()
    assert 4 <= finished(state) < QUICK
    assert run.nel("eval", "resume", "run")[0] == 0
    run.done(90)
    same(run, local(QUICK))


def test_what_is_refused_says_why(make: Make) -> None:
    run = make("refused", node_pools={"main": {"partition": "none"}})
    code, out, err = run.nel("eval", "run", "c.yaml")
    assert (code, out) == (2, "") and "sbatch refuses it: Invalid partition" in err
    assert not run.directory.joinpath("submission.json").exists()


def test_a_login_node_behind_ssh(
    slurm: Cluster,
    make: Make,
    local: Callable[[int], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The user's machine has no Slurm; what it knows of the run comes through ssh."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    there = {"SLURM_CONF": slurm.env["SLURM_CONF"]}
    env = {"PATH": path, "CANARY_TOKEN": "${CANARY_TOKEN}"}
    pause = {"FAKE_PAUSE": "1.5", "FAKE_PYTHON": sys.executable, "PATH": f"{ENGINES}:{path}"}
    services = {"m": {"extra_env": pause}}
    run = make("far", services=services, shards=2, hostname="far", container_env=env)
    directory = run.directory.resolve()
    text = (run.folder / "c.yaml").read_text().replace('"run"', json.dumps(str(directory)))
    (run.folder / "c.yaml").write_text(text)
    with far_host(tmp_path_factory.mktemp("far"), there) as programs:
        run.env.update(PATH=f"{programs}:{path}", SLURM_CONF="/nowhere")
        assert f": far:{directory}\n" in run.submit()
        run.begun(3, 60)
        secrets = directory / SECRETS
        assert secrets.stat().st_mode & 0o777 == 0o600 and SECRET in secrets.read_text()
        assert SECRET not in (programs.parent / "asked").read_text()
        assert run.nel("eval", "stop", directory, "--wait", 60)[0] == 0
        run.until(lambda _: not secrets.exists(), 30)
        code, _, err = run.nel("eval", "resume", directory)
        assert code == 0, err
        state = run.done(120)
        assert finished(state) == QUICK and [*state["shards"]] == ["0", "1"]
        assert "slurm-merge-" in run.logs()
        job = json.loads((directory / "submission.json").read_text())["ids"][0]
        assert "done" in run.nel("eval", "status", "--job-id", job, "--host", "far")[1]
        for _ in range(2):
            code, out, err = run.nel("eval", "fetch", directory, "--into", "copy")
            assert code == 0 and "nel eval report copy" in out, err
        code, _, err = run.nel("eval", "fetch", directory, "--into", "run")
        assert code == 2 and "holds something else" in err
    assert essence(run.folder / "copy") == essence(directory)
    copied = run.nel("eval", "report", "copy", "-f", "csv")[1]
    assert copied == run.nel("eval", "report", directory, "-f", "csv")[1]
    same(run, local(QUICK))


def test_a_controller_that_is_away_is_waited_for(
    slurm: Cluster, make: Make, local: Callable[[int], Path]
) -> None:
    run = make("away", ms=3000, shards=2)
    slurm.act("controller-down")
    back = threading.Timer(60, slurm.act, ["controller-up"])
    back.start()
    try:
        began = time.monotonic()
        code, out, err = run.nel("eval", "run", "c.yaml", timeout=200)
        assert code == 0 and time.monotonic() - began > 50, err
        assert "Slurm does not answer" in err and err.count("does not answer") == 1
    finally:
        back.join()
    names = slurm.ask("squeue", "-h", "--states=all", "-o", "%j").split()
    mine = [name for name in names if name.startswith("nel-eval-sums")]
    assert len(out.partition(" as ")[2].partition(":")[0].split(",")) == 2 and mine
    run.begun(2, 60)
    slurm.act("controller-down")
    try:
        state = run.status()
        assert "Slurm does not answer" in state["reason"] and finished(state) >= 2
        code, _, err = run.nel("eval", "resume", "run")
        assert code == 2 and "cannot go on: Slurm does not answer" in err
    finally:
        slurm.act("controller-up")
    run.done(120)
    same(run, local(QUICK))
    assert len(json.loads((run.directory / "submission.json").read_text())["ids"]) == 2


def test_a_killed_job_goes_on_in_the_next_one(
    started: dict[str, Run], local: Callable[[int], Path]
) -> None:
    """No trap was run, no follow-up job was submitted: it had been before."""
    run = started["kill"]
    run.done(240)
    same(run, local(LONG))


def test_the_time_limit_ends_a_job_and_the_run_goes_on(
    started: dict[str, Run], local: Callable[[int], Path]
) -> None:
    run = started["term"]
    run.done(240)
    same(run, local(LONG))
    jobs = (run.directory / CHAIN).read_text().split()
    assert len(jobs) >= 2
    assert f"goes on after job {jobs[0]}" in run.logs()
    run.until(lambda _: not (run.directory / SECRETS).exists(), 30)


def test_a_node_fails_and_its_orphan_stops_writing(
    started: dict[str, Run], local: Callable[[int], Path]
) -> None:
    run = started["node"]
    run.done(240)
    same(run, local(LONG))
    # The accounting may know of a job a moment after its files do.
    run.until(lambda state: "NODE_FAIL" in "".join(state["jobs"]), 60)
    assert "goes on after job" in run.logs()

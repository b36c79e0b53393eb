"""Runs on a real Ray: workers, nodes and drivers are killed in the middle, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import listening
from parts import part
from ray_nodes import Nodes, descendants, nodes
from running import until
from runs import BENCH, rows

from nemo_evaluator.results.status import State

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
SIZE = 120
CANARY = "sk-canary-of-the-ray-tests-0123456789"
CONFIG = """
services:
  model:
    {{type: api, url: "{url}", protocol: chat_completions, model: m, api_key: "${{NEL_CANARY}}"}}
benchmarks: [{{name: {bench}, max_concurrent: {places}}}]
cluster: {{type: {cluster}}}
output: {{dir: {out}, progress_interval: 1}}
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A model that takes its time, in a process of its own."""
    words = ("simulate", "--port", "0", "--latency-ms", "400", "--latency", "lognormal")
    with listening(*words) as (_, address):
        yield address


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    """A head of one CPU; tests add what they kill."""
    part("ray")
    with nodes() as made:
        made.start()
        yield made


class Run:
    """A configuration in a folder, run by commands of its own."""

    def __init__(
        self, folder: Path, cluster: Nodes, url: str, options: str, places: int = 3
    ) -> None:
        self.out = folder / "results" / "out"
        self.out.parent.mkdir()
        (folder / "sums.py").write_text(BENCH % {"size": SIZE})
        self._cluster, self._folder = cluster, folder
        self.local = folder / "local"
        for name, kind, out in (("ray", options, self.out), ("local", "local", self.local)):
            text = CONFIG.format(
                url=url, bench=folder / "sums.py", places=places, cluster=kind, out=out
            )
            (folder / f"{name}.yaml").write_text(text)

    def nel(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        command = [str(part("ray") / "bin" / "python"), "-m", "nemo_evaluator.cli", *words]
        return subprocess.run(
            command,
            env=self._cluster.environment(NEL_CANARY=CANARY, **env),
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )

    def submit(self) -> None:
        """Start it, and come back when the first answers are there."""
        done = self.nel("eval", "run", "ray.yaml", "--background")
        assert done.returncode == 0, done.stderr
        until(
            self.out,
            lambda s: s.state is State.RUNNING and sum(b.done for b in s.benchmarks.values()) >= 10,
        )

    def ended(self, seconds: float = 120) -> None:
        """Wait for the end of the driver."""
        end = time.monotonic() + seconds
        while not self.driver_ended():
            assert time.monotonic() < end, self.log()
            time.sleep(0.2)

    def driver_ended(self) -> bool:
        progress = json.loads((self.out / "progress.json").read_text())
        return progress["exit_code"] is not None

    @property
    def driver(self) -> int:
        """The process that drives the shards."""
        return int(json.loads((self.out / "progress.json").read_text())["pid"])

    def log(self) -> str:
        return (self.out / "nel_eval.log").read_text()

    def check_equal(self) -> None:
        """The results are those of a run of this machine."""
        done = self.nel("eval", "run", "local.yaml")
        assert done.returncode == 0, done.stderr
        assert kept(self.out) == kept(self.local)
        assert len(kept(self.out)) == SIZE
        assert scores(self.out) == scores(self.local)

    def check_no_secret(self) -> None:
        """The secret stands in no file of the run or of Ray."""
        for top in (self.out, self._cluster.temporary):
            for path in top.rglob("*"):
                if path.is_file() and not path.is_symlink():
                    assert CANARY.encode() not in path.read_bytes(), path


def kept(out: Path) -> list[tuple[Any, ...]]:
    names = ("problem_idx", "repeat", "reward", "model_response", "extracted_answer", "outcome")
    return [tuple(row.get(name) for name in names) for row in rows(out / "sums")]


def scores(out: Path) -> Any:
    bundle = next((out / "sums").glob("eval-*.json"))
    found = json.loads(bundle.read_text())["benchmark"]["scores"]
    return {name: value for name, value in found.items() if name != "runtime"}


def of_shards(cluster: Nodes) -> list[int]:
    """The processes of shards that run now."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            mine = os.fsencode(cluster.temporary) in (entry / "environ").read_bytes()
        except (OSError, ValueError):
            continue
        if b"nemo_evaluator.cli.ray_shard" in words and mine:
            found.append(int(entry.name))
    return found


def until_true(what: Callable[[], Any], seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


def test_a_killed_worker_is_replaced_and_the_results_are_those_of_a_run_here(
    tmp_path: Path, cluster: Nodes, url: str
) -> None:
    """Two workers of a Ray of this run alone; one is killed in the middle."""
    run = Run(tmp_path, cluster, url, "ray, address: local, shards: 2")
    run.submit()
    shards = until_true(lambda: of_shards(cluster))
    worker = int(Path(f"/proc/{shards[0]}/stat").read_text().rsplit(")", 1)[1].split()[1])
    os.kill(worker, signal.SIGKILL)
    run.ended()
    assert "started again, 1 of 3" in run.log()
    status = run.nel("eval", "status", str(run.out))
    assert status.returncode == 0 and "done on ray, exit code 0" in status.stdout
    assert f"shard 1: done {SIZE // 2}/{SIZE // 2}" in status.stdout
    run.check_equal()
    run.check_no_secret()


def test_a_node_that_dies_is_replaced(tmp_path: Path, cluster: Nodes, url: str) -> None:
    second = cluster.start()
    run = Run(tmp_path, cluster, url, f"ray, address: '{cluster.address}', shards: 3")
    run.submit()
    until_true(lambda: set(of_shards(cluster)) & set(descendants(second.pid)))
    cluster.kill(second)
    run.ended()
    assert "started again" in run.log()
    run.check_equal()
    run.check_no_secret()


def test_files_come_back_from_a_node_that_does_not_share_the_directory(
    tmp_path: Path, cluster: Nodes, url: str
) -> None:
    """The node sees an empty folder in the place of the results; it is killed, and a second one
    goes on with what the driver has got until then."""
    if os.geteuid() != 0:
        pytest.skip("a mount namespace of its own needs root")
    out = tmp_path / "results"
    options = f"ray, address: '{cluster.address}', shards: 1, resources: {{far: 1}}"
    run = Run(tmp_path, cluster, url, options)
    hidden = ["unshare", "-m", "sh", "-c", f'mount -t tmpfs none "{out}" && exec "$@"', "sh"]
    far = cluster.start('--resources={"far": 1}', before=hidden)
    run.submit()
    asked = run.nel("eval", "ctl", str(run.out), "--max-concurrent", "5")
    assert asked.returncode == 0, asked.stdout + asked.stderr
    cluster.kill(far)
    until_true(lambda: "started again" in run.log())
    before = len((run.out / "shard_0" / "sums" / "journal.jsonl").read_text().splitlines())
    assert before > 10
    again = cluster.start('--resources={"far": 1}', before=hidden)
    run.ended()
    cluster.kill(again)
    run.check_equal()
    run.check_no_secret()


def test_a_driver_that_was_killed_leaves_no_shard_behind_and_the_run_goes_on(
    tmp_path: Path, cluster: Nodes, url: str
) -> None:
    run = Run(tmp_path, cluster, url, f"ray, address: '{cluster.address}', shards: 2")
    run.submit()
    os.kill(run.driver, signal.SIGKILL)
    until_true(lambda: not of_shards(cluster))
    status = run.nel("eval", "status", str(run.out))
    assert status.returncode == 0 and "killed on ray" in status.stdout
    assert "goes on with it" in status.stdout
    resumed = run.nel("eval", "resume", str(run.out))
    assert resumed.returncode == 0, resumed.stderr
    run.ended()
    run.check_equal()


def test_a_run_is_stopped_and_goes_on(tmp_path: Path, cluster: Nodes, url: str) -> None:
    run = Run(tmp_path, cluster, url, f"ray, address: '{cluster.address}', shards: 2", places=2)
    run.submit()
    stopped = run.nel("eval", "stop", str(run.out))
    assert stopped.returncode == 0, stopped.stderr
    run.ended()
    assert not of_shards(cluster)
    status = run.nel("eval", "status", str(run.out))
    assert "interrupted on ray, exit code 130" in status.stdout
    assert "shard 1: cancelled" in status.stdout
    refused = run.nel("eval", "run", "ray.yaml")
    assert refused.returncode == 2 and "--resume" in refused.stderr
    done = run.nel("eval", "run", "ray.yaml", "--resume", "--wait")
    assert done.returncode == 0, done.stderr
    run.check_equal()


def test_what_the_user_must_fix_is_said_once(tmp_path: Path, cluster: Nodes, url: str) -> None:
    run = Run(tmp_path, cluster, url, f"ray, address: '{cluster.address}', shards: 4")
    (tmp_path / "sums.py").write_text("import no_such_module_anywhere\n")
    done = run.nel("eval", "run", "ray.yaml", "--wait")
    assert done.returncode == 2
    assert done.stderr.count("no_such_module_anywhere") == 1, done.stderr
    assert "Traceback" not in done.stderr


def test_a_cluster_that_is_not_there_is_one_line(tmp_path: Path, cluster: Nodes, url: str) -> None:
    run = Run(tmp_path, cluster, url, "ray, address: '127.0.0.1:9', shards: 2")
    done = run.nel("eval", "run", "ray.yaml", "--wait")
    assert done.returncode == 2
    assert "cluster.address: the Ray cluster '127.0.0.1:9' cannot be used" in done.stderr
    assert "Traceback" not in done.stderr

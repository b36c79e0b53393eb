"""Runs on a cluster that is played by processes of this machine (``fake_kubectl``)."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import Nel
from runs import BENCH, rows

CANARY = "canary-41d07be2c9"
SIZE = 40
KUBECTL = Path(__file__).resolve().parents[2] / "support/fake_kubectl.py"
SLOW = {"latency": {"mean_ms": 300}}

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the cluster; the working directory is beside it."""
    for name in ("cluster", "volume", "here", "bin"):
        (tmp_path / name).mkdir()
    kubectl = tmp_path / "bin/kubectl"
    kubectl.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{KUBECTL}" "$@"\n')
    kubectl.chmod(0o755)
    path = [str(tmp_path / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
    monkeypatch.setenv("PATH", os.pathsep.join(path))
    monkeypatch.setenv("NEL_CLUSTER", str(tmp_path / "cluster"))
    monkeypatch.chdir(tmp_path / "here")
    Path("sums.py").write_text(BENCH % {"size": SIZE})
    yield tmp_path / "cluster"
    for file in (tmp_path / "cluster").glob("*.pid"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(file.read_text()), signal.SIGKILL)


def write(cluster: Path, shards: int | None = None, **model: Any) -> str:
    document = {
        "services": {"model": {"type": "simulated", **model}},
        "benchmarks": [{"name": "./sums.py", "max_concurrent": 2, "repeats": 2}],
        "output": {"dir": "run", "report": [], "progress_interval": 0.2},
        "cluster": {
            "type": "kubernetes",
            "image": "registry.example.com/nel:1",
            "claim": "results",
            "mount_path": str(cluster.parent / "volume"),
            **({"shards": shards} if shards else {}),
        },
    }
    Path("config.yaml").write_text(yaml.safe_dump(document))
    return "config.yaml"


def status(nel: Nel, directory: str = "run") -> dict[str, Any]:
    code, out, err = nel("eval", "status", directory, "--json")
    assert code == 0, err
    return dict(json.loads(out))


def until(nel: Nel, *states: str) -> dict[str, Any]:
    end = time.monotonic() + 60
    while (state := status(nel))["state"] not in states:
        assert time.monotonic() < end, state
        time.sleep(0.2)
    return state


def begun(nel: Nel, directory: str = "run", total: int = 0) -> dict[str, Any]:
    """The state of a run that has done something, once it knows of so many rollouts."""
    end = time.monotonic() + 60
    while True:
        state = status(nel, directory)
        found = state["benchmarks"].values()
        if any(one["done"] for one in found) and sum(one["total"] for one in found) >= total:
            return state
        assert time.monotonic() < end, state
        time.sleep(0.2)


def scores(folder: Path) -> list[tuple[object, ...]]:
    keys = ("problem_idx", "repeat", "reward", "model_response")
    return [tuple(row[key] for key in keys) for row in rows(folder)]


@pytest.fixture
def expected(nel: Nel, cluster: Path) -> list[tuple[object, ...]]:
    """The results of a run on this machine."""
    local = ("-O", "cluster={type: local}", "-o", "local")
    assert nel("eval", "run", write(cluster), *local)[0] == 0
    return scores(Path("local/sums"))


def test_one_pod(nel: Nel, cluster: Path, expected: object) -> None:
    code, out, err = nel("eval", "run", write(cluster), "--wait")
    assert code == 0, err
    assert scores(Path("run/sums")) == expected
    assert "[pod/nel-" in out + err and "pass@1" in out + err
    state = status(nel)
    assert (state["state"], state["executor"], state["exit_code"]) == ("done", "kubernetes", 0)
    assert nel("eval", "logs", "run", "-n", "1")[1].rstrip().endswith("done, exit code 0")
    code, _, err = nel("eval", "resume", "run")
    assert code == 2 and "is complete" in err
    code, _, err = nel("eval", "run", "config.yaml")
    assert code == 2 and "already holds the run" in err
    assert not list(cluster.glob("pod_*reader*"))


def test_shards_are_merged_to_the_same_results(nel: Nel, cluster: Path, expected: object) -> None:
    code, out, err = nel("eval", "run", write(cluster, shards=3, latency={"mean_ms": 1000}))
    assert code == 0 and out.startswith("submitted to kubernetes as nel-"), err
    one = begun(nel, "run/shard_1")
    assert (one["state"], one["benchmarks"]["sums"]["total"]) == ("running", 26)
    state = begun(nel, total=SIZE * 2)  # of all shards: each begins when its pod does
    assert state["state"] == "running" and set(state["shards"]) == {"0", "1", "2"}
    assert state["benchmarks"]["sums"]["total"] == SIZE * 2
    assert "[pod/" in nel("eval", "logs", "run")[1]
    until(nel, "done")
    assert scores(Path("run/sums")) == expected
    assert len(scores(Path("run/shard_1/sums"))) == 26


def test_a_pod_that_is_killed_is_started_again_and_loses_nothing(
    nel: Nel, cluster: Path, expected: object
) -> None:
    assert nel("eval", "run", write(cluster, **SLOW))[0] == 0
    begun(nel)
    [pid] = cluster.glob("*-0-0.pid")
    os.killpg(int(pid.read_text()), signal.SIGKILL)
    until(nel, "done")
    assert len(list(cluster.glob("*-0-1.log"))) == 1
    assert scores(Path("run/sums")) == expected
    progress = json.loads(Path("run/progress.json").read_text())
    assert progress["benchmarks"]["sums"]["restored"] > 0


def test_a_run_is_stopped_and_goes_on(nel: Nel, cluster: Path, expected: object) -> None:
    assert nel("eval", "run", write(cluster, shards=2, **SLOW))[0] == 0
    begun(nel)
    code, out, err = nel("eval", "stop", "run")
    assert code == 0 and "interrupted" in out, err
    assert not list(cluster.glob("secret_*"))
    state = status(nel)
    assert state["state"] == "interrupted" and "nel eval resume" in state["reason"]
    assert nel("eval", "stop", "run")[0] == 2
    assert nel("eval", "resume", "run")[0] == 0
    code, _, err = nel("eval", "run", "config.yaml", "--resume")
    assert code == 2 and "there as job" in err
    until(nel, "done")
    assert scores(Path("run/sums")) == expected


def test_what_a_repetition_does_not_help_fails_at_once(nel: Nel, cluster: Path) -> None:
    Path("sums.py").write_text("raise ValueError('no benchmark today')\n")
    assert nel("eval", "run", write(cluster))[0] == 0
    state = until(nel, "failed")
    assert "the user must fix: see nel eval logs" in state["reason"]
    assert len(list(cluster.glob("*.log"))) == 1
    assert "no benchmark today" in nel("eval", "logs", "run")[1]
    calls = len((cluster / "calls").read_text().splitlines())
    status(nel)
    assert (
        len((cluster / "calls").read_text().splitlines()) <= calls + 2
    )  # nothing is fetched again


@pytest.mark.parametrize(
    ("trouble", "state", "told"),
    [
        (
            {
                "phase": "Pending",
                "containerStatuses": [
                    {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "denied"}}}
                ],
            },
            "pending",
            "the image cannot be pulled: denied",
        ),
        (
            {
                "phase": "Pending",
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "message": "0/3 nodes: no GPU"}
                ],
            },
            "pending",
            "no node can take it: 0/3 nodes: no GPU",
        ),
        (
            {
                "phase": "Failed",
                "containerStatuses": [
                    {"state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}
                ],
            },
            "failed",
            "for want of memory: raise cluster.memory",
        ),
        (
            {"phase": "Failed", "reason": "Evicted", "message": "low on disk"},
            "failed",
            "was evicted from its node: low on disk",
        ),
    ],
)
def test_trouble_is_told(
    nel: Nel, cluster: Path, trouble: dict[str, Any], state: str, told: str
) -> None:
    (cluster / "trouble.json").write_text(json.dumps(trouble))
    assert nel("eval", "run", write(cluster))[0] == 0
    found = until(nel, state)
    while state == "pending" and not found["reason"]:
        found = status(nel)
    assert told in found["reason"]


def test_secrets_are_nowhere_but_in_their_object(
    nel: Nel, cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", f"hf-{CANARY}")
    monkeypatch.setenv("MY_KEY", f"my-{CANARY}")
    document = yaml.safe_load(Path(write(cluster)).read_text())
    document["cluster"]["container_env"] = {"A_TOKEN": f"a-{CANARY}", "B_TOKEN": "${MY_KEY}"}
    Path("config.yaml").write_text(yaml.safe_dump(document))
    Path("sums.py").write_text(
        "import os\nassert all(os.environ[name].endswith('c9') for name in "
        "('HF_TOKEN', 'A_TOKEN', 'B_TOKEN'))\n" + BENCH % {"size": SIZE}
    )
    code, out, err = nel("eval", "run", "config.yaml", "--dry-run")
    assert code == 0 and CANARY not in out + err and "A_TOKEN: '***'" in out
    assert nel("eval", "run", "config.yaml")[0] == 0
    holding = [file.name for file in cluster.iterdir() if CANARY in file.read_text()]
    assert len(holding) == 1 and holding[0].startswith("secret_")
    until(nel, "done")
    Path("config.yaml").unlink()
    for folder in (cluster, Path("run"), cluster.parent / "volume"):
        for file in filter(Path.is_file, folder.rglob("*")):
            assert CANARY.encode() not in file.read_bytes(), file


def test_a_cluster_that_is_away(nel: Nel, cluster: Path) -> None:
    (cluster / "away").touch()
    code, _, err = nel("eval", "run", write(cluster))
    assert code == 2 and "connection to the server" in err and len(err.splitlines()) == 1
    assert not Path("run/submission.json").exists()
    assert nel("eval", "jobs")[1] == "No runs.\n"
    (cluster / "away").unlink()
    assert nel("eval", "run", "config.yaml")[0] == 0
    (cluster / "away").touch()
    assert "connection to the server" in status(nel)["reason"]
    (cluster / "away").unlink()
    until(nel, "done")
    for file in cluster.glob("job_*"):
        file.unlink()  # as the cluster does with old jobs
    assert status(nel)["state"] == "done"


def test_without_kubectl(nel: Nel, cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    code, _, err = nel("eval", "run", write(cluster))
    assert code == 2 and "kubectl is not on PATH" in err and "--dry-run" in err

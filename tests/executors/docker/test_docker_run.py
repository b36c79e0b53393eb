"""Runs in real containers: what they give, what they keep secret, how they end and go on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import Nel
from engines import require
from nel_image import image_args, nel_image
from runs import BENCH, rows

from nemo_evaluator.executors.docker.handle import KILL_SECONDS

CANARY = "canary-7f3a9c51d2e8"
SIZE = 60

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def _image() -> None:
    """What its building says is not said by a command of a test."""
    nel_image()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    require("docker")
    monkeypatch.chdir(tmp_path)
    Path("sums.py").write_text(BENCH % {"size": SIZE})
    yield tmp_path
    names = containers(f"label=nemo-evaluator.run.directory={tmp_path / 'run'}")
    if names:
        docker("rm", "-f", *names)


def docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def containers(condition: str) -> list[str]:
    return docker("ps", "-aq", "--filter", condition).split()


def write(cluster: dict[str, Any] | None = None, **model: Any) -> str:
    document = {
        "services": {"model": {"type": "simulated", **model}},
        "benchmarks": [{"name": "./sums.py", "max_concurrent": 2}],
        "output": {"dir": "run", "report": [], "progress_interval": 0.2},
        "cluster": {"type": "docker", "image": nel_image(), "mount_home": False, **(cluster or {})},
    }
    Path("config.yaml").write_text(yaml.safe_dump(document))
    return "config.yaml"


SLOW = {"latency": {"mean_ms": 400}}
"""Of a model: a run then takes twelve seconds."""
ENDLESS = {"latency": {"mean_ms": 60_000}}
"""Of a model: a run then lasts as long as the test."""


def container_of(folder: Path) -> str:
    found = json.loads((folder / "run/submission.json").read_text())
    assert found["executor"] == "docker"
    return str(found["ids"][0])


def status(nel: Nel) -> dict[str, Any]:
    code, out, err = nel("eval", "status", "run", "--json")
    assert code == 0, err
    return dict(json.loads(out))


def until(nel: Nel, seen: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    end = time.monotonic() + 120
    while not seen(state := status(nel)):
        assert time.monotonic() < end, state
        time.sleep(0.2)
    return state


def until_ended(nel: Nel) -> dict[str, Any]:
    return until(nel, lambda s: s["state"] not in ("starting", "running", "stopping"))


def until_done(nel: Nel, count: int) -> dict[str, Any]:
    return until(nel, lambda s: sum(b["done"] for b in s["benchmarks"].values()) >= count)


def test_results_are_those_of_a_local_run(nel: Nel, folder: Path) -> None:
    write()
    code, out, err = nel("eval", "run", "config.yaml", "--wait", "--repeats", "2")
    assert code == 0, err
    assert "done, exit code 0" in out + err and f"{SIZE * 2}/{SIZE * 2}" in out + err
    local = ("-O", "cluster={type: local}", "-o", "here")
    code, _, err = nel("eval", "run", "config.yaml", "--repeats", "2", *local)
    assert code == 0, err
    here, there = rows(folder / "here/sums"), rows(folder / "run/sums")
    assert len(here) == len(there) == SIZE * 2
    for mine, other in zip(here, there, strict=True):
        same = ("problem_idx", "repeat", "reward", "model_response", "extracted_answer")
        assert [mine[key] for key in same] == [other[key] for key in same]
    for path in (folder / "run").rglob("*"):
        assert (path.stat().st_uid, path.stat().st_gid) == (os.getuid(), os.getgid()), path


def test_a_run_goes_on_without_its_terminal_and_is_found_by_its_directory(
    nel: Nel, folder: Path
) -> None:
    code, out, err = nel("eval", "run", write(**SLOW))
    assert code == 0, err
    name = container_of(folder)
    assert out.splitlines()[0] == f"submitted to docker as {name}: run"
    state = status(nel)
    assert (state["state"], state["executor"], state["host"]) == ("running", "docker", name)
    assert state["jobs"] == [f"container {name}"]
    code, _, err = nel("eval", "run", "config.yaml", "--resume")
    assert code == 2 and f"a run is running there in the container {name}" in err
    assert nel("eval", "logs", "run", "-f")[1].rstrip().endswith("done, exit code 0")
    assert status(nel)["state"] == "done" and status(nel)["exit_code"] == 0
    code, _, err = nel("eval", "run", "config.yaml")
    assert code == 2 and "already holds the run" in err and "--resume" in err
    assert nel("eval", "logs", "run", "-n", "1")[1].endswith("done, exit code 0\n")


def test_stopped_and_killed_runs_go_on_and_lose_nothing(nel: Nel, folder: Path) -> None:
    assert nel("eval", "run", write(**SLOW))[0] == 0
    name = container_of(folder)
    until_done(nel, 1)
    assert "stopped: interrupted" in nel("eval", "stop", "run")[1]
    state = status(nel)
    assert (state["state"], state["exit_code"], state["reason"]) == ("interrupted", 130, "")
    code, out, err = nel("eval", "resume", "run")
    assert code == 0 and name in out, err
    until_done(nel, state["benchmarks"]["sums"]["done"] + 1)
    docker("kill", name)
    state = until_ended(nel)
    assert state["state"] == "killed" and "docker kill" in state["reason"]
    done = state["benchmarks"]["sums"]["done"]
    assert 0 < done < SIZE
    assert nel("eval", "stop", "run")[0] == 2
    assert nel("eval", "resume", "run")[0] == 0  # at once: the dead container holds nothing
    state = until_ended(nel)
    assert state["state"] == "done" and state["benchmarks"]["sums"]["done"] == SIZE
    assert state["benchmarks"]["sums"]["restored"] >= done
    docker("rm", name)
    assert status(nel)["state"] == "done"
    assert len(rows(folder / "run/sums")) == SIZE


def test_each_run_has_a_folder_of_its_own_if_asked(nel: Nel, folder: Path) -> None:
    write()
    stamped = ("-O", "output.timestamped=true", "--wait")
    for _ in range(2):
        assert nel("eval", "run", "config.yaml", *stamped)[0] == 0
    first, second = sorted((folder / "run").iterdir())
    assert len(rows(first / "sums")) == len(rows(second / "sums")) == SIZE
    (second / "sums/results.jsonl").unlink()
    assert nel("eval", "run", "config.yaml", *stamped, "--resume")[0] == 0
    assert len(rows(second / "sums")) == SIZE
    assert nel("eval", "resume", second)[0] == 0
    assert sorted((folder / "run").iterdir()) == [first, second]
    for path in (first, second):
        docker("rm", "-f", *containers(f"label=nemo-evaluator.run.directory={path}"))


def test_a_run_that_must_end_now_ends(nel: Nel, folder: Path) -> None:
    assert nel("eval", "run", write(**ENDLESS))[0] == 0
    began = time.monotonic()
    assert "stopped: interrupted" in nel("eval", "stop", "run", "--now")[1]
    assert time.monotonic() - began < KILL_SECONDS
    docker("rm", container_of(folder))
    assert "removed" in status(nel)["reason"]


def test_memory_that_runs_out_is_named(nel: Nel, folder: Path) -> None:
    assert nel("eval", "run", write(**ENDLESS))[0] == 0
    name = container_of(folder)
    docker("update", "--memory", "400m", "--memory-swap", "400m", name)
    hog = "x = []\nwhile True: x.append(bytearray(1 << 22))"
    subprocess.run(["docker", "exec", name, "python3", "-c", hog], capture_output=True, timeout=60)
    docker("kill", name)
    state = until_ended(nel)
    assert state["state"] == "killed" and "for want of memory" in state["reason"]


def test_secrets_are_in_memory_only(
    nel: Nel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRST_KEY", f"first-{CANARY}")
    monkeypatch.setenv("HF_TOKEN", f"hf-{CANARY}")
    Path("sums.py").write_text(
        "import os\nWORDS = {name: os.environ.get(name, '') for name in "
        "('FIRST_KEY', 'HF_TOKEN', 'SECOND_TOKEN')}\n"
        f"assert all(word.endswith({CANARY[-4:]!r}) for word in WORDS.values())\n"
        "assert 'FIRST_KEY' not in open('/proc/self/environ').read()\n" + BENCH % {"size": SIZE}
    )
    write({"container_env": {"SECOND_TOKEN": f"second-{CANARY}"}}, **ENDLESS)
    text = Path("config.yaml").read_text()
    Path("config.yaml").write_text(
        text.replace("services:", "services:\n  other: {type: api, url: 'http://127.0.0.1:9/v1', "
                     "model: m, protocol: chat_completions, api_key: '${FIRST_KEY}'}")
        .replace("max_concurrent: 2", "max_concurrent: 2\n  solver: {type: simple, service: model}")
    )  # fmt: skip
    code, out, err = nel("eval", "run", "config.yaml", "--dry-run")
    assert code == 0 and "SECOND_TOKEN=***" in out and CANARY not in out + err
    code, out, err = nel("eval", "run", "config.yaml")
    assert code == 0 and CANARY not in out + err, err
    name = container_of(folder)
    assert CANARY not in docker("inspect", name) + docker("top", name, "axeww") + docker(
        "logs", name
    )
    assert nel("eval", "resume", "run")[0] == 2  # in use
    nel("eval", "stop", "run", "--now")
    assert CANARY not in nel("eval", "logs", "run")[1]
    for path in filter(Path.is_file, (folder / "run").rglob("*")):
        assert CANARY.encode() not in path.read_bytes(), path
    assert CANARY not in docker("logs", name)


def test_what_cannot_start_says_why_and_leaves_nothing(nel: Nel, folder: Path) -> None:
    write()
    Path("sums.py").write_text("import not_there_at_all\n")
    code, _, err = nel("eval", "run", "config.yaml")
    assert code == 2 and "No module named 'not_there_at_all'" in err
    assert len(err.strip().splitlines()) == 1
    assert not (folder / "run/submission.json").exists()
    assert nel("eval", "jobs")[1] == "No runs.\n"
    assert not containers(f"label=nemo-evaluator.run.directory={folder / 'run'}")

    write({"image": "127.0.0.1:9/not-there:1"})
    code, _, err = nel("eval", "run", "config.yaml")
    assert code == 2 and "127.0.0.1:9/not-there:1 cannot be pulled" in err

    write({"image": os.environ.get("NEL_TEST_IMAGE", "sandbox-base:latest")})
    code, _, err = nel("eval", "run", "config.yaml")
    assert code == 2 and "has no working `nel`" in err, err
    assert len(err.strip().splitlines()) == 1

    write({"container_mounts": [f"{folder}/missing:/data"]})
    code, _, err = nel("eval", "run", "config.yaml")
    assert code == 2 and f"{folder}/missing does not exist" in err

    write()
    code, _, err = nel("eval", "run", "config.yaml", "-O", "benchmarks[0].sandbox={type: local}")
    assert code == 2 and "benchmarks[0].sandbox.type" in err and "use `docker`" in err


def test_an_engine_that_is_not_there(
    nel: Nel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert nel("eval", "run", write(), "--wait")[0] == 0
    with monkeypatch.context() as gone:
        gone.setenv("DOCKER_HOST", f"unix://{folder}/no.sock")
        state = status(nel)
        assert state["state"] == "done" and "does not answer" in state["reason"]
        code, _, err = nel("eval", "run", "config.yaml", "--resume")
        assert code == 2 and "docker info" in err


def test_clean_removes_the_container_and_leaves_the_results(
    nel: Nel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert nel("eval", "run", write(), "--wait")[0] == 0
    name = container_of(folder)
    with monkeypatch.context() as gone:
        gone.setenv("DOCKER_HOST", f"unix://{folder}/no.sock")
        code, out, err = nel("eval", "clean", "--executor", "docker", "-y")
        assert code == 0 and "stays on the list" in err and "removed from the list: 0" in out
    assert containers(f"name={name}")
    assert "removed from the list: 1" in nel("eval", "clean", "--executor", "docker", "-y")[1]
    assert not containers(f"name={name}")
    assert len(rows(folder / "run/sums")) == SIZE


def test_an_image_of_this_installation_is_built_where_none_is_named(nel: Nel, folder: Path) -> None:
    write({"image": "local", "build_args": image_args()})
    code, _, err = nel("eval", "run", "config.yaml", "--wait", "--max-problems", "3")
    assert code == 0, err
    image = docker("inspect", "-f", "{{.Config.Image}}", container_of(folder)).strip()
    assert image == nel_image() and image.startswith("nel-build:")
    assert docker("image", "inspect", "-f", "{{.Id}}", "nemo-evaluator:local")


def test_sandboxes_of_a_run_in_a_container_are_made_beside_it(nel: Nel, folder: Path) -> None:
    example = Path(__file__).resolve().parents[3] / "examples/agent"
    shutil.copytree(example, folder, dirs_exist_ok=True)
    image = os.environ.get("NEL_TEST_IMAGE", "sandbox-base:latest")
    code, out, err = nel(
        *("eval", "run", "eval.yaml", "-o", "run", "--wait"),
        *("-O", f"cluster={{type: docker, image: '{nel_image()}'}}"),
        *("-O", f"benchmarks[0].sandbox={{type: docker, image: '{image}', network: door}}"),
    )
    assert code == 0, out + err
    found = rows(folder / "run/repairs")
    assert len(found) == 6 and any(row["reward"] == 1.0 for row in found)

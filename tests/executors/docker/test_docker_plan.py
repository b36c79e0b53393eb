"""What the engine is told for a configuration, without an engine."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.config.docker_cluster import size_in_bytes
from nemo_evaluator.config.load import parse
from nemo_evaluator.config.mounts import Mount, parse_mount
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.executors.docker.container import Seen
from nemo_evaluator.executors.docker.mounts import mounts_of
from nemo_evaluator.executors.docker.plan import (
    ENGINE,
    DockerPlan,
    docker_plan,
    handed_variables,
)
from nemo_evaluator.executors.handing import job_document
from nemo_evaluator.executors.options import Options


def planned(
    cluster: dict[str, Any] | None = None, *, resume: bool = False, **document: Any
) -> DockerPlan:
    loaded = parse(
        {
            "services": {"model": {"type": "simulated"}},
            "benchmarks": [{"name": "sample"}],
            **document,
            "cluster": {"type": "docker", "mount_home": False, **(cluster or {})},
        }
    )
    directory = Path("out").absolute()
    return docker_plan(
        loaded,
        Options(resume=resume),
        job_document(loaded, output_dir=directory),
        name="nel-1",
        image="image:1",
        directory=directory,
        socket="/var/run/docker.sock",
    )


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_run_inside_is_an_ordinary_one(folder: Path) -> None:
    body = planned(resume=True).body()
    words = ["eval", "run", f"{folder}/out/job.yaml", "--no-progress", "--resume"]
    assert (body["Entrypoint"], body["Cmd"]) == (["nel"], words)
    assert "NEL_INNER_EXECUTION=1" in body["Env"]
    assert body["WorkingDir"] == str(folder)
    assert body["HostConfig"]["NetworkMode"] == "host"
    assert "ExtraHosts" not in body["HostConfig"]
    assert not {"ShmSize", "DeviceRequests", "Privileged"} & set(body["HostConfig"])


@pytest.mark.parametrize(
    ("gpus", "request_", "word"),
    [
        ("all", {"Count": -1}, "all"),
        (2, {"Count": 2}, "2"),
        ([2, 3], {"DeviceIDs": ["2", "3"]}, '"device=2,3"'),
    ],
)
def test_gpus_become_a_device_request(gpus: object, request_: dict[str, object], word: str) -> None:
    plan = planned({"gpus": gpus})
    [asked] = plan.body()["HostConfig"]["DeviceRequests"]
    assert asked == {"Driver": "", "Capabilities": [["gpu"]], **request_}
    words = shlex.split(plan.command())
    assert words[words.index("--gpus") + 1] == word


def test_shared_memory_is_as_asked_and_enough_for_a_gym() -> None:
    assert planned({"shm_size": "512m"}).shm_bytes == 512 << 20
    gym = {"type": "gym", "benchmark": "sample"}
    assert planned(services={"model": {"type": "simulated"}, "g": gym}).shm_bytes == 2 << 30
    assert planned().shm_bytes is None


def test_another_network_still_knows_the_host() -> None:
    host = planned({"network": "bridge"}).body()["HostConfig"]
    assert host["NetworkMode"] == "bridge"
    assert host["ExtraHosts"] == ["host.docker.internal:host-gateway"]


def test_the_engine_is_within_reach_only_where_something_needs_it() -> None:
    assert "/var/run/docker.sock" not in [mount.target for mount in planned().mounts]
    sandboxed = planned(benchmarks=[{"name": "sample", "sandbox": {"type": "docker"}}])
    assert {"/var/run/docker.sock", "/tmp"} <= {mount.target for mount in sandboxed.mounts}
    assert sandboxed.labels[ENGINE] == "the sandboxes of sample"


def test_variables_of_the_run_are_not_among_those_that_can_be_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:7")
    cluster = {"type": "docker", "container_env": {"A_TOKEN": "canary-value-1"}}
    loaded = parse(
        {
            "services": {"model": {"type": "simulated"}},
            "benchmarks": [{"name": "sample"}],
            "cluster": cluster,
        }
    )
    handed = handed_variables(loaded)
    assert handed == {"A_TOKEN": "canary-value-1", "HF_ENDPOINT": "http://127.0.0.1:7"}
    plan = planned({"container_env": {"A_TOKEN": "canary-value-1"}})
    assert "canary-value-1" not in plan.command() + repr(plan.body())


def test_what_the_configuration_names_is_mounted_where_it_is(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "bench.py").write_text("")
    (other / "rows.csv").write_text("question,answer\n1,2\n")
    benchmarks = [{"name": f"{other}/bench.py:b"}, {"name": f"{other}/rows.csv"}]
    found = planned(benchmarks=benchmarks).mounts
    assert Mount(str(other), str(other), read_only=True) in found
    assert Mount(str(folder), str(folder)) in found
    assert Mount(f"{folder}/out", f"{folder}/out") in found
    assert len(found) == 3


def test_no_part_of_the_system_is_mounted_over_that_of_the_image(folder: Path) -> None:
    found = mounts_of(
        output=folder,
        folder=Path("/"),
        asked=[],
        home=Path("/"),
        named=["/etc/passwd", "/usr/bin", "/", "/tmp", "a/b", "x" * 5000, "/nul\0", "/no\nway"],
    )
    assert [mount.target for mount in found] == [str(folder)]


def test_mounts_of_the_user_come_first_and_must_be_there(folder: Path) -> None:
    mine = Mount("/var/log", str(folder))
    assert mine in mounts_of(output=folder / "o", folder=folder, asked=[mine], home=None, named=[])
    with pytest.raises(ConfigError, match="does not exist"):
        missing = [Mount(f"{folder}/no", "/data")]
        mounts_of(output=folder, folder=folder, asked=missing, home=None, named=[])


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("/a:/b", Mount("/a", "/b")),
        ("/a", Mount("/a", "/a")),
        ("./a:/b:ro", Mount("/here/a", "/b", True)),
        ("cache:/b:rw", Mount("cache", "/b")),
    ],
)
def test_mounts_are_written_as_for_docker(text: str, mount: Mount) -> None:
    assert parse_mount(text, Path("/here")) == mount


@pytest.mark.parametrize("text", ["", ":/b", "/a:b", "/a:/b:/c", "/a:/b:xx:ro"])
def test_what_is_no_mount_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(ConfigError, match=r"cluster\.container_mounts"):
        planned({"container_mounts": [text]})


@pytest.mark.parametrize(("text", "size"), [("2g", 2 << 30), ("1024", 1024), ("3MiB", 3 << 20)])
def test_sizes_are_read_as_docker_writes_them(text: str, size: int) -> None:
    assert size_in_bytes(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1g", "2 giga", "1.5g"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"cluster\.shm_size"):
        planned({"shm_size": text})


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_the_command_that_is_shown_is_one_command(text: str) -> None:
    plan = DockerPlan(
        name="n", image=text, argv=(text,), env={"A": text}, folder=text, mounts=(), user="1:1"
    )
    words = shlex.split(plan.command())
    assert words[-2:] == [text, text] and f"A={text}" in words


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (0, ""),
        (130, ""),
        (137, "docker kill, or a restart of the engine or the machine"),
        (255, "docker kill, or a restart of the engine or the machine"),
        (127, "has no working `nel`"),
    ],
)
def test_why_a_container_ended(code: int, reason: str) -> None:
    seen = Seen(
        id="1",
        running=False,
        paused=False,
        exit_code=code,
        out_of_memory=False,
        error="",
        image="i",
    )
    assert reason in seen.reason and bool(seen.reason) is bool(reason)

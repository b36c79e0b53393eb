"""Model servers in containers: a real Docker engine, and an image that poses as their engines."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from engines import require
from free_ports import free_port
from runs import BENCH, NEL, ROOT, rows

from nemo_evaluator import evaluate_async
from nemo_evaluator.config.load import parse
from nemo_evaluator.files.owner import this_process
from nemo_evaluator.services.containers import LABEL, in_container, remove_abandoned_containers
from nemo_evaluator.services.launch import Launch, Process
from nemo_evaluator.services.open import open_services

ENGINES = ROOT / "tests/support/fake_engines"
BASE = os.environ.get("NEL_TEST_IMAGE", "sandbox-base:latest")
SIZE = 4
NOP = {"type": "nop"}
Document = dict[str, Any]


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """An image with the engines in it; its own command serves a model."""
    require("docker")
    name = f"nel-test-engines:{os.getpid()}"
    recipe = (
        f"FROM {BASE}\nCOPY . /opt/engines\nENV PATH=/opt/engines:$PATH\n"
        'ENTRYPOINT ["python3", "/opt/engines/engine.py", "image"]\n'
    )
    built = ["docker", "build", "--quiet", "--tag", name, "--file", "-", str(ENGINES)]
    subprocess.run(built, input=recipe, text=True, capture_output=True, check=True)
    yield name
    docker("image", "rm", "--force", name)


def containers(image: str) -> list[str]:
    """Those of the image, which is only of this process; others may run tests at the same time."""
    ours = ("--filter", f"ancestor={image}", "--filter", f"label={LABEL}")
    return docker("ps", "--all", "--quiet", *ours).split()


def document(tmp_path: Path, model: Document) -> Document:
    (tmp_path / "sums.py").write_text(BENCH % {"size": SIZE})
    given = {"protocol": "chat_completions", "model": "org/m", "startup_timeout": 60, **model}
    return {
        "services": {"model": given},
        "benchmarks": [
            {"name": str(tmp_path / "sums.py"), "solver": {"type": "simple", "service": "model"}}
        ],
        "output": {"dir": str(tmp_path / "run"), "report": []},
    }


def log_of(tmp_path: Path) -> str:
    path = tmp_path / "run/service_model.log"
    return path.read_text() if path.exists() else ""


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        {"type": "vllm", "container_mounts": ["{tmp}:/there"], "shm_size": "64m"},
        {"type": "sglang", "setup_commands": ["echo before"]},
        {"type": "nim", "extra_args": ["--port", "{port}"]},
        {"type": "docker_model", "port": None},
        {"type": "docker_model", "pre_cmd": "exec vllm serve m --port $PORT --host $HOST"},
    ],
    ids=lambda model: f"{model['type']}-{[*model][-1]}",
)
async def test_a_model_server_in_a_container(tmp_path: Path, image: str, model: Document) -> None:
    secret = "hf_" + "a1B2c3D4" * 4
    model = json.loads(json.dumps(model).replace("{tmp}", str(tmp_path)))
    if "port" in model:
        model["port"] = free_port()
    config = document(tmp_path, {**model, "image": image, "extra_env": {"TOLD": secret}})
    running = asyncio.create_task(evaluate_async(config))
    seen = ""
    while not running.done():
        seen += subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
        await asyncio.sleep(0.2)
    result = await running
    assert result.exit_code == 0, (result.messages, log_of(tmp_path))
    assert all(row["reward"] == 1.0 for row in rows(tmp_path / "run/sums"))
    assert "docker run --rm" in seen and secret not in seen
    assert "serves model on" in log_of(tmp_path) and containers(image) == []
    if "setup_commands" in model:
        assert log_of(tmp_path).startswith("before\n")


@pytest.mark.slow
def test_a_killed_evaluation_leaves_no_container(tmp_path: Path, image: str) -> None:
    config = document(tmp_path, {"type": "vllm", "image": image, "stop_timeout": 1})
    config["services"]["model"]["extra_env"] = {"FAKE_SLOW": "600"}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    run = subprocess.Popen([*NEL, "eval", "run", str(tmp_path / "c.yaml")])
    wait_for(lambda: "vllm serves model" in log_of(tmp_path))
    assert len(containers(image)) == 1
    run.kill()
    run.wait()
    wait_for(lambda: containers(image) == [])


@pytest.mark.slow
def test_what_nobody_could_remove_is_removed_by_the_next(image: str) -> None:
    """The evaluation and its guards are gone at once, as where a machine kills a whole session."""
    code = "from nemo_evaluator.files.owner import this_process; print(this_process())"
    ended = subprocess.run([*NEL[:1], "-c", code], capture_output=True, text=True, check=True)
    gone = ["--label", f"{LABEL}={ended.stdout.strip()}"]
    mine = ["--label", f"{LABEL}={this_process()}"]
    left = [
        docker("run", "--detach", *label, "--entrypoint", "sleep", image, "60").strip()
        for label in (gone, mine)
    ]
    try:
        remove_abandoned_containers()
        assert [found for found in left if found[:12] in containers(image)] == left[1:]
    finally:
        subprocess.run(["docker", "rm", "--force", *left], capture_output=True)


@pytest.mark.slow
async def test_a_container_that_cannot_be_started(tmp_path: Path, image: str) -> None:
    result = await evaluate_async(
        document(tmp_path, {"type": "nim", "image": image, "extra_args": ["--no-such"]})
    )
    assert result.exit_code == 2
    assert "unrecognized arguments: --no-such" in result.messages[0]
    config = document(tmp_path, {"type": "nim", "image": "nel-no-such-image:1"})
    config["output"]["dir"] = str(tmp_path / "other")
    result = await evaluate_async(config)
    assert result.exit_code == 2 and "services.model: the server ended" in result.messages[0]


@pytest.mark.slow
async def test_a_gym_in_a_container(tmp_path: Path, image: str) -> None:
    line = "python3 -m http.server {port} --bind {host}"
    gym = {"type": "gym", "server_cmd": line, "image": image, "extra_env": {"A": "b"}}
    config = {"services": {"g": gym}, "benchmarks": [{"name": "sample", "solver": NOP}]}
    services = parse(config).config.services
    async with AsyncExitStack() as stack:
        opened = await open_services(services, {"g": 1}, stack, tmp_path)
        await opened.servers["g"].ready()
        assert len(containers(image)) == 1
    assert containers(image) == []


def test_values_are_no_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "docker").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HF_TOKEN", "token")
    launch = Launch(image="i", argv=("a", "b"), pass_env=("HF_TOKEN", "NO"), shm_size="1g")
    process = Process(argv=("a", "b"), gpus=2)
    env = {"KEY": "value", "PATH": "/inside"}
    program = in_container(launch, process, "m x", env=env, port=8001, devices=(2, 3))
    words = list(program.argv)
    assert words[0] == str(tmp_path / "docker") and "value" not in words and "token" not in words
    assert words[-3:] == ["a", "i", "b"] and words[words.index("--entrypoint") + 1] == "a"
    assert [words[i + 1] for i, word in enumerate(words) if word == "--env"] == [
        "KEY",
        "PATH",
        "HF_TOKEN",
    ]
    assert words[words.index("--gpus") + 1] == '"device=2,3"'
    assert words[words.index("--publish") + 1] == "127.0.0.1:8001:8001"
    assert program.env["KEY"] == "value" and program.clean_up[:3] == (words[0], "rm", "--force")


def wait_for(true: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)

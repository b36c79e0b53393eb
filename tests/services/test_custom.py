"""A server that is started by a command: asked, logged, watched, and ended with all it started."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import Nel
from free_ports import free_port
from runs import BENCH, NEL, ROOT, rows

from nemo_evaluator import evaluate_async
from nemo_evaluator.config.load import parse
from nemo_evaluator.config.needed_services import in_order
from nemo_evaluator.config.services import CustomService
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.services.contract import OpenService
from nemo_evaluator.services.custom import Custom
from nemo_evaluator.services.open import launch_of, open_services
from nemo_evaluator.services.programs import programs_of

SERVER = str(ROOT / "tests/support/model_server.py")
SIZE = 8


def command(*words: str) -> list[str]:
    return [sys.executable, SERVER, "--port", "{port}", *words]


def service(*words: str, **fields: Any) -> dict[str, Any]:
    given = {"health_path": "/health", "startup_timeout": 20, **fields}
    return {"type": "custom", "command": command(*words), **given}


def document(tmp_path: Path, model: dict[str, Any], **others: dict[str, Any]) -> dict[str, Any]:
    (tmp_path / "sums.py").write_text(BENCH % {"size": SIZE})
    return {
        "services": {"model": model, **others},
        "benchmarks": [
            {
                "name": str(tmp_path / "sums.py"),
                "solver": {"type": "simple", "service": "model"},
                "max_concurrent": 2,
            }
        ],
        "output": {"dir": str(tmp_path / "run"), "report": []},
    }


def log_of(tmp_path: Path, name: str = "model") -> str:
    return (tmp_path / "run" / f"service_{name}.log").read_text()


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


MUTE = """
import http.server, sys, time

class Mute(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def do_POST(self):
        time.sleep(60)

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Mute).serve_forever()
"""


async def test_a_model_that_answers_its_health_path_only(tmp_path: Path) -> None:
    mute = {"type": "custom", "command": [sys.executable, "-c", MUTE, "{port}"], "model": "m"}
    config = document(tmp_path, {**mute, "health_path": "/health", "startup_timeout": 1})
    result = await evaluate_async(config)
    assert result.exit_code == 2
    assert "GET /health is answered, but a real request is not" in result.messages[0]


async def test_a_server_is_started_asked_and_ended(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    model = service("--slow", "0.3", "--child", str(pids), extra_env={"TOLD": "{model} on {port}"})
    result = await evaluate_async(document(tmp_path, model))
    assert result.exit_code == 0
    assert result.summary.benchmarks[0].score is not None
    assert {row["reward"] for row in rows(tmp_path / "run/sums")} == {1.0}
    # The log holds the first line and every request, and nothing of it is running any more.
    log = log_of(tmp_path)
    assert re.match(r"server of model with model on \d+\n", log)
    assert log.count("POST /v1/chat/completions") == SIZE and "503" in log
    assert not any(is_running(int(pid)) for pid in pids.read_text().split())
    # A run that has nothing left to ask starts nothing.
    again = await evaluate_async(document(tmp_path, model), resume=True)
    assert again.exit_code == 0 and log_of(tmp_path) == log


async def test_the_command_is_part_of_what_a_run_means(tmp_path: Path) -> None:
    await evaluate_async(document(tmp_path, service()))
    with pytest.raises(ConfigError, match=r"(?s)would mix results.*command"):
        await evaluate_async(document(tmp_path, service("--slow", "0")), resume=True)
    # Where it listens and how long it may take is not.
    other = service(port=free_port(), startup_timeout=30)
    assert (await evaluate_async(document(tmp_path, other), resume=True)).exit_code == 0


async def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    broken = {"type": "custom", "command": "echo loading weights; echo no such model >&2; exit 4"}
    result = await evaluate_async(document(tmp_path, broken))
    assert result.exit_code == 2
    [message] = result.messages
    assert "services.model: the server ended with exit code 4; the end of its log" in message
    assert "  loading weights\n  no such model" in message
    assert log_of(tmp_path) == "loading weights\nno such model\n"


async def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    missing = {"type": "custom", "command": ["no-such-program", "--x"]}
    result = await evaluate_async(document(tmp_path, missing))
    assert result.exit_code == 2
    assert "services.model: cannot start 'no-such-program': No such file" in result.messages[0]


async def test_a_server_that_is_not_up_in_time_is_ended(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    slow = service("--slow", "600", "--child", str(pids), startup_timeout=2.5)
    result = await evaluate_async(document(tmp_path, slow))
    assert result.exit_code == 2
    assert "was not up after 2.5 s (GET http://127.0.0.1:" in result.messages[0]
    assert "was answered with 503" in result.messages[0]
    assert not any(is_running(int(pid)) for pid in pids.read_text().split())


async def test_a_server_that_dies_ends_the_run_and_resume_goes_on(tmp_path: Path) -> None:
    counting = tmp_path / "starts"
    line = (
        f"echo x >> {counting}; "
        f"if [ $(wc -l < {counting}) = 1 ]; then set -- --die-after 4; fi; "
        f'exec {sys.executable} {SERVER} --port {{port}} "$@"'
    )
    model = {"type": "custom", "command": line, "health_path": "/health"}
    config = document(tmp_path, model)
    config["benchmarks"][0]["max_concurrent"] = 1  # an answer on its way is lost with the server
    began = time.monotonic()
    result = await evaluate_async(config)
    assert result.exit_code == 3 and time.monotonic() - began < 30
    assert "the server ended with exit code 3" in result.messages[0]
    assert "CUDA error: out of memory" in result.messages[0]
    answered = len([row for row in rows(tmp_path / "run/sums") if row["reward"] is not None])
    assert answered == 4
    again = await evaluate_async(config, resume=True)
    assert again.exit_code == 0
    # No answer was asked for twice.
    assert log_of(tmp_path).count("POST /v1/chat") == SIZE


def test_the_first_interrupt_ends_the_wait_for_a_server(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    config = document(tmp_path, service("--slow", "600", "--child", str(pids), startup_timeout=600))
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    words = [*NEL, "eval", "run", str(tmp_path / "c.yaml")]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as run:
        wait_for(lambda: pids.exists() and len(pids.read_text().split()) == 2)
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=30)
        assert run.returncode == 130
    assert f"service model: starting, log: {tmp_path}/run/service_model.log" in said
    assert "interrupted: the same command with --resume continues the run" in said
    assert not any(is_running(int(pid)) for pid in pids.read_text().split())


async def test_a_port_that_another_program_uses_is_refused(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        result = await evaluate_async(document(tmp_path, service(port=port)))
    assert result.exit_code == 2
    assert f"services.model.port: port {port} cannot be used" in result.messages[0]


async def test_a_deaf_server_is_killed(tmp_path: Path) -> None:
    began = time.monotonic()
    result = await evaluate_async(document(tmp_path, service("--deaf", stop_timeout=0.2)))
    assert result.exit_code == 0 and time.monotonic() - began < 10


async def test_what_a_service_depends_on_is_up_first_and_ended_last(tmp_path: Path) -> None:
    flag, ended = tmp_path / "up", tmp_path / "ended"
    base = {
        "type": "custom",
        "command": f"trap 'date +%s%N > {ended}; exit 0' TERM; sleep 0.5; touch {flag};"
        f" {sys.executable} {SERVER} --port {{port}} & wait",
    }
    line = f"test -e {flag} && exec {sys.executable} {SERVER} --port {{port}}"
    model = {"type": "custom", "command": line, "depends_on": ["base"]}
    result = await evaluate_async(document(tmp_path, model, base=base))
    assert result.exit_code == 0 and ended.exists()
    assert "POST" in log_of(tmp_path) and "POST" not in log_of(tmp_path, "base")


def test_the_order_of_services() -> None:
    def custom(*needs: str) -> CustomService:
        return CustomService(command="x", depends_on=list(needs))

    services = {"a": custom("b", "c"), "b": custom("c"), "c": custom(), "unused": custom()}
    assert in_order(services, ["a", "c"]) == ["c", "b", "a"]


def test_what_would_be_started_is_data() -> None:
    given = CustomService(
        command=["serve", "{model}", '--json={"a": {port}}'], port=8123, extra_env={"A": "{host}"}
    )
    launch = launch_of("svc", given)
    assert launch is not None and launch.argv[0] == "serve" and launch.port == 8123
    [filled] = programs_of(launch, "svc", port=8123, model="m")
    assert filled.argv == ("serve", "m", '--json={"a": 8123}')
    assert filled.env["A"] == "127.0.0.1" and filled.env["PORT"] == "8123"
    assert Custom().launch(CustomService(command="a | b")).argv == ("/bin/sh", "-c", "a | b")


def test_a_plan_starts_nothing(nel: Nel, tmp_path: Path) -> None:
    model = {"type": "custom", "command": f"touch {tmp_path}/started; exit 1"}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(document(tmp_path, model)))
    code, out, _ = nel("eval", "run", tmp_path / "c.yaml", "--dry-run")
    assert code == 0 and "service model: model, chat_completions, started here: " in out
    assert not (tmp_path / "started").exists() and not (tmp_path / "run").exists()


async def test_secrets_stay_out_of_the_log_and_the_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "hf_" + "a1B2c3D4" * 4
    monkeypatch.setenv("TOLD_TOKEN", secret)
    model = service(extra_env={"TOLD": "${TOLD_TOKEN}"})
    assert (await evaluate_async(document(tmp_path, model))).exit_code == 0
    assert "server of model with" in log_of(tmp_path)
    for path in (tmp_path / "run").rglob("*"):
        assert path.is_dir() or secret.encode() not in path.read_bytes(), path


async def test_an_open_service_of_a_server(tmp_path: Path) -> None:
    services = parse(document(tmp_path, service())).config.services
    async with AsyncExitStack() as stack:
        opened = (await open_services(services, {"model": 2}, stack, tmp_path)).models
        model: OpenService = opened["model"]
        assert model.health().up and [line async for line in model.logs()] == []
        assert await model.ready() is None
        assert model.health().up and not model.simulated
        assert "server of model with nothing" in [line async for line in model.logs()]
        pid = model.fleet.servers[0].pids()[0]  # type: ignore[attr-defined]
        os.kill(pid, 9)
        while model.health().up:
            await asyncio.sleep(0.02)
        assert model.health().why.startswith("the server ended by signal 9")
    assert not is_running(pid)


def test_a_killed_evaluation_leaves_no_server(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    config = document(tmp_path, service("--slow", "600", "--child", str(pids)))
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    words = [*NEL, "eval", "run", str(tmp_path / "c.yaml")]
    run = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    wait_for(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    server, child = map(int, pids.read_text().split())
    run.kill()
    run.wait()
    wait_for(lambda: not is_running(server))
    os.kill(child, 9)  # it made itself independent of the server


def test_a_killed_evaluation_leaves_nothing_of_a_shell_command(tmp_path: Path) -> None:
    """The kernel ends the shell; what the shell has started would go on without it."""
    pids = tmp_path / "pids"
    command = f"cd {tmp_path} && sleep 300 & echo $! > {pids}; wait"
    config = document(tmp_path, {"type": "custom", "command": command, "model": "m"})
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    words = [*NEL, "eval", "run", str(tmp_path / "c.yaml")]
    run = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    wait_for(lambda: pids.exists() and pids.read_text().strip())
    child = int(pids.read_text())
    assert is_running(child)
    time.sleep(0.1)
    run.kill()
    run.wait()
    wait_for(lambda: not is_running(child))


def wait_for(true: Any, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "needs a command, or a class_path"),
        ({"command": "x", "class_path": "m:C"}, "one of them"),
        ({"command": []}, "command is empty"),
        ({"command": "x", "config": {"a": 1}}, "a command takes none"),
        ({"class_path": "m:C", "port": 1}, "port has no effect on a class_path"),
        ({"command": "x", "port": 0}, "port"),
        ({"command": "x", "health_path": "health"}, "health_path"),
    ],
)
def test_what_does_not_fit_together(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse({"services": {"m": {"type": "custom", **fields}}, "benchmarks": [{"name": "sample"}]})


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "mine.py").write_text(MINE)
    yield f"{tmp_path / 'mine.py'}:Mine"


MINE = """
from contextlib import asynccontextmanager

from pydantic import BaseModel

from nemo_evaluator.services.endpoint import Endpoint, http_client, model_identity


class Mine:
    class Options(BaseModel):
        url: str

    def launch(self, options):
        return None

    @asynccontextmanager
    async def open(self, name, options, place):
        client = http_client(name, place, options.url, model="m")
        identity = model_identity(place.fields, "chat_completions")
        async with Endpoint(client, protocol="chat_completions", identity=identity,
                            endpoints=(options.url,)) as service:
            yield service


class Half:
    def launch(self, options):
        return None
"""


@pytest.mark.parametrize("by", ["type", "class_path"])
async def test_a_service_of_your_own_class(
    tmp_path: Path, loopback: Any, mine: str, by: str
) -> None:
    own: dict[str, Any] = (
        {"type": mine, "url": loopback.url, "generation": {"temperature": 0.5}}
        if by == "type"
        else {"type": "custom", "class_path": mine, "config": {"url": loopback.url}}
    )
    result = await evaluate_async(document(tmp_path, own))
    assert result.exit_code == 0 and len(loopback.calls) == SIZE
    assert loopback.calls[0].body.get("temperature") == (0.5 if by == "type" else None)


async def test_half_a_class_is_told_what_it_lacks(tmp_path: Path, mine: str) -> None:
    half = mine.replace(":Mine", ":Half")
    with pytest.raises(ConfigError, match="it needs the methods launch, open"):
        await evaluate_async(document(tmp_path, {"type": half}))

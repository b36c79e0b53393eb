"""Model servers of engines, started for a run: programs that pose as them, as real processes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import Nel
from free_ports import free_port
from runs import BENCH, ROOT, rows

from nemo_evaluator import evaluate_async
from nemo_evaluator.config.load import parse
from nemo_evaluator.config.local_servers import gpus_by_service
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.executors.local import RunResult
from nemo_evaluator.services.contract import Rests
from nemo_evaluator.services.gpus import gpus_of_a_shard
from nemo_evaluator.services.launched import Launched
from nemo_evaluator.services.open import open_services
from nemo_evaluator.traffic.types import CallContext, ModelRequest

ENGINES = ROOT / "tests/support/fake_engines"
SIZE = 8
pytestmark = pytest.mark.usefixtures("engines")
Document = dict[str, Any]
Said = Callable[[], str]


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engines' commands are on the path."""
    monkeypatch.setenv("PATH", f"{ENGINES}{os.pathsep}{os.environ['PATH']}")


def engine(kind: str = "vllm", **fields: Any) -> Document:
    fake = {name: fields.pop(name) for name in [*fields] if name.startswith("FAKE_")}
    given = {"type": kind, "model": "org/m", "protocol": "chat_completions", **fields}
    given.setdefault("startup_timeout", 20)
    return {**given, "extra_env": {**fields.get("extra_env", {}), **fake}}


def document(
    tmp_path: Path, concurrent: int = 2, size: int = SIZE, **services: Document
) -> Document:
    (tmp_path / "sums.py").write_text(BENCH % {"size": size})
    benchmark = {
        "name": str(tmp_path / "sums.py"),
        "solver": {"type": "simple", "service": next(iter(services))},
        "max_concurrent": concurrent,
    }
    output = {"dir": str(tmp_path / "run"), "report": []}
    return {"services": services, "benchmarks": [benchmark], "output": output}


async def run(config: Document, **options: Any) -> RunResult:
    return await evaluate_async(config, **options)


def log_of(tmp_path: Path, name: str = "model") -> str:
    return (tmp_path / "run" / f"service_{name}.log").read_text()


def all_right(tmp_path: Path, size: int = SIZE) -> bool:
    found = rows(tmp_path / "run/sums")
    return len(found) == size and all(row["reward"] == 1.0 for row in found)


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        ("vllm", {"tensor_parallel_size": 2}, "serve org/m --host 127.0.0.1 --port"),
        ("sglang", {"served_model_name": "mine"}, "serve --model-path org/m"),
        ("trt_llm", {"served_model_name": "mine"}, "org/m --host 127.0.0.1"),
        ("vllm", {"protocol": "completions"}, "serve org/m"),
        ("vllm", {"protocol": "responses"}, "serve org/m"),
    ],
)
async def test_an_engine_is_started_asked_and_ended(
    tmp_path: Path, kind: str, fields: Document, words: str
) -> None:
    result = await run(document(tmp_path, model=engine(kind, **fields)))
    assert result.exit_code == 0 and all_right(tmp_path)
    log = log_of(tmp_path)
    name = "mine" if "served_model_name" in fields else "model"
    assert re.match(rf"\S+ serves {name if kind != 'trt_llm' else 'mine'} on \d+: {words}", log)
    assert log.count("POST") == SIZE + 1  # and the one that showed that it answers


async def test_a_server_that_says_much_before_it_is_up(tmp_path: Path) -> None:
    result = await run(document(tmp_path, model=engine(FAKE_FLOOD="300000", FAKE_SLOW="0.5")))
    assert result.exit_code == 0 and len(log_of(tmp_path)) > 300_000


async def test_a_server_that_dies_in_the_middle(tmp_path: Path) -> None:
    flag = tmp_path / "die"
    config = document(tmp_path, 1, model=engine(FAKE_DIE_ON=str(flag)))
    flag.touch()  # the request that shows that it answers is the one it dies at
    result = await run(config)
    assert result.exit_code == 2
    [message] = result.messages
    assert "services.model: the server ended with exit code 1; the end of its log" in message
    assert "CUDA out of memory" in message
    dies = document(tmp_path, 1, model=engine(FAKE_DIE_AFTER="4"))
    result = await run(dies)
    assert result.exit_code == 3
    assert "CUDA out of memory" in result.messages[0]
    assert "service model: the server ended with exit code 1" in result.messages[0]
    lost = [row for row in rows(tmp_path / "run/sums") if row["reward"] is None]
    journal = (tmp_path / "run/sums/journal.jsonl").read_text()
    assert lost and "infra_error" in journal and "service model: the server ended" in journal
    answered = [row for row in rows(tmp_path / "run/sums") if row["reward"] is not None]
    assert len(answered) == 3
    assert (await run(document(tmp_path, 1, model=engine()), resume=True)).exit_code == 0
    assert all_right(tmp_path)


async def test_a_server_that_is_started_again(tmp_path: Path, said: Said) -> None:
    flag = tmp_path / "die"
    restart = {"max": 1, "backoff": 0.1}
    model = engine(FAKE_DIE_ON=str(flag), FAKE_PAUSE="0.1", restart=restart)
    config = document(tmp_path, 4, model=model)
    watcher = asyncio.create_task(_when(lambda: "POST" in _read(tmp_path), flag.touch))
    result = await run(config)
    await watcher
    assert result.exit_code == 0 and all_right(tmp_path)
    assert log_of(tmp_path).count("vllm serves model") == 2
    assert "service model: the server ended with exit code 1; restart 1 of 1 in 0.1 s" in said()


async def test_a_server_that_answers_its_health_path_only(tmp_path: Path) -> None:
    result = await run(document(tmp_path, model=engine(FAKE_MUTE="1", startup_timeout=2.5)))
    assert result.exit_code == 2
    [message] = result.messages
    assert "services.model: was not up after 2.5 s" in message
    assert "GET /health is answered, but a real request is not" in message
    assert "the end of its log" in message


async def test_a_server_that_serves_another_model(tmp_path: Path) -> None:
    began = time.monotonic()
    result = await run(document(tmp_path, model=engine(FAKE_MODEL="other")))
    assert result.exit_code == 2 and time.monotonic() - began < 15
    assert "was answered with 404: The model `model` does not exist." in result.messages[0]


async def test_a_server_that_never_comes_up(tmp_path: Path) -> None:
    result = await run(document(tmp_path, model=engine(FAKE_NEVER="1", startup_timeout=2)))
    assert result.exit_code == 2
    assert re.search(
        r"services\.model: was not up after 2 s \(GET http://127\.0\.0\.1:\d+/health: .*\); "
        r"the end of its log",
        result.messages[0],
    )


async def test_an_argument_that_the_engine_does_not_know(tmp_path: Path) -> None:
    result = await run(document(tmp_path, model=engine(extra_args=["--no-such-flag"])))
    assert result.exit_code == 2
    assert "unrecognized arguments: --no-such-flag" in result.messages[0]


async def test_an_engine_that_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    result = await run(document(tmp_path, model=engine("sglang")))
    assert result.exit_code == 2
    assert "services.model: cannot start 'sglang': No such file" in result.messages[0]


@pytest.mark.parametrize("name", ["A=B", ""])
async def test_a_name_that_no_variable_can_have(tmp_path: Path, name: str) -> None:
    for path in ("extra_env", "container_env"):
        config = document(tmp_path, model=engine())
        holder = config["services"]["model"] if path == "extra_env" else {"type": "local"}
        holder[path] = {name: "value"}
        config.setdefault("cluster", holder if path == "container_env" else {"type": "local"})
        with pytest.raises(ConfigError, match=rf"{path}: '{name}' cannot be the name of a var"):
            await run(config)


async def test_lines_of_shell_before_the_server(tmp_path: Path) -> None:
    model = engine(setup_commands=["export FAKE_MODEL=model", "echo ready to go"], pre_cmd="A=1")
    assert (await run(document(tmp_path, model=model))).exit_code == 0
    assert log_of(tmp_path).startswith("ready to go\nvllm serves model")
    broken = engine(setup_commands=["echo no weights >&2; exit 9"])
    config = document(tmp_path, model=broken)
    config["output"]["dir"] = str(tmp_path / "other")
    result = await run(config)
    assert result.exit_code == 2
    assert "ended with exit code 9" in result.messages[0] and "no weights" in result.messages[0]


async def test_the_cluster_says_variables_and_gpus_of_all_servers(tmp_path: Path) -> None:
    words = ["echo told $TOLD on $CUDA_VISIBLE_DEVICES"]
    model = engine(setup_commands=words, tensor_parallel_size=2, depends_on=["base"])
    line = f"{words[0]}; exec {sys.executable} -m http.server {{port}}"
    base = {"type": "custom", "command": line}
    config = document(tmp_path, model=model, base=base)
    config["cluster"] = {"type": "local", "gpus": [4, 5, 6], "container_env": {"TOLD": "this"}}
    assert (await run(config)).exit_code == 0
    assert log_of(tmp_path).startswith("told this on 4,5\n")
    assert log_of(tmp_path, "base").startswith("told this on 4,5,6\n")


async def test_shards_on_one_machine_share_its_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, c, d, e = range(10 * os.getpid(), 10 * os.getpid() + 5)  # of no other test
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    here = tmp_path / "here"
    words = [f"echo on $CUDA_VISIBLE_DEVICES >> {here}; touch {here}.$PORT"]
    words.append(f"until [ $(ls {here}.* | wc -l) = 2 ]; do sleep 0.1; done")
    config = document(tmp_path, model=engine(setup_commands=words, tensor_parallel_size=2))
    config["cluster"] = {"type": "local", "gpus": [a, b, c, d, e]}
    both = await asyncio.gather(*(run(config, shard=f"{i}/3") for i in range(2)))
    assert [result.exit_code for result in both] == [0, 0]
    assert sorted(here.read_text().splitlines()) == [f"on {a},{b}", f"on {c},{d}"]
    with ExitStack() as others:
        loaded = parse(config).config
        assert gpus_of_a_shard(loaded, others) == {"model": (a, b)}
        gpus_of_a_shard(loaded, others)
        with pytest.raises(ConfigError, match="need 2 GPUs, and other shards on this machine lea"):
            await run(config, shard="2/3")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6,7")  # a scheduler has decided
    assert gpus_of_a_shard(parse(config).config, ExitStack())["model"] == (a, b)


async def test_reasoning_is_told_by_a_pattern(tmp_path: Path) -> None:
    config = document(tmp_path, model=engine(reasoning_pattern=r"^fake answer (?=\w)"))
    config["benchmarks"] = [{"name": "sample", "max_problems": 3}]
    assert (await run(config)).exit_code == 0
    found = rows(tmp_path / "run/sample")
    worded = [row for row in found if "reasoning" in row]
    assert worded and all(row["reasoning"] == "fake answer" for row in worded)
    assert not any("fake" in row["model_response"] for row in found)


async def test_a_port_that_is_said_and_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = await run(document(tmp_path, model=engine(port=port)))
    assert result.exit_code == 2
    assert f"services.model.port: port {port} cannot be used" in result.messages[0]


def test_a_plan_shows_what_would_be_started(nel: Nel, tmp_path: Path) -> None:
    config = document(
        tmp_path,
        model=engine("dynamo", setup_commands=["source it"], image="runtime:1"),
        other=engine(instances=2, pre_cmd="ulimit -l unlimited"),
    )
    other = {**config["benchmarks"][0], "solver": {"type": "simple", "service": "other"}}
    config["benchmarks"].append(other)
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    code, out, _ = nel("eval", "run", tmp_path / "c.yaml", "--dry-run")
    assert code == 0 and not (tmp_path / "run").exists()
    assert "service model: model, chat_completions, started here in runtime:1:\n" in out
    assert "  frontend: source it; python3 -m dynamo.frontend" in out
    assert (
        "service other: other, chat_completions, started here, 2 servers:"
        " ulimit -l unlimited; vllm serve org/m" in out
    )


async def test_two_servers_take_two_ports(tmp_path: Path) -> None:
    """Nobody said a port: each takes the next free one, whatever others listen on."""
    config = document(tmp_path, model=engine(), judge=engine("sglang"))
    other = {**config["benchmarks"][0], "solver": {"type": "simple", "service": "judge"}}
    config["benchmarks"].append(other)
    assert (await run(config)).exit_code == 0
    ports = [re.search(r"on (\d+):", log_of(tmp_path, name)) for name in ("model", "judge")]
    first, second = (int(match[1]) for match in ports if match)
    assert first != second and min(first, second) >= 8000
    config["services"] = {"unused": engine(port=8000, gpus=8), **config["services"]}
    assert gpus_by_service(parse(config).config) == {"model": (0,), "judge": (1,)}


async def test_instances_share_the_work_and_one_may_die(tmp_path: Path, said: Said) -> None:
    flag = tmp_path / "die"
    model = engine(instances=2, gpus=[2, 3], FAKE_DIE_ON=str(flag), FAKE_PAUSE="0.1")
    config = document(tmp_path, 4, size=24, model=model)
    watcher = asyncio.create_task(
        _when(lambda: _read(tmp_path, "model_1").count("POST") > 1, flag.touch)
    )
    result = await run(config)
    await watcher
    assert result.exit_code == 0, result.messages
    assert all_right(tmp_path, 24)
    logs = [log_of(tmp_path, f"model_{number}") for number in (1, 2)]
    assert all("POST" in log for log in logs)
    assert sum("out of memory" in log for log in logs) == 1
    assert re.search(r"service model, server [12]: the server ended with exit code 1", said())


async def test_only_the_last_of_several_servers_ends_the_run(tmp_path: Path) -> None:
    model = engine(instances=2, FAKE_DIE_AFTER="2")
    result = await run(document(tmp_path, 1, model=model))
    assert result.exit_code == 3
    assert result.messages[0].count("CUDA out of memory") == 2
    assert (await run(document(tmp_path, 1, model=engine()), resume=True)).exit_code == 0
    assert all_right(tmp_path)


async def test_an_idle_server_is_ended_and_started_again(tmp_path: Path) -> None:
    request = ModelRequest(
        "chat_completions",
        {"model": "model", "messages": [{"role": "user", "content": "7 ?"}]},
        context=CallContext(),
    )
    async with opened(tmp_path, idle_timeout=0.3) as (model, told):
        await _when(lambda: any("no request for 0.3 s" in text for text in told), int)
        assert (await model.client.transport(request)).status == 200
        assert [text.startswith("service model: up") for text in told].count(True) == 2
        assert isinstance(model, Rests)
        await model.rest()
        assert told[-1] == "service model: ended, is not needed any more"
        assert (await model.client.transport(request)).status == 200


@asynccontextmanager
async def opened(tmp_path: Path, **fields: Any) -> AsyncIterator[tuple[Launched, list[str]]]:
    """The service of an engine by itself, ready; and what it has told."""
    services = parse(document(tmp_path, model=engine(**fields))).config.services
    told: list[str] = []
    async with AsyncExitStack() as stack:
        found = await open_services(services, {"model": 2}, stack, tmp_path, told.append)
        model = found.models["model"]
        assert isinstance(model, Launched)
        await model.ready()
        yield model, told


async def test_a_crash_is_known_though_nobody_asks(tmp_path: Path) -> None:
    async with opened(tmp_path) as (model, told):
        os.kill(model.fleet.servers[0].pids()[0], signal.SIGKILL)
        await _when(lambda: any("ended by signal 9" in text for text in told), int, seconds=10)
        assert not model.health().up


@pytest.mark.parametrize("restarts", [0, 1])
async def test_a_server_that_answers_nothing_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restarts: int
) -> None:
    for name, value in (("PROBE_SECONDS", 0.05), ("WATCH_SECONDS", 0.05), ("ASK_SECONDS", 0.5)):
        monkeypatch.setattr(f"nemo_evaluator.services.supervisor.{name}", value)
    restart = {"max": restarts, "backoff": 0.0}
    async with opened(tmp_path, restart=restart, stop_timeout=0.1) as (model, told):
        pid = model.fleet.servers[0].pids()[0]
        os.kill(pid, signal.SIGSTOP)
        expected = "has not answered for" if restarts else "runs, but does not answer"
        await _when(lambda: any(expected in text for text in told), int)
        if restarts:
            await _when(model.fleet.servers[0].is_up, int)
            assert model.fleet.servers[0].pids() != [pid]


async def test_dynamo_is_up_once_its_workers_are(tmp_path: Path) -> None:
    workers = tmp_path / "workers"
    workers.mkdir()
    model = engine(
        "dynamo",
        prefill={"tensor_parallel_size": 2},
        decode={"num_workers": 2, "extra_env": {"FAKE_WORKER_SLOW": "0.5"}},
        FAKE_DYNAMO=str(workers),
        extra_env={"PYTHONPATH": str(ENGINES)},
        FAKE_MODEL="model",
    )
    result = await run(document(tmp_path, model=model))
    assert result.exit_code == 0 and all_right(tmp_path)
    log = log_of(tmp_path)
    assert "[prefill-0] worker: --model-path org/m" in log and "[frontend] dynamo serves" in log
    assert {*re.findall(r"on GPUs (\S+)", log)} == {"0,1", "2", "3"}


async def test_what_is_needed_together_is_started_together(tmp_path: Path, said: Said) -> None:
    config = document(tmp_path, model=engine(FAKE_SLOW="0.5"), judge=engine(FAKE_SLOW="0.5"))
    metric = {"type": "judge", "name": "j", "service": "judge", "rubric": "Is it right?"}
    config["benchmarks"][0]["scoring"] = {"metrics": [metric]}
    await run(config)
    lines = [line.partition(", log")[0] for line in said().splitlines()]
    both = [lines.index(f"service {name}: starting") for name in ("model", "judge")]
    assert max(both) < min(i for i, line in enumerate(lines) if ": up after" in line)


async def test_a_service_that_no_benchmark_needs_any_more_is_ended(
    tmp_path: Path, said: Said
) -> None:
    slow = engine("sglang", FAKE_PAUSE="0.2")
    config = document(tmp_path, 1, model=engine(), other=slow)
    second = {**config["benchmarks"][0], "solver": {"type": "simple", "service": "other"}}
    config["benchmarks"].append(second)
    assert (await run(config)).exit_code == 0
    lines = said().splitlines()
    ended = lines.index("service model: ended, is not needed any more")
    assert not any(line.startswith("service other: ended") for line in lines)
    assert any(line.startswith("service model: up after") for line in lines[:ended])


async def test_servers_that_were_started_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a job of Slurm: asked where they are, and the results are those of the same service."""
    ports = [free_port(), free_port()]
    words = ["serve", "org/m", "--served-model-name", "model", "--port"]
    servers = [
        subprocess.Popen([str(ENGINES / "vllm"), *words, str(port)], stdout=subprocess.DEVNULL)
        for port in ports
    ]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    monkeypatch.setenv("NEL_SERVICE_URLS", json.dumps({"model": urls}))
    monkeypatch.setenv("FAKE_MUTE", "1")
    config = document(tmp_path, 4, model=engine(startup_timeout=10, instances=2))
    try:
        assert (await run(config)).exit_code == 0 and all_right(tmp_path)
        assert not [*(tmp_path / "run").glob("service_*")]
        servers[0].kill()  # the other one goes on
        config["output"]["dir"] = str(tmp_path / "again")
        config["services"]["model"]["startup_timeout"] = 2
        assert (await run(config)).exit_code == 0
    finally:
        for server in servers:
            server.kill()
            server.wait()
    monkeypatch.delenv("NEL_SERVICE_URLS")
    monkeypatch.delenv("FAKE_MUTE")
    config["output"]["dir"] = str(tmp_path / "run")
    assert (await run(config, resume=True)).exit_code == 0  # the same run, wherever it goes on


@pytest.mark.parametrize(
    ("services", "cluster", "told"),
    [
        ({"m": engine(num_nodes=2)}, {}, r"services\.m\.num_nodes: a run on one machine has one"),
        (
            {"m": engine(port=9000), "n": engine(port=9000)},
            {},
            r"services\.n\.port: port 9000 is that of 'm' too",
        ),
        ({"m": engine(gpus=[4])}, {"gpus": [0, 1]}, r"4 is not one of the GPUs that cluster\.gpus"),
        (
            {"m": engine(gpus=2), "n": engine("sglang", tensor_parallel_size=2)},
            {"gpus": [5, 6, 7]},
            r"services\.n\.gpus: needs 2 GPUs, 1 of those that may be used are left",
        ),
    ],
)
async def test_what_one_machine_cannot_give(
    tmp_path: Path, services: Document, cluster: Document, told: str
) -> None:
    config = {**document(tmp_path, **services), "cluster": {"type": "local", **cluster}}
    first = config["benchmarks"][0]
    for name in [*services][1:]:
        config["benchmarks"].append({**first, "solver": {"type": "simple", "service": name}})
    with pytest.raises(ConfigError, match=told):
        await run(config)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[Said]:
    """What the run has told its observers."""
    from nemo_evaluator.executors.observers import Observers

    texts: list[str] = []
    plain = Observers.said

    def kept(self: Observers, text: str) -> None:
        texts.append(text)
        plain(self, text)

    monkeypatch.setattr(Observers, "said", kept)
    yield lambda: "\n".join(texts)


async def _when(true: Callable[[], bool], do: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)
    do()


def _read(tmp_path: Path, name: str = "model") -> str:
    path = tmp_path / "run" / f"service_{name}.log"
    return path.read_text() if path.exists() else ""

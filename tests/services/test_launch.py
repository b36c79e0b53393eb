"""What would be started for each engine, from the published fields: pure data."""

from __future__ import annotations

import shlex
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.config.load import parse
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.services.launch import (
    Launch,
    Process,
    command_of,
    filled,
    filled_process,
    missing_workers,
)
from nemo_evaluator.services.open import launch_of
from nemo_evaluator.services.ports import ReservedPorts, assigned_ports, ports_of


def launch(kind: str, **fields: Any) -> Launch:
    given = {"type": kind, "model": "org/m", "protocol": "chat_completions", **fields}
    config = parse({"services": {"m": given}, "benchmarks": [{"name": "sample"}]}).config
    found = launch_of("m", config.services["m"])
    assert found is not None
    return found


def line(process: Process | Launch) -> str:
    return shlex.join(process.argv)


def test_vllm_takes_every_parallel_size() -> None:
    made = launch(
        "vllm",
        tensor_parallel_size=2,
        pipeline_parallel_size=2,
        data_parallel_size=2,
        gpus=[0, 1, 2, 3, 4, 5, 6, 7],
        extra_args=["--max-model-len", "4096"],
        extra_env={"A": "b"},
        port=8123,
    )
    assert line(made) == (
        "vllm serve org/m --host '{host}' --port '{port}' --tensor-parallel-size 2"
        " --pipeline-parallel-size 2 --data-parallel-size 2 --served-model-name '{model}'"
        " --max-model-len 4096"
    )
    assert (made.port, made.port_is_fixed, made.gpus) == (8123, True, 8)
    assert made.devices == (0, 1, 2, 3, 4, 5, 6, 7) and made.env == {"A": "b"}
    assert made.programs == (Process(argv=made.argv, gpus=8),)


def test_vllm_on_several_nodes_is_a_ray_cluster() -> None:
    made = launch("vllm", num_nodes=3, gpus=8, tensor_parallel_size=8, pipeline_parallel_size=3)
    head, worker = made.programs
    assert "--distributed-executor-backend ray" in line(head)
    assert head.setup[0] == "ray start --head --node-ip-address={head} --port=6379 --num-gpus=8"
    assert '"^ *1 node_")" -ge 3' in head.setup[1]
    assert line(worker) == "ray start '--address={head}:6379' --block --num-gpus=8"
    assert (worker.first_node, worker.nodes) == (1, 2) and made.nodes == 3
    assert "ray" not in line(launch("vllm", pipeline_parallel_size=2))


def test_the_ray_command_is_a_word_of_the_shell() -> None:
    head, worker = launch("vllm", num_nodes=2, ray_binary="/opt/my ray; x").programs
    assert head.setup[0].startswith("'/opt/my ray; x' start --head")
    assert worker.argv[0] == "/opt/my ray; x"


def test_sglang_on_several_nodes_has_ranks() -> None:
    assert line(launch("sglang", tensor_parallel_size=4, served_model_name="s")) == (
        "sglang serve --model-path org/m --host '{host}' --port '{port}' --tp-size 4"
        " --served-model-name s"
    )
    [server] = launch("sglang", num_nodes=4, pipeline_parallel_size=2).programs
    assert "--nnodes 4 --node-rank '{rank}' --dist-init-addr '{leader}:29500'" in line(server)
    assert server.nodes == 4 and not server.mpi


def test_trt_llm() -> None:
    assert line(launch("trt_llm", tensor_parallel_size=2, pipeline_parallel_size=4)) == (
        "trtllm-serve org/m --host '{host}' --port '{port}' --tp_size 2 --pp_size 4"
    )
    [server] = launch("trt_llm", num_nodes=2, tensor_parallel_size=16).programs
    assert server.argv[:2] == ("trtllm-llmapi-launch", "trtllm-serve")
    assert (server.mpi, server.nodes, server.tasks_per_node) == (True, 2, 8)


def test_nim_and_any_container() -> None:
    nim = launch("nim", image="nvcr.io/nim/org/m:1", gpus=2, extra_args=["--a"])
    assert nim.argv == ("--a",) and nim.image == "nvcr.io/nim/org/m:1" and nim.gpus == 2
    assert nim.health_path == "/v1/health/ready" and "NGC_API_KEY" in nim.pass_env
    assert nim.env["NIM_SERVED_MODEL_NAME"] == "{model}" and nim.env["NIM_SERVER_PORT"] == "{port}"
    own = launch("docker_model", image="mine", port=9000, extra_env={"PORT": "1"}, shm_size="16g")
    assert own.container_port == 9000 and own.env["PORT"] == "1" and own.shm_size == "16g"


def test_a_folder_is_mounted_into_a_container() -> None:
    made = launch("vllm", model="/models/m", image="i", container_mounts=["/a:/b"])
    assert made.mounts == ("/models/m:/model:ro", "/a:/b")
    assert made.argv[:3] == ("vllm", "serve", "/model")
    assert launch("vllm", model="/models/m").argv[2] == "/models/m"


def test_dynamo_aggregated() -> None:
    made = launch("dynamo", tensor_parallel_size=16, num_nodes=2)
    roles = [process.role for process in made.programs]
    assert roles == ["nats", "etcd", "frontend", "worker"]
    worker = made.programs[-1]
    assert "python3 -m dynamo.sglang --model-path org/m" in line(worker)
    assert "--tp-size 16 --nnodes 2 --node-rank '{rank}' --dist-init-addr" in line(worker)
    assert "--disaggregation-mode" not in line(worker) and worker.after == ("nats", "etcd")
    assert "--http-port '{port}'" in line(made.programs[2])
    assert made.env["DYN_REQUEST_PLANE"] == "nats" and made.workers == {"decode": 1}


def test_dynamo_with_workers_apart() -> None:
    made = launch(
        "dynamo",
        prefill={"num_workers": 2, "num_nodes": 2, "tensor_parallel_size": 4},
        decode={"num_workers": 1, "extra_args": ["--x"], "extra_env": {"ROLE": "d"}},
    )
    by_role = {process.role: process for process in made.programs}
    first, second, decode = (by_role[name] for name in ("prefill-0", "prefill-1", "decode-0"))
    assert [(p.first_node, p.nodes) for p in (first, second, decode)] == [(0, 2), (2, 2), (4, 1)]
    assert made.nodes == 5 and made.workers == {"prefill": 2, "decode": 1}
    assert "--disaggregation-mode prefill --disaggregation-bootstrap-port '{port+2}'" in line(first)
    assert "--disaggregation-mode decode" in line(decode) and "bootstrap" not in line(decode)
    assert "--tp-size 4" in line(first) and "--tp-size" not in line(decode)
    assert decode.argv[-1] == "--x" and decode.env == {"ROLE": "d"}
    pools = launch("dynamo", prefill={"node_pool": "p"}, decode={"node_pool": "d"})
    assert [(p.node_pool, p.first_node) for p in pools.programs[3:]] == [("p", 0), ("d", 0)]
    assert pools.programs[0].node_pool == "p" and pools.nodes == 1


@pytest.mark.parametrize(
    ("kind", "fields", "told"),
    [
        ("nim", {}, "nim runs in a container: set image"),
        ("docker_model", {"image": "i", "tensor_parallel_size": 2}, "has no effect on docker_mod"),
        ("trt_llm", {"data_parallel_size": 2}, "data_parallel_size has no effect on trt_llm"),
        ("sglang", {"ray_binary": "r"}, "ray_binary has no effect on sglang"),
        ("vllm", {"container_mounts": ["/a:/b"]}, "container_mounts has no effect without an im"),
        ("vllm", {"gpus": [1, 1]}, "a GPU is named twice"),
        ("vllm", {"gpus": 0}, "needs a GPU"),
        ("vllm", {"gpus": 3, "instances": 2}, "3 GPUs cannot be split over 2 instances"),
        ("vllm", {"gpus": 2, "tensor_parallel_size": 4}, "need 4 GPUs, a server has 2"),
        ("dynamo", {"prefill": {}}, "prefill and decode go together"),
    ],
)
def test_what_cannot_be_honoured(kind: str, fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        launch(kind, **fields)


def test_copies_with_attention_in_parallel_share_gpus() -> None:
    sizes = {"tensor_parallel_size": 8, "data_parallel_size": 8, "gpus": 8}
    assert launch("sglang", **sizes, extra_args=["--enable-dp-attention"]).gpus == 8
    with pytest.raises(ConfigError, match="need 64 GPUs"):
        launch("sglang", **sizes)


def test_placeholders_are_filled_and_other_braces_stay() -> None:
    values = {"port": "8000", "host": "h", "model": "m"}
    assert filled("{port} {port+2} ${port} {rank} {x}", values) == "8000 8002 ${port} {rank} {x}"
    process = filled_process(
        Process(argv=("{host}",), setup=("{model}",), env={"A": "{port}"}), values
    )
    assert (process.argv, process.setup, process.env) == (("h",), ("m",), {"A": "8000"})


@given(
    st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=4)
)
def test_words_pass_the_shell_of_the_setup_unchanged(words: list[str]) -> None:
    program = ("printf", "%s\\0", *words)
    command = command_of(Process(argv=program, setup=("A=1",)))
    printed = subprocess.run(command, capture_output=True, check=True).stdout
    plain = subprocess.run(program, capture_output=True, check=True).stdout
    assert printed == plain


def test_a_line_that_fails_ends_the_start(tmp_path: Path) -> None:
    process = Process(argv=("touch", str(tmp_path / "started")), setup=("false", "true"))
    assert subprocess.run(command_of(process)).returncode == 1
    assert not (tmp_path / "started").exists()
    own = Process(setup=("exec sh -c 'exit 7'",))  # pre_cmd that is the server itself
    assert subprocess.run(command_of(own)).returncode == 7


def test_workers_that_are_missing() -> None:
    def answer(*components: str) -> dict[str, Any]:
        return {"instances": [{"endpoint": "generate", "component": c} for c in components]}

    assert missing_workers(answer("backend"), {"decode": 1}) is None
    assert missing_workers(answer("prefill", "decode"), {"prefill": 1, "decode": 1}) is None
    assert missing_workers(answer("decode"), {"prefill": 2, "decode": 1}) == (
        "0 of 2 prefill workers are there"
    )
    assert missing_workers("ok", {"decode": 1}) == "0 of 1 decode workers are there"


def test_ports_are_said_or_the_next_ones() -> None:
    services = {
        "a": launch("vllm"),
        "b": launch("vllm", instances=2),
        "c": launch("vllm", port=8001),
        "d": launch("dynamo"),
        "e": launch("vllm"),
    }
    assert ports_of(services["d"]) == 2
    assert assigned_ports(services) == {"a": 8000, "b": 8002, "c": 8001, "d": 8004, "e": 8006}


def test_ports_are_reserved_until_they_are_released() -> None:
    taken = free_port()
    with socket.create_server(("127.0.0.1", taken)):
        wanted = Launch(port=taken, port_is_fixed=False, instances=2)
        first = ReservedPorts(wanted, "services.a.port")
        second = ReservedPorts(wanted, "services.b.port")
        assert first.first > taken and second.first >= first.first + 2
        again = first.first
        first.release()
        third = ReservedPorts(wanted, "services.c.port")
        assert third.first == again
        fixed = ReservedPorts(Launch(port=taken), "services.d.port")
        assert fixed.first == taken  # whoever starts it is told that it is in use
        for ports in (second, third, fixed):
            ports.release()


def test_a_port_that_nobody_named_is_given_once_and_no_connection_takes_it() -> None:
    """A server may need minutes until it listens."""
    reserved = [ReservedPorts(Launch(instances=2), "services.a.port") for _ in range(100)]
    given = {port for ports in reserved for port in (ports.first, ports.first + 1)}
    first_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert len(given) == 200 and max(given) <= max(first_ephemeral, 32768)
    for ports in reserved:
        ports.release()


def test_a_port_is_found_where_no_file_can_be_locked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    ports = ReservedPorts(Launch(port=8000, port_is_fixed=False), "services.a.port")
    assert ports.first >= 8000
    ports.release()

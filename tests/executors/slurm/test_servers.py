"""Which nodes, ports, addresses and words the servers of a job get."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from slurm_scripts import POOL, config, planned, vllm

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.executors.slurm.plan import JobPlan, Runtime
from nemo_evaluator.executors.slurm.render import rendered, secrets_text

JUDGE = {"type": "judge", "name": "clarity", "service": "j", "rubric": "Clear?"}
BENCHMARK = {"name": "sample", "solver": {"type": "simple", "service": "m"}}
WITH_JUDGE = [{**BENCHMARK, "scoring": {"metrics": [JUDGE]}}]


def plan_of(services: dict[str, Any], pools: dict[str, Any] | None = None, **more: Any) -> JobPlan:
    benchmarks = WITH_JUDGE if "j" in services else [BENCHMARK]
    pools = pools or {"gpu": POOL}
    sandbox = more.pop("sandbox", None)
    if sandbox is not None:
        benchmarks = [{**benchmarks[0], "sandbox": sandbox}]
    cluster = {"node_pools": pools, **more}
    return planned(config(services=services, benchmarks=benchmarks, cluster=cluster), "/results")


def seats(plan: JobPlan) -> list[tuple[int, int]]:
    return [(server.group, server.node) for server in plan.servers]


def script(plan: JobPlan) -> str:
    return rendered(plan)["nel_eval.sbatch"]


def test_servers_fill_the_nodes_by_their_gpus() -> None:
    pools = {"gpu": {**POOL, "nodes": 2}}
    plan = plan_of({"m": vllm(tensor_parallel_size=4), "j": vllm(tensor_parallel_size=2)}, pools)
    assert seats(plan) == [(0, 0), (0, 1)]
    shared = plan_of({"m": vllm(tensor_parallel_size=2), "j": vllm(tensor_parallel_size=2)}, pools)
    assert seats(shared) == [(0, 0), (0, 0)]
    assert "${nel_gpus[2]:-2},${nel_gpus[3]:-3}" in script(shared)
    alone = plan_of({"m": vllm(tensor_parallel_size=2)})
    assert "nel_gpus" not in script(alone)


def test_instances_take_as_many_nodes_as_they_need() -> None:
    plan = plan_of({"m": vllm(tensor_parallel_size=4, instances=3)})
    assert seats(plan) == [(0, 0), (0, 1), (0, 2)]
    assert [group.nodes for group in plan.groups] == [3]
    assert "#SBATCH --nodes=3" in script(plan)
    assert [server.log for server in plan.servers] == ["server-m-1", "server-m-2", "server-m-3"]


def test_a_server_that_others_ask_listens_everywhere_and_no_other_does() -> None:
    pools = {"a": POOL, "b": POOL}
    plan = plan_of({"m": vllm(node_pool="a"), "j": vllm(node_pool="b")}, pools)
    hosts = {server.service: server.steps[0].host for server in plan.servers}
    assert hosts == {"m": "127.0.0.1", "j": "0.0.0.0"}
    assert [group.pool for group in plan.groups] == ["a", "b"]
    urls = script(plan).split("NEL_SERVICE_URLS=")[1].splitlines()[0]
    assert "http://127.0.0.1:$nel_port_0" in urls
    assert '$(nel_address "${nel_nodes_1[0]}"):$nel_port_1' in urls


def test_pools_that_are_not_used_get_no_nodes() -> None:
    plan = plan_of({"m": vllm(node_pool="b")}, {"a": POOL, "b": POOL})
    assert [group.pool for group in plan.groups] == ["b"]


def test_several_nodes_are_started_one_by_one() -> None:
    pools = {"gpu": {**POOL, "nodes": 2}}
    sglang = {**vllm(num_nodes=2, node_pool="gpu"), "type": "sglang"}
    plan = plan_of({"m": sglang}, pools)
    (step,) = plan.servers[0].steps
    assert step.nodes == 2
    text = script(plan)
    assert "nel_step_0 0" in text and "nel_step_0 1" in text
    assert '--nnodes 2 --node-rank "$1" --dist-init-addr "$(nel_address' in text
    ray = plan_of({"m": vllm(num_nodes=2, node_pool="gpu")}, pools)
    head, worker = ray.servers[0].steps
    assert (head.node, worker.node) == (0, 1)
    assert "ray start --head" in script(ray) and "distributed-executor-backend ray" in script(ray)


def test_dynamo_apart() -> None:
    workers = {
        "prefill": {"num_workers": 2, "tensor_parallel_size": 4},
        "decode": {"num_nodes": 2, "tensor_parallel_size": 8},
    }
    dynamo = {"type": "dynamo", "model": "m", "protocol": "chat_completions", "image": "d:1"}
    plan = plan_of({"m": {**dynamo, **workers}}, {"gpu": {**POOL, "nodes": 4}})
    steps = {step.role: (step.node, step.nodes) for step in plan.servers[0].steps}
    assert steps["prefill-0"] == (0, 1) and steps["prefill-1"] == (1, 1)
    assert [place for role, place in steps.items() if role.startswith("decode")] == [(2, 2)]
    assert "prefill=2 decode=1" in script(plan)
    assert script(plan).count("dynamo.frontend") == 1


def test_a_port_is_kept_or_chosen_by_the_job() -> None:
    text = script(plan_of({"m": vllm(port=9000), "j": vllm()}))
    assert "nel_port_0=9000\n" in text
    assert "nel_port_1=$(nel_free_ports" in text


def test_variables_of_the_user_are_secrets_and_those_of_engines_are_not() -> None:
    nim = {**vllm(image="nvcr.io/nim/x:1", extra_env={"NGC_API_KEY": "k"}), "type": "nim"}
    plan = plan_of({"m": nim}, container_env={"A": "b"})
    assert "export NIM_SERVED_MODEL_NAME=m" in script(plan)
    assert "NGC_API_KEY=" not in script(plan) and "export NGC_API_KEY=k" in secrets_text(plan)
    (step,) = plan.servers[0].steps
    assert {"A", "NGC_API_KEY", "NIM_SERVED_MODEL_NAME"} <= {*step.environment}
    assert "--no-container-entrypoint -- sh /etc/rc" in script(plan)


def test_a_server_with_an_image_runs_in_a_container() -> None:
    image = vllm(image="ghcr.io/org/vllm:1", model="/models/x", container_mounts=["/a:/b:ro"])
    plan = plan_of({"m": image}, container_mounts=["/c:/c"], eval_image="auto", mount_home=False)
    (step,) = plan.servers[0].steps
    assert step.container is not None and step.container.runtime is Runtime.PYXIS
    assert step.container.image == "ghcr.io#org/vllm:1"
    assert step.container.mounts == ("/c:/c", "/models/x:/model:ro", "/a:/b:ro")
    assert plan.container is not None and "/results:/results" in plan.container.mounts
    assert plan.container.image == "nvcr.io#nvidia/nemo-evaluator:latest"
    assert plan.command == ("nel",) and "--no-container-mount-home" in script(plan)
    sif = plan_of({"m": vllm(image="/x.sif")})
    assert "apptainer exec --nv /x.sif" in script(sif)
    forced = plan_of({"m": vllm(image="org/vllm:1")}, container_runtime="apptainer")
    assert "docker://org/vllm:1" in script(forced)


def test_sandboxes_get_the_nodes_of_their_pool() -> None:
    pools = {"gpu": POOL, "cpu": {"partition": "cpu", "nodes": 3}}
    sandbox = {"type": "slurm", "image": "x", "node_pool": "cpu"}
    plan = plan_of({"m": vllm(node_pool="gpu")}, pools, sandbox=sandbox)
    assert 'set -- "${nel_nodes_1[@]:0}"' in script(plan)
    assert "export NEL_SANDBOX_HET_GROUP=1" in script(plan)
    same = {"gpu": {**POOL, "nodes": 3}}
    both = plan_of({"m": vllm(node_pool="gpu")}, same, sandbox={**sandbox, "node_pool": "gpu"})
    assert 'set -- "${nel_nodes_0[@]:1}"' in script(both)
    assert "NEL_SANDBOX_HET_GROUP" not in script(both)


@pytest.mark.parametrize(
    ("services", "cluster", "message"),
    [
        ({"m": vllm(image="x", container_mounts=["/a"])}, {}, r"'/a' is not HOST:CONTAINER"),
        ({"m": vllm(image="x", shm_size="1g")}, {}, r"services.m.shm_size: has no effect on Slurm"),
        ({"m": vllm(idle_timeout=9)}, {}, r"services.m.idle_timeout: has no effect on Slurm"),
        ({"m": vllm(extra_env={"A$(x)": "b"})}, {}, r"'A\$\(x\)' cannot be the name of a variable"),
        ({"m": vllm()}, {"container_env": {"1 A": "b"}}, "'1 A' cannot be the name of a variable"),
        ({"m": vllm()}, {"container_mounts": ["/a:/a"]}, "nothing runs in a container"),
        ({"m": vllm()}, {"eval_image": "x", "conda_env": "y"}, "has no effect in a container"),
        (
            {"m": vllm()},
            {"eval_image": "x", "sandbox": {"type": "slurm", "image": "y"}},
            "cannot be started from inside a container",
        ),
    ],
)
def test_what_is_refused(services: Any, cluster: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan_of(services, **cluster)


def test_two_scripts_of_one_configuration_are_the_same(tmp_path: Path) -> None:
    services = {"m": vllm(instances=2), "j": vllm()}
    first, second = plan_of(services), plan_of(json.loads(json.dumps(services)))
    assert rendered(first) == rendered(second)
    assert secrets_text(first) == secrets_text(second)

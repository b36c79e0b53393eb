"""The objects of a run fit the published schema of Kubernetes, whatever the configuration says."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.config.load import Loaded, parse
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.executors.kubernetes.executor import KubernetesExecutor
from nemo_evaluator.executors.kubernetes.look import _numbers, read_progress
from nemo_evaluator.executors.kubernetes.plan import KubernetesPlan, kubernetes_plan
from nemo_evaluator.executors.registry import executor_of

VERSIONS = ("1.29", "1.31", "1.34")
FULL: dict[str, Any] = {
    "image_pull_policy": "Always",
    "image_pull_secrets": ["registry"],
    "context": "lab",
    "namespace": "evals",
    "service_account": "runner",
    "shards": 8,
    "max_parallel_shards": 4,
    "max_retries": 5,
    "walltime": "1-02:00:00",
    "keep_seconds": None,
    "cpus": "4",
    "memory": "16Gi",
    "gpus": 1,
    "shm_size": "2Gi",
    "node_selector": {"pool": "gpu"},
    "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
    "priority_class": "high",
    "container_env": {"A": "b"},
    "user": 2000,
    "group": 3000,
}


def loaded(
    cluster: dict[str, Any] | None = None, services: dict[str, Any] | None = None, **more: Any
) -> Loaded:
    return parse(
        {
            "services": services or {"model": {"type": "simulated"}},
            "benchmarks": [
                {"name": "sample", "solver": {"type": "simple", "service": name}}
                for name in (services or {"model": None})
            ],
            **more,
            "cluster": {"type": "kubernetes", "image": "i:1", "claim": "c", **(cluster or {})},
        }
    )


def planned(*args: Any, **more: Any) -> KubernetesPlan:
    return kubernetes_plan(loaded(*args, **more), name="nel-20261126-1")


def check(plan: KubernetesPlan, version: str = "1.31") -> None:
    for manifest in (plan.job, plan.files, plan.secret(), plan.secret(hidden=True), plan.reader):
        kubernetes_validate.validate(manifest, version, strict=True)
    assert [one["kind"] for one in yaml.safe_load_all(plan.text())] == [
        "Job",
        "ConfigMap",
        "Secret",
    ]


def pod_of(plan: KubernetesPlan) -> dict[str, Any]:
    spec: Any = plan.job["spec"]
    return dict(spec["template"]["spec"])


def main_of(plan: KubernetesPlan) -> dict[str, Any]:
    [container] = pod_of(plan)["containers"]
    return dict(container)


@pytest.mark.parametrize("version", VERSIONS)
def test_everything_that_can_be_set_fits_the_schema(version: str) -> None:
    check(planned(), version)
    check(planned(FULL), version)
    volume = {"nfs": {"server": "filer", "path": "/evals"}}
    check(planned({**FULL, "claim": None, "volume": volume}), version)


def test_every_field_has_an_effect() -> None:
    plain = planned({"shards": 2})
    for name, value in FULL.items():
        value = 1 if name == "max_parallel_shards" else value
        assert planned({"shards": 2, name: value}) != plain, name


def test_shards_are_indexes() -> None:
    spec: Any = planned({"shards": 8, "max_parallel_shards": 3}).job["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 8, 3)
    env = {one["name"]: one for one in main_of(planned({"shards": 8}))["env"]}
    path = env["NEL_SHARD_IDX"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert path == "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    assert env["NEL_TOTAL_SHARDS"]["value"] == "8"
    assert "NEL_SHARD_IDX" not in {one["name"] for one in main_of(planned())["env"]}


def test_nothing_runs_as_root_or_may_become_it() -> None:
    plan = planned({"user": 2000})
    reader: Any = plan.reader["spec"]
    for container in (main_of(plan), reader["containers"][0]):
        security = container["securityContext"]
        assert security["runAsNonRoot"] and security["runAsUser"] == 2000
        assert not security["allowPrivilegeEscalation"]
        assert security["capabilities"] == {"drop": ["ALL"]}
    assert pod_of(plan)["automountServiceAccountToken"] is False


def test_files_that_are_named_come_along_to_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_bytes(b"question,answer\n\xff,2\n")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/bench.py").write_text("x = 1")
    names = [{"name": "rows.csv"}, {"name": f"{tmp_path}/deep/bench.py:b"}]
    plan = planned(benchmarks=names)
    check(plan)
    mounts = {one["mountPath"]: one["subPath"] for one in main_of(plan)["volumeMounts"][1:]}
    data: Any = plan.files["binaryData"]
    assert base64.b64decode(data[mounts[f"{tmp_path}/rows.csv"]]).endswith(b"\xff,2\n")
    assert base64.b64decode(data[mounts[f"{tmp_path}/deep/bench.py"]]) == b"x = 1"
    assert main_of(plan)["workingDir"] == str(tmp_path)
    Path("rows.csv").write_bytes(b"x" * 900_000)
    with pytest.raises(ConfigError, match="nel package"):
        planned(benchmarks=names)


VLLM = {
    "type": "vllm",
    "model": "org/model",
    "image": "vllm/vllm-openai:v1",
    "protocol": "chat_completions",
    "tensor_parallel_size": 2,
    "extra_env": {"VLLM_KEY": "canary-value-77"},
    "shm_size": "8g",
}


def test_model_servers_with_an_image_are_beside_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "canary-value-88")
    judge = {**VLLM, "model": "org/judge", "setup_commands": ["pip install x"], "instances": 2}
    plan = planned(services={"model": VLLM, "judge": judge})
    check(plan)
    first, second, third = pod_of(plan)["initContainers"]
    assert first["restartPolicy"] == "Always" and first["image"] == "vllm/vllm-openai:v1"
    assert first["command"][:3] == ["vllm", "serve", "org/model"]
    assert first["command"][first["command"].index("--port") + 1] == "8000"
    assert first["startupProbe"]["httpGet"] == {"path": "/health", "port": 8000}
    assert first["resources"]["limits"] == {"nvidia.com/gpu": 2}
    assert second["command"][0] == "bash" and second["startupProbe"]["httpGet"]["port"] == 8001
    assert third["startupProbe"]["httpGet"]["port"] == 8002
    env = {one["name"]: one.get("value") for one in main_of(plan)["env"]}
    assert env["NEL_SERVICE_URLS"] == (
        '{"model": ["http://127.0.0.1:8000"],'
        ' "judge": ["http://127.0.0.1:8001", "http://127.0.0.1:8002"]}'
    )
    assert "canary-value" not in repr(plan.job) + repr(plan.files) + plan.text()
    names = {one["name"] for one in first["env"]}
    assert {"VLLM_KEY", "HF_TOKEN"} <= names


@pytest.mark.parametrize(
    ("service", "told"),
    [
        ({"num_nodes": 2}, "several programs or nodes"),
        ({"container_mounts": ["/models:/models"]}, "/models is a folder of this machine"),
        ({"port": 9000}, "wants port 9000"),
    ],
)
def test_servers_that_cannot_be_in_a_pod_are_refused(service: dict[str, Any], told: str) -> None:
    config = loaded(services={"model": {**VLLM, **service}, "other": {**VLLM, "port": 9000}})
    with pytest.raises(ConfigError, match=told):
        executor_of(config)


def test_sandboxes_of_a_host_are_refused() -> None:
    config = loaded(benchmarks=[{"name": "sample", "sandbox": {"type": "docker"}}])
    with pytest.raises(ConfigError, match="a pod cannot make `docker` sandboxes"):
        executor_of(config)


@pytest.mark.parametrize(
    "cluster",
    [
        {"claim": None},
        {"volume": {"nfs": {}}},
        {"namespace": "No_Name"},
        {"namespace": "x\nkind: Pod"},
        {"memory": "16 gigabytes"},
        {"mount_path": "results"},
        {"mount_path": "/a/../etc"},
        {"container_env": {"A B": "c"}},
        {"walltime": "2 hours"},
        {"user": 0},
        {"image": ""},
        {"shards": 0},
    ],
)
def test_what_kubernetes_would_not_take_is_refused_before(cluster: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="cluster"):
        loaded(cluster)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@given(TEXT)
def test_hostile_text_stays_text(text: str) -> None:
    plan = planned(
        {
            "image": text,
            "container_env": {"A": text},
            "node_selector": {"pool": text},
            "volume": {"nfs": {"server": text, "path": "/"}},
            "claim": None,
        },
        services={"model": {"type": "simulated", "generation": {"stop": [text]}}},
    )
    job, files, secret = yaml.safe_load_all(plan.text())
    assert secret["stringData"] == {"A": "***"}
    pod = job["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == text and pod["nodeSelector"] == {"pool": text}
    assert pod["containers"][0]["command"][2:4] == main_of(plan)["command"][2:4]
    document = yaml.safe_load(files["data"]["job.yaml"])
    assert document["services"]["model"]["generation"]["stop"] == [text.replace("${", "$${")]


async def test_a_dry_run_says_what_would_be_made() -> None:
    from nemo_evaluator.executors.options import Options

    text = await KubernetesExecutor().describe(loaded(FULL), Options())
    job, files, secret = yaml.safe_load_all(text)
    assert job["metadata"]["namespace"] == "evals" and secret["stringData"] == {"A": "***"}
    assert "benchmarks" in yaml.safe_load(files["data"]["job.yaml"])


@given(st.sets(st.integers(0, 300)))
def test_numbers_of_indexes(numbers: set[int]) -> None:
    assert _numbers(",".join(map(str, sorted(numbers)))) == numbers
    assert _numbers("0-3,7") == {0, 1, 2, 3, 7} and _numbers(None) == set()


@given(st.text())
def test_progress_that_cannot_be_read_is_none(text: str) -> None:
    assert read_progress(f"\x1e/r/progress.json\n{text}") == {}

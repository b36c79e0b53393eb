"""The objects of a run: an indexed Job, its files, its secrets. They are plain data, sent as JSON:
no text of a configuration becomes part of a template, or of what a shell reads.

Every pod is one shard: its index is the shard's number. Secrets are an object of their own, which
is never written to this machine's disk. All belong to the Job and are removed with it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path

import yaml

from ...config.kubernetes_cluster import KubernetesCluster
from ...config.load import Loaded
from ...config.walltime import walltime_seconds
from ...config.yaml_text import to_yaml
from ...errors import ConfigError
from ...services.started_elsewhere import VARIABLE as SERVICE_URLS
from ...types import Json, Record
from ..handing import job_document
from ..named_paths import path_in, texts_in
from ..registry import INNER
from .sidecars import Sidecars, sidecars_of

RUN = "nemo-evaluator/run"
"""Label of all objects of a run."""
MANAGED = {"app.kubernetes.io/name": "nemo-evaluator", "app.kubernetes.io/managed-by": "nel"}
CONTAINER = "nel"
DOCUMENT = "job.yaml"
_INSIDE = "/etc/nel"
_CONFIG_BYTES = 900_000
"""Of a ConfigMap, which may hold 1 MiB."""
_INDEX = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
_SCRIPT = """\
nel "$@" &
nel=$!
trap 'kill -TERM "$nel"' TERM INT
while wait "$nel"; code=$?; kill -0 "$nel" 2>/dev/null; do :; done
[ "$code" -ne 1 ] || code=0  # a check that failed is a result
exit "$code"
"""
USER_ERROR = 2
"""The exit code after which a repetition would end the same."""

Manifest = dict[str, Json]


class KubernetesPlan(Record, frozen=True, kw_only=True):
    """What is submitted for a run."""

    name: str
    context: str | None
    namespace: str | None
    results: str
    """The directory of the run in the pods."""
    shards: int | None
    job: Manifest
    files: Manifest
    secrets: Mapping[str, str]
    reader: Manifest
    """A pod that only sees the results."""

    def secret(self, *, hidden: bool = False) -> Manifest:
        """The object with the secrets; ``hidden``: as it may be shown."""
        shown = {name: "***" if hidden else value for name, value in self.secrets.items()}
        meta = self.job["metadata"]
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": meta,
            "type": "Opaque",
            "stringData": shown,
        }

    def text(self) -> str:
        """The objects as YAML, for a reader; without the values of secrets."""
        return to_yaml(self.job, self.files, self.secret(hidden=True))


def kubernetes_plan(loaded: Loaded, *, name: str, results: str | None = None) -> KubernetesPlan:
    """The objects of a run. ``results``: where an earlier invocation put its results. Raises
    ConfigError."""
    cluster = loaded.config.cluster
    assert isinstance(cluster, KubernetesCluster)
    results = results or f"{cluster.mount_path}/{name}"
    document = job_document(loaded, output_dir=Path(results))
    sidecars = sidecars_of(loaded, name)
    files = _files(document.text, Path(document.folder))
    meta: Manifest = {"name": name, "labels": {**MANAGED, RUN: name}}
    if cluster.namespace is not None:
        meta["namespace"] = cluster.namespace
    main = _main(cluster, name, document.folder, sidecars)
    main["volumeMounts"] = [
        {"name": "results", "mountPath": cluster.mount_path},
        {"name": "files", "mountPath": f"{_INSIDE}/{DOCUMENT}", "subPath": DOCUMENT},
        *(
            {"name": "files", "mountPath": path, "subPath": key, "readOnly": True}
            for key, path in files.paths.items()
        ),
        *([{"name": "shm", "mountPath": "/dev/shm"}] if cluster.shm_size else []),
    ]
    pod = _pod(cluster, name, [main], sidecars)
    return KubernetesPlan(
        name=name,
        context=cluster.context,
        namespace=cluster.namespace,
        results=results,
        shards=cluster.shards,
        job=_job(cluster, meta, pod),
        files={"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, **files.data},
        secrets={**document.secrets, **cluster.container_env, **sidecars.secrets},
        reader=_reader(cluster, name, meta),
    )


class _Files(Record, frozen=True, kw_only=True):
    """What a ConfigMap holds."""

    data: Manifest
    paths: Mapping[str, str]
    """Key → where the file is in a pod: where it is on this machine."""


def _files(text: str, folder: Path) -> _Files:
    """The document, and the files of this machine that it names. Raises ConfigError where that is
    too much for a ConfigMap."""
    found = (path_in(word, folder) for word in texts_in(yaml.safe_load(text)))
    named = dict.fromkeys(path for path in found if path is not None and path.is_file())
    paths = {f"file-{number}": path for number, path in enumerate(named)}
    size = len(text.encode()) + sum(path.stat().st_size for path in paths.values()) * 4 // 3
    if size > _CONFIG_BYTES:
        raise ConfigError(
            f"the files it names are {size:,} bytes, more than a ConfigMap holds",
            where="cluster.type",
            hint="put them into the image (nel package), or on the volume of the results",
        )
    data: Manifest = {"data": {DOCUMENT: text}}
    if paths:
        data["binaryData"] = {
            key: base64.b64encode(path.read_bytes()).decode() for key, path in paths.items()
        }
    return _Files(data=data, paths={key: str(path) for key, path in paths.items()})


def _job(cluster: KubernetesCluster, meta: Manifest, pod: Manifest) -> Manifest:
    shards = cluster.shards or 1
    spec: Manifest = {
        "completionMode": "Indexed",
        "completions": shards,
        "parallelism": min(shards, cluster.max_parallel_shards or shards),
        "backoffLimitPerIndex": cluster.max_retries,
        "podFailurePolicy": {
            "rules": [
                {
                    "action": "FailIndex",
                    "onExitCodes": {
                        "containerName": CONTAINER,
                        "operator": "In",
                        "values": [USER_ERROR],
                    },
                },
                # A pod that had to go (a drained node, preemption) has not failed.
                {
                    "action": "Ignore",
                    "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                },
            ]
        },
        "template": {"metadata": {"labels": meta["labels"]}, "spec": pod},
    }
    if cluster.walltime is not None:
        spec["activeDeadlineSeconds"] = walltime_seconds(cluster.walltime)
    if cluster.keep_seconds is not None:
        spec["ttlSecondsAfterFinished"] = cluster.keep_seconds
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": spec}


def _main(cluster: KubernetesCluster, name: str, folder: str, sidecars: Sidecars) -> Manifest:
    """The container of the run itself."""
    env: list[Json] = [
        {"name": "HOME", "value": "/tmp"},
        {"name": "PYTHONUNBUFFERED", "value": "1"},
        {"name": INNER, "value": "1"},
    ]
    if cluster.shards is not None:
        index: Json = {"fieldRef": {"fieldPath": _INDEX}}
        env.append({"name": "NEL_SHARD_IDX", "valueFrom": index})
        env.append({"name": "NEL_TOTAL_SHARDS", "value": str(cluster.shards)})
    if sidecars.urls:
        env.append({"name": SERVICE_URLS, "value": json.dumps(sidecars.urls)})
    words = ["eval", "run", f"{_INSIDE}/{DOCUMENT}", "--resume", "--no-progress"]
    container = _container(cluster, CONTAINER, ["/bin/sh", "-c", _SCRIPT, CONTAINER, *words])
    container["workingDir"] = folder
    container["env"] = env
    container["envFrom"] = [{"secretRef": {"name": name}}]
    limits: Manifest = {}
    if cluster.cpus is not None:
        limits["cpu"] = cluster.cpus
    if cluster.memory is not None:
        limits["memory"] = cluster.memory
    if cluster.gpus is not None:
        limits[cluster.gpu_resource] = cluster.gpus
    if limits:
        container["resources"] = {"requests": limits, "limits": limits}
    return container


def _container(cluster: KubernetesCluster, name: str, command: list[str]) -> Manifest:
    container: Manifest = {"name": name, "image": cluster.image, "command": [*command]}
    if cluster.image_pull_policy is not None:
        container["imagePullPolicy"] = cluster.image_pull_policy
    container["securityContext"] = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": cluster.user,
        "runAsGroup": cluster.group,
    }
    return container


def _pod(
    cluster: KubernetesCluster, name: str, containers: list[Manifest], sidecars: Sidecars
) -> Manifest:
    volumes: list[Json] = [
        {"name": "results", **_volume(cluster)},
        {"name": "files", "configMap": {"name": name}},
    ]
    if cluster.shm_size is not None:
        memory: Json = {"medium": "Memory", "sizeLimit": cluster.shm_size}
        volumes.append({"name": "shm", "emptyDir": memory})
    return {
        **_pod_spec(cluster),
        "terminationGracePeriodSeconds": cluster.grace_seconds,
        **({"initContainers": [*sidecars.containers]} if sidecars.containers else {}),
        "containers": [*containers],
        "volumes": [*volumes, *sidecars.volumes],
    }


def _pod_spec(cluster: KubernetesCluster) -> Manifest:
    """What pods of a run have in common: where they may be, and as whom."""
    pod: Manifest = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {
            "fsGroup": cluster.group,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    if cluster.service_account is not None:
        pod["serviceAccountName"] = cluster.service_account
    if cluster.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": secret} for secret in cluster.image_pull_secrets]
    if cluster.node_selector:
        pod["nodeSelector"] = dict(cluster.node_selector)
    if cluster.tolerations:
        pod["tolerations"] = [dict(toleration) for toleration in cluster.tolerations]
    if cluster.priority_class is not None:
        pod["priorityClassName"] = cluster.priority_class
    return pod


def _volume(cluster: KubernetesCluster) -> Manifest:
    if cluster.volume is not None:
        return dict(cluster.volume)
    return {"persistentVolumeClaim": {"claimName": cluster.claim}}


def _reader(cluster: KubernetesCluster, name: str, meta: Manifest) -> Manifest:
    """A pod that waits to be asked for the results, an hour at most."""
    container = _container(cluster, "reader", ["sleep", "3600"])
    container["volumeMounts"] = [
        {"name": "results", "mountPath": cluster.mount_path, "readOnly": True}
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**meta, "name": f"{name}-reader", "labels": {**MANAGED}},
        "spec": {
            **_pod_spec(cluster),
            "containers": [container],
            "volumes": [{"name": "results", **_volume(cluster)}],
        },
    }

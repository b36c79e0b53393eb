"""Tasks of ECS on Fargate: definitions by content, starting, waiting, stopping. All calls block.

A definition holds no secret and nothing of one run, so that one is registered for all tasks that
need the same; those this process registered are deregistered at its end.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

from ..errors import ConfigError
from ..files.owner import LABEL, Owner, find_owner
from .contract import SandboxLost, SandboxSpec
from .ecs_settings import EcsSettings

STARTED_BY = "nel-sandbox"
_TRIES, _PAUSE, _LONGEST = 30, 1.0, 60.0
_START = 300.0
_POLL = 2.0
_TRANSIENT = (
    "ThrottlingException",
    "TooManyRequestsException",
    "ServiceUnavailable",
    "RequestLimitExceeded",
    "capacity",
    "rate exceeded",
    "too many concurrent",
    "timed out",
    "timeout",
    "connection reset",
)
_SIDECAR = """\
command -v sshd >/dev/null || apk add --no-cache openssh-server >/dev/null || exit 1
ssh-keygen -A >/dev/null
mkdir -p /root/.ssh /run/sshd /var/empty; chmod 700 /root/.ssh
printf '%s\\n' "$SSH_PUBLIC_KEY" > /root/.ssh/authorized_keys
exec "$(command -v sshd)" -D -e -p "$NEL_ECS_SSHD_PORT" -o PasswordAuthentication=no \\
  -o KbdInteractiveAuthentication=no -o PermitRootLogin=prohibit-password \\
  -o AllowTcpForwarding=yes -o GatewayPorts=no -o X11Forwarding=no \\
  -o ClientAliveInterval=30 -o ClientAliveCountMax=20
"""


def definition(settings: EcsSettings, spec: SandboxSpec, image: str) -> dict[str, Any]:
    """A task definition without its family."""
    lifetime = min(settings.lifetime, int(spec.limits.lifetime) + 1)
    source = (files(__package__) / "ecs_exec_server.py").read_text(encoding="utf-8")
    home = {"HOME": spec.cwd, "LANG": "C.UTF-8", "TMPDIR": "/tmp"}
    main = {
        "name": "main",
        "image": image,
        "essential": True,
        "cpu": 0,
        "memoryReservation": 128,
        "entryPoint": ["python3"],
        "command": ["-I", "-c", source, str(settings.exec_port), str(lifetime), spec.cwd],
        "environment": _name_value_list(home),
        "user": "0",
        # Root's commands may end all processes but the first: that is the exec server then.
        "linuxParameters": {"initProcessEnabled": 0 not in (spec.user, spec.verify_user)},
        "dependsOn": [{"containerName": "ssh-tunnel", "condition": "HEALTHY"}],
    }
    check = f"nc -z 127.0.0.1 {settings.sshd_port}"
    sidecar = {
        "name": "ssh-tunnel",
        "image": settings.sidecar,
        "essential": True,
        "cpu": 0,
        "memoryReservation": 64,
        "entryPoint": ["sh", "-c"],
        "command": [_SIDECAR],
        "environment": _name_value_list({"NEL_ECS_SSHD_PORT": str(settings.sshd_port)}),
        "secrets": [{"name": "SSH_PUBLIC_KEY", "valueFrom": settings.public_key}],
        "portMappings": [{"containerPort": settings.sshd_port, "protocol": "tcp"}],
        "healthCheck": {"command": ["CMD-SHELL", check], "interval": 5, "retries": 10},
    }
    if settings.log_group is not None:
        options = {"awslogs-group": settings.log_group, "awslogs-region": settings.region or ""}
        options["awslogs-stream-prefix"] = settings.log_prefix
        for container in (main, sidecar):
            container["logConfiguration"] = {"logDriver": "awslogs", "options": options}
    made: dict[str, Any] = {
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": settings.cpu,
        "memory": settings.memory,
        "executionRoleArn": settings.execution_role,
        "containerDefinitions": [main, sidecar],
    }
    if settings.task_role is not None:
        made["taskRoleArn"] = settings.task_role
    if settings.storage_gib is not None:
        made["ephemeralStorage"] = {"sizeInGiB": settings.storage_gib}
    return made


def _name_value_list(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items()]


def family(made: Mapping[str, Any]) -> str:
    """The name of a definition, by its content."""
    text = json.dumps(made, sort_keys=True)
    return f"nel-sandbox-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


class EcsTasks:
    """The tasks of one cluster."""

    def __init__(self, ecs: Any, ec2: Any, settings: EcsSettings, owner: Owner) -> None:
        self._ecs, self._ec2, self._settings, self._owner = ecs, ec2, settings, owner
        self._known: dict[str, str] = {}
        self._registered: list[str] = []
        self._lock = threading.Lock()

    def start(self, spec: SandboxSpec, image: str) -> str:
        """Start a task; its ARN. Raises SandboxLost."""
        made = definition(self._settings, spec, image)
        settings = self._settings
        network = {
            "subnets": list(settings.subnets),
            "securityGroups": list(settings.security_groups),
            "assignPublicIp": "ENABLED" if settings.assign_public_ip else "DISABLED",
        }
        got = _retried(
            lambda: _one_task(
                self._ecs.run_task(
                    cluster=settings.cluster,
                    taskDefinition=self._definition(made),
                    launchType="FARGATE",
                    networkConfiguration={"awsvpcConfiguration": network},
                    startedBy=STARTED_BY,
                    tags=[{"key": LABEL, "value": str(self._owner)}],
                )
            )
        )
        return str(got["taskArn"])

    def wait(self, task: str) -> str:
        """Wait until a task runs; its address. Raises SandboxLost with the reason if it stops."""
        end = time.monotonic() + _START
        while time.monotonic() < end:
            found = self._described(task)
            if found["lastStatus"] == "RUNNING":
                return self._address(found)
            if found["lastStatus"] in ("STOPPED", "DEPROVISIONING", "STOPPING"):
                raise SandboxLost(f"the task stopped: {_reason(found)}", peer="ecs_fargate")
            time.sleep(_POLL)
        raise SandboxLost(f"the task does not run after {_START:.0f} s", peer="ecs_fargate")

    def why_stopped(self, task: str) -> str | None:
        """Why a task does not run any more; None while it does."""
        found = self._described(task)
        return None if found["lastStatus"] == "RUNNING" else _reason(found)

    def stop(self, task: str) -> None:
        """Stop a task; one that is gone is stopped."""
        reason = "the evaluator needs it no more"
        _retried(lambda: self._stopped(task, reason))

    def reap(self) -> list[str]:
        """Stop the tasks of dead owners of this machine."""
        removed = []
        pages = self._ecs.get_paginator("list_tasks").paginate(
            cluster=self._settings.cluster, startedBy=STARTED_BY
        )
        arns = [arn for page in pages for arn in page["taskArns"]]
        for some in (arns[i : i + 100] for i in range(0, len(arns), 100)):
            reply = self._ecs.describe_tasks(
                cluster=self._settings.cluster, tasks=some, include=["TAGS"]
            )
            for found in reply["tasks"]:
                tags = {tag["key"]: tag["value"] for tag in found.get("tags", ())}
                owner = find_owner(tags.get(LABEL, ""))
                if owner is not None and owner.abandoned:
                    self.stop(found["taskArn"])
                    removed.append(f"task {found['taskArn'].rpartition('/')[2]}")
        return removed

    def close(self) -> None:
        """Deregister what this process has registered."""
        while self._registered:
            with contextlib.suppress(Exception):  # what remains costs nothing
                self._ecs.deregister_task_definition(taskDefinition=self._registered.pop())
        self._known.clear()

    def _definition(self, made: dict[str, Any]) -> str:
        """The ARN of a definition, registered if it was not yet."""
        name = family(made)
        with self._lock:
            if name not in self._known:
                self._known[name] = self._active_definition(name) or self._register(name, made)
            return self._known[name]

    def _active_definition(self, name: str) -> str | None:
        try:
            definition = self._ecs.describe_task_definition(taskDefinition=name)["taskDefinition"]
        except self._ecs.exceptions.ClientException:
            return None
        return (
            str(definition["taskDefinitionArn"]) if definition.get("status") == "ACTIVE" else None
        )

    def _register(self, name: str, made: dict[str, Any]) -> str:
        definition = self._ecs.register_task_definition(family=name, **made)["taskDefinition"]
        self._registered.append(str(definition["taskDefinitionArn"]))
        return self._registered[-1]

    def _described(self, task: str) -> dict[str, Any]:
        reply = _retried(
            lambda: self._ecs.describe_tasks(cluster=self._settings.cluster, tasks=[task])
        )
        if not reply["tasks"]:
            raise SandboxLost("the task is gone", peer="ecs_fargate")
        return dict(reply["tasks"][0])

    def _stopped(self, task: str, reason: str) -> dict[str, Any]:
        try:
            reply: dict[str, Any] = self._ecs.stop_task(
                cluster=self._settings.cluster, task=task, reason=reason
            )
        except self._ecs.exceptions.InvalidParameterException:
            return {}
        return reply

    def _address(self, found: Mapping[str, Any]) -> str:
        """The public address of a task, else its private one."""
        details = {
            one["name"]: one["value"]
            for attachment in found.get("attachments", ())
            for one in attachment.get("details", ())
            if "name" in one and "value" in one
        }
        if self._settings.assign_public_ip and "networkInterfaceId" in details:
            reply = _retried(
                lambda: self._ec2.describe_network_interfaces(
                    NetworkInterfaceIds=[details["networkInterfaceId"]]
                )
            )
            if public := reply["NetworkInterfaces"][0].get("Association", {}).get("PublicIp"):
                return str(public)
        if "privateIPv4Address" not in details:
            raise SandboxLost("the task has no address", peer="ecs_fargate")
        return str(details["privateIPv4Address"])


def _one_task(told: Mapping[str, Any]) -> dict[str, Any]:
    if told["tasks"]:
        return dict(told["tasks"][0])
    reasons = "; ".join(str(one.get("reason")) for one in told.get("failures", ()))
    raise SandboxLost(f"no task was started: {reasons or 'no reason given'}", peer="ecs_fargate")


def _retried(call: Callable[[], Any]) -> Any:
    """The result of a call of AWS, which is repeated where that may help. Raises SandboxLost."""
    pause = _PAUSE
    for number in range(1, _TRIES + 1):
        try:
            return call()
        except ConfigError:
            raise
        except Exception as error:  # botocore's errors have no useful common base
            text = f"{type(error).__name__} {error}"
            if number == _TRIES or not any(word.lower() in text.lower() for word in _TRANSIENT):
                raise SandboxLost(f"AWS: {error}", peer="ecs_fargate") from None
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST)
    raise AssertionError


def _reason(found: Mapping[str, Any]) -> str:
    words = [str(found.get("stopCode", "")), str(found.get("stoppedReason", ""))]
    for container in found.get("containers", ()):
        if container.get("reason") or container.get("exitCode") is not None:
            code = container.get("exitCode")
            words.append(f"{container.get('name')}: {container.get('reason') or f'exit {code}'}")
    return "; ".join(filter(None, words)) or "no reason given"

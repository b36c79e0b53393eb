"""What a Fargate sandbox runs with: the user's configuration, then what the project has in SSM."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ..config.sandboxes import EcsFargateSandbox, SshSidecarConfig
from ..errors import ConfigError
from ..records import Record

LIFETIME = 14_400
_UNSUPPORTED = {
    "codebuild_project": "images are not built by CodeBuild",
    "codebuild_service_role": "images are not built by CodeBuild",
    "codebuild_build_timeout": "images are not built by CodeBuild",
    "codebuild_compute_type": "images are not built by CodeBuild",
    "efs_filesystem_id": "workspaces are handed over by archive, not by EFS",
    "efs_access_point_id": "workspaces are handed over by archive, not by EFS",
    "container_port": "commands are run by the exec server",
}


class EcsSettings(Record, frozen=True, kw_only=True):
    """All settings of ECS, complete."""

    region: str | None
    cluster: str
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    assign_public_ip: bool
    cpu: str
    memory: str
    storage_gib: int | None
    execution_role: str
    task_role: str | None
    log_group: str | None
    log_prefix: str
    lifetime: int
    sshd_port: int
    exec_port: int
    ready_seconds: float
    public_key: str
    private_key: str
    sidecar: str
    ecr_repository: str | None


def parameter_name(project: str) -> str:
    """Where a project keeps its settings."""
    return f"/{project}/ecs-sandbox/config"


def check_supported(config: EcsFargateSandbox) -> None:
    """Raise ConfigError for fields that would have no effect."""
    for name in config.changed():
        if name in _UNSUPPORTED:
            raise ConfigError(
                f"{name} cannot be used: {_UNSUPPORTED[name]}",
                where="sandbox",
                hint="remove it; build and push images beforehand",
            )
    if config.ssh_sidecar is not None and config.ssh_sidecar.exec_server_port is None:
        raise ConfigError(
            "without the exec server no command can be run",
            where="sandbox.ssh_sidecar.exec_server_port",
            hint="remove it (19542 is the default)",
        )


def assemble(config: EcsFargateSandbox, stored: Mapping[str, Any]) -> EcsSettings:
    """What the user wrote wins, field by field. Raises ConfigError for what is still missing."""

    def of(name: str) -> Any:
        own = getattr(config, name, None)
        return own if own not in (None, [], "") else stored.get(name)

    sidecar = _sidecar(config.ssh_sidecar, stored.get("ssh_sidecar") or {})
    needed = ("cluster", "subnets", "execution_role_arn")
    missing = [name for name in needed if not of(name)]
    missing += [f"ssh_sidecar.{name}" for name in _ARNS if not sidecar.get(name)]
    if missing:
        raise ConfigError(
            f"the ecs_fargate sandbox lacks {', '.join(missing)}",
            where="sandbox",
            hint=f"set them, or `region` and `ssm_project` of a project whose SSM parameter "
            f"{parameter_name('PROJECT')} has them",
        )
    public = of("assign_public_ip")
    return EcsSettings(
        region=config.region,
        cluster=of("cluster"),
        subnets=tuple(of("subnets")),
        security_groups=tuple(of("security_groups") or ()),
        assign_public_ip=True if public is None else bool(public),
        cpu=config.cpu,
        memory=config.memory,
        storage_gib=of("ephemeral_storage_gib"),
        execution_role=of("execution_role_arn"),
        task_role=of("task_role_arn"),
        log_group=of("log_group"),
        log_prefix=of("log_stream_prefix") or "nel",
        lifetime=int(of("max_task_lifetime_sec") or LIFETIME),
        sshd_port=int(sidecar.get("sshd_port") or 52222),
        exec_port=int(sidecar.get("exec_server_port") or 19542),
        ready_seconds=float(sidecar.get("ssh_ready_timeout_sec") or 300),
        public_key=str(sidecar["public_key_secret_arn"]),
        private_key=str(sidecar["private_key_secret_arn"]),
        sidecar=str(sidecar.get("image") or "alpine:latest"),
        ecr_repository=of("ecr_repository"),
    )


_ARNS = ("public_key_secret_arn", "private_key_secret_arn")


def _sidecar(own: SshSidecarConfig | None, stored: Mapping[str, Any]) -> dict[str, Any]:
    if own is None:
        return dict(stored)
    given = {name: value for name, value in own.model_dump().items() if value is not None}
    return {**{name: stored.get(name) for name in _ARNS}, **given}


def stored_settings(text: str, name: str) -> dict[str, Any]:
    """The settings in a parameter. Raises ConfigError."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ConfigError(
            f"SSM parameter {name} is not a JSON object", hint="apply the stack again"
        )
    return found


def image_of(settings: EcsSettings, image: str) -> str:
    """The image of a task: in the project's repository by its sanitized name, where there is one.

    >>> sanitized("ghcr.io/org/task:1")
    'ghcr-io-org-task-1'
    """
    if settings.ecr_repository is None or ".dkr.ecr." in image:
        return image
    return f"{settings.ecr_repository}:{sanitized(image)}"


def sanitized(text: str) -> str:
    """A text as part of a name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")[:100]

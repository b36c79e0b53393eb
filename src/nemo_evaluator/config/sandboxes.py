"""Sandboxes: where untrusted code or an agent runs. Declared here; none runs in this version."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from .base import ConfigRecord


class _Lifecycle(ConfigRecord):
    capture_cmd: str | None = None
    verify_timeout: float = 600.0
    stateful: bool = False
    scrub_git_history: bool = False


class _Container(_Lifecycle):
    image: str | None = None
    image_template: str | None = None
    timeout: float = 1800.0
    concurrency: int = Field(4, ge=1)
    container_env: dict[str, str] = Field(default_factory=dict)


class NoSandbox(_Lifecycle):
    """No sandbox."""

    type: Literal["none"] = "none"


class DockerSandbox(_Container):
    """A Docker container per problem."""

    type: Literal["docker"]
    memory: str = "4g"
    cpus: float = 2.0
    network: Literal["bridge", "host", "none"] = "bridge"


class SlurmSandbox(_Container):
    """A step on a Slurm node."""

    type: Literal["slurm"]
    memory: str = "4g"
    cpus: float = 2.0
    node_pool: str | None = None
    slots_per_node: int = Field(4, ge=1)


class ApptainerSandbox(_Container):
    """An Apptainer instance."""

    type: Literal["apptainer"]
    memory: str = "4g"
    cpus: float = 2.0
    node_pool: str | None = None
    slots_per_node: int = Field(4, ge=1)
    sif_cache_dir: str | None = None

    @model_validator(mode="after")
    def _cache_for_a_pool(self) -> ApptainerSandbox:
        if self.node_pool is not None and self.sif_cache_dir is None:
            raise ValueError("sif_cache_dir is required with node_pool")
        return self


class SshSidecarConfig(ConfigRecord):
    """The SSH sidecar of an ECS task."""

    sshd_port: int = 52222
    ssh_ready_timeout_sec: float = 300.0
    public_key_secret_arn: str
    private_key_secret_arn: str
    image: str | None = None
    exec_server_port: int | None = 19542


class EcsFargateSandbox(_Container):
    """An AWS Fargate task per problem."""

    type: Literal["ecs_fargate"]
    container_port: int | None = None
    region: str | None = None
    cluster: str | None = None
    subnets: list[str] = Field(default_factory=list)
    security_groups: list[str] = Field(default_factory=list)
    assign_public_ip: bool | None = None
    cpu: str = "4096"
    memory: str = "8192"
    ephemeral_storage_gib: int | None = None
    execution_role_arn: str | None = None
    task_role_arn: str | None = None
    log_group: str | None = None
    log_stream_prefix: str | None = None
    max_task_lifetime_sec: int | None = None
    ssh_sidecar: SshSidecarConfig | None = None
    s3_bucket: str | None = None
    s3_prefix: str | None = None
    ecr_repository: str | None = None
    codebuild_project: str | None = None
    codebuild_service_role: str | None = None
    codebuild_build_timeout: int | None = None
    codebuild_compute_type: str | None = None
    dockerhub_secret_arn: str | None = None
    efs_filesystem_id: str | None = None
    efs_access_point_id: str | None = None
    ssm_project: str = "harbor"


class CustomSandbox(ConfigRecord):
    """A sandbox of your own class."""

    type: Literal["custom"]
    class_path: str
    config: dict[str, Any] = Field(default_factory=dict)


Sandbox = Annotated[
    NoSandbox | DockerSandbox | SlurmSandbox | ApptainerSandbox | EcsFargateSandbox | CustomSandbox,
    Field(discriminator="type"),
]

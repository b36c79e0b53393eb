"""Sandboxes: where untrusted code or an agent runs. ``kinds`` says which of them can be run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ..kinds import SANDBOXES
from .base import ConfigRecord
from .plugins import ByType, PluginFields
from .variables import Variables


class LifecycleFields(ConfigRecord):
    """Fields of every built-in sandbox."""

    capture_cmd: str | None = None
    """Command that writes a tar archive of what is to be verified to its standard output; null:
    the whole working directory."""
    verify_timeout: float = Field(600.0, gt=0)
    """Seconds for verification in the sandbox."""
    stateful: bool = False
    """Verify in the sandbox the solver used."""
    scrub_git_history: bool = False
    """Remove the history of repositories before the solver starts."""


class MadeFields(LifecycleFields):
    """Fields of every sandbox that is made, used and removed again."""

    timeout: float = Field(1800.0, gt=0)
    """Seconds a sandbox lives."""
    concurrency: int = Field(4, ge=1)
    """Most sandboxes at a time."""
    container_env: Variables = Field(default_factory=dict)
    """Environment variables inside."""


class ContainerFields(MadeFields):
    """Fields of every sandbox that is a container."""

    image: str | None = None
    """Image of every problem."""
    image_template: str | None = None
    """Image per problem, with fields of its metadata."""


class OwnFields(MadeFields):
    """Fields of every sandbox that is not built in."""

    memory: str | None = None
    """Memory limit; null: that of the benchmark."""
    cpus: float | None = Field(None, gt=0)
    """CPU limit; null: that of the benchmark."""
    network: Literal["bridge", "host", "none", "door"] | None = None
    """Network of the sandbox; null: that of the benchmark."""


class NoSandbox(LifecycleFields):
    """No sandbox."""

    type: Literal["none"] = "none"
    """Kind of sandbox."""


class DockerSandbox(ContainerFields):
    """A Docker container per problem."""

    type: Literal["docker"] = "docker"
    """Kind of sandbox."""
    memory: str = "4g"
    """Memory limit."""
    cpus: float = Field(2.0, gt=0)
    """CPU limit."""
    network: Literal["bridge", "host", "none", "door"] = "bridge"
    """Network of the container; ``door``: the run's model and nothing else."""


class LocalSandbox(MadeFields):
    """Bubblewrap on this machine: own namespaces, no network, nothing of the host to write."""

    type: Literal["local"] = "local"
    """Kind of sandbox."""
    memory: str = "1g"
    """Memory limit."""
    cpus: float = Field(1.0, gt=0)
    """CPU limit."""
    network: Literal["none", "door", "host"] = "none"
    """Network of the sandbox; ``door``: the run's model and nothing else."""


class NodeFields(ContainerFields):
    """Fields of the sandboxes on nodes of a Slurm cluster."""

    memory: str = "4g"
    """Memory limit."""
    cpus: float = Field(2.0, gt=0)
    """CPU limit."""
    node_pool: str | None = None
    """Node pool the sandboxes run in."""
    slots_per_node: int = Field(4, ge=1)
    """Sandboxes per node."""


class SlurmSandbox(NodeFields):
    """A container of pyxis on a node of the Slurm job."""

    type: Literal["slurm"] = "slurm"
    """Kind of sandbox."""
    network: Literal["bridge"] = "bridge"
    """Network of the sandbox: that of its node; there is no other."""


class ApptainerSandbox(NodeFields):
    """An Apptainer instance."""

    type: Literal["apptainer"] = "apptainer"
    """Kind of sandbox."""
    sif_cache_dir: str | None = None
    """Folder for converted images; all nodes of the pool must see it."""
    network: Literal["none", "door", "host", "bridge"] = "none"
    """Network of the sandbox; ``door``: the run's model and nothing else; ``bridge``: that of its
    node (with ``node_pool``)."""

    @model_validator(mode="after")
    def _cache_for_a_pool(self) -> ApptainerSandbox:
        if self.node_pool is not None and self.sif_cache_dir is None:
            raise ValueError("sif_cache_dir is required with node_pool")
        return self


class SshSidecarConfig(ConfigRecord):
    """The SSH sidecar of an ECS task."""

    sshd_port: int = Field(52222, ge=1, le=65535)
    """Port of the SSH server."""
    ssh_ready_timeout_sec: float = Field(300.0, gt=0)
    """Seconds until the SSH server must answer."""
    public_key_secret_arn: str
    """Secret that holds the public key."""
    private_key_secret_arn: str
    """Secret that holds the private key."""
    image: str | None = None
    """Image of the sidecar."""
    exec_server_port: int | None = Field(19542, ge=1, le=65535)
    """Port of the exec server; null: none."""


class EcsFargateSandbox(ContainerFields):
    """An AWS Fargate task per problem; what is null is looked up in SSM."""

    type: Literal["ecs_fargate"] = "ecs_fargate"
    """Kind of sandbox."""
    network: Literal["bridge"] = "bridge"
    """Network of the sandbox: what the security groups allow; there is no other."""
    container_port: int | None = None
    """Port the container listens on."""
    region: str | None = None
    """AWS region."""
    cluster: str | None = None
    """ECS cluster."""
    subnets: list[str] = Field(default_factory=list)
    """Subnets of the tasks."""
    security_groups: list[str] = Field(default_factory=list)
    """Security groups of the tasks."""
    assign_public_ip: bool | None = None
    """Give tasks a public address."""
    cpu: str = "4096"
    """CPU units of a task."""
    memory: str = "8192"
    """Memory of a task in MiB."""
    ephemeral_storage_gib: int | None = None
    """Disk of a task in GiB."""
    execution_role_arn: str | None = None
    """Role that starts tasks."""
    task_role_arn: str | None = None
    """Role of the tasks."""
    log_group: str | None = None
    """CloudWatch log group."""
    log_stream_prefix: str | None = None
    """Prefix of log streams."""
    max_task_lifetime_sec: int | None = None
    """Seconds after which a task is stopped whatever it does."""
    ssh_sidecar: SshSidecarConfig | None = None
    """SSH access to the tasks."""
    s3_bucket: str | None = None
    """Bucket for file transfer."""
    s3_prefix: str | None = None
    """Prefix in the bucket."""
    ecr_repository: str | None = None
    """Repository for built images."""
    codebuild_project: str | None = None
    """Project that builds images."""
    codebuild_service_role: str | None = None
    """Role of the builds."""
    codebuild_build_timeout: int | None = None
    """Minutes for a build."""
    codebuild_compute_type: str | None = None
    """Machine of a build."""
    dockerhub_secret_arn: str | None = None
    """Secret with Docker Hub credentials."""
    efs_filesystem_id: str | None = None
    """Shared file system."""
    efs_access_point_id: str | None = None
    """Access point of the file system."""
    ssm_project: str = "harbor"
    """Project whose settings are looked up."""


class CustomSandbox(OwnFields):
    """A sandbox of your own class."""

    type: Literal["custom"] = "custom"
    """Kind of sandbox."""
    class_path: str
    """The class, as ``module:Class``."""
    config: dict[str, Any] = Field(default_factory=dict)
    """Its arguments."""


class PluginSandbox(OwnFields, PluginFields):
    """A sandbox of an installed package, or your own (``type: module:Class``).

    Further fields are its options."""

    kind = SANDBOXES


MadeSandbox = (
    LocalSandbox
    | DockerSandbox
    | ApptainerSandbox
    | SlurmSandbox
    | EcsFargateSandbox
    | CustomSandbox
    | PluginSandbox
)
"""What a run can make."""
AnySandbox = (
    NoSandbox
    | LocalSandbox
    | DockerSandbox
    | SlurmSandbox
    | ApptainerSandbox
    | EcsFargateSandbox
    | CustomSandbox
    | PluginSandbox
)
OnlyBridge = SlurmSandbox | EcsFargateSandbox
"""What has no network of its own: the one that is set counts, whatever a benchmark asks for."""
Sandbox = Annotated[AnySandbox, ByType(SANDBOXES)]
SandboxOrName = Annotated[AnySandbox | str, ByType(SANDBOXES)]

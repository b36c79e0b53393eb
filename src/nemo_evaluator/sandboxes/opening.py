"""Opens the backend that a configuration names: built in, of an installed package, or one's own."""

from __future__ import annotations

from ..config.plugins import Given, given
from ..config.sandboxes import (
    ApptainerSandbox,
    CustomSandbox,
    DockerSandbox,
    EcsFargateSandbox,
    LocalSandbox,
    MadeSandbox,
    SlurmSandbox,
)
from ..kinds import SANDBOXES
from .contract import Backend
from .docker import DockerBackend
from .local import LocalBackend

NEEDS = "it needs name, preflight(), check(spec), pull(image), create(spec), reap() and close()"


def open_backend(config: MadeSandbox) -> Backend:
    """The backend of a sandbox. Raises ConfigError."""
    return _open_backend(config.type, given(config))


def local(_config: LocalSandbox) -> Backend:
    """Bubblewrap on this machine."""
    return LocalBackend()


def docker(config: DockerSandbox) -> Backend:
    """A container per problem."""
    return DockerBackend(image=config.image)


def apptainer(config: ApptainerSandbox) -> Backend:
    """An Apptainer instance on this machine, or on a node of the job."""
    from .apptainer import ApptainerBackend
    from .slurm_nodes import nodes_of_job

    nodes = None if config.node_pool is None else nodes_of_job(config.slots_per_node)
    return ApptainerBackend(image=config.image, sif_cache_dir=config.sif_cache_dir, nodes=nodes)


def ecs_fargate(config: EcsFargateSandbox) -> Backend:
    """A task of AWS Fargate."""
    from .ecs import EcsBackend

    return EcsBackend(config)


def slurm(config: SlurmSandbox) -> Backend:
    """A container of pyxis on a node of the job."""
    from .slurm import SlurmBackend

    return SlurmBackend(image=config.image, slots_per_node=config.slots_per_node)


def custom(config: CustomSandbox) -> Backend:
    """The backend of ``class_path``."""
    return _open_backend(config.class_path, config.config)


def _open_backend(name: str, options: Given) -> Backend:
    backend = SANDBOXES.open(name, options)
    if not isinstance(backend, Backend):
        raise SANDBOXES.wrong(name, NEEDS)
    return backend

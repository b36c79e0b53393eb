"""What the model servers that are started here have in common: from the fields of a configuration
to the parts of a `Launch`."""

from __future__ import annotations

from typing import Any

from ...config.servers import ManagedModelFields
from ..launch import Launch, Process

MODEL_IN_CONTAINER = "/model"
RENDEZVOUS_PORT = 29500
"""Where the nodes of one server meet."""
CREDENTIALS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "NGC_API_KEY")
"""What containers need to fetch a model, where it is set."""


def model_path(options: ManagedModelFields) -> str:
    """The model as the server's command has it: a folder is mounted into a container."""
    return MODEL_IN_CONTAINER if _mounted(options) else options.model


def served_name(options: ManagedModelFields) -> str:
    """The id that requests have: ``{model}`` is the service's name where nothing else is said."""
    return options.served_model_name or "{model}"


def flags(**values: object) -> tuple[str, ...]:
    """``--name value`` for each that is said, as written: underscores stay."""
    return tuple(
        word for name, value in values.items() if value is not None for word in (name, str(value))
    )


def dashed(**values: object) -> tuple[str, ...]:
    """``--some-name value`` for each that is said."""
    return flags(**{f"--{name.replace('_', '-')}": value for name, value in values.items()})


def setup_of(options: ManagedModelFields) -> tuple[str, ...]:
    """Lines of shell before the server."""
    last = () if options.pre_cmd is None else (options.pre_cmd,)
    return (*options.setup_commands, *last)


def launch_from(
    options: ManagedModelFields,
    argv: tuple[str, ...] = (),
    *,
    env: dict[str, str] | None = None,
    processes: tuple[Process, ...] = (),
    **more: Any,
) -> Launch:
    """A `Launch` with everything that is the same for all engines. ``env``: what the engine is told
    by variables; the user's win over them."""
    mounted = (f"{options.model}:{MODEL_IN_CONTAINER}:ro",) if _mounted(options) else ()
    gpus = options.gpus
    return Launch(
        argv=argv,
        setup=() if processes else setup_of(options),
        image=options.image,
        mounts=(*mounted, *options.container_mounts),
        shm_size=options.shm_size,
        pass_env=CREDENTIALS if options.image is not None else (),
        env={**(env or {}), **options.extra_env},
        port=options.port,
        port_is_fixed="port" in options.model_fields_set,
        instances=options.instances,
        nodes=more.pop("nodes", options.num_nodes),
        node_pool=options.node_pool,
        gpus=gpus_of(options),
        devices=tuple(gpus) if isinstance(gpus, list) else (),
        health_path=options.health_path,
        startup_timeout=options.startup_timeout,
        stop_timeout=options.stop_timeout,
        depends_on=tuple(options.depends_on),
        processes=processes,
        **more,
    )


def gpus_of(options: ManagedModelFields) -> int:
    """GPUs of a node for one server; 0 where nothing says."""
    if options.gpu_count is not None:
        return options.gpu_count // options.instances
    world = options.world_size
    return 0 if world is None else -(-world // options.num_nodes)


def _mounted(options: ManagedModelFields) -> bool:
    return options.image is not None and options.model.startswith("/")

"""Programs of a server that run in a container: the words that start it with the docker CLI, and
what removes it.

Values of variables are never words of a command: the CLI takes them from its own environment.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import ConfigError
from ..files.owner import find_owner, this_process
from ..results.layout import ascii_slug
from .child import Program
from .launch import Launch, Process, command_of

LABEL = "nemo-evaluator.service.owner"
ASK_SECONDS = 30.0
READ_BY_DOCKER = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG")
ANYWHERE = "0.0.0.0"
"""Where a server listens inside a container of its own network."""


def in_container(
    launch: Launch,
    process: Process,
    name: str,
    *,
    env: Mapping[str, str],
    port: int,
    devices: Sequence[int],
) -> Program:
    """A program, filled in, as a container. Raises ConfigError where there is no docker command."""
    docker = docker_command(f"services.{name}.image")
    called = f"nel-{ascii_slug(name)[:40]}-{secrets.token_hex(4)}".lower()
    words = command_of(process)
    entry = () if launch.own_entrypoint or not words else ("--entrypoint", words[0])
    words = words[1:] if entry else words
    assert launch.image is not None
    passed = [variable for variable in launch.pass_env if os.environ.get(variable)]
    return Program(
        argv=(
            *(docker, "run", "--rm", "--init", "--name", called),
            *("--label", f"{LABEL}={this_process()}"),
            *_network(launch, port),
            *_gpus(devices, process.gpus),
            *(("--shm-size", launch.shm_size) if launch.shm_size else ()),
            *(word for mount in launch.mounts for word in ("--volume", mount)),
            *(word for variable in (*env, *passed) for word in ("--env", variable)),
            *(("--workdir", launch.folder) if launch.folder else ()),
            *entry,
            launch.image,
            *words,
        ),
        env={**os.environ, **env, **_of_the_command()},
        role=process.role if launch.processes else "",
        listens_on=process.listens_on,
        clean_up=(docker, "rm", "--force", called),
    )


def docker_command(where: str) -> str:
    """The path of the docker CLI. Raises ConfigError."""
    found = shutil.which("docker")
    if found is None:
        raise ConfigError(
            "there is no command `docker`, which starts its container",
            where=where,
            hint="install Docker, or leave out image to start the server on this machine",
        )
    return found


def remove_abandoned_containers() -> None:
    """Remove the containers of servers whose evaluation was killed together with its guards."""
    docker = docker_command("docker")
    form = f'{{{{.ID}}}} {{{{.Label "{LABEL}"}}}}'
    asked = [docker, "ps", "--all", "--filter", f"label={LABEL}", "--format", form]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        listed = subprocess.run(
            asked, capture_output=True, text=True, timeout=ASK_SECONDS, check=True
        )
        for line in listed.stdout.splitlines():
            owner = find_owner(line)
            if owner is not None and owner.abandoned:
                remove = [docker, "rm", "--force", line.split()[0]]
                subprocess.run(remove, capture_output=True, timeout=ASK_SECONDS, check=False)


def _network(launch: Launch, port: int) -> tuple[str, ...]:
    if launch.host_network:
        return ("--network", "host")
    return ("--publish", f"127.0.0.1:{port}:{launch.container_port or port}")


def _gpus(devices: Sequence[int], count: int) -> tuple[str, ...]:
    """The GPUs with these numbers, or this many, or all where nothing is said and there are any."""
    if devices:
        return ("--gpus", f'"device={",".join(map(str, devices))}"')
    if count:
        return ("--gpus", str(count))
    return ("--gpus", "all") if _has_gpus() else ()


def _has_gpus() -> bool:
    return any(re.fullmatch(r"nvidia\d+", path.name) for path in Path("/dev").glob("nvidia*"))


def _of_the_command() -> dict[str, str]:
    """What the CLI reads itself, whatever the container is told by these names."""
    own = {name: os.environ[name] for name in READ_BY_DOCKER if name in os.environ}
    return {"DOCKER_CONFIG": str(Path.home() / ".docker"), **own}

"""``cluster: {type: docker}``: a container of this machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from .base import ConfigRecord
from .mounts import parse_mount
from .variables import Variables

_SIZE = re.compile(r"(\d+)\s*([kmgt]?)i?b?", re.IGNORECASE)
_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}


def size_in_bytes(text: str) -> int:
    """Bytes of ``2g``, ``512M``, ``1GiB`` or ``1048576``. Raises ValueError.

    >>> size_in_bytes("2g")
    2147483648
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or int(match[1]) == 0:
        raise ValueError(f"{text!r} is not a size: write 2g or 512m")
    return int(match[1]) << _UNITS[match[2].lower()]


class DockerCluster(ConfigRecord):
    """A container on this machine."""

    type: Literal["docker"] = "docker"
    """Kind of cluster."""
    image: str | None = None
    """Image with this tool in it; null or `local`: built here, of this installation."""
    build_args: dict[str, str] = Field(default_factory=dict)
    """Arguments of the build of a `local` image: `BASE_IMAGE`, `APT_PACKAGES`, `PIP_INDEX_URL`."""
    container_mounts: list[str] = Field(default_factory=list)
    """Mounts, ``host:container`` or ``host:container:ro``."""
    container_env: Variables = Field(default_factory=dict)
    """Environment variables of the run."""
    mount_home: bool = True
    """Mount the home directory."""
    shm_size: str | None = None
    """Shared memory of the container, `2g` say; null: Docker's own, with a gym 2g."""
    network: str = "host"
    """Docker network; `host`: what listens on this machine is reached as from outside."""
    gpus: Literal["all"] | list[int] | int | None = None
    """GPUs of the container: `all`, how many, or their numbers."""

    @field_validator("shm_size")
    @classmethod
    def _is_size(cls, value: str | None) -> str | None:
        if value is not None:
            size_in_bytes(value)
        return value

    @field_validator("container_mounts")
    @classmethod
    def _are_mounts(cls, value: list[str]) -> list[str]:
        for text in value:
            parse_mount(text, Path("/"))
        return value

"""What backends that start a container image by a program of their cluster refuse of a spec."""

from __future__ import annotations

from pathlib import Path

from ..errors import ConfigError
from . import transfer
from .contract import SandboxSpec


def check_container(spec: SandboxSpec, engine: str) -> None:
    """Raise ConfigError for what only Docker can do, and for paths that cannot be."""
    if spec.build is not None or spec.plain:
        what = "builds no images" if spec.build is not None else "has no plain containers"
        raise ConfigError(
            f"the {engine} sandbox {what}",
            hint="use `sandbox: {type: docker}`, or name a built image that needs no Docker",
        )
    if not spec.cwd.startswith("/") or spec.cwd.rstrip("/") == "":
        raise ConfigError(f"{spec.cwd!r} cannot be the working directory of a sandbox")
    for folder in spec.folders:
        if not Path(folder).is_absolute() or ":" in folder or "," in folder:
            raise ConfigError(f"{folder!r} is no folder that a sandbox can show")
    transfer.rooted(spec)


def named_image(image: str | None, default: str | None, engine: str) -> str:
    """The image of a sandbox. Raises ConfigError where none is named."""
    if (name := image or default) is None:
        raise ConfigError(f"the {engine} sandbox has no image", hint="set `image:` of the sandbox")
    return name

"""Builds our images on this machine, of this installation: ``image: local``."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ...errors import ConfigError
from ...sandbox_spec import BuildSpec
from ...sandboxes.contract import BuildFailed
from ...sandboxes.docker_api import Engine
from ...sandboxes.docker_build import Builder
from ...sandboxes.docker_images import Images
from .variants import Variant
from .wheel import CONSTRAINTS, DOCKERFILE, build_file, write_wheel

REPOSITORY = "nemo-evaluator"
LOCAL = "local"
BUILD_SECONDS = 3600.0


async def build_local(
    engine: Engine, variant: Variant, args: Mapping[str, str] | None = None
) -> str:
    """Build an image, unless the engine has just this one: its name. Raises ConfigError."""
    with tempfile.TemporaryDirectory(prefix="nel-image-") as folder:
        await asyncio.to_thread(fill_context, Path(folder))
        build = BuildSpec(
            context=folder, target=str(variant), args=args or {}, timeout=BUILD_SECONDS
        )
        return await build_image(engine, build, local_name(variant))


def local_name(variant: Variant) -> str:
    """The name of an image that is built here."""
    return f"{REPOSITORY}:{variant.tagged(LOCAL)}"


async def build_image(engine: Engine, build: BuildSpec, name: str) -> str:
    """Build an image and give it a name. Raises ConfigError, with the end of the build's log."""
    try:
        built = await Builder(engine, Images(engine)).build(build)
    except BuildFailed as error:
        raise ConfigError(str(error)) from None
    repository, _, tag = name.rpartition(":")
    await engine.expect("POST", f"/images/{built}/tag", query={"repo": repository, "tag": tag})
    return name


def fill_context(folder: Path) -> None:
    """Put what an image is built of into a folder. Blocks. Raises ConfigError."""
    for name in (DOCKERFILE, CONSTRAINTS):
        shutil.copyfile(build_file(name), folder / name)
    (folder / "dist").mkdir()
    write_wheel(folder / "dist")

"""Builds our images on this machine, of this installation: ``image: local``."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from ...errors import ConfigError
from ...sandbox_spec import BuildSpec
from ...sandboxes.contract import BuildFailed
from ...sandboxes.docker_api import Engine
from ...sandboxes.docker_build import REPOSITORY as BUILDS
from ...sandboxes.docker_build import Builder
from ...sandboxes.docker_images import Images
from .variants import Variant
from .wheel import CONSTRAINTS, DOCKERFILE, build_file, write_wheel

REPOSITORY = "nemo-evaluator"
LOCAL = "local"
BUILD_SECONDS = 3600.0
SAID_SECONDS = 2.0
"""A build that takes longer is told of: the first one takes minutes."""


async def build_local(
    engine: Engine,
    variant: Variant,
    args: Mapping[str, str] | None = None,
    *,
    say: Callable[[str], None],
) -> str:
    """Build an image, unless the engine has just this one. Raises ConfigError.

    Returns a name that only this image ever has: another installation may give `local_name` to one
    of its own at any moment.
    """
    with tempfile.TemporaryDirectory(prefix="nel-image-") as folder:
        await asyncio.to_thread(fill_context, Path(folder))
        build = BuildSpec(
            context=folder, target=str(variant), args=args or {}, timeout=BUILD_SECONDS
        )
        built = await build_image(engine, build, local_name(variant), say)
    return await _name_of(engine, built)


async def _name_of(engine: Engine, built: str) -> str:
    found = await engine.expect("GET", f"/images/{built}/json")
    names = (name for name in found["RepoTags"] if name.startswith(f"{BUILDS}:"))
    return str(next(names, built))


def local_name(variant: Variant) -> str:
    """The name of an image that is built here."""
    return f"{REPOSITORY}:{variant.tagged(LOCAL)}"


async def build_image(
    engine: Engine, build: BuildSpec, name: str, say: Callable[[str], None]
) -> str:
    """Build an image and give it a name: its id. ``say`` is told where that takes its time. Raises
    ConfigError, with the end of the build's log."""
    late = asyncio.get_running_loop().call_later(SAID_SECONDS, say, f"building the image {name}")
    try:
        built = await Builder(engine, Images(engine)).build(build)
    except BuildFailed as error:
        raise ConfigError(str(error)) from None
    finally:
        late.cancel()
    repository, _, tag = name.rpartition(":")
    await engine.expect("POST", f"/images/{built}/tag", query={"repo": repository, "tag": tag})
    return built


def fill_context(folder: Path) -> None:
    """Put what an image is built of into a folder. Blocks. Raises ConfigError."""
    for name in (DOCKERFILE, CONSTRAINTS):
        shutil.copyfile(build_file(name), folder / name)
    (folder / "dist").mkdir()
    write_wheel(folder / "dist")

"""SIF files made of container images, each once, in a folder that runs and nodes share.

An image that is a path, or has a scheme (``oras://``, ``library://``), is used as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..errors import ConfigError
from .docker_api import find_socket

_SECONDS = 3600.0
_TAIL = 400


def cache_folder(configured: str | None) -> Path:
    """Where SIF files are kept."""
    chosen = configured or os.environ.get("APPTAINER_CACHEDIR")
    return Path(chosen) if chosen else Path(tempfile.gettempdir()) / "nel_sif_cache"


def sif_name(image: str) -> str:
    """The name of an image's SIF file.

    >>> sif_name("ghcr.io/org/task:1.0")
    'ghcr.io_org_task__1.0.sif'
    """
    return image.replace("/", "_").replace(":", "__") + ".sif"


def is_ready(image: str) -> bool:
    """Whether an image can be used as it is: a SIF file, an unpacked image, or a URI."""
    return "://" in image.replace("docker://", "") or Path(image).is_absolute()


class SifCache:
    """Makes SIF files. Several processes may share the folder."""

    def __init__(self, folder: Path, program: str, env: dict[str, str]) -> None:
        self.folder, self._program, self._env = folder, program, env

    def path(self, image: str) -> str:
        """What Apptainer is told to run."""
        name = image.removeprefix("docker://")
        return image if is_ready(image) else str(self.folder / sif_name(name))

    async def have(self, image: str) -> None:
        """See that an image is at hand. ConfigError where it cannot be had."""
        if is_ready(image):
            if image.startswith("/") and not await asyncio.to_thread(os.path.exists, image):
                raise ConfigError(f"there is no image {image}")
            return
        made = Path(self.path(image))
        with await asyncio.to_thread(_locked, made):
            if not await asyncio.to_thread(made.exists):
                await self._build(image.removeprefix("docker://"), made)

    async def _build(self, image: str, made: Path) -> None:
        part = made.with_name(f".{secrets.token_hex(4)}.{made.name}")
        output = ""
        try:
            for source in await asyncio.to_thread(_sources, image):
                code, output = await self._run("build", str(part), source)
                if code == 0:
                    part.replace(made)
                    return
        finally:
            part.unlink(missing_ok=True)
        raise ConfigError(
            f"image {image} cannot be made a SIF file: {output[-_TAIL:]}",
            hint=f"try `apptainer build {made} docker://{image}`, or name a .sif file as the image",
        )

    async def _run(self, *words: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            self._program,
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._env,
        )
        try:
            async with asyncio.timeout(_SECONDS):
                output, _ = await process.communicate()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        return process.returncode or 0, output.decode(errors="replace").strip()


def _sources(image: str) -> list[str]:
    """Where an image may come from: the Docker engine of this machine, then the registry."""
    with contextlib.suppress(ConfigError):
        if Path(find_socket()).exists():
            return [f"docker-daemon:{_tagged(image)}", f"docker://{image}"]
    return [f"docker://{image}"]


def _tagged(image: str) -> str:
    """The image's name as the engine writes it: never without a tag."""
    return image if ":" in image.rpartition("/")[2] or "@" in image else f"{image}:latest"


def _locked(made: Path) -> contextlib.AbstractContextManager[None]:
    """Wait for the lock of a file that is to be made. Blocks."""
    made.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(made.with_name(f".{made.name}.lock"), os.O_CREAT | os.O_RDWR, 0o666)
    fcntl.flock(file, fcntl.LOCK_EX)
    return _held(file)


@contextlib.contextmanager
def _held(file: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(file)

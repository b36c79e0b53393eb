"""Builds with BuildKit, by the command ``docker buildx``: only for Dockerfiles that need it.

BuildKit speaks a protocol of its own, which its command knows; the engine's API has the classic
builder, which needs no command.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping

from .build_context import Context


async def is_there() -> bool:
    """Whether the command can be run."""
    try:
        asked = await asyncio.create_subprocess_exec(
            *("docker", "buildx", "version"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return False
    return await asked.wait() == 0


def command(context: Context, tag: str, labels: Mapping[str, str]) -> list[str]:
    """What builds a context to an image of that tag."""
    build = context.build
    argv = ["docker", "buildx", "build", "--load", "--progress=plain", "--tag", tag]
    for key, value in labels.items():
        argv += ["--label", f"{key}={value}"]
    for key, value in build.args.items():
        argv += ["--build-arg", f"{key}={value}"]
    if build.target is not None:
        argv += ["--target", build.target]
    return [*argv, "--file", str(context.folder / build.dockerfile), str(context.folder)]


async def run(argv: list[str], socket: str, say: Callable[[str], None]) -> str | None:
    """Build; why that failed, or None. Who is cancelled ends it."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "DOCKER_HOST": f"unix://{socket}"},
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        while chunk := await process.stdout.read(1 << 16):
            say(chunk.decode(errors="replace"))
        code = await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return None if code == 0 else f"`docker buildx build` ended with exit code {code}"

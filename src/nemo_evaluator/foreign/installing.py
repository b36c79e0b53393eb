"""Makes the environment of its own in which a package is looked for: with uv where it is there,
else with venv and pip.

Invariant: an environment that was not finished does not stay.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

from ..errors import ConfigError
from .interpreters import Interpreter, Wanted, find_interpreter

LONGEST = 3600.0
MESSAGE = 400
"""Characters told of why it failed."""
NEWEST = 20
"""Minor versions of Python that are looked for, at most."""


def managed(wanted: Wanted) -> Path:
    """The interpreter of a package's own environment."""
    return wanted.folder / "bin" / "python"


async def install(wanted: Wanted, *, again: bool = False) -> Interpreter:
    """The interpreter with the package, made where it is not there; ``again``: made anew. Raises
    ConfigError."""
    if managed(wanted).exists() and not again:
        try:
            return await find_interpreter(wanted, str(managed(wanted)))
        except ConfigError:  # of a version that will not do, or broken
            pass
    folder = wanted.folder
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    await asyncio.to_thread(folder.parent.mkdir, parents=True, exist_ok=True)
    try:
        for command in _commands(wanted, shutil.which("uv")):
            await _done(command, wanted)
        return await find_interpreter(wanted, str(managed(wanted)))
    except BaseException:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        raise


def _commands(wanted: Wanted, uv: str | None) -> list[list[str]]:
    """What makes the environment, and what fills it."""
    python = str(managed(wanted))
    if uv is not None:
        at_least = f">={'.'.join(map(str, wanted.python))}"
        return [
            [uv, "venv", "--quiet", "--python", at_least, str(wanted.folder)],
            [uv, "pip", "install", "--quiet", "--python", python, *wanted.requirements],
        ]
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    return [
        [_base_python(wanted), "-m", "venv", str(wanted.folder)],
        [*pip, *wanted.requirements],
    ]


def _base_python(wanted: Wanted) -> str:
    """A Python that is new enough: ours, or one on PATH. Raises ConfigError."""
    if sys.version_info[:2] >= wanted.python:
        return sys.executable
    major, least = wanted.python
    for minor in range(least, least + NEWEST):
        if (found := shutil.which(f"python{major}.{minor}")) is not None:
            return found
    needed = ".".join(map(str, wanted.python))
    raise ConfigError(
        f"{wanted.package} needs Python {needed} or newer, and there is none on PATH",
        hint="install uv, which gets one by itself (pip install uv), or a newer Python",
    )


async def _done(command: list[str], wanted: Wanted) -> None:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "VIRTUAL_ENV": ""},
    )
    try:
        async with asyncio.timeout(LONGEST):
            _, output = await process.communicate()
    except TimeoutError:
        output = f"not done after {LONGEST:g} s".encode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise ConfigError(
            f"{wanted.package} cannot be installed: {_why(output.decode(errors='replace'))}",
            where=str(wanted.folder),
            hint="where there is no network, name an interpreter that has it: "
            f"{wanted.where}, or {wanted.variable}",
        )


def _why(said: str) -> str:
    """The line of pip or uv that tells most: its last error."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["no reason was given"])[-1][:MESSAGE]

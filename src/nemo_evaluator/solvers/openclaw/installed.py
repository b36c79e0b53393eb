"""OpenClaw as it is installed on this machine: what to run, and what a sandbox must show of it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from pathlib import Path
from typing import NamedTuple

from ...errors import ConfigError

OLDEST = (2026, 9)
"""The oldest version whose command line and transcripts this solver was tested with."""
OLDEST_NODE = (22, 15)
"""It reads transcripts: ``node:sqlite``, and zstd of ``node:zlib``."""
SECONDS = 60.0
INSTALL = "npm install -g openclaw"


class Program(NamedTuple):
    """How OpenClaw is run."""

    node: str
    argv: tuple[str, ...]
    folders: tuple[str, ...] = ()
    """What a sandbox must show of this machine for that."""
    version: str | None = None


def inside(command: str) -> Program:
    """One that the image of the workspace brings."""
    script = command.endswith((".mjs", ".js"))
    return Program("node", ("node", command) if script else (command,))


def find(command: str) -> Program | None:
    """The one of this machine; None where there is none. Raises ConfigError without node."""
    found = shutil.which(command)
    if found is None:
        return None
    script = Path(found).resolve()
    node = _node_of(script) or shutil.which("node")
    if node is None:
        raise ConfigError(
            "OpenClaw needs node, which is not on the PATH",
            where=found,
            hint=f"install node {OLDEST_NODE[0]} or newer",
        )
    program = str(Path(node).resolve())
    # What it imports lies beside it, in the outermost folder of node's packages.
    folder = next((f for f in reversed(script.parents) if f.name == "node_modules"), script.parent)
    return Program(program, (program, str(script)), (str(folder), program))


def _node_of(script: Path) -> str | None:
    """The node of the installation that a script belongs to: of npm's prefix, or a package."""
    places = ("bin/node", "node_modules/.bin/node", "node/node_modules/.bin/node")
    found = (folder / place for folder in script.parents for place in places)
    return next((str(node) for node in found if os.access(node, os.X_OK)), None)


async def checked(program: Program) -> Program:
    """The program, with its version. Raises ConfigError for one that is too old or does not run."""
    node = await _version([program.node, "--version"])
    if node[:2] < OLDEST_NODE:
        wanted = ".".join(map(str, OLDEST_NODE))
        raise ConfigError(
            f"OpenClaw is run by node {'.'.join(map(str, node))}, which is too old",
            where=program.node,
            hint=f"install node {wanted} or newer",
        )
    version = await _version([*program.argv, "--version"])
    text = ".".join(map(str, version))
    if version[:2] < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise ConfigError(
            f"OpenClaw {text} is too old: this solver needs {wanted} or newer",
            where=program.argv[-1],
            hint=f"{INSTALL}, or skip_preflight: true",
        )
    return program._replace(version=text)


async def _version(argv: list[str]) -> tuple[int, ...]:
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise ConfigError(f"does not tell its version in {SECONDS:g} s", where=argv[0]) from None
    match = re.search(r"(\d+)\.(\d+)\.(\d+)", out.decode(errors="replace"))
    if process.returncode or match is None:
        lines = (err or out).decode(errors="replace").strip().splitlines()[-1:] or [
            "it said nothing"
        ]
        raise ConfigError(f"does not print its version: {lines[0][:200]}", where=argv[-2])
    return tuple(map(int, match.groups()))

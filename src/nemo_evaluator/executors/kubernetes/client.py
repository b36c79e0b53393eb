"""``kubectl``, asked to do things: its words, its answers, and what went wrong in one line.

What is sent goes over standard input, so that no secret is in a file or on a command line.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from ...errors import ConfigError
from .plan import Manifest

PROGRAM = "kubectl"
SECONDS = 60.0
_LINE_BYTES = 1 << 20


class ClusterAway(ConfigError):
    """The cluster did not do what it was asked to."""


class NotThere(ClusterAway):
    """There is no such object."""


@dataclass(frozen=True, slots=True)
class Kubectl:
    """The command, for one context and one namespace."""

    context: str | None = None
    namespace: str | None = None

    def words(self, *words: str) -> list[str]:
        """The whole command line."""
        found = [PROGRAM]
        if self.context is not None:
            found.append(f"--context={self.context}")
        if self.namespace is not None:
            found.append(f"--namespace={self.namespace}")
        return [*found, *words]

    async def run(self, *words: str, sent: Manifest | None = None, timeout: float = SECONDS) -> str:
        """What kubectl printed. Raises ClusterAway."""
        process = await self.start(*words, stdin=sent is not None)
        data = json.dumps(sent).encode() if sent is not None else None
        try:
            async with asyncio.timeout(timeout):
                out, err = await process.communicate(data)
        except TimeoutError:
            raise ClusterAway(
                f"kubectl {words[0]} took longer than {timeout:g} s", where="cluster"
            ) from None
        finally:
            await ended(process)
        if process.returncode != 0:
            raise failure(words[0], err)
        return out.decode(errors="replace")

    async def get(self, *words: str) -> Any:
        """An object, or a list of them."""
        return json.loads(await self.run("get", *words, "--output=json"))

    async def create(self, manifest: Manifest) -> Any:
        """Make an object: it, as it is then. Not ``apply``, which would copy all of it, secrets
        included, into a note beside it."""
        made = await self.run("create", "--filename=-", "--output=json", sent=manifest)
        return json.loads(made)

    async def delete(self, kind: str, name: str, *words: str, timeout: float = SECONDS) -> None:
        """Remove an object, if it is there."""
        await self.run("delete", kind, name, "--ignore-not-found", *words, timeout=timeout)

    async def start(self, *words: str, stdin: bool = False) -> asyncio.subprocess.Process:
        """Start kubectl. Raises ClusterAway where it is not installed."""
        try:
            return await asyncio.create_subprocess_exec(
                *self.words(*words),
                stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=_LINE_BYTES,
                env={**os.environ, "LC_ALL": "C"},
            )
        except FileNotFoundError:
            hint = "install it, or print the objects with --dry-run"
            raise ClusterAway("kubectl is not on PATH", where="cluster", hint=hint) from None

    async def lines(self, *words: str) -> AsyncIterator[str]:
        """What kubectl prints, as it comes. Raises ClusterAway."""
        process = await self.start(*words)
        assert process.stdout is not None and process.stderr is not None
        try:
            while line := await process.stdout.readline():
                yield line.decode(errors="replace").rstrip("\n")
            stderr = await process.stderr.read()
            if await process.wait() != 0:
                raise failure(words[0], stderr)
        finally:
            await ended(process)


async def ended(process: asyncio.subprocess.Process) -> None:
    """Kill a process that still runs, and wait until it has ended."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def failure(verb: str, said: bytes) -> ClusterAway:
    """What went wrong, by the last line that kubectl printed."""
    lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
    text = lines[-1].strip() if lines else "it said nothing"
    if "(NotFound)" in text:
        return NotThere(f"kubectl {verb}: {text}", where="cluster")
    return ClusterAway(f"kubectl {verb}: {text}", where="cluster")

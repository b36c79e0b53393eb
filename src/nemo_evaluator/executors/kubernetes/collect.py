"""Brings the results of a run here: a pod that sees them sends an archive, which is unpacked into
the directory of the run; shards are then merged."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import IO

from ...errors import ConfigError, ExitCode
from .client import ClusterAway, Kubectl, ended, failure
from .plan import Manifest

READY_SECONDS = 600
_CHUNK = 1 << 20


async def collect(kubectl: Kubectl, reader: Manifest, results: str, directory: Path) -> None:
    """Fetch the results. Raises ClusterAway."""
    metadata = reader["metadata"]
    assert isinstance(metadata, dict)
    name = str(metadata["name"])
    await kubectl.delete("pod", name, "--wait=true")
    await kubectl.create(reader)
    try:
        ready = ("wait", "--for=condition=Ready", f"pod/{name}", f"--timeout={READY_SECONDS}s")
        await kubectl.run(*ready, timeout=READY_SECONDS + 30)
        with tempfile.TemporaryFile(dir=directory) as archive:
            await _fetch(kubectl, name, results, archive)
            await asyncio.to_thread(_unpack, archive, directory)
    finally:
        with contextlib.suppress(ClusterAway):
            await kubectl.delete("pod", name, "--wait=false", "--grace-period=1")


async def merge(directory: Path) -> str:
    """Merge the shards of a directory: what was said if that did not work, else nothing."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nemo_evaluator.cli", "eval", "merge", str(directory)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, stderr = await process.communicate()
    finally:
        await ended(process)
    if process.returncode in (ExitCode.DONE, ExitCode.FAILED_CHECK, ExitCode.INCOMPLETE):
        return ""
    lines = stderr.decode(errors="replace").strip().splitlines() or [""]
    return f"the shards cannot be merged: {lines[-1].removeprefix('error: ')}"


async def _fetch(kubectl: Kubectl, pod: str, results: str, archive: IO[bytes]) -> None:
    words = ("exec", pod, "--", "tar", "-C", results, "-cf", "-", ".")
    process = await kubectl.start(*words)
    assert process.stdout is not None and process.stderr is not None
    try:
        while chunk := await process.stdout.read(_CHUNK):
            await asyncio.to_thread(archive.write, chunk)
        stderr = await process.stderr.read()
        if await process.wait() != 0:
            raise failure("exec", stderr)
    finally:
        await ended(process)


def _unpack(archive: IO[bytes], directory: Path) -> None:
    archive.seek(0)
    try:
        with tarfile.open(fileobj=archive) as members:
            members.extractall(directory, filter="data")
    except (tarfile.TarError, EOFError) as error:
        what = f"the results arrived damaged: {error}"
        raise ConfigError(what, where=str(directory), hint="ask again") from None

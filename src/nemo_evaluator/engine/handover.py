"""How what a solver left in a workspace comes to its verifier: the workspace itself, or its files.

Invariants: the verifier gets it only after every process of the agent is dead; what the solver
deleted is not there again in the verifier's sandbox; a workspace is let go once it is not needed.
"""

from __future__ import annotations

import posixpath
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec

from ..errors import InfraError
from ..sandboxes import Sandbox, SandboxLost, SandboxSpec
from ..sandboxes.contract import MAX_TRANSFER
from ..solvers.contract import Archive, Handover
from ..types import Failure, Phase, Problem
from .sandboxing import Lender

CAPTURE_SECONDS = 300.0
MOST = 1 << 30
"""Bytes of an archive, at most: it passes through this process."""
_CAPTURED = "/tmp/.nel-capture.tar"
_FOLDERS = "mkdir -p -m 1777 /output /input 2>/dev/null"
"""Makes the folders that commands of NVIDIA NeMo Evaluator expect, where the file system may be
written."""
_TAKE = f"[ -s {_CAPTURED} ] || cp /output/workspace.tar {_CAPTURED}"
_APPLY = """\
archive=/input/workspace.tar
[ -w /input ] || archive=/tmp/.nel-input.tar
cat > "$archive" && ( %s
) < "$archive"
"""
_EMPTY = "find . -mindepth 1 -delete"


async def captured(sandbox: Sandbox, command: str | None) -> Archive:
    """The files of a workspace, or what a command makes of them. Raises SandboxLost."""
    most = min(MOST, max(MAX_TRANSFER, 2 * sandbox.spec.limits.disk_mb << 20))
    try:
        if command is None:
            return Archive(data=await sandbox.save(".", max_bytes=most))
        script = f"{_FOLDERS}; ( {command}\n) > {_CAPTURED} && {{ {_TAKE}; }}"
        done = await sandbox.exec(script, timeout=CAPTURE_SECONDS)
        if not done.ok:
            raise SandboxLost(
                f"capture_cmd ended with exit code {done.exit_code}: {done.stderr.strip()[-300:]}",
                phase=Phase.SOLVE,
            )
        return Archive(data=await sandbox.download(_CAPTURED, max_bytes=most))
    except (ValueError, FileNotFoundError) as error:
        raise SandboxLost(f"the workspace cannot be kept: {error}", phase=Phase.SOLVE) from None


def as_verifier(sandbox: Sandbox) -> Sandbox:
    """The sandbox, in which the verifier's user runs commands from now on."""
    if (user := sandbox.spec.verify_user) is not None:
        sandbox.user = user
    return sandbox


class Handed:
    """What a solver left, lent to a verifier: see ``environments.contract.LeftWorkspace``."""

    def __init__(
        self,
        lender: Lender,
        handover: Handover,
        problem: Problem,
        release: Callable[[], Awaitable[None]],
        *,
        seconds: float,
    ) -> None:
        """``release`` closes the workspace; ``seconds``: how long ``apply_cmd`` may take."""
        self._lender, self._problem, self._seconds = lender, problem, seconds
        self._handover: Handover | None = handover
        self._release = release
        self._lent = 0

    @asynccontextmanager
    async def acquire(self, spec: SandboxSpec) -> AsyncIterator[Sandbox]:
        """The workspace itself, or a fresh sandbox of the spec with its files in it."""
        handover = self._handover
        if handover is None:
            raise InfraError(
                "the workspace was let go before a judge was asked",
                kind=Failure.SANDBOX,
                phase=Phase.VERIFY,
            )
        self._lent += 1
        try:
            if isinstance(handover, Archive):
                async with self._fresh(self._lender.spec(spec), handover.data) as sandbox:
                    yield sandbox
            else:
                await handover.end_processes()
                yield handover
        finally:
            self._lent -= 1

    async def let_go(self) -> None:
        """See ``LeftWorkspace.let_go``."""
        if not self._lent and self._handover is not None:
            self._handover = None
            await self._release()

    @asynccontextmanager
    async def _fresh(self, spec: SandboxSpec, archive: bytes) -> AsyncIterator[Sandbox]:
        handover = self._problem.handover
        # The verifier asks no model, so its sandbox has no door.
        network = "none" if spec.network == "door" else spec.network
        inside = {name: data for name, data in spec.files.items() if _is_inside(name, spec.cwd)}
        outside = {name: data for name, data in spec.files.items() if name not in inside}
        bare = msgspec.structs.replace(spec, network=network, files=outside)
        async with self._lender.as_given(bare) as sandbox:
            if handover.apply_cmd is None:
                await _emptied(sandbox)
                await sandbox.restore(".", archive)
            else:
                await self._applied(sandbox, handover.apply_cmd, archive)
            if (
                handover.verifier is not None
            ):  # else they are the solver's, who may have deleted them
                for name, data in inside.items():
                    await sandbox.upload(name, data)
            yield as_verifier(sandbox)

    async def _applied(self, sandbox: Sandbox, command: str, archive: bytes) -> None:
        await sandbox.exec(_FOLDERS)
        done = await sandbox.exec(_APPLY % command, stdin=archive, timeout=self._seconds)
        if not done.ok:
            raise SandboxLost(
                f"apply_cmd ended with exit code {done.exit_code}: {done.stderr.strip()[-300:]}"
            )


async def _emptied(sandbox: Sandbox) -> None:
    """Remove what the image has in the working directory: the solver's is the whole of it."""
    done = await sandbox.exec(_EMPTY, timeout=CAPTURE_SECONDS)
    if not done.ok:
        raise SandboxLost(f"the image's own files cannot be removed: {done.stderr.strip()[-300:]}")


def _is_inside(name: str, cwd: str) -> bool:
    path = posixpath.normpath(posixpath.join(cwd, name))
    return path.startswith(cwd.rstrip("/") + "/")

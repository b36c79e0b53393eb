"""A process of ours that holds a sandbox: it starts it, and ends it when its input ends, which it
does with the owner, however the owner ends. It is in a session of its own, where no signal for the
owner reaches it.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Mapping, Sequence

from . import processes
from .contract import SandboxLost

READY = "nel-ready"
"""What a holder prints once the sandbox is there."""


class Holder:
    """One such process."""

    def __init__(self, process: asyncio.subprocess.Process, peer: str) -> None:
        self._process, self._peer = process, peer

    @classmethod
    async def start(
        cls, words: Sequence[str], env: Mapping[str, str], *, seconds: float, peer: str
    ) -> Holder:
        """Start the holder and wait until the sandbox is there. Raises SandboxLost."""
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(env),
            cwd="/",
            start_new_session=True,
        )
        holder = cls(process, peer)
        assert process.stdout is not None and process.stderr is not None
        try:
            async with asyncio.timeout(seconds):
                if (await process.stdout.readline()).decode().strip() == READY:
                    return holder
                why = (await process.stderr.read(4000)).decode(errors="replace").strip()
        except TimeoutError:
            why = f"no answer in {seconds:.0f} s"
        except BaseException:
            await holder.end(processes.GONE)
            raise
        await holder.end(processes.GONE)
        raise SandboxLost(f"the sandbox did not start: {why[-400:]}", peer=peer)

    @property
    def running(self) -> bool:
        """Whether the sandbox is still held."""
        return self._process.returncode is None

    async def end(self, seconds: float) -> None:
        """Let go, and see that it ends. Raises SandboxLost if it does not."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(seconds):
                await self._process.wait()
        except TimeoutError:
            processes.kill_group(self._process.pid)
            raise SandboxLost("a sandbox does not end", peer=self._peer) from None

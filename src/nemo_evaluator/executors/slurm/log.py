"""The log of a run on Slurm: what its jobs wrote, one after the other, followed while they run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

from ..host import Host
from .plan import LOGS

POLL_SECONDS = 1.0
POLL_OVER_SSH_SECONDS = 3.0


def log_name(job: str, *, merge: bool = False) -> str:
    """Where a job writes its log, below the run's directory."""
    return f"{LOGS}/slurm-merge-{job}.log" if merge else f"{LOGS}/slurm-{job}.log"


class JobLogs:
    """The logs of some jobs as one text, of which more comes."""

    def __init__(self, host: Host, directory: Path) -> None:
        self._host, self._directory = host, directory
        self._offsets: dict[str, int] = {}
        self._rests: dict[str, bytes] = {}

    async def lines(self, names: Sequence[str], *, headed: bool) -> list[str]:
        """What is new in the logs, in their order; ``headed``: a log begins with its name."""
        found: list[str] = []
        for name in names:
            new = await self._host.read(self._directory / name, self._offsets.get(name, 0))
            if not new:
                continue
            if headed and name not in self._offsets:
                found.append(f"==> {name} <==")
            self._offsets[name] = self._offsets.get(name, 0) + len(new)
            *whole, rest = (self._rests.pop(name, b"") + new).split(b"\n")
            if rest:
                self._rests[name] = rest
            found += [line.decode(errors="replace") for line in whole]
        return found

    def rests(self) -> list[str]:
        """The last lines, which were never ended."""
        return [rest.decode(errors="replace") for rest in self._rests.values()]

    async def follow(
        self, jobs: Callable[[], Awaitable[tuple[Sequence[str], bool]]], *, headed: bool
    ) -> AsyncIterator[str]:
        """What comes, until ``jobs`` says that no job will write any more; it gives the logs."""
        seconds = POLL_OVER_SSH_SECONDS if self._host.name else POLL_SECONDS
        while True:
            names, active = await jobs()
            for line in await self.lines(names, headed=headed):
                yield line
            if not active:
                break
            await asyncio.sleep(seconds)
        for line in self.rests():
            yield line

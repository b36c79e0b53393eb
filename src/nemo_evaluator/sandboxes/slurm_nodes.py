"""The nodes of a Slurm job that sandboxes run on, and how many of them each node holds.

Invariant: no node has more sandboxes than slots; a new one goes where the fewest are.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Iterable, Sequence

from ..errors import ConfigError
from .streams import Kept

NODES, HET_GROUP = "NEL_SANDBOX_NODES", "NEL_SANDBOX_HET_GROUP"
_NOTHING = "NEL_STEP"
"""Names no variable: an empty list would mean all of them."""
_REPORT = re.compile(rb"(?:srun: [^\n]*\n)+\Z")
_PASSED = ("PATH", "HOME", "USER", "LANG", "TMPDIR")


class Nodes:
    """Slots on the nodes that the job gave to sandboxes."""

    def __init__(self, names: Sequence[str], slots: int, het_group: str | None = None) -> None:
        if not names:
            raise ConfigError(
                "there is no node for sandboxes",
                hint=f"{NODES} names them, separated by commas; a job of Slurm sets it, e.g. "
                f'`export {NODES}=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | paste -sd,)`',
            )
        self.slots = slots
        self._het_group = het_group
        self._used = dict.fromkeys(names, 0)
        self._free = asyncio.Condition()

    @property
    def names(self) -> list[str]:
        """The nodes."""
        return list(self._used)

    async def take(self) -> str:
        """A slot, on the node with the fewest sandboxes; waits for one."""
        async with self._free:
            await self._free.wait_for(lambda: min(self._used.values()) < self.slots)
            node = min(self._used, key=self._used.__getitem__)
            self._used[node] += 1
            return node

    async def give(self, node: str) -> None:
        """The slot is free again."""
        async with self._free:
            self._used[node] -= 1
            self._free.notify()

    def step(self, node: str, *options: str) -> list[str]:
        """``srun`` of one task on a node, beside other steps of the job."""
        group = [f"--het-group={self._het_group}"] if self._het_group else []
        words = ["srun", "--overlap", f"--nodelist={node}", "--ntasks=1", "--nodes=1", *group]
        return [*words, "--quiet", "--kill-on-bad-exit=0", *options, "--"]


def nodes_of_job(slots: int) -> Nodes:
    """The nodes that the environment of the job names. Raises ConfigError."""
    names = [name.strip() for name in os.environ.get(NODES, "").split(",") if name.strip()]
    return Nodes(list(dict.fromkeys(names)), slots, os.environ.get(HET_GROUP) or None)


def require_srun(where: str) -> None:
    """Raise ConfigError where there is no ``srun``."""
    if shutil.which("srun") is None:
        raise ConfigError(
            f"the {where} sandbox needs srun, which is not on this machine",
            hint="run the evaluator in a job of Slurm, outside of a container; or use "
            "`sandbox: {type: docker}`",
        )


def client_environment(*prefixes: str) -> dict[str, str]:
    """What a client program of the cluster needs of our environment, and nothing else of it."""
    kept = ("SLURM_", "MUNGE_", "PYXIS_", "ENROOT_", *prefixes)
    return {
        name: value
        for name, value in os.environ.items()
        if name in _PASSED or (name.startswith(kept) and not name.startswith("SLURM_EXPORT"))
    }


def drop_report(err: Kept) -> None:
    """Drop what srun says at the end about how its task ended: the task did not say it."""
    if not err.truncated and (report := _REPORT.search(err.data)) is not None:
        del err.data[report.start() :]


def exported(names: Iterable[str]) -> str:
    """The option of ``srun`` that hands on variables of its environment, by name; no others."""
    return f"--export={','.join([_NOTHING, *names])}"

"""Workspaces that stay after their rollout, to be looked into (``output.keep_workspaces``).

Below ``kept/`` of a benchmark's folder, one folder per workspace: its files, or the name of the
image that its container became, and the command that opens a shell in it. Only the newest are kept.
What cannot be kept is a warning: it never changes the rollout.
"""

from __future__ import annotations

import asyncio
import secrets
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

from ..config.output import KeepWorkspaces
from ..results.files import write_json
from ..sandboxes.contract import BecomesImage, Sandbox, SandboxLost
from ..solvers.contract import Archive, Handover
from ..types import Json, RolloutKey
from .handover import MOST

FOLDER = "kept"
RECORD = "workspace.json"
FILES = "files"
NEWEST = 20
"""Kept workspaces of a benchmark, at most."""

Say = Callable[[str], None]


class Keeper:
    """Keeps workspaces of one benchmark."""

    def __init__(self, which: KeepWorkspaces, folder: Path, say: Say) -> None:
        """``say`` is told how to look into what is kept."""
        self._which, self._name, self._folder = which, folder.name, folder / FOLDER
        self._say = say
        self._alone = asyncio.Lock()

    def wants(self, *, failed: bool | None = None) -> bool:
        """Whether a workspace is to be kept; ``failed`` is None while that is not known."""
        return self._which == "all" or (self._which == "failed" and failed is not False)

    async def keep(
        self,
        key: RolloutKey,
        attempt: int,
        why: str,
        left: Handover | None,
        *,
        failed: bool,
    ) -> None:
        """Keep what a solver left, if that is wanted."""
        if left is None or not self.wants(failed=failed):
            return
        from ..sandboxes.transfer import unpack

        place = self._folder / f"{key.problem_idx}-{key.repeat}-{attempt}"
        async with self._alone:
            try:
                if isinstance(left, Archive):
                    await asyncio.to_thread(unpack, left.data, place / FILES, MOST, str(place))
                    record: dict[str, Json] = {"command": _in_files(place)}
                else:
                    record = await _keep_files(left, place)
                record |= {"problem_idx": key.problem_idx, "repeat": key.repeat, "why": why}
                gone = await asyncio.to_thread(self._noted, place, record)
            except (SandboxLost, OSError, ValueError) as error:
                self._say(f"warning: {self._name}: the workspace of {key} is not kept: {error}")
                return
        if gone:
            self._say(f"{self._name}: only the {NEWEST} newest are kept, without {', '.join(gone)}")
        where = f"problem {key.problem_idx}, repeat {key.repeat}"
        self._say(f"{self._name}: the workspace of {where} is kept ({why}): {record['command']}")

    def _noted(self, place: Path, told: dict[str, Json]) -> list[str]:
        """Write it down, and remove the oldest where there are too many: which ones. Blocks."""
        place.mkdir(parents=True, exist_ok=True)
        write_json(place / RECORD, told)
        every = sorted(self._folder.iterdir(), key=lambda one: one.stat().st_mtime)
        for old in every[:-NEWEST]:
            shutil.rmtree(old, ignore_errors=True)
        return [old.name for old in every[:-NEWEST]]


async def _keep_files(sandbox: Sandbox, place: Path) -> dict[str, Json]:
    await sandbox.end_processes()
    if isinstance(sandbox, BecomesImage):
        image = await sandbox.become_image(secrets.token_hex(6))
        argv = ["docker", "run", "--rm", "-it", "--network", "none", "-w", sandbox.spec.cwd]
        command = shlex.join([*argv, "--entrypoint", "sh", image])
        return {"image": image, "command": command}
    await sandbox.download_folder(".", place / FILES, max_bytes=MOST)
    return {"command": _in_files(place)}


def _in_files(place: Path) -> str:
    return f"cd {shlex.quote(str((place / FILES).absolute()))} && sh"

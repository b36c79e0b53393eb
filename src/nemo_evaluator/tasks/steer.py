"""Changes a run while it goes on, wherever it runs: through files in its directory.

A run of several shards is asked as a whole: each of its shards that is at work gets the request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from ..engine.shards import FOLDER
from ..errors import ConfigError
from ..results.lock import owner_of
from ..results.progress_file import read_progress
from ..results.requests import ControlRequest, Reply, post, withdraw
from ..results.status import PATIENCE, RunState, status_of

POLL_SECONDS = 0.2
WAIT_SECONDS = 30.0
"""A run looks for requests every two seconds; a shared file system may show them later."""


@dataclass(frozen=True, slots=True)
class Steered:
    """What became of a request at one run, or one shard of a run."""

    directory: Path
    reply: Reply | None = None
    """None where it was not taken up."""
    note: str = ""
    """Why not."""
    late: bool = False
    """It is still to be taken up."""


def runs_in(directory: Path) -> list[Path]:
    """The shards in a directory; the directory itself where there are none."""
    shards = [path for path in directory.glob(f"{FOLDER}*") if path.is_dir()]
    return sorted(shards, key=lambda path: (len(path.name), path.name)) or [directory]


async def steer(
    directories: Sequence[Path], request: ControlRequest, *, wait: float = WAIT_SECONDS
) -> list[Steered]:
    """Ask the runs (or shards) in directories that are at work, and wait until they took note.

    Raises ConfigError where none is at work.
    """
    states = {path: _state(path) for path in directories}
    if not any(state is not None and state.state.active for state in states.values()):
        known = [f"{path}: {state.state}" for path, state in states.items() if state is not None]
        state_text = f"it is {known[0].rpartition(' ')[2]}" if len(known) == 1 else "; ".join(known)
        raise ConfigError(
            f"is not running: {state_text or 'there is no run'}",
            where=str(directories[0] if len(directories) == 1 else directories[0].parent),
            hint="nel eval resume goes on with a run that has ended",
        )
    asked = (_steer_one(path, state, request, wait) for path, state in states.items())
    return [*await asyncio.gather(*asked)]


def _state(directory: Path) -> RunState | None:
    try:
        return status_of(directory, patience=PATIENCE)
    except ConfigError:
        return None


async def _steer_one(
    directory: Path, state: RunState | None, request: ControlRequest, wait: float
) -> Steered:
    if state is None or not state.state.active:
        note = "not begun" if state is None else f"not running: {state.state}"
        return Steered(directory, note=note)
    owner = owner_of(directory)
    name = post(directory, replace(request, to=owner.mark if owner is not None else ""))
    end = asyncio.get_running_loop().time() + wait
    try:
        while True:
            if (reply := await asyncio.to_thread(_reply, directory, name)) is not None:
                return Steered(directory, reply)
            now = await asyncio.to_thread(_state, directory)
            if now is None or not now.state.active:
                reply = _reply(directory, name)
                ended = "ended before it took note" if now is None else f"has ended: {now.state}"
                withdraw(directory, name)
                return Steered(directory, reply, ended if reply is None else "")
            if asyncio.get_running_loop().time() > end:
                late = f"has not taken note within {wait:g} s; the request stays"
                return Steered(directory, note=late, late=True)
            await asyncio.sleep(POLL_SECONDS)
    except asyncio.CancelledError:  # Ctrl-C: nobody waits for it any more
        withdraw(directory, name)
        raise


def _reply(directory: Path, name: str) -> Reply | None:
    progress = read_progress(directory)
    replies = progress.replies if progress is not None else ()
    return next((reply for reply in replies if reply.id == name), None)

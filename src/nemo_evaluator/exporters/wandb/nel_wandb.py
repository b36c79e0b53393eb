"""Writes to Weights & Biases, in the interpreter that has it (see ``foreign``)."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import wandb

if TYPE_CHECKING:
    from nemo_evaluator.foreign.child import Peer

Data = Any
"""What JSON can say."""

logging.basicConfig(stream=sys.stderr, level=logging.WARNING)


class State:
    """The run, and the table that is being filled."""

    run: Any = None
    name = ""
    columns: tuple[str, ...] = ()
    lines: tuple[Data, ...] = ()


async def begin(peer: Peer, settings: dict[str, Data]) -> None:
    """Start the run, or go on with the one of its id."""
    mode = settings.get("mode") or os.environ.get("WANDB_MODE") or "online"
    if mode == "offline":
        for old in (Path(settings["dir"]) / "wandb").glob(
            f"offline-run-????????_??????-{settings['id']}"
        ):
            shutil.rmtree(old, ignore_errors=True)
    else:
        settings = {"resume": "allow", **settings}
    State.run = await asyncio.to_thread(wandb.init, reinit="finish_previous", **settings)


async def summary(peer: Peer, values: dict[str, float]) -> None:
    """Numbers of the whole run."""
    State.run.summary.update(values)


async def table(peer: Peer, name: str, columns: list[str]) -> None:
    """Begin a table."""
    State.name, State.columns, State.lines = name, tuple(columns), ()


async def add(peer: Peer, lines: list[Data], last: bool = False) -> None:
    """Lines of the table; ``last``: it has no more."""
    State.lines += tuple(lines)
    if last:
        columns, rows = list(State.columns), list(State.lines)
        made = wandb.Table(columns=columns, data=rows, allow_mixed_types=True)
        State.run.log({State.name: made})


async def artifact(peer: Peer, name: str, files: list[list[str]]) -> None:
    """Files, as an artifact."""
    made = wandb.Artifact(name, type="evaluation")
    for path, place in files:
        made.add_file(path, name=place)
    State.run.log_artifact(made)


async def finish(peer: Peer) -> str:
    """Wait until everything is written; where it is."""
    place = State.run.url or str(Path(State.run.dir).parent)
    await asyncio.to_thread(State.run.finish)
    await asyncio.to_thread(wandb.teardown)
    return place


METHODS = {
    "begin": begin,
    "summary": summary,
    "table": table,
    "add": add,
    "artifact": artifact,
    "finish": finish,
}

"""`nel eval stop`: asks a run to end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import ConfigError
from .numbers import FloatRange
from .run_choice import handle, run_options

if TYPE_CHECKING:
    from ..executors.contract import RunHandle
    from ..results.status import RunState


@click.command()
@run_options
@click.option("--now", is_flag=True, help="Give up what is in flight, as a second Ctrl-C does.")
@click.option(
    "--wait",
    type=FloatRange(0),
    default=10.0,
    show_default=True,
    help="Seconds to wait for its end.",
)
def command(chosen: Path, now: bool, wait: float) -> None:
    """Stop the run in DIRECTORY (./eval_results unless given) as Ctrl-C does: what is in flight is
    finished, and nel eval resume goes on with it."""
    from ..runtime import run_blocking

    run = handle(chosen)
    try:
        state = run_blocking(_stop(run, now=now, wait=wait))
    except NotBegun:
        click.echo("stopped: the run had not begun")
        return
    if state is None:
        click.echo("stopping: what is in flight is finished first; --now gives it up")
    else:
        click.echo(f"stopped: {state.state}")


class NotBegun(Exception):
    """The run ended before its directory held one."""


async def _stop(run: RunHandle, *, now: bool, wait: float) -> RunState | None:
    """The run's state once it has ended; None if that takes longer."""
    await run.stop(now=now)
    try:
        return await asyncio.wait_for(run.wait(), wait)
    except TimeoutError:
        return None
    except ConfigError:
        raise NotBegun from None

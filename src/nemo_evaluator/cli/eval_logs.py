"""`nel eval logs`: the log of a run."""

from __future__ import annotations

from pathlib import Path

import click

from .run_choice import handle, run_options


@click.command()
@run_options
@click.option("-f", "--follow", is_flag=True, help="Also show what comes, until the run has ended.")
@click.option("-n", "--tail", type=click.IntRange(0), help="Only the last lines.")
def command(chosen: Path, follow: bool, tail: int | None) -> None:
    """Show the log of the run in DIRECTORY (./eval_results unless given)."""
    from ..runtime import run_blocking

    run = handle(chosen)

    async def show() -> None:
        async for line in run.logs(follow=follow, tail=tail):
            click.echo(line)

    run_blocking(show())

"""`nel eval resume`: goes on with a run, with the configuration in its directory."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from .run_choice import chosen_run, run_options


@click.command()
@run_options
@click.option("-O", "--override", multiple=True, help="Set a configuration field.")
@click.option("--background", is_flag=True, help="Run in a process of its own.")
@click.option("--no-progress", is_flag=True, help="No live display.")
@click.option("-v", "--verbose", count=True, help="Log progress to stderr; -vv: every request.")
def command(
    directory: Path | None,
    run_id: str | None,
    output_dir: Path | None,
    shard: int | None,
    override: tuple[str, ...],
    background: bool,
    no_progress: bool,
    verbose: int,
) -> None:
    """Go on with the run in DIRECTORY (./eval_results unless given): what has a verdict stays,
    everything else is tried again.

    API keys are not kept in a run: the variables they came from must be set.
    """
    from ..executors.resuming import resumption
    from .log import show_log
    from .running import execute

    show_log(verbose)
    again = resumption(chosen_run(directory, run_id, output_dir, shard), override)
    for warning in again.loaded.warnings:
        click.echo(f"warning: {warning}", err=True)
    if not background:
        os.chdir(again.folder)
    sys.exit(
        execute(
            again.loaded,
            again.options,
            background=background,
            display=not no_progress,
            folder=again.folder,
        )
    )

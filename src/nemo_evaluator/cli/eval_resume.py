"""`nel eval resume`: goes on with a run, with the configuration in its directory."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .run_choice import handle, run_options

if TYPE_CHECKING:
    from ..executors.contract import RunHandle


@click.command()
@run_options
@click.option("-O", "--override", multiple=True, help="Set a configuration field.")
@click.option("--background", is_flag=True, help="Run in a process of its own.")
@click.option(
    "--continue-attempts",
    is_flag=True,
    help="Of a run on a cluster: earlier attempts count towards cluster.max_retries.",
)
@click.option("--no-progress", is_flag=True, help="No live display.")
@click.option("-v", "--verbose", count=True, help="Log progress to stderr; -vv: every request.")
def command(
    chosen: Path,
    override: tuple[str, ...],
    background: bool,
    continue_attempts: bool,
    no_progress: bool,
    verbose: int,
) -> None:
    """Go on with the run in DIRECTORY (./eval_results unless given): what has a verdict stays,
    everything else is tried again. A run of a cluster is submitted again.

    API keys are not kept in a run: the variables they came from must be set.
    """
    from ..executors.resuming import resumption
    from ..executors.submission import find_submission
    from .log import show_log
    from .running import execute

    show_log(verbose)
    if find_submission(chosen) is not None:
        _submit_again(handle(chosen), override, counting=continue_attempts)
        return
    if continue_attempts:
        raise click.UsageError("--continue-attempts is for runs that a cluster repeats by itself")
    again = resumption(chosen, override)
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


def _submit_again(run: RunHandle, override: tuple[str, ...], *, counting: bool) -> None:
    from ..executors.contract import CountsAttempts
    from ..runtime import run_blocking
    from .running import say_started

    if override:
        what = "-O is for runs of this machine: change the file, and use nel eval run --resume"
        raise click.UsageError(what)
    if not counting:
        say_started(run_blocking(run.resume()))
    elif isinstance(run, CountsAttempts):
        say_started(run_blocking(run.resume_counting()))
    else:
        raise click.UsageError("--continue-attempts: this run is not repeated by itself")

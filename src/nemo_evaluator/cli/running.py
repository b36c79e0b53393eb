"""Runs an evaluation for a command: in the foreground with a display, or in the background."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from ..errors import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

    from ..config.load import Loaded
    from ..executors.contract import RunHandle
    from ..executors.options import Options


def execute(
    loaded: Loaded,
    options: Options,
    *,
    background: bool = False,
    display: bool = True,
    folder: Path | None = None,
) -> int:
    """Run, and say what came of it: the exit code. ``folder``: where a background process is."""
    from ..executors.registry import inner_execution
    from ..reports.console import print_summary
    from ..runtime import run_blocking
    from ..tasks.run_list import RunNotes
    from ..tasks.running import run
    from .live import TerminalObserver
    from .output import console

    interval = loaded.config.output.progress_interval
    terminal = TerminalObserver(interval, display=display and not background)
    options = replace(options, handle_signals=True, observers=(terminal, RunNotes()))
    if background:
        return _in_background(loaded, options, folder)
    result = run_blocking(run(loaded, options))
    if result.summary.benchmarks:
        print_summary(result.summary, console())
        for path in result.reports:
            click.echo(f"report: {path}")
    for message in result.messages:
        click.echo(message, err=True)
    if result.finished and result.exit_code == ExitCode.INCOMPLETE and inner_execution():
        return ExitCode.DONE  # of the job: else the cluster would start another one
    return result.exit_code


def _in_background(loaded: Loaded, options: Options, folder: Path | None) -> int:
    from ..runtime import run_blocking
    from ..tasks.running import start

    say_started(run_blocking(start(loaded, options, folder)))
    return 0


def say_started(run: RunHandle) -> None:
    """Where a run is that was left alone, and the commands that are about it."""
    from ..tasks.find_run import shown, submitted_text

    directory = shown(run.directory) if run.directory.exists() else run.directory
    click.echo(submitted_text(run.directory) or f"runs in the background: {directory}")
    for command in ("status", "logs -f", "stop"):
        click.echo(f"  nel eval {command} {shlex.quote(str(directory))}")

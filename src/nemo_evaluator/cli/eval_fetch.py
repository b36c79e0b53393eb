"""`nel eval fetch`: a copy of a run whose directory is on another host."""

from __future__ import annotations

from pathlib import Path

import click

from .run_choice import handle, run_options


@click.command()
@run_options
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the copy.  [the name of the directory, here]",
)
def command(chosen: Path, into: Path | None) -> None:
    """Copy the run in DIRECTORY, which is on another host, for reports and comparisons here.

    Called again, it brings the copy up to date. The run may go on meanwhile.
    """
    from ..errors import ConfigError
    from ..executors.contract import Elsewhere
    from ..results.run_directory import strangers
    from ..runtime import run_blocking

    run = handle(chosen)
    if not isinstance(run, Elsewhere) or run.host == "":
        raise ConfigError("is on this host already", where=str(chosen))
    folder = into or Path(chosen.name)
    if found := strangers(folder, None) if folder.is_dir() and not run.is_copy(folder) else []:
        hint = "choose another folder with --into"
        raise ConfigError(f"holds something else: {found[0]}", where=str(folder), hint=hint)
    run_blocking(run.fetch(folder))
    click.echo(f"copied: {folder}")
    click.echo(f"  nel eval report {folder}")

"""`nel export`: the results of finished runs, handed on."""

from __future__ import annotations

from pathlib import Path

import click


def complete_exporter(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names of exporters."""
    from ..kinds import EXPORTERS

    return [name for name in EXPORTERS.names() if name.startswith(incomplete)]


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-d", "--dest", "--to", required=True, shell_complete=complete_exporter,
    help="Name of the exporter (nel list exporters).",
)  # fmt: skip
@click.option(
    "-o", "--override", "settings", multiple=True, metavar="NAME=VALUE", help="An option of it."
)
@click.option(
    "-c",
    "--config",
    "file",
    type=click.Path(path_type=Path),
    help="YAML or JSON file with its options, or with a block of them by its name.",
)
@click.option("--output-dir", help="Folder for files; the same as -o output_dir=FOLDER.")
def command(
    paths: tuple[Path, ...],
    dest: str,
    settings: tuple[str, ...],
    file: Path | None,
    output_dir: str | None,
) -> int:
    """Export the runs in PATHS: run directories, or folders of them. Exporting a run again replaces
    what was exported of it."""
    from ..errors import ExitCode
    from ..runtime import run_blocking
    from ..tasks.export import destination, export, runs_of

    where = destination(dest, file, settings, output_dir)
    done, failed = run_blocking(export(runs_of(paths), where))
    for text in done:
        click.echo(text)
    for text in failed:
        click.echo(f"error: {text}", err=True)
    return ExitCode.INCOMPLETE if failed else ExitCode.DONE

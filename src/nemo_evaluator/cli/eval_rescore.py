"""`nel eval rescore`: verify a run's answers again, and see what changes."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--scorer", metavar="MODULE:FUNCTION", help="Use this scorer instead; or FILE.py:F.")
@click.option("-O", "--override", multiple=True, help="Set a field of the run's configuration.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="New run directory.  [DIRECTORY-rescored]",
)
@click.option(
    "--limit",
    default=20,
    show_default=True,
    type=click.IntRange(0),
    help="Number of flips to show.",
)
def command(
    directory: Path,
    scorer: str | None,
    override: tuple[str, ...],
    output: Path | None,
    limit: int,
) -> None:
    """Verify the answers of the run in DIRECTORY again; the model is not called.

    The verdicts are written into a new run directory; DIRECTORY is not changed. Exit code 3 if
    some answers could not be verified, 2 if the scorer fails on all of them.
    """
    from ..config.snapshot import safe_command
    from ..reports.console import summary_lines
    from ..reports.flips import flip_lines
    from ..runtime import run_blocking
    from ..tasks.rescore import rescore

    result = run_blocking(
        rescore(
            directory,
            scorer=scorer,
            overrides=override,
            output=output,
            command=safe_command(["nel", *sys.argv[1:]]),
            say=lambda text: click.echo(text, err=True),
        )
    )
    click.echo("before:")
    click.echo("\n".join(summary_lines(result.before)))
    click.echo("\nafter:")
    click.echo("\n".join(summary_lines(result.after)))
    for flips in result.flips:
        click.echo("")
        click.echo("\n".join(flip_lines(flips, limit)))
    for message in result.messages:
        click.echo(message, err=True)
    sys.exit(result.exit_code)

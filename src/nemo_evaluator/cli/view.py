"""`nel view`: runs in the browser."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click


@click.command()
@click.argument("paths", nargs=-1, metavar="[DIR]...", type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("-p", "--port", default=0, type=click.IntRange(0, 65535), help="Port.  [a free one]")
@click.option("--no-browser", is_flag=True, help="Open no browser.")
@click.option(
    "--export", "site", type=click.Path(path_type=Path), metavar="FOLDER",
    help="Write the pages as files there, and serve nothing.",
)  # fmt: skip
@click.option(
    "--max-samples", default=1000, show_default=True, type=click.IntRange(0),
    help="With --export: rollouts of each benchmark that get a page of their own.",
)  # fmt: skip
def command(
    paths: tuple[Path, ...],
    host: str,
    port: int,
    no_browser: bool,
    site: Path | None,
    max_samples: int,
) -> None:
    """Show the runs below some folders in the browser: scores, samples, traffic, comparisons.

    Without a folder it shows the runs of this user that nel knows. Nothing is written into a run
    but the labels that you give. The address has a token in it: who has it can read the runs.
    """
    given = click.get_current_context().get_parameter_source("max_samples")
    if site is None and given is click.core.ParameterSource.COMMANDLINE:
        raise click.UsageError("--max-samples needs --export")
    from ..runtime import run_blocking

    if site is not None:
        from ..viewer.site import export

        click.echo(f"wrote {export(paths, site, max_samples)}")
        return
    from ..viewer.serve import serve

    def listening(url: str) -> None:
        click.echo(f"listening on {url}")
        if sys.stdout.isatty() and not no_browser:
            click.launch(url)

    try:
        run_blocking(serve(paths, host, port, listening))
    except asyncio.CancelledError:
        raise click.Abort from None

"""`nel eval report`: a report on a run directory, from its files alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..reports.view import Report


@click.command()
@click.argument("results_dir", required=False, type=click.Path(path_type=Path))
@click.option("-r", "--run-id", help="Find the run by its id, not its directory.")
@click.option("-f", "--format", "fmt", help="markdown (the default), html, csv, json or latex.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write.  [stdout]")
@click.option("--all-formats", is_flag=True, help="Write every format into the directory -o.")
@click.option(
    "--with-results",
    is_flag=True,
    help="Include the rows of each benchmark in the JSON report; other formats show only some.",
)
@click.option(
    "--derive", is_flag=True, help="Derive all results again, also those that are up to date."
)
@click.option("--model-card", is_flag=True, help="A model-index for a Hugging Face README.")
def command(
    results_dir: Path | None,
    run_id: str | None,
    fmt: str | None,
    output: Path | None,
    all_formats: bool,
    with_results: bool,
    derive: bool,
    model_card: bool,
) -> None:
    """Report on the run in RESULTS_DIR (./eval_results unless given). Results that are older than
    their journals are derived first; nothing else is written."""
    from ..reports.render import write_all
    from ..reports.view import build_report, with_rows
    from ..tasks.reporting import find

    if sum((fmt is not None, all_formats, model_card)) > 1:
        raise click.UsageError("give one of --format, --all-formats and --model-card")
    report = build_report(find([chosen_directory(results_dir, run_id)], anew=derive))
    if with_results:
        report = with_rows(report)
    if all_formats:
        for path in write_all(report, output or Path()):
            click.echo(path)
        return
    emit(report, fmt, output, model_card=model_card)


def chosen_directory(directory: Path | None, run_id: str | None) -> Path:
    """A run by its directory or by its id; the default directory where neither is given."""
    from ..tasks.find_run import run_directory

    if directory is not None and run_id is not None:
        raise click.UsageError("give a directory or --run-id")
    if run_id is not None:
        return run_directory(run_id)
    return directory or Path("eval_results")


def emit(report: Report, fmt: str | None, output: Path | None, *, model_card: bool) -> None:
    """Print a report, or write it into a file. Raises ConfigError."""
    from ..reports.model_card import model_index
    from ..reports.render import render, save

    text = model_index(report) if model_card else render(report, fmt or "markdown")
    if output is None:
        click.echo(text, nl=False)
    else:
        save(text, output.resolve())  # through a link of the user's own

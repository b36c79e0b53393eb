"""`nel eval report`: a report on a run directory, from its files alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..reports.view import Report


@click.command()
@click.argument("results_dir", default="./eval_results", type=click.Path(path_type=Path))
@click.option("-f", "--format", "fmt", help="markdown (the default), html, csv, json or latex.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write, else stdout.")
@click.option("--all-formats", is_flag=True, help="Write every format into the directory -o.")
@click.option("--model-card", is_flag=True, help="A model-index for a Hugging Face README.")
def command(
    results_dir: Path, fmt: str | None, output: Path | None, all_formats: bool, model_card: bool
) -> None:
    """Report on the run in RESULTS_DIR; derived files are brought up to date first."""
    from ..executors.reporting import find
    from ..reports.render import write_all
    from ..reports.view import build_report

    if sum((fmt is not None, all_formats, model_card)) > 1:
        raise click.UsageError("give one of --format, --all-formats and --model-card")
    report = build_report(find([results_dir], anew=True))
    if all_formats:
        for path in write_all(report, output or Path()):
            click.echo(path)
        return
    emit(report, fmt, output, model_card=model_card)


def emit(report: Report, fmt: str | None, output: Path | None, *, model_card: bool) -> None:
    """Print a report, or write it into a file. Raises ConfigError."""
    from ..reports.model_card import model_index
    from ..reports.render import render, save

    text = model_index(report) if model_card else render(report, fmt or "markdown")
    if output is None:
        click.echo(text, nl=False)
    else:
        save(text, output)

"""`nel report`: a report on any number of runs, side by side."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-f", "--format", "fmt", help="markdown (the default), html, csv, json or latex.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write.  [stdout]")
@click.option("--model-card", is_flag=True, help="A model-index for a Hugging Face README.")
def command(
    paths: tuple[Path, ...], fmt: str | None, output: Path | None, model_card: bool
) -> None:
    """Report on run directories, benchmark directories and bundles (eval-*.json), also those of
    other tools. Models are shown side by side; results with the same name are all kept."""
    from ..executors.reporting import find
    from ..reports.view import build_report
    from .eval_report import emit

    if fmt is not None and model_card:
        raise click.UsageError("give --format or --model-card")
    emit(build_report(find(paths)), fmt, output, model_card=model_card)

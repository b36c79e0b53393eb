"""`nel eval report`: a report on a run directory, from its files alone."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument(
    "results_dir", default="./eval_results", type=click.Path(path_type=Path, file_okay=False)
)
@click.option("-f", "--format", "fmt", default="markdown", show_default=True, help="Output format.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write, else stdout.")
@click.option("--all-formats", is_flag=True, help="Write every format into the directory -o.")
def command(results_dir: Path, fmt: str, output: Path | None, all_formats: bool) -> None:
    """Report on the run in RESULTS_DIR; derived files are brought up to date first."""
    from ..executors.reporting import refresh
    from ..reports.render import FORMATS, render

    run = refresh(results_dir)
    if all_formats:
        folder = output or Path()
        folder.mkdir(parents=True, exist_ok=True)
        for name, format_ in FORMATS.items():
            path = folder / f"report.{format_.suffix}"
            path.write_text(render(run, name), encoding="utf-8")
            click.echo(path)
        return
    if fmt not in FORMATS:
        raise click.BadParameter(f"{fmt!r}; there are {', '.join(FORMATS)}", param_hint="--format")
    text = render(run, fmt)
    if output is None:
        click.echo(text)
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")

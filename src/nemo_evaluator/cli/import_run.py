"""`nel import`: results of other tools as a run of ours."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument(
    "sources", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SOURCE..."
)
@click.option(
    "-o", "--output", "--output-dir", "output", required=True, type=click.Path(path_type=Path),
    help="The run directory to make.",
)  # fmt: skip
@click.option("--format", help="What the sources are; see `nel list importers`.  [detected]")
@click.option(
    "--columns",
    multiple=True,
    metavar="WHAT=COLUMN,...",
    help="Of a table: problem_idx, id, repeat, reward, prompt, response, expected, ... = COLUMN.",
)
@click.option("-b", "--bench", help="Name of the benchmark, where the source's is another.")
@click.option("--model-id", "model", help="Name of the model, where the source does not name it.")
@click.option("-O", "--override", "settings", multiple=True, metavar="NAME=VALUE", hidden=True)
def command(
    sources: tuple[Path, ...],
    output: Path,
    format: str | None,
    columns: tuple[str, ...],
    bench: str | None,
    model: str | None,
    settings: tuple[str, ...],
) -> int:
    """Import results of other tools: logs of Inspect, samples of lm-eval, bundles, tables.

    compare, gate, audit, report, rescore and export work on the run that is made.
    """
    import sys

    from ..config.snapshot import safe_command
    from ..errors import ExitCode
    from ..results.summary import headline_line
    from ..tasks.import_ import import_results

    summary = import_results(
        sources,
        output,
        format=format,
        settings=settings,
        columns=_columns(columns),
        bench=bench,
        model=model,
        command=safe_command(sys.argv),
    )
    for one in summary.benchmarks:
        measure = f"{one.headline} " if one.headline else ""
        click.echo(f"{one.slug}: {measure}{headline_line(one)}")
    click.echo(f"imported to {output}")
    return ExitCode.DONE


def _columns(given: tuple[str, ...]) -> dict[str, str]:
    """``a=b,c=d`` as a mapping."""
    found = {}
    for part in (part for text in given for part in text.split(",") if part.strip()):
        what, equals, column = part.partition("=")
        if not equals or not column.strip():
            raise click.BadParameter(f"{part!r}: give WHAT=COLUMN", param_hint="--columns")
        found[what.strip()] = column.strip()
    return found

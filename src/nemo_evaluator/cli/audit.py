"""`nel audit`: where a score may be wrong."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--examples",
    default=3,
    show_default=True,
    type=click.IntRange(0, 10),
    help="Examples per finding.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(directory: Path, examples: int, as_json: bool) -> None:
    """List findings that may make the score of the run in DIRECTORY wrong.

    It looks for answers that were not found, verdicts that depend on formatting, cut-off and empty
    answers, duplicate problems and disagreeing judges.

    No model is called. DIRECTORY may also be a result of another tool, or the folder of one
    benchmark.
    """
    from ..reports.audit import audit_json, audit_lines
    from ..results.audit import audit
    from ..tasks.reporting import result_folders

    audits = [audit(folder) for folder in result_folders(directory)]
    if as_json:
        click.echo(audit_json(audits))
        return
    for one in audits:
        click.echo("\n".join(audit_lines(one, examples)))

"""`nel query`: SQL over the files of runs."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("sql", required=False, metavar="SQL")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json", "jsonl"]),
    default="table",
    show_default=True,
    help="How the rows are written.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to a file.")
@click.option("--tables", is_flag=True, help="List the tables and their columns.")
def command(
    sql: str | None, paths: tuple[Path, ...], form: str, output: Path | None, tables: bool
) -> int:
    """Answer SQL over the runs in PATHS: run directories, or folders of them.

    Tables: runs, scores, rows (rollouts), calls (of models).

    nel query "SELECT model, avg(reward) FROM rows GROUP BY model" runs/
    """
    from ..errors import ConfigError, ExitCode
    from ..files.writing import output_file
    from ..tasks.export import runs_of
    from ..tasks.query import query
    from ..tasks.query_output import described, written

    if tables:
        click.echo(described(), nl=False)
        return ExitCode.DONE
    if not sql or not paths:
        missing = "SQL" if not sql else "PATHS"
        hint = 'nel query "SELECT count(*) FROM rows" DIR; nel query --tables lists what there is'
        raise ConfigError("is missing", where=missing, hint=hint)
    for answer in query(sql, runs_of(paths)):
        if output is None:
            for text in written(answer, form):
                click.echo(text, nl=False)
        else:
            with output_file(output) as file:
                for text in written(answer, form):
                    file.write(text.encode())
    return ExitCode.DONE

"""`nel init-benchmark NAME`: a package with a benchmark of one's own."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("name")
@click.option(
    "-o", "--output-dir", "folder", type=click.Path(path_type=Path),
    help="Folder of the package.  [./NAME]",
)  # fmt: skip
def command(name: str, folder: Path | None) -> None:
    """Write an installable package NAME: problems, prompt, scorer, tests and an entry point."""
    from ..tasks.scaffold import write_benchmark

    folder = folder or Path(name)
    for path in write_benchmark(name, folder):
        click.echo(f"wrote {path}")
    click.echo(f"next: pip install -e '{folder}[test]' && pytest {folder}")

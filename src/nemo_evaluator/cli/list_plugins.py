"""`nel list`: what can be named in a configuration, without importing any of it."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ..kinds import KINDS

TITLES = {
    "builtin": "Built-in benchmarks",
    "installed": "Benchmarks of installed packages",
    "skills": "NeMo Skills benchmarks",
    "lm-eval": "lm-eval-harness tasks",
}
SOURCES = tuple(TITLES)


@click.command()
@click.argument("kind", required=False, type=click.Choice([*KINDS]))
@click.option(
    "-s",
    "--source",
    type=click.Choice(["all", *SOURCES]),
    help="List only benchmarks from this source; all: from every source.",
)
@click.option(
    "--data-dir", hidden=True, help="Directory of NeMo Skills data; not available in this version."
)
def command(kind: str | None, source: str | None, data_dir: str | None) -> None:
    """List what is available of KIND, or of every kind."""
    if source is not None:
        if kind not in (None, "benchmarks"):
            raise click.UsageError("--source applies to benchmarks only")
        _list_sources(SOURCES if source == "all" else (source,), data_dir)
        return
    for name in [kind] if kind else KINDS:
        rows = _rows(name)
        click.echo(f"{name}:" if kind is None else "", nl=kind is None)
        width = max((len(row[0]) for row in rows), default=0)
        for row in rows:
            click.echo(f"  {row[0]:<{width}}  {row[1]}".rstrip())
        if not rows:
            click.echo(f"  none; installed packages bring them ({KINDS[name].group})")


def _list_sources(sources: Sequence[str], data_dir: str | None) -> None:
    """Benchmarks by source, each with how it is run."""
    from ..environments.registry import PLANNED_SCHEMES, benchmarks_from

    for source in sources:
        click.echo(f"{TITLES[source]}:")
        if source in KINDS["schemes"].names():
            click.echo(f"  nel eval run --bench {source}://NAME")
            continue
        if source in PLANNED_SCHEMES:
            click.echo(f"  not available in this version; planned: {PLANNED_SCHEMES[source]}")
            if data_dir is not None:
                click.echo(f"  --data-dir {data_dir} is not read")
            continue
        rows = benchmarks_from(source)
        for name, about in rows:
            click.echo(f"  {name:<30} {about}\n  {'':<30} nel eval run --bench {name}")
        if not rows:
            click.echo("  none")


def _rows(kind: str) -> list[tuple[str, str]]:
    rows = KINDS[kind].listed()
    return sorted(rows) if kind in ("benchmarks", "scorers") else rows

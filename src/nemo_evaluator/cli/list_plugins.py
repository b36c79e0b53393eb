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
LM_EVAL = "lm-eval"
SCHEME = f"{LM_EVAL}://"


@click.command()
@click.argument("kind", required=False, metavar="[KIND]", type=click.Choice([*KINDS, LM_EVAL]))
@click.argument("text", required=False)
@click.option(
    "-s",
    "--source",
    type=click.Choice(["all", *SOURCES]),
    help="List only benchmarks from this source; all: from every source.",
)
@click.option("--data-dir", help="Directory with the prepared datasets of NeMo Skills.")
def command(kind: str | None, text: str | None, source: str | None, data_dir: str | None) -> None:
    """List what a configuration can name: of KIND, or of every kind.

    KIND is benchmarks, schemes, solvers, services, sandboxes, executors, exporters, importers,
    reports, interceptors, scorers or instructions. `nel list lm-eval TEXT` searches the tasks of
    lm-evaluation-harness.
    """
    if text is not None and kind != LM_EVAL:
        raise click.UsageError(f"TEXT applies to {LM_EVAL} only")
    if kind == LM_EVAL:
        _search_lm_eval(text or "")
        return
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


def _search_lm_eval(text: str) -> None:
    """Tasks, groups and tags whose names hold a text."""
    import asyncio

    from ..environments.lm_eval.harness import search

    names = asyncio.run(search(text))
    for name in names:
        click.echo(f"  {SCHEME}{name}")
    if not names:
        click.echo(f"  no task of lm_eval holds {text!r}")


def _list_sources(sources: Sequence[str], data_dir: str | None) -> None:
    """Benchmarks by source, each with how it is run."""
    from ..environments.registry import benchmarks_from
    from ..environments.skills.dataset import datasets_in

    for source in sources:
        click.echo(f"{TITLES[source]}:")
        if source == LM_EVAL:
            click.echo("  nel list lm-eval TEXT searches them; nel eval run --bench lm-eval://NAME")
            continue
        if source == "skills":
            rows = [(name, "") for name in datasets_in(data_dir)]
            prefix = "skills://"
        else:
            rows, prefix = benchmarks_from(source), ""
        for name, about in rows:
            click.echo(f"  {name:<30} {about}\n  {'':<30} nel eval run --bench {prefix}{name}")
        if not rows:
            click.echo("  none")


def _rows(kind: str) -> list[tuple[str, str]]:
    rows = KINDS[kind].listed()
    return sorted(rows) if kind in ("benchmarks", "scorers") else rows

"""`nel list`: what can be named in a configuration, without importing any of it."""

from __future__ import annotations

import click

KINDS = (*("benchmarks", "solvers", "services", "interceptors", "sandboxes", "scorers", "reports"),)
SANDBOXES = [
    ("local", "bubblewrap on this machine"),
    ("docker", "a container per problem"),
]


@click.command()
@click.argument("kind", required=False, type=click.Choice(KINDS))
@click.option("-s", "--source", type=click.Choice(["all", "builtin"]), default="all", hidden=True)
def command(kind: str | None, source: str) -> None:
    """Show what there is of KIND, or of every kind."""
    for name in [kind] if kind else KINDS:
        rows = _rows(name)
        click.echo(f"{name}:" if kind is None else "", nl=kind is None)
        width = max((len(row[0]) for row in rows), default=0)
        for row in rows:
            click.echo(f"  {row[0]:<{width}}  {row[1]}".rstrip())


def _rows(kind: str) -> list[tuple[str, str]]:
    if kind == "benchmarks":
        from ..environments.registry import list_benchmarks

        return list_benchmarks()
    if kind == "solvers":
        from ..solvers.registry import list_solvers

        return list_solvers()
    if kind == "interceptors":
        from ..traffic.interceptors import list_interceptors

        return list_interceptors()
    if kind == "sandboxes":
        return SANDBOXES
    if kind == "services":
        from ..services.open import list_services

        return list_services()
    if kind == "scorers":
        from ..scoring.primitives import list_scorers

        return list_scorers()
    from ..reports.render import list_formats

    return list_formats()

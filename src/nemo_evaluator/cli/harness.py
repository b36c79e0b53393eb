"""`nel harness`: harnesses whose packages have environments of their own."""

from __future__ import annotations

import click


@click.group()
def group() -> None:
    """Install the packages of other harnesses, each in an environment of its own.

    There they do not conflict with yours, nor with each other, and one run may hold them all.
    """


@group.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--again", is_flag=True, help="Make the environment anew, e.g. for a newer version.")
def install(names: tuple[str, ...], again: bool) -> None:
    """Install lm-eval, inspect or harbor.

    Uses uv where it is installed, else venv and pip. Runs find the packages by themselves.
    """
    from ..runtime import run_blocking
    from ..tasks.harnesses import installed, named

    for name, wanted in [(name, named(name)) for name in names]:
        click.echo(f"{name}: installing {' '.join(wanted.requirements)} in {wanted.folder}")
        found = run_blocking(installed(wanted, again=again))
        click.echo(f"{name}: {wanted.package} {found.version} ({found.python})")


@group.command("list")
def list_harnesses() -> None:
    """List the harnesses, and which interpreter has each."""
    from ..runtime import run_blocking
    from ..tasks.harnesses import HARNESSES, NEEDS_NONE, found_of

    width = max(map(len, (*HARNESSES, *NEEDS_NONE)))
    for name, text in run_blocking(found_of()).items():
        click.echo(f"{name:<{width}}  {text}")
    for name in NEEDS_NONE:
        click.echo(f"{name:<{width}}  needs no package: its files are read as they are")

"""`nel package`: an image of a benchmark of one's own."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path

import click

BUILD_ARG = "NAME=VALUE of the build of our base image: BASE_IMAGE, APT_PACKAGES, PIP_INDEX_URL."


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("-m", "--module", type=click.Path(path_type=Path), help="The same as PATH.")
@click.option("-t", "--tag", help="Name of the image.  [nemo-evaluator-NAME:latest]")
@click.option(
    "--base-image", help="Image to build on; nel is installed if it has none.  [built here]"
)
@click.option(
    "--requirements",
    type=click.Path(path_type=Path),
    help="Packages to install.  [requirements.txt of the folder]",
)
@click.option("--build-arg", "build_args", multiple=True, metavar="NAME=VALUE", help=BUILD_ARG)
@click.option("--push", is_flag=True, help="Push the image.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Write the Dockerfile, and what belongs to it, there; build nothing.",
)
def command(
    path: Path | None,
    module: Path | None,
    tag: str | None,
    base_image: str | None,
    requirements: Path | None,
    build_args: tuple[str, ...],
    push: bool,
    output: Path | None,
) -> None:
    """Build an image with nel and the benchmark in PATH: a Python file, a table, a folder of them,
    or a project with a pyproject.toml. What a file imports and names beside it comes along.
    """
    from ..runtime import run_blocking
    from ..tasks.package import Package, build, write

    if (path is None) == (module is None):
        raise click.UsageError("give the PATH of a benchmark")
    if push and output is not None:
        raise click.UsageError("--push needs an image: leave out --output")
    chosen = path or module
    assert chosen is not None
    package = Package(chosen, tag or "", base_image, requirements, _arguments(build_args))
    if output is not None:
        built = write(package, output)
        click.echo(f"written: {built.where}")
        return
    built = run_blocking(build(package, partial(click.echo, err=True), push=push))
    click.echo(f"{'pushed' if push else 'built'}: {built.where}")
    for name in built.benchmarks:
        click.echo(f"  docker run --rm {built.where} eval run --bench {shlex.quote(name)} ...")


def _arguments(texts: tuple[str, ...]) -> dict[str, str]:
    for text in texts:
        if not text.partition("=")[1]:
            raise click.UsageError(f"--build-arg {text!r} is not NAME=VALUE")
    return {name: value for name, _, value in (text.partition("=") for text in texts)}

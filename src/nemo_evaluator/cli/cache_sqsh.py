"""`nel cache-sqsh`: an image as a file on a cluster."""

from __future__ import annotations

import click


@click.command()
@click.argument("target")
@click.argument("host")
@click.argument("output_path")
@click.option("-r", "--registry", help="Where our own images are pushed, with their repository.")
@click.option("-t", "--tag", default="local", show_default=True, help="Tag of our own images.")
@click.option("-f", "--filename", help="Name of the file.  [by the image]")
def command(
    target: str, host: str, output_path: str, registry: str | None, tag: str, filename: str | None
) -> None:
    """Import an image on HOST (over ssh, with enroot) into a file below the folder OUTPUT_PATH.

    TARGET is one of our own images (base, lm-eval, skills, full), which is built here and pushed
    first, or the name of any other image. Jobs start the file without a registry: name it in
    cluster.eval_image, or as image of a service.
    """
    from ..runtime import run_blocking
    from ..tasks.cache_image import REGISTRY, cache_image

    found = run_blocking(
        cache_image(
            target,
            host,
            output_path,
            registry=registry or REGISTRY,
            tag=tag,
            file_name=filename,
            say=lambda text: click.echo(text, err=True),
        )
    )
    click.echo(f"{host}:{found.file} ({found.size / (1 << 20):,.1f} MiB)")
    place = "cluster.eval_image" if found.image != target else "image of a service"
    click.echo(f"use it in a configuration: {place}: {found.file}")

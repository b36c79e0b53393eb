"""Puts an image on a cluster as one file (squashfs), which its jobs start without a registry.

One of our own images is built here and pushed first; any other is taken from where it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import ConfigError
from ..executors.host import Host
from ..executors.images.local import build_local
from ..executors.images.variants import Variant
from ..executors.ssh import SshHost
from ..sandboxes.docker_api import Engine
from ..sandboxes.slurm import pyxis_image
from .package import push_image

REGISTRY = "nvcr.io/nvidia/nemo-evaluator"
IMPORT_SECONDS = 3600.0
_ABSENT = 45
_IMPORT = """\
case $1 in '~') folder=$HOME ;; '~/'*) folder=$HOME/${1#'~/'} ;; *) folder=$1 ;; esac
command -v enroot >/dev/null || exit 45
mkdir -p -- "$folder" || exit
part=$folder/.$2.$$.part
trap 'rm -f -- "$part"' EXIT
enroot import --output "$part" -- "$3" >&2 && mv -f -- "$part" "$folder/$2" || exit
cd -- "$folder" && pwd && wc -c <"$2"
"""
"""What the other host does. The file has its name once it is complete."""


@dataclass(frozen=True, slots=True)
class Cached:
    """An image on a cluster."""

    file: str
    """Its path there."""
    size: int
    """In bytes."""
    image: str


async def cache_image(
    target: str,
    host_name: str,
    folder: str,
    *,
    registry: str = REGISTRY,
    tag: str = "local",
    file_name: str | None = None,
    say: Callable[[str], None] = lambda _: None,
    host: Host | None = None,
) -> Cached:
    """Have an image imported on a host. ``target``: one of our own images (``base``, …), or the
    name of any other. Raises ConfigError."""
    own = next((variant for variant in Variant if variant == target), None)
    name = file_name or _file_name(target, own)
    if "/" in name or name.startswith((".", "-")):
        raise ConfigError(f"{name!r} is not the name of a file", where="--filename")
    image = target if own is None else f"{registry}:{tag}-{own}"
    if own is not None:
        engine = Engine()
        say(f"building {image}")
        built = await build_local(engine, own, say=say)
        repository, _, version = image.rpartition(":")
        query = {"repo": repository, "tag": version}
        await engine.expect("POST", f"/images/{built}/tag", query=query)
        say(f"pushing {image}")
        await push_image(image)
    say(f"{host_name}: importing {image}")
    return await _import(host or SshHost(host_name), image, folder, name)


async def _import(host: Host, image: str, folder: str, name: str) -> Cached:
    uri = f"docker://{pyxis_image(image)}"
    words = ["sh", "-c", _IMPORT, "sh", folder, name, uri]
    done = await host.run(words, timeout=IMPORT_SECONDS)
    if done.code == _ABSENT:
        hint = "enroot is needed where the image is imported: a login node, or one of its nodes"
        raise ConfigError("there is no command enroot there", where=host.name, hint=hint)
    lines = done.out.split("\n")
    if done.code != 0 or len(lines) < 2:
        hint = f"try `enroot import -- {uri}` there; private registries need enroot's .credentials"
        raise ConfigError(f"cannot import {image}: {done.said}", where=host.name, hint=hint)
    return Cached(f"{lines[0]}/{name}", int(lines[1]), image)


def _file_name(target: str, own: Variant | None) -> str:
    """``nel-base.sqsh``; of another image its name, with what no file name has replaced."""
    if own is not None:
        return f"nel-{own}.sqsh"
    return re.sub(r"[^\w.-]+", "-", target.removeprefix("docker://")).strip("-.") + ".sqsh"

"""Our image, built without a registry: on a local base that has the packages of this environment.

The base is built once for a set of packages (an engine keeps it); our own layers are built of the
files as they are, by the Dockerfile that users build with.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from tempfile import TemporaryDirectory

from engines import require
from packaging.requirements import Requirement

from nemo_evaluator.executors.images.local import build_local
from nemo_evaluator.executors.images.variants import Variant
from nemo_evaluator.sandboxes.docker_api import Engine

REPOSITORY = "nel-test-base"
EXTRAS = ("scoring", "stats")
INSIDE = "usr/local/lib/python{}.{}/dist-packages"


@cache
def nel_image() -> str:
    """The name of our image of what is here. Needs the engine."""
    require("docker")
    return asyncio.run(build_local(Engine(), Variant.BASE, image_args(), say=_said))


def _said(text: str) -> None:
    """On stderr: what a test captures of a command is its own output."""
    print(text, file=sys.stderr)


def image_args() -> dict[str, str]:
    """Build arguments for images that need no registry."""
    return {"BASE_IMAGE": base_image(), "APT_PACKAGES": ""}


@cache
def base_image() -> str:
    """An image with Python, pip and the packages that this one needs, and no network needed."""
    found = needed(["nemo-evaluator", "pip"])
    base = os.environ.get("NEL_TEST_IMAGE", "sandbox-base:latest")
    text = "\n".join([base, *sorted(f"{d.name}=={d.version}" for d in found)])
    name = f"{REPOSITORY}:{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if subprocess.run(["docker", "image", "inspect", name], capture_output=True).returncode == 0:
        return name
    with TemporaryDirectory(dir=Path.cwd().anchor + "var/tmp") as folder:
        root = Path(folder, "root") / INSIDE.format(*sys.version_info)
        for dist in found:
            copy(dist, root)
        Path(folder, "Dockerfile").write_text(
            f"FROM {base}\nENV PIP_NO_INDEX=1\nCOPY root /\n"
            f"RUN python3 -c 'import {', '.join(LOADED)}'\n"
        )
        subprocess.run(["docker", "build", "-q", "-t", name, folder], check=True, timeout=900)
    return name


LOADED = ("numpy", "msgspec", "pydantic_core", "pip")
"""Compiled packages: they must suit the Python of the base."""


def needed(names: list[str]) -> list[Distribution]:
    """The distributions that some need, themselves left out but for pip."""
    found: dict[str, Distribution] = {}

    def visit(name: str, extras: tuple[str, ...]) -> None:
        try:
            dist = distribution(name)
        except PackageNotFoundError:  # of an environment that is not this one
            return
        if dist.name.lower() in found:
            return
        found[dist.name.lower()] = dist
        for text in dist.requires or ():
            wanted = Requirement(text)
            chosen = ({"extra": extra} for extra in ("", *extras))
            if wanted.marker is None or any(map(wanted.marker.evaluate, chosen)):
                visit(wanted.name, tuple(wanted.extras))

    for name in names:
        visit(name, EXTRAS)
    return [dist for key, dist in found.items() if key != "nemo-evaluator"]


def copy(dist: Distribution, root: Path) -> None:
    """Copy what a distribution has in site-packages."""
    for file in dist.files or ():
        source = Path(str(file.locate()))
        if ".." not in file.parts and "__pycache__" not in file.parts and source.is_file():
            target = root / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)

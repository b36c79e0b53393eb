"""Builds an image of somebody's benchmark, with `nel` in it (`nel package`)."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError
from ..executors.images.local import BUILD_SECONDS, build_image, build_local
from ..executors.images.variants import Variant
from ..executors.images.wheel import write_wheel
from ..files.reading import first_line
from ..sandbox_spec import BuildSpec
from ..sandboxes.docker_api import Engine
from .packaged import HOME, Packaged, packaged

DOCKERFILE = "Dockerfile"
REQUIREMENTS = "requirements.txt"
LABEL = "nemo-evaluator.benchmarks"
_LOCAL = "nemo-evaluator:local"
"""What the image is built on where no base is named."""


@dataclass(frozen=True, slots=True)
class Package:
    """What an image is built of."""

    path: Path
    tag: str = ""
    """Empty: one made of the benchmark's name."""
    base: str | None = None
    """None: our base image, built of this installation."""
    requirements: Path | None = None
    build_args: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Built:
    """An image that was built, or the folder for it that was written."""

    where: str
    benchmarks: tuple[str, ...]


async def build(package: Package, say: Callable[[str], None], *, push: bool = False) -> Built:
    """Build the image, and push it. ``say`` is told what takes its time. Raises ConfigError."""
    engine = Engine()
    found = packaged(package.path)
    args = dict(package.build_args or {})
    base = package.base or await build_local(engine, Variant.BASE, args, say=say)
    name = package.tag or f"nemo-evaluator-{found.name}"
    tagged = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
    with tempfile.TemporaryDirectory(prefix="nel-package-") as folder:
        await asyncio.to_thread(write_context, Path(folder), found, package, base)
        spec = BuildSpec(context=folder, timeout=BUILD_SECONDS)
        await build_image(engine, spec, tagged, say)
    if push:
        await push_image(tagged)
    return Built(tagged, found.benchmarks)


def write(package: Package, output: Path) -> Built:
    """Write what the image is built of, and build nothing. ``output``: a folder, or the name of
    the Dockerfile in one. Raises ConfigError."""
    folder, name = output, DOCKERFILE
    if output.suffix == ".Dockerfile" or output.name.startswith(DOCKERFILE):
        folder, name = output.parent, output.name
    found = packaged(package.path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_context(folder, found, package, package.base or _LOCAL, name)
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", where=str(output)) from None
    return Built(str(folder / name), found.benchmarks)


def write_context(
    folder: Path, found: Packaged, package: Package, base: str, dockerfile: str = DOCKERFILE
) -> None:
    """Write the folder that an image is built of. Blocks. Raises ConfigError."""
    inside = folder / "benchmark"
    shutil.rmtree(inside, ignore_errors=True)
    for file in found.files:
        target = inside / file.relative_to(found.root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    wheels = folder / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    wheels.mkdir()
    write_wheel(wheels)
    if found.sources:
        found.write_module(wheels)
    lines = [*_lines(_requirements(found, package)), *found.requirements]
    (wheels / REQUIREMENTS).write_text("".join(f"{line}\n" for line in dict.fromkeys(lines)))
    (folder / dockerfile).write_text(dockerfile_of(found, base))


def dockerfile_of(found: Packaged, base: str) -> str:
    """The Dockerfile of an image."""
    wheels = f"{HOME}/.wheels"
    pip = "python3 -m pip install -q"
    steps = [
        f"FROM {base}",
        "USER 0",
        "ENV PIP_BREAK_SYSTEM_PACKAGES=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 \\",
        "    PIP_ROOT_USER_ACTION=ignore PYTHONUNBUFFERED=1",
        f"COPY wheels {wheels}",
        "# A base without nel gets the one that made this file.",
        "RUN python3 -c 'import nemo_evaluator' 2>/dev/null \\",
        f' || {pip} "$(ls {wheels}/nemo_evaluator-*.whl)[scoring,stats]"',
        f"RUN {pip} -r {wheels}/{REQUIREMENTS}",
        f"COPY benchmark {found.folder}",
    ]
    if found.is_project:
        steps.append(f"RUN {pip} {found.folder}")
    if found.sources:
        steps += [
            f"RUN {pip} --no-deps {wheels}/{found.module}-*.whl \\",
            f" && python3 -c 'import {found.module}'",
        ]
    steps += [
        "RUN getent passwd 1000 >/dev/null || useradd --uid 1000 --create-home nel",
        "USER 1000",
        "WORKDIR /tmp",
        f'LABEL {LABEL}="{" ".join(found.benchmarks)}"',
        'ENTRYPOINT ["nel"]',
        'CMD ["--help"]',
    ]
    return "\n".join([*steps, ""])


def _requirements(found: Packaged, package: Package) -> Path | None:
    if package.requirements is not None:
        return package.requirements
    beside = found.root / REQUIREMENTS
    return beside if beside in found.files else None


def _lines(path: Path | None) -> list[str]:
    if path is None:
        return []
    try:
        return path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {first_line(error)}", where=str(path)) from None


async def push_image(tag: str) -> None:
    """By the docker command: it knows where the user has logged in."""
    try:
        process = await asyncio.create_subprocess_exec(
            *("docker", "push", "-q", tag),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except FileNotFoundError:
        hint = "install the docker command, or push the image yourself"
        raise ConfigError("--push needs the command docker", hint=hint) from None
    output, _ = await process.communicate()
    if process.returncode != 0:
        lines = output.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        hint = "the image is built; `docker login` may be needed"
        raise ConfigError(f"cannot be pushed: {lines[-1]}", where=tag, hint=hint)

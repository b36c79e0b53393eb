"""What is there of all that nel can use, what is not, and how to get it: `nel doctor`.

What is absent and optional is no problem; a problem is what was set up and does not work.
"""

from __future__ import annotations

import asyncio
import enum
import importlib.metadata
import os
import resource
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from packaging.requirements import Requirement

from ..config.settings import effective, settings_path
from ..environments.inspect.harness import WANTED as INSPECT
from ..environments.lm_eval.remote import WANTED as LM_EVAL
from ..errors import ConfigError
from ..executors.run_notes import store
from ..foreign.interpreters import Wanted, find_interpreter
from ..solvers.harbor.worker import HARBOR
from ..types import Record
from ..version import __version__

PACKAGE = "nemo-evaluator"
EXTRAS = ("scoring", "stats", "mcp", "ecs", "ray", "export", "frames")
"""Extras that bring something to a user; the others are for developers."""
HARNESSES = {"lm-eval://": LM_EVAL, "inspect://": INSPECT, "solver harbor": HARBOR}
CREDENTIALS = {
    "NEMO_API_KEY": "the key of endpoints, where nothing else names one",
    "NVIDIA_API_KEY": "the same, after NEMO_API_KEY",
    "HF_TOKEN": "gated datasets of the hub",
}
PROGRAMS = {
    "bwrap": ("sandbox `local`", "apt-get install bubblewrap"),
    "apptainer": ("sandbox `apptainer`", "apptainer.org/docs"),
    "sbatch": ("cluster.type `slurm`", "run nel on a login node, or set cluster.hostname"),
    "kubectl": ("cluster.type `kubernetes`", "kubernetes.io/docs/tasks/tools"),
    "ssh": ("clusters on another host", "apt-get install openssh-client"),
}
SECONDS = 15.0
LEAST_FILES = 1024
LEAST_DISK = 1 << 30


class Health(enum.StrEnum):
    """What is said of one thing."""

    OK = "ok"
    ABSENT = "absent"
    PROBLEM = "problem"


class Found(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One thing that was looked for."""

    group: str
    name: str
    health: Health
    what: str = ""
    """Its version, or what is wrong."""
    fix: str = ""
    """How to get it, or to put it right."""


async def examine(env: Mapping[str, str] = os.environ) -> list[Found]:
    """Look for everything."""
    found = [*_nel_and_python(), *_extras(), *_settings(env), *_credentials(env), *_folders()]
    docker, *harnesses = await asyncio.gather(
        _docker(), *(_harness(name, wanted) for name, wanted in HARNESSES.items())
    )
    return [*found, *harnesses, docker, *_programs()]


def _nel_and_python() -> Iterator[Found]:
    python = ".".join(map(str, sys.version_info[:3]))
    yield Found(group="nel", name="nel", health=Health.OK, what=f"{__version__} ({sys.prefix})")
    yield Found(group="nel", name="python", health=Health.OK, what=f"{python} ({sys.executable})")
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = soft != resource.RLIM_INFINITY and soft < LEAST_FILES
    yield Found(
        group="nel",
        name="open files",
        health=Health.PROBLEM if few else Health.OK,
        what="no limit" if soft == resource.RLIM_INFINITY else f"{soft:,} at most",
        fix=f"ulimit -n {LEAST_FILES}" if few else "",
    )


def _extras() -> Iterator[Found]:
    try:
        required = [Requirement(text) for text in importlib.metadata.requires(PACKAGE) or ()]
    except importlib.metadata.PackageNotFoundError:
        return
    for extra in EXTRAS:
        wanted = [
            need
            for need in required
            if need.marker is not None
            and need.marker.evaluate({"extra": extra})
            and not need.marker.evaluate({"extra": ""})
        ]
        missing = [need for need in wanted if not _is_installed(need)]
        if not wanted:
            continue
        yield Found(
            group="extras",
            name=extra,
            health=Health.ABSENT if missing else Health.OK,
            what=", ".join(need.name for need in (missing or wanted)),
            fix=f"pip install '{PACKAGE}[{extra}]'" if missing else "",
        )


def _is_installed(need: Requirement) -> bool:
    try:
        version = importlib.metadata.version(need.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return need.specifier.contains(version, prereleases=True)


def _settings(env: Mapping[str, str]) -> Iterator[Found]:
    path = settings_path(env)
    try:
        settings = effective(env)
    except ConfigError as error:
        yield Found(group="settings", name=str(path), health=Health.PROBLEM, what=str(error))
        return
    health = Health.OK if path.is_file() else Health.ABSENT
    yield Found(group="settings", name=str(path), health=health, what=f"{len(settings)} settings")
    for key in ("api_key_env", "judge_key_env"):
        variable = settings.get(key, ("", ""))[0]
        if variable and not env.get(variable):
            yield Found(
                group="settings",
                name=key,
                health=Health.PROBLEM,
                what=f"the variable {variable} is not set",
                fix=f"export {variable}=...",
            )


def _credentials(env: Mapping[str, str]) -> Iterator[Found]:
    for name, what in CREDENTIALS.items():
        health = Health.OK if env.get(name) else Health.ABSENT
        fix = "" if env.get(name) else f"export {name}=... (only where it is needed)"
        yield Found(group="credentials", name=name, health=health, what=what, fix=fix)


def _folders() -> Iterator[Found]:
    for name, folder in (("runs of this user", store()), ("this folder", Path.cwd())):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(there).free
        problem = ""
        if not os.access(there, os.W_OK):
            problem = "cannot be written"
        elif free < LEAST_DISK:
            problem = f"{free / 1e6:,.0f} MB are free"
        yield Found(
            group="folders",
            name=name,
            health=Health.PROBLEM if problem else Health.OK,
            what=f"{folder}: {problem or f'{free / 1e9:,.0f} GB free'}",
            fix="make room, or write elsewhere (-o)" if problem else "",
        )


async def _docker() -> Found:
    group, name = "programs", "docker"
    if shutil.which("docker") is None:
        fix = "docs.docker.com/engine/install"
        what = "sandbox `docker`, cluster.type `docker`"
        return Found(group=group, name=name, health=Health.ABSENT, what=what, fix=fix)
    code, output = await _run_command("docker", "version", "--format", "{{.Server.Version}}")
    if code == 0:
        return Found(group=group, name=name, health=Health.OK, what=f"engine {output}")
    fix = "start the engine; add yourself to the group docker"
    return Found(group=group, name=name, health=Health.PROBLEM, what=output, fix=fix)


async def _harness(name: str, wanted: Wanted) -> Found:
    try:
        found = await asyncio.wait_for(find_interpreter(wanted), SECONDS)
    except (ConfigError, TimeoutError):
        what = f"{wanted.package} is not installed"
        return Found(group="harnesses", name=name, health=Health.ABSENT, what=what, fix=wanted.hint)
    what = f"{wanted.package} {found.version} ({found.python})"
    return Found(group="harnesses", name=name, health=Health.OK, what=what)


def _programs() -> Iterator[Found]:
    for name, (what, fix) in PROGRAMS.items():
        path = shutil.which(name)
        health = Health.ABSENT if path is None else Health.OK
        yield Found(
            group="programs", name=name, health=health, what=path or what, fix=fix * (path is None)
        )


async def _run_command(*command: str) -> tuple[int, str]:
    """Exit code of a program, and the last line of what it said."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as error:
        return 1, error.strerror or str(error)
    try:
        out, _ = await asyncio.wait_for(process.communicate(), SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
        return 1, f"did not answer within {SECONDS:g} s"
    lines = out.decode(errors="replace").strip().splitlines()
    return process.returncode or 0, lines[-1].strip() if lines else ""

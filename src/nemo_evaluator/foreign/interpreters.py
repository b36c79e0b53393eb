"""Which interpreter has a package that ours cannot have, or does not.

Looked for: where the configuration says, where an environment variable says, our own interpreter,
an environment of the package's own, and that of its command on PATH. Nothing is installed.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError

PROBE = """
import importlib.metadata, json, sys
try:
    found = importlib.metadata.version(sys.argv[1])
except importlib.metadata.PackageNotFoundError:
    found = None
print(json.dumps({"python": list(sys.version_info[:3]), "version": found}))
"""
PROBE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A package that a script needs."""

    package: str
    version: tuple[int, ...]
    """The least that is supported."""
    python: tuple[int, int]
    """The least that the package needs."""
    variable: str
    """Environment variable that names the interpreter."""
    where: str
    """Field of the configuration that names it."""
    extras: str = ""
    """What is installed with it, e.g. ``[api]``."""
    below: tuple[int, ...] | None = None
    """The first version that is not supported any more; None: none is known."""
    also: tuple[str, ...] = ()
    """Packages that it needs here, and does not require by itself."""
    harness: str | None = None
    """What ``nel harness install`` calls it."""

    @property
    def folder(self) -> Path:
        """Where an environment of its own is looked for, and where a hint puts one."""
        data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
        return data / "nemo-evaluator" / self.package

    @property
    def requirements(self) -> tuple[str, ...]:
        """What pip is asked for."""
        below = "" if self.below is None else f",<{_dotted(self.below)}"
        own = f"{self.package}{self.extras}>={_dotted(self.version)}{below}"
        return (own, *self.also)

    @property
    def hint(self) -> str:
        """How to install the package."""
        python = "3" if sys.version_info[:2] >= self.python else _dotted(self.python)
        quoted = " ".join(f"'{one}'" for one in self.requirements)
        by_hand = f"python{python} -m venv {self.folder} && {self.folder}/bin/pip install {quoted}"
        if self.harness is None:
            return by_hand
        return f"nel harness install {self.harness}, or: {by_hand}"

    def supports(self, version: str) -> bool:
        """Whether a version of the package will do."""
        found = tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0]))
        return found >= self.version and (self.below is None or found < self.below)

    @property
    def range(self) -> str:
        """The versions that will do, for people."""
        if self.below is None:
            return f"{_dotted(self.version)} or newer"
        return f"{_dotted(self.version)} or newer, below {_dotted(self.below)},"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """One that has the package."""

    python: Path
    version: str
    """Of the package."""


@dataclass(frozen=True, slots=True)
class _Probed:
    """What an interpreter says about itself."""

    python: tuple[int, ...]
    version: str | None
    """Of the package; None: it has none."""


async def find_interpreter(wanted: Wanted, given: str | None = None) -> Interpreter:
    """The interpreter to use; ``given`` is what the configuration names. Raises ConfigError."""
    named = given or os.environ.get(wanted.variable)
    if named:
        where = wanted.where if given else wanted.variable
        return await _checked_interpreter(wanted, Path(named), where)
    tooold: ConfigError | None = None
    for python in _usual(wanted):
        try:
            return await _checked_interpreter(wanted, python, wanted.where)
        except ConfigError as error:
            tooold = tooold or (error if "of the package" in error.what else None)
    if tooold is not None:
        raise tooold
    ours = sys.version_info[:2]
    needs = f"it needs Python {_dotted(wanted.python)} or newer; this one is {_dotted(ours)}"
    raise ConfigError(
        f"the package {wanted.package!r} is not installed"
        + (f" ({needs})" if ours < wanted.python else ""),
        where=wanted.where,
        hint=f"{wanted.hint}; or name an interpreter that has it here, or in {wanted.variable}",
    )


def _usual(wanted: Wanted) -> Iterator[Path]:
    if sys.version_info[:2] >= wanted.python:
        yield Path(sys.executable)
    if (python := wanted.folder / "bin" / "python").exists():
        yield python
    # The command of pipx, say, is a link into an environment.
    command = Path(shutil.which(wanted.package) or "/nowhere").resolve()
    if (python := command.with_name("python")).exists():
        yield python


async def _checked_interpreter(wanted: Wanted, python: Path, where: str) -> Interpreter:
    found = await _probed(python, wanted.package, where)
    if found.python[:2] < wanted.python:
        raise ConfigError(
            f"{python} is Python {_dotted(found.python)}; {wanted.package} needs "
            f"{_dotted(wanted.python)} or newer",
            where=where,
            hint=wanted.hint,
        )
    version = found.version
    if version is None:
        raise ConfigError(f"{python} has no {wanted.package}", where=where, hint=wanted.hint)
    if not wanted.supports(version):
        quoted = " ".join(f"'{one}'" for one in wanted.requirements)
        raise ConfigError(
            f"{python} has version {version} of the package {wanted.package!r}; "
            f"{wanted.range} is needed",
            where=where,
            hint=f"{python} -m pip install -U {quoted}",
        )
    return Interpreter(python, version)


async def _probed(python: Path, package: str, where: str) -> _Probed:
    failed = ConfigError(
        f"{python} is no Python interpreter that runs", where=where, hint="e.g. .../bin/python"
    )
    try:
        process = await asyncio.create_subprocess_exec(
            *(python, "-c", PROBE, package),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        raise failed from None
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            out, _ = await process.communicate()
        found = json.loads(out)
        return _Probed(tuple(found["python"]), found["version"])
    except (TimeoutError, ValueError, KeyError, TypeError):
        raise failed from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))

"""``run.json``: which run this is, made by what, and how it ended."""

from __future__ import annotations

import datetime
import enum
import os
import platform
import secrets
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from ..errors import ConfigError
from ..files.reading import read_json
from ..types import Json, Record
from ..version import __version__
from .files import write_json
from .layout import RUN_INFO
from .planned import check_name


class RunStatus(enum.StrEnum):
    """How a run ended, or that it has not."""

    RUNNING = "running"
    DONE = "done"
    INCOMPLETE = "incomplete"
    INTERRUPTED = "interrupted"
    DECIDED = "decided"
    """Ended early, because what a gate says of it was certain."""


class RunInfo(Record, frozen=True, kw_only=True):
    """Provenance of a run."""

    run_id: str
    created: str
    """ISO 8601, UTC; of the first invocation."""
    version: str
    python: str
    host: str
    status: RunStatus
    git: str | None = None
    """Commit of the working directory, ``+`` where it has changes."""
    command: str = ""
    """The command line without secrets."""
    folder: str = ""
    """The folder it was started in: relative paths in its configuration are relative to it."""
    benchmarks: tuple[str, ...] = ()
    """Folders of the benchmarks, in plan order."""
    rescored_from: str | None = None
    """The run whose answers these are, where they were only verified again."""
    merged_from: tuple[str, ...] = ()
    """The runs of the shards it was put together from."""
    imported_from: tuple[str, ...] = ()
    """Results of other tools that it was made of: tool and place of each."""
    extended: tuple[str, ...] = ()
    """By what the run was made larger after it had begun: ``sample: repeats: 3 → 5``."""
    decided: str | None = None
    """What was certain when it ended early."""
    accounts: Mapping[str, Json] | None = None
    """Tokens, cost and retries of the whole run, once it has ended."""


def new_run_info(*, command: str = "") -> RunInfo:
    """A run that starts now. The id is unique even for runs started in the same second, and ids of
    one host sort by when they were made."""
    now = datetime.datetime.now(datetime.UTC)
    return RunInfo(
        run_id=f"{now:%Y%m%d_%H%M%S}_{_part_of_second(now)}{secrets.token_hex(2)}",
        created=now.isoformat(timespec="milliseconds"),
        version=__version__,
        python=platform.python_version(),
        host=socket.gethostname(),
        status=RunStatus.RUNNING,
        git=_git_state(),
        folder=_folder(),
        command=command,
    )


def _part_of_second(moment: datetime.datetime) -> str:
    """In 65,536 parts, as four digits."""
    return f"{moment.microsecond * 0x10000 // 1_000_000:04x}"


def write_run_info(directory: Path, info: RunInfo) -> None:
    """Write ``run.json``."""
    write_json(directory / RUN_INFO, info, durable=True)


def read_run_info(directory: Path) -> RunInfo:
    """Read ``run.json``. Raises ConfigError if the directory holds none."""
    path = directory / RUN_INFO
    try:
        info = read_json(path, RunInfo)
    except FileNotFoundError:
        raise ConfigError("holds no run", where=str(directory)) from None
    check_name(info.run_id, "the run id", str(path))
    for slug in info.benchmarks:
        check_name(slug, "the benchmark folder", str(path))
    return info


def _folder() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:  # it was deleted
        return ""


def _git_state() -> str | None:
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=2,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None

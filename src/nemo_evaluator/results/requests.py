"""What a run is asked to change while it goes on: a file for each request, in its directory.

Whoever can see the directory can ask, from any host. The process that runs takes requests up every
few seconds and says in ``progress.json`` what became of them. A request is for one process: one
that resumes the run later never takes it for its own.
"""

from __future__ import annotations

import contextlib
import enum
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from ..errors import ConfigError
from ..files.reading import read_json
from ..types import Record
from .files import write_json

PREFIX, SUFFIX = ".ctl-", ".json"
MOST = 100
"""Requests that are taken up at once."""


class Action(enum.StrEnum):
    """What a run can be asked to do."""

    PAUSE = "pause"
    RESUME = "resume"
    REQUEUE = "requeue-errored"
    FINISH = "finish"


class ControlRequest(Record, frozen=True, kw_only=True):
    """What is asked of a run."""

    id: str = ""
    to: str = ""
    """Mark of the process that it is for."""
    action: Action | None = None
    older_than: float = 0.0
    """Of ``finish``: seconds that what is in flight may still take in all."""
    max_concurrent: int | None = None
    """Rollouts in flight at most."""
    benchmark: str | None = None
    """The one that ``max_concurrent`` is for; None: each."""
    limits: Mapping[str, int] = {}
    """Requests in flight at most, by service."""


class Reply(Record, frozen=True, kw_only=True):
    """What became of a request."""

    id: str
    said: tuple[str, ...] = ()
    refused: str | None = None
    """Why nothing was done."""


def post(directory: Path, request: ControlRequest) -> str:
    """Ask; the id of the request. Raises ConfigError."""
    name = secrets.token_hex(6)
    try:
        write_json(_path(directory, name), {**_as_dict(request), "id": name})
    except OSError as error:
        raise ConfigError(f"cannot write there: {error.strerror}", where=str(directory)) from None
    return name


def withdraw(directory: Path, name: str) -> bool:
    """Take a request back; False where it was taken up."""
    try:
        _path(directory, name).unlink()
    except OSError:
        return False
    return True


def take_up(directory: Path, mark: str) -> list[ControlRequest]:
    """The requests for the process with a mark, oldest first; all are removed."""
    with os.scandir(directory) as entries:
        names = [e.name for e in entries if e.name.startswith(PREFIX) and e.name.endswith(SUFFIX)]
    found: list[tuple[float, ControlRequest]] = []
    for name in names[:MOST]:
        path = directory / name
        with contextlib.suppress(OSError, ConfigError):
            found.append((path.lstat().st_mtime, read_json(path, ControlRequest)))
        with contextlib.suppress(OSError):
            path.unlink()
    found.sort(key=lambda pair: pair[0])
    return [request for _, request in found if request.to in ("", mark)]


def _path(directory: Path, name: str) -> Path:
    return directory / f"{PREFIX}{name}{SUFFIX}"


def _as_dict(request: ControlRequest) -> dict[str, object]:
    return {name: getattr(request, name) for name in request.__struct_fields__}

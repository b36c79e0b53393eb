"""What a decision rests on, as one files it: which runs of which models, the policy's file by its
digest, and who decided where, when and with which version. Read when the decision is taken."""

from __future__ import annotations

import datetime
import getpass
import hashlib
import os
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..errors import ConfigError
from ..results.times import order
from ..types import Record
from ..version import __version__
from .sources import Source


class RunFacts(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One side. Several values where its benchmarks come from several runs."""

    path: str
    models: tuple[str, ...] = ()
    run_ids: tuple[str, ...] = ()
    created: tuple[str, ...] = ()
    """When the runs began, as their bundles say; empty where none says it."""

    @property
    def name(self) -> str:
        """The model, or what else tells the side."""
        return ", ".join(self.models or self.run_ids) or self.path


class Provenance(Record, frozen=True, kw_only=True, omit_defaults=False):
    """The evidence and its reader."""

    baseline: RunFacts
    candidate: RunFacts
    user: str
    host: str
    version: str
    """Of nel."""
    decided: str
    """ISO 8601, UTC."""
    policy: str | None = None
    """Path of the policy's file; None where the policy was not read from one."""
    policy_sha256: str | None = None


def provenance(
    baseline: Path,
    candidate: Path,
    sources: tuple[Mapping[str, Source], Mapping[str, Source]],
    policy: Path | None = None,
) -> Provenance:
    """The facts of a decision taken now. Raises ConfigError for a policy that cannot be read."""
    now = datetime.datetime.now(datetime.UTC)
    return Provenance(
        baseline=_facts(baseline, sources[0].values()),
        candidate=_facts(candidate, sources[1].values()),
        user=_user(),
        host=socket.gethostname(),
        version=__version__,
        decided=now.isoformat(timespec="seconds"),
        policy=None if policy is None else str(policy),
        policy_sha256=None if policy is None else _digest(policy),
    )


def created(source: Source) -> str | None:
    """When the run began, as its bundle says."""
    return source.published.created if source.published is not None else None


def _facts(path: Path, sources: Iterable[Source]) -> RunFacts:
    found = list(sources)
    return RunFacts(
        path=str(path),
        models=_unique_values(source.model for source in found),
        run_ids=_unique_values(source.run_id for source in found),
        created=tuple(sorted(_unique_values(created(source) for source in found), key=order)),
    )


def _unique_values(values: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value))


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"uid {os.getuid()}"

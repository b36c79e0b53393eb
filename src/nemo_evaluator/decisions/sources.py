"""Finds the benchmarks of a run: by bundles (``eval-*.json``), flat or one folder each.

One rule for every command: a file is itself; a folder is its own bundle and those one level down.
Two bundles of one benchmark are an error, never a silent choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ..errors import ConfigError
from ..results.identity_facts import Facts, facts_of
from ..results.layout import RESULTS, UNSCORED
from ..results.published import Published
from ..results.read_bundle import BUNDLES, read_bundle
from ..results.stopping import Stopping
from ..types import Json
from .interim_damage import Watched
from .rollouts import Rollouts, read_rollouts

Told: TypeAlias = tuple[float, float | None, float | None]
"""A metric with the bounds of its interval, as a bundle tells it."""


@dataclass(frozen=True)
class Source:
    """One benchmark of one run, read when it is needed."""

    name: str
    path: Path
    """The bundle, or the folder of results that have none."""
    published: Published | None = None
    """What the bundle says."""
    given: Rollouts | None = None
    """Rollouts held in memory, in the place of a file's."""
    counted: int | None = None
    """Problems that a decision rests on, where it rests on the first of those planned alone."""
    watched: Watched | None = None
    """How its damage is read where it was looked at while it ran (``looks.py``)."""

    @property
    def folder(self) -> Path:
        """Where the files stand."""
        return self.path if self.path.is_dir() else self.path.parent

    @cached_property
    def rollouts(self) -> Rollouts | None:
        """The rollouts; None where there is no results file, or an empty one."""
        if self.given is not None:
            return self.given
        found = read_rollouts(self.folder)
        return found if found is not None and len(found) else None

    @property
    def run_id(self) -> str:
        """The run."""
        return self.published.run_id if self.published is not None else self.folder.name

    @property
    def slug(self) -> str | None:
        """Name of its folder in a run of ours; distinguishes benchmarks of the same name."""
        return self.published.slug if self.published is not None else None

    @property
    def config(self) -> Mapping[str, Json]:
        """How the run was made."""
        return self.published.config if self.published is not None else {}

    @property
    def identity(self) -> Mapping[str, Json] | None:
        """What makes the result comparable; None where another tool did not write it."""
        found = self.config.get("identity")
        return found if isinstance(found, Mapping) else None

    @cached_property
    def facts(self) -> Facts:
        """What the identity says."""
        return facts_of(self.identity or {})

    @property
    def model(self) -> str:
        """The model, or an empty text."""
        return (self.published.model or "") if self.published is not None else ""

    @property
    def simulated(self) -> bool:
        """Whether the model, or a judge, is simulated."""
        return self.published is not None and self.published.simulated

    def planned(self) -> int | None:
        """Number of problems that were to be evaluated, if the bundle says so."""
        if self.counted is not None:
            return self.counted
        return self.published.planned_problems if self.published is not None else None

    @property
    def stopping(self) -> Stopping | None:
        """By what its answers were looked at while it ran."""
        return (self.published.stopping or None) if self.published is not None else None

    def repeats(self) -> int:
        """Rollouts planned of each problem, as the bundle tells; else the most of any problem."""
        if self.published is not None and self.published.repeats:
            return self.published.repeats
        if self.rollouts is None:
            return 1
        return int(np.unique(self.rollouts.problems, return_counts=True)[1].max())

    def reward_range(self) -> tuple[float, float] | None:
        """The least and the most a reward can be, where the benchmark declares it."""
        return self.facts.reward_range or self.facts.mean_range

    def floor(self) -> float | None:
        """The coverage below which the run itself said that its score says nothing."""
        return self.published.coverage_floor if self.published is not None else None

    def value(self, metric: str) -> Told | None:
        """A metric of the bundle with its bounds, if it is there."""
        found = self.published.metrics.get(metric) if self.published is not None else None
        return (found.value, found.ci_lower, found.ci_upper) if found is not None else None


def find(path: Path) -> dict[str, Source]:
    """Benchmark name → its source; empty if there is none. Raises ConfigError."""
    if not path.exists():
        raise ConfigError("there is no such file or folder", where=str(path))
    if path.is_file():
        source = _of_file(path)
        return {source.name: source}
    folders = [path, *sorted(child for child in path.iterdir() if child.is_dir())]
    if any(child.name.startswith("shard_") for child in folders[1:]) and not _bundles(folders):
        hint = f"nel eval merge {path}"
        raise ConfigError("holds shards that are not merged", where=str(path), hint=hint)
    found: dict[str, Source] = {}
    for folder in folders:
        if folder.name.startswith("shard_") and folder is not path:
            continue
        for source in _of_folder(folder):
            if source.name in found and source.slug not in (None, *found):
                # One run did the benchmark twice, in folders of their own.
                source = replace(source, name=source.slug or "")
            if source.name in found:
                raise ConfigError(
                    f"Duplicate benchmark {source.name!r}: {found[source.name].path} and "
                    f"{source.path}",
                    where=str(path),
                    hint="give the path of one of them, or remove the other",
                )
            found[source.name] = source
    return found


def _of_file(path: Path) -> Source:
    if path.name.endswith(".jsonl"):
        if path.name != RESULTS:
            raise ConfigError(f"only {RESULTS} can be compared", where=str(path))
        return Source(path.parent.name, path.parent)
    found = read_bundle(path, strict=False)
    return Source(found.name, path, found)


def _of_folder(folder: Path) -> list[Source]:
    bundles = sorted(folder.glob(BUNDLES))
    if not bundles and any((folder / name).is_file() for name in (RESULTS, UNSCORED)):
        return [Source(folder.name, folder)]
    return [_of_file(bundle) for bundle in bundles]


def _bundles(folders: list[Path]) -> bool:
    own = [folder for folder in folders if not folder.name.startswith("shard_")]
    return any(next(folder.glob(BUNDLES), None) is not None for folder in own)

"""Finds the benchmarks of a run: by bundles (``eval-*.json``), flat or one folder each.

One rule for every command: a file is itself; a folder is its own bundle and those one level down.
Two bundles of one benchmark are an error, never a silent choice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from ..errors import ConfigError
from ..results.layout import RESULTS, UNSCORED
from ..results.read_bundle import BUNDLES, read_document
from ..results.stopping import Stopping
from .rollouts import Rollouts, read_rollouts

if TYPE_CHECKING:
    from .looks import Watched


@dataclass(frozen=True)
class Source:
    """One benchmark of one run, read when it is needed."""

    name: str
    path: Path
    """The bundle, or the folder of results that have none."""
    bundle: Mapping[str, Any]
    """Empty where there is none."""
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
        found = self.bundle.get("run_id")
        return found if isinstance(found, str) else self.folder.name

    @property
    def slug(self) -> str | None:
        """Name of its folder in a run of ours; distinguishes benchmarks of the same name."""
        found = self.benchmark.get("slug")
        return found if isinstance(found, str) else None

    @property
    def config(self) -> Mapping[str, Any]:
        """How the run was made."""
        return _mapping(self.bundle.get("config"))

    @property
    def model(self) -> str:
        """The model, or an empty text."""
        found = self.config.get("model")
        return found if isinstance(found, str) else ""

    @property
    def benchmark(self) -> Mapping[str, Any]:
        """The benchmark's part of the bundle."""
        return _mapping(self.bundle.get("benchmark"))

    @property
    def scores(self) -> Mapping[str, Any]:
        """Metric → entry."""
        return _mapping(self.benchmark.get("scores"))

    def planned(self) -> int | None:
        """Number of problems that were to be evaluated, if the bundle says so."""
        if self.counted is not None:
            return self.counted
        coverage = _mapping(self.benchmark.get("coverage"))
        repeats = self.benchmark.get("repeats")
        planned = coverage.get("planned")
        if isinstance(planned, int) and isinstance(repeats, int) and repeats > 0:
            return planned // repeats
        shuffled = _mapping(self.config.get("shuffle")).get("ds_effective_size")
        samples = shuffled if isinstance(shuffled, int) else self.benchmark.get("samples")
        return samples if isinstance(samples, int) else None

    @cached_property
    def stopping(self) -> Stopping | None:
        """By what its answers were looked at while it ran. Raises ConfigError for what cannot be
        read: without it an end that the answers have chosen would pass for a planned one."""
        found = self.benchmark.get("stopping")
        if found is None:
            return None
        try:
            return msgspec.convert(found, Stopping)
        except msgspec.ValidationError as error:
            raise ConfigError(f"benchmark.stopping: {error}", where=str(self.path)) from None

    def repeats(self) -> int:
        """Rollouts planned of each problem, as the bundle tells; else the most of any problem."""
        found = self.benchmark.get("repeats")
        if isinstance(found, int) and found > 0:
            return found
        if self.rollouts is None:
            return 1
        return int(np.unique(self.rollouts.problems, return_counts=True)[1].max())

    def reward_range(self) -> tuple[float, float] | None:
        """The least and the most a reward can be, where the benchmark declares it."""
        identity = _mapping(self.config.get("identity"))
        for key in ("environment.reward_range", "environment.mean_range"):
            found = identity.get(key)
            if isinstance(found, list) and len(found) == 2:
                low, high = _number(found[0]), _number(found[1])
                if low is not None and high is not None and low < high:
                    return low, high
        return None

    def floor(self) -> float | None:
        """The coverage below which the run itself said that its score says nothing."""
        return _number(_mapping(self.benchmark.get("coverage")).get("floor"))

    def value(self, metric: str) -> tuple[float, float | None, float | None] | None:
        """A metric of the bundle with its bounds, if it is a finite number."""
        entry = self.scores.get(metric)
        if not isinstance(entry, Mapping) or (value := _number(entry.get("value"))) is None:
            return None
        return value, _number(entry.get("ci_lower")), _number(entry.get("ci_upper"))


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
        return Source(path.parent.name, path.parent, {})
    bundle = read_document(path)
    return Source(bundle["benchmark"]["name"], path, bundle)


def _of_folder(folder: Path) -> list[Source]:
    bundles = sorted(folder.glob(BUNDLES))
    if not bundles and any((folder / name).is_file() for name in (RESULTS, UNSCORED)):
        return [Source(folder.name, folder, {})]
    return [_of_file(bundle) for bundle in bundles]


def _bundles(folders: list[Path]) -> bool:
    own = [folder for folder in folders if not folder.name.startswith("shard_")]
    return any(next(folder.glob(BUNDLES), None) is not None for folder in own)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)

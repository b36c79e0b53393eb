"""A run as whoever reports on it, exports it or shows it may see it: from its files alone, lazily.

Nothing here decides or computes: rows, steps and calls stream from the files each time they are
asked for. A directory that was merged, rescored or written by another tool reads the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

from ..errors import ConfigError
from ..files.reading import first_line, read_document
from ..steps import Step
from ..types import BenchmarkPlan, Json
from .call import Call, calls
from .foreign import is_foreign, last_lines, rows_in
from .layout import CONFIG, TRAFFIC, TRAJECTORIES
from .published import Published
from .read_bundle import BUNDLES, read_bundle
from .result_row import ResultRow, read_rows
from .run_directory import plan_of
from .run_info import RunInfo, read_run_info
from .trajectory_row import TrajectoryRow, decode_trajectory, read_trajectories


@dataclass(frozen=True)
class BenchmarkView:
    """One benchmark of a run."""

    folder: Path
    bundle_path: Path

    @cached_property
    def bundle(self) -> Published:
        """Scores, intervals, coverage, failures, cost. Raises ConfigError."""
        return read_bundle(self.bundle_path)

    @cached_property
    def plan(self) -> BenchmarkPlan | None:
        """What was to be done; None where another tool ran it. Raises ConfigError."""
        lock = plan_of(self.folder.parent)
        plans = lock.benchmarks if lock is not None else ()
        return next((plan for plan in plans if plan.slug == self.folder.name), None)

    @property
    def name(self) -> str:
        """The benchmark."""
        return self.bundle.name

    def rows(self) -> Iterator[ResultRow]:
        """Every rollout, those without a verdict included, by (problem_idx, repeat)."""
        return rows_in(self.folder) if is_foreign(self.folder) else read_rows(self.folder)

    def trajectories(self) -> Iterator[TrajectoryRow]:
        """Every rollout with its steps, in the same order."""
        return read_trajectories(self.folder)

    def rollouts(self) -> Iterator[tuple[ResultRow, TrajectoryRow | None]]:
        """Every row with its trajectory, where there is one."""
        path = self.folder / TRAJECTORIES
        offsets = last_lines(path) if path.is_file() else {}
        with path.open("rb") if offsets else nullcontext() as file:
            for row in self.rows():
                found = None
                if file is not None and (offset := offsets.get(row.key)) is not None:
                    file.seek(offset)
                    found = decode_trajectory(file.readline())
                yield row, found

    def steps(self, row: ResultRow) -> tuple[Step, ...]:
        """The steps of one rollout, with their texts. Reads the file up to it: to walk over all
        rollouts, use ``trajectories``."""
        found = (line for line in self.trajectories() if line.key == row.key)
        line = next(found, None)
        return line.steps if line is not None else ()

    def calls(self) -> Iterator[Call]:
        """The model's calls, where the traffic log is on."""
        return calls(self.folder / TRAFFIC)

    def artifacts(self) -> list[Path]:
        """All files of the benchmark."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file())


@dataclass(frozen=True)
class RunView:
    """A run directory, read when it is asked."""

    directory: Path

    @classmethod
    def open(cls, directory: Path | str) -> RunView:
        """The run in a directory. Raises ConfigError if it holds no bundle."""
        view = cls(Path(directory))
        if not view.benchmarks():
            hint = "nel eval report brings the files of a run up to date"
            raise ConfigError("holds no results", where=str(directory), hint=hint)
        return view

    @cached_property
    def info(self) -> RunInfo | None:
        """Which run this is, made by what, and how it ended; None where another tool made it."""
        try:
            return read_run_info(self.directory)
        except ConfigError:
            return None

    @cached_property
    def run_id(self) -> str:
        """The run's id; of a run of another tool what its bundle says."""
        if self.info is not None:
            return self.info.run_id
        return next((view.bundle.run_id for view in self.benchmarks()), self.directory.name)

    @cached_property
    def config(self) -> Mapping[str, Json]:
        """The configuration as it was resolved, without secrets; empty where there is none."""
        path = self.directory / CONFIG
        try:
            found = yaml.safe_load(read_document(path))
        except FileNotFoundError:
            return {}
        except (yaml.YAMLError, ValueError) as error:
            raise ConfigError(f"cannot be read: {first_line(error)}", where=str(path)) from None
        return found if isinstance(found, dict) else {}

    def benchmarks(self) -> tuple[BenchmarkView, ...]:
        """The benchmarks that have results, in the order of the run."""
        order = self.info.benchmarks if self.info is not None else ()
        found = {path.parent: path for path in sorted(self.directory.glob(f"*/{BUNDLES}"))}
        if not found:
            found = {path.parent: path for path in sorted(self.directory.glob(BUNDLES))}
        place = {slug: number for number, slug in enumerate(order)}
        folders = sorted(found, key=lambda f: (place.get(f.name, len(place)), f.name))
        return tuple(BenchmarkView(folder, found[folder]) for folder in folders)

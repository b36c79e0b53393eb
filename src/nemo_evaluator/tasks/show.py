"""Looks up rollouts of a run: all, of a kind, of a problem, or those another run did otherwise.

Rows stream from the files. Only a comparison with another run holds something of every rollout, and
that is a few machine words each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..decisions.rollouts import Rollouts, read_rollouts
from ..errors import ConfigError
from ..results.result_row import ResultRow, read_rows, row_from
from ..results.rollout_filter import Kind, kind_of
from .reporting import result_folders


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for; every condition must hold."""

    kinds: frozenset[Kind] = frozenset(Kind)
    problem: int | None = None
    repeat: int | None = None
    benchmark: str | None = None
    other: Path | None = None
    """Only rollouts whose reward differs from that of the same rollout in this run."""

    def __contains__(self, row: ResultRow) -> bool:
        return (
            (self.problem is None or row.problem_idx == self.problem)
            and (self.repeat is None or row.repeat == self.repeat)
            and (len(self.kinds) == len(Kind) or kind_of(row) in self.kinds)
        )


@dataclass(frozen=True, slots=True)
class Shown:
    """One rollout that was asked for."""

    benchmark: str
    row: ResultRow
    before: ResultRow | None = None
    """The same rollout in the other run."""


def show(directory: Path, wanted: Wanted) -> Iterator[Shown]:
    """The rollouts of a run, one by one. Raises ConfigError at once for a run that is not there."""
    folders = result_folders(directory, wanted.benchmark)
    if wanted.other is None:
        return _rows(folders, wanted)
    others = {
        folder.resolve().name: folder for folder in result_folders(wanted.other, wanted.benchmark)
    }
    if len(folders) == len(others) == 1:
        pairs = [(folders[0], next(iter(others.values())))]
    else:
        pairs = [
            (folder, others[name])
            for folder in folders
            if (name := folder.resolve().name) in others
        ]
    if not pairs:
        raise ConfigError(f"no benchmark in common with {directory}", where=str(wanted.other))
    return _flips(pairs, wanted)


def _rows(folders: list[Path], wanted: Wanted) -> Iterator[Shown]:
    for folder in folders:
        name = folder.resolve().name
        for row in read_rows(folder):
            if row in wanted:
                yield Shown(name, row)


def _flips(pairs: list[tuple[Path, Path]], wanted: Wanted) -> Iterator[Shown]:
    for folder, other in pairs:
        now, before = read_rollouts(folder), read_rollouts(other)
        if now is None or before is None:
            continue
        for i, j in _differing(now, before):
            row = row_from(now.row(i))
            if row in wanted:
                yield Shown(folder.resolve().name, row, row_from(before.row(j)))


def _differing(now: Rollouts, before: Rollouts) -> Iterator[tuple[int, int]]:
    """Positions of the same rollout on both sides, where both have a verdict and these differ."""
    theirs = {
        key: j
        for j, key in enumerate(zip(before.problems.tolist(), before.repeats.tolist(), strict=True))
    }
    for i, key in enumerate(zip(now.problems.tolist(), now.repeats.tolist(), strict=True)):
        j = theirs.get(key)
        # NaN is no verdict, and differs from nothing.
        if j is not None and abs(now.rewards[i] - before.rewards[j]) > 0:
            yield i, j

"""One run split over several invocations, each of which does a contiguous part of the order.

A shard has the same identity as the whole run, so shards can be merged; only its part is planned.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from ..errors import ConfigError
from ..results.planned import part_range
from ..types import BenchmarkPlan, Record

NEL = ("NEL_SHARD_IDX", "NEL_TOTAL_SHARDS")
SLURM = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT")
FOLDER = "shard_"
COUNTS = "the index counts from 0"

T = TypeVar("T")


class Shard(Record, frozen=True, kw_only=True):
    """Part ``index`` (from 0) of ``total``."""

    index: int
    total: int

    def range(self, size: int) -> tuple[int, int]:
        """Start and end of the part; the first ``size % total`` parts have one more.

        Example: 10 in 3 parts: (0, 4), (4, 7), (7, 10).
        """
        return part_range(self.index, self.total, size)

    def part(self, order: Sequence[T]) -> Sequence[T]:
        """The part of an order."""
        start, end = self.range(len(order))
        return order[start:end]

    def directory(self, parent: Path) -> Path:
        """``shard_<index>`` below the run's directory."""
        name = f"{FOLDER}{self.index}"
        return parent if parent.name == name else parent / name


def ranges(indices: Iterable[int]) -> str:
    """Shards in words, by ascending number: three and more in a row are a range.

    >>> ranges([0, 1, 2, 5, 7, 8])
    '0-2, 5, 7, 8'
    """
    found: list[list[int]] = []
    for index in indices:
        if not found or index != found[-1][-1] + 1:
            found.append([])
        found[-1].append(index)
    rows = ([f"{row[0]}-{row[-1]}"] if len(row) > 2 else map(str, row) for row in found)
    return ", ".join(text for row in rows for text in row)


def parse_shard(text: str) -> Shard:
    """``2/8``: the third of eight. Raises ConfigError."""
    match = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text)
    if match is None:
        raise ConfigError(
            f"{text!r} is not a shard", where="--shard", hint="write INDEX/TOTAL, from 0, e.g. 2/8"
        )
    return _shard_of(int(match[1]), int(match[2]), "--shard")


def shard_from_env(env: Mapping[str, str]) -> Shard | None:
    """The shard that ``NEL_SHARD_IDX`` and ``NEL_TOTAL_SHARDS`` name, else a Slurm array's task.

    The names of one family only are read together. Raises ConfigError for half a pair of ours,
    and for what is no part of a whole.
    """
    if any(name in env for name in NEL):
        missing = [name for name in NEL if name not in env]
        if missing:
            raise ConfigError(f"{missing[0]} is not set", where="sharding", hint="set both")
        return _shard_of(*_numbers(env, *NEL), ", ".join(NEL))
    if all(env.get(name) for name in SLURM):
        lowest, step = (env.get(f"SLURM_ARRAY_TASK_{name}") or "" for name in ("MIN", "STEP"))
        index, total = _numbers(env, *SLURM)
        if lowest.isdecimal():
            index -= int(lowest)
        if step.isdecimal() and int(step) > 1:
            index //= int(step)
        hint = "an array with gaps says no part: set NEL_SHARD_IDX and NEL_TOTAL_SHARDS"
        return _shard_of(index, total, ", ".join(SLURM), hint)
    return None


def shard_of(plan: BenchmarkPlan) -> Shard | None:
    """The shard a plan is of."""
    found = plan.settings.shard
    return Shard(index=found[0], total=found[1]) if found is not None else None


def _numbers(env: Mapping[str, str], index: str, total: str) -> tuple[int, int]:
    try:
        return int(env[index]), int(env[total])
    except ValueError:
        what = f"{env[index]!r} of {env[total]!r} are not whole numbers"
        raise ConfigError(what, where=f"{index}, {total}") from None


def _shard_of(index: int, total: int, where: str, hint: str = COUNTS) -> Shard:
    if not 0 <= index < total:
        raise ConfigError(f"there is no shard {index} of {total}", where=where, hint=hint)
    return Shard(index=index, total=total)

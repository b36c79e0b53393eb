"""Which problems a plan is of, in which order; and what a plan that was read may say.

A plan is read from a file that another program may have written: names of folders are made from it,
and ranges as long as it says. So both are checked before anything else uses them.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Container
from functools import lru_cache
from typing import Any

from ..errors import ConfigError
from ..types import BenchmarkPlan
from .identity_facts import plan_facts, whole_size
from .layout import is_safe

MAX_PROBLEMS, MAX_REPEATS, MAX_SHARDS = 20_000_000, 100_000, 1_000_000
PART = "problem_range"
"""Where a plan's identity says that it is of a part of the dataset, in its order: start and end."""
LONGEST_NAME = 200
"""Bytes of a name that becomes one of a folder."""


def problem_order(size: int, *, shuffle_seed: int | None, max_problems: int | None) -> list[int]:
    """Dataset indices in the order of execution.

    The order is Python's ``random.Random(seed).shuffle`` of ``range(size)``; ``max_problems`` cuts
    after the shuffle. ``None`` keeps the dataset's order.
    """
    if shuffle_seed is None:
        return list(range(size if max_problems is None else min(size, max_problems)))
    return list(_shuffled(size, shuffle_seed)[:max_problems])


@lru_cache(maxsize=1)
def _shuffled(size: int, seed: int) -> array[int]:
    """The last order is kept: a run of many shards has one."""
    order = array("q", range(size))
    random.Random(seed).shuffle(order)
    return order


def part_range(index: int, total: int, size: int) -> tuple[int, int]:
    """Start and end of part ``index`` of ``total``; the first ``size % total`` have one more.

    Example: 10 in 3 parts: (0, 4), (4, 7), (7, 10).
    """
    quotient, rest = divmod(size, total)
    start = index * quotient + min(index, rest)
    return start, start + quotient + (index < rest)


def planned_problems(plan: BenchmarkPlan) -> Container[int]:
    """The indices of the problems that a plan is of."""
    facts = plan_facts(plan)
    if facts.problem_range is not None:
        return range(*facts.problem_range)
    if facts.problems:
        return frozenset(facts.problems)
    whole, shard = whole_size(plan), plan.settings.shard
    start, end = part_range(shard[0], shard[1], whole) if shard else (0, whole)
    seed = plan.settings.shuffle_seed
    if seed is None or (start, end) == (0, plan.dataset_size):
        return range(start, end)
    order = problem_order(plan.dataset_size, shuffle_seed=seed, max_problems=whole)
    return frozenset(order[start:end])


def is_name(text: object) -> bool:
    """Whether a text that was read may be the name of a folder of ours, or part of one."""
    if not isinstance(text, str) or not text or text.startswith("."):
        return False
    return all(map(is_safe, text)) and len(text.encode()) <= LONGEST_NAME


def check_name(text: object, what: str, where: str) -> None:
    """Raise ConfigError for a name that a path must not be made from."""
    if not is_name(text):
        raise ConfigError(
            f"{what} {str(text)[:60]!r} cannot be the name of a folder",
            where=where,
            hint="the file was not written by this program, or has been damaged",
        )


def check_plan(plan: BenchmarkPlan, where: str) -> None:
    """Raise ConfigError for a plan that this program cannot have written."""
    check_name(plan.slug, "the benchmark folder", where)
    whole = plan.identity.get("n_problems", plan.n_problems)
    limits: dict[str, tuple[Any, int, int]] = {
        "dataset_size": (plan.dataset_size, 0, MAX_PROBLEMS),
        "n_problems": (plan.n_problems, 0, plan.dataset_size),
        "identity.n_problems": (whole, 0, plan.dataset_size),
        "repeats": (plan.repeats, 1, MAX_REPEATS),
    }
    for name, (value, low, high) in limits.items():
        if not _is_whole(value) or not low <= value <= high:
            raise _impossible(plan, name, value, where)
    shard = plan.settings.shard
    if shard is not None and not 0 <= shard[0] < shard[1] <= MAX_SHARDS:
        raise _impossible(plan, "shard", shard, where)
    part = plan.identity.get(PART)
    if part is not None and not _is_part(part, plan.dataset_size):
        raise _impossible(plan, PART, part, where)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_part(value: object, size: int) -> bool:
    if not isinstance(value, list | tuple) or len(value) != 2 or not all(map(_is_whole, value)):
        return False
    return bool(0 <= value[0] < value[1] <= size)


def _impossible(plan: BenchmarkPlan, name: str, value: object, where: str) -> ConfigError:
    return ConfigError(
        f"{plan.slug}: {name} cannot be {str(value)[:60]}",
        where=where,
        hint="the file was not written by this program, or has been damaged",
    )

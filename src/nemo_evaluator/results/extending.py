"""When a run can be extended: its plan asks for more repeats or problems than an earlier one, and
every rollout of the earlier one is a rollout of it and means the same.

Repeat r of a problem is asked alike however many repeats there are (a seed is that of the service
plus r). Problems are the first of one order, so more of them begin with those that are there.
"""

from __future__ import annotations

from ..types import BenchmarkPlan
from .identity_facts import whole_size

REPEATS, PROBLEMS, ORDER = "repeats", "n_problems", "shuffle_seed"


def counts(old: BenchmarkPlan, new: BenchmarkPlan) -> list[str]:
    """``repeats: 3 → 5``, ``problems: 20 → 40``: the numbers that differ."""
    sizes = {
        "repeats": (old.repeats, new.repeats),
        "problems": (whole_size(old), whole_size(new)),
    }
    return [f"{what}: {one:,} → {other:,}" for what, (one, other) in sizes.items() if one != other]


def count_keys(old: BenchmarkPlan, new: BenchmarkPlan) -> tuple[str, ...]:
    """The parts of an identity that differ with the numbers alone."""
    more_problems = whole_size(old) != whole_size(new)
    return (REPEATS, PROBLEMS, ORDER) if more_problems else (REPEATS,)


def obstacle(old: BenchmarkPlan, new: BenchmarkPlan) -> str | None:
    """Why a plan does not hold every rollout of an earlier one; None if it does."""
    before, now = whole_size(old), whole_size(new)
    if new.repeats < old.repeats or now < before:
        return "a run can be extended, but not reduced"
    if now == before:
        return None
    if new.dataset_size != old.dataset_size:
        return f"the dataset had {old.dataset_size:,} problems, and has {new.dataset_size:,} now"
    if old.settings.shard is not None:
        return "the shards of a larger run hold other problems; only repeats can be added to shards"
    if now < new.dataset_size and old.settings.shuffle_seed != new.settings.shuffle_seed:
        return "with another shuffle_seed the first problems are others"
    return None

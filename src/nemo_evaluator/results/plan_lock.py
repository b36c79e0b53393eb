"""``plan.lock``: what a run is going to do, as the document that says whether it may be resumed."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ..errors import ConfigError
from ..files.reading import read_json
from ..files.writing import replace_file
from ..types import BenchmarkPlan, Record
from .planned import check_name, check_plan

FORMAT = 1


class PlanLock(Record, frozen=True, kw_only=True):
    """The document in ``plan.lock``."""

    format: int = FORMAT
    run_id: str
    benchmarks: tuple[BenchmarkPlan, ...]


def write_lock(path: Path, lock: PlanLock) -> None:
    """Write ``plan.lock`` (readable JSON), atomically and durably."""
    document = msgspec.json.format(msgspec.json.encode(lock, enc_hook=str), indent=1)
    replace_file(path, document, durable=True)


def read_lock(path: Path) -> PlanLock | None:
    """The plan of an earlier invocation, or None. Raises ConfigError if it cannot be read."""
    try:
        lock = read_json(path, PlanLock)
    except FileNotFoundError:
        return None
    check_lock(lock, str(path))
    return lock


def check_lock(lock: PlanLock, where: str) -> None:
    """Raise ConfigError for a plan that this program cannot have written."""
    check_name(lock.run_id, "the run id", where)
    slugs = [plan.slug for plan in lock.benchmarks]
    if len(set(slugs)) < len(slugs):
        raise ConfigError("names a benchmark folder twice", where=where)
    for plan in lock.benchmarks:
        check_plan(plan, where)

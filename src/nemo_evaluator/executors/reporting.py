"""Brings the derived files of a run directory up to date with its journals, and reads them."""

from __future__ import annotations

from pathlib import Path

from ..engine.plan import read_lock
from ..errors import ConfigError
from ..results.derive import derive
from ..results.layout import JOURNAL, PLAN_LOCK
from ..results.run_info import read_run_info
from ..results.summary import RunSummary


def refresh(directory: Path) -> RunSummary:
    """Derive everything again from the journals; no model, dataset or network is needed.

    Raises ConfigError if the directory holds no run.
    """
    lock = read_lock(directory / PLAN_LOCK)
    if lock is None:
        raise ConfigError(
            "holds no run",
            where=str(directory),
            hint="give the directory `nel eval run` wrote (-o)",
        )
    info = read_run_info(directory)
    summaries = [
        derive(directory / plan.slug, plan, info)
        for plan in lock.benchmarks
        if (directory / plan.slug / JOURNAL).exists()
    ]
    return RunSummary(run=info, benchmarks=tuple(summaries), directory=str(directory))

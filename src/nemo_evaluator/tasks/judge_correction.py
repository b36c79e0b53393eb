"""`nel judge correct`: a run's judged score beside what people would give it, by a calibration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..decisions.rollouts import Rollouts
from ..decisions.sources import Source, find
from ..errors import ConfigError
from ..judging.calibration import Calibration
from ..judging.correction import Corrected, read_calibration
from ..judging.metrics import PASS_SHARE
from ..stats.intervals import mean_interval
from ..stats.judge_error import prediction_powered, rogan_gladen

JUDGED = "judge:"


def correct(run: Path, calibration: Path, *, metric: str | None = None) -> tuple[Corrected, ...]:
    """Correct every benchmark of a run whose rows have verdicts of a judge. ``calibration``: the
    file, or the folder, that `nel judge calibrate -o` wrote; ``metric``: which judge metric, if
    there are several. Raises ConfigError where nothing can be corrected."""
    found = read_calibration(calibration)
    results = [
        _corrected(name, source, source.rollouts, found, metric)
        for name, source in find(run).items()
        if source.rollouts is not None
    ]
    if not results:
        raise ConfigError("there are no results with rows", where=str(run))
    return tuple(results)


def _corrected(
    name: str, source: Source, rollouts: Rollouts, found: Calibration, metric: str | None
) -> Corrected:
    label, values = _values(rollouts, found.kind, metric, name)
    kept = np.flatnonzero(~np.isnan(values))
    if not len(kept):
        raise ConfigError("no rollout has a verdict", where=name)
    _, first, codes = np.unique(rollouts.problems[kept], return_index=True, return_inverse=True)
    means = np.bincount(codes, weights=values[kept]) / np.bincount(codes)
    named = [rollouts.clusters[i] for i in kept[first].tolist()]
    clusters = None
    if any(one is not None for one in named):
        clusters = [f"problem {i}" if one is None else one for i, one in enumerate(named)]
    judge, human = np.array(found.judged, dtype=np.float64).T
    return Corrected(
        benchmark=name,
        model=source.model,
        metric=label,
        raw=mean_interval(means, clusters),
        corrected=prediction_powered(means, judge, human, clusters),
        rogan_gladen=rogan_gladen(means, judge, human, clusters),
        labelled=len(human),
        judge=str(found.judge.get("model", "")),
        notes=tuple(_notes(source, found)),
    )


def _notes(source: Source, found: Calibration) -> list[str]:
    notes = ["this holds if the labelled rows are like the run's: same task, same kind of answers"]
    model = str(found.judge.get("model", ""))
    if model and model not in str(source.identity):
        notes.append(f"the run does not say that {model} was its judge")
    if found.simulated:
        notes.append("the calibration is of a simulated judge: it says nothing about a real one")
    return notes


def _values(
    rollouts: Rollouts, kind: str, metric: str | None, where: str
) -> tuple[str, np.ndarray[Any, np.dtype[np.float64]]]:
    """The metric's name, and its value by rollout: grades, or verdicts where people gave those."""
    rows = [rollouts.row(i) for i in range(len(rollouts))]
    details = [row.get("scoring_details") for row in rows]
    names = {
        key.removeprefix(JUDGED)
        for one in details
        if isinstance(one, Mapping)
        for key in one
        if key.startswith(JUDGED)
    }
    if metric is None and len(names) > 1:
        raise ConfigError(
            f"has the judge metrics {', '.join(sorted(names))}", where=where, hint="--metric NAME"
        )
    if metric is not None and metric not in names:
        raise ConfigError(f"has no verdict of a judge metric {metric!r}", where=where)
    chosen = metric or next(iter(names), None)
    values = rollouts.rewards.copy()
    if chosen is not None:
        for i, one in enumerate(details):
            graded = one.get(JUDGED + chosen) if isinstance(one, Mapping) else None
            value = graded.get("value") if isinstance(graded, Mapping) else None
            values[i] = np.nan if value is None else float(value)
    if (values < 0).any() or (values > 1).any():
        raise ConfigError("rewards outside 0 to 1 are no shares of the judge's scale", where=where)
    if kind == "verdicts":
        correct = rollouts.correct if chosen is None else np.full(len(values), np.nan)
        right = np.where(np.isnan(correct), values >= PASS_SHARE, correct)
        values = np.where(np.isnan(values), np.nan, right)
    return chosen or "mean_reward", values

"""What a harness in an image leaves: its scores, from ``results.yml``.

Known forms: ``results.tasks.TASK.metrics.METRIC.scores.SCORE.{value, stats}``, the same below
``groups``, and a flat ``metrics`` or ``scores``. Invariant: a file without a single number is an
error, never a score.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from ...config.tree import plain
from ...config.yaml_file import read_yaml
from ...errors import ConfigError
from ...measured import Measure
from ...types import Record

NAMES = ("results.yml", "results.yaml", "results.json")
COUNTS = ("count", "n", "num_samples", "samples", "n_samples")


class Found(Record, frozen=True, kw_only=True):
    """One score of a harness."""

    name: str
    """``TASK/METRIC/SCORE``; a flat one by its name."""
    value: float
    stderr: float | None = None
    n: int | None = None


def read_results(folder: Path) -> list[Found]:
    """The scores of a run. Raises ConfigError where there are none."""
    path = next((folder / name for name in NAMES if (folder / name).is_file()), None)
    if path is None:
        raise ConfigError(
            "the harness ended well and left no results.yml", where=str(folder), hint="see its log"
        )
    document = plain(read_yaml(path))
    found = list(scores_in(document if isinstance(document, dict) else {}))
    if not found:
        raise ConfigError("holds no score", where=str(path))
    return found


def scores_in(document: Mapping[str, object]) -> Iterator[Found]:
    """Every number that is a score, tasks before groups."""
    results = document.get("results")
    body = results if isinstance(results, dict) else document
    any_found = False
    for kind in ("tasks", "groups"):
        for task, told in _items(body.get(kind)):
            for found in _of_task(task, told):
                any_found = True
                yield found
    if not any_found:
        for kind in ("metrics", "scores"):
            for name, told in _items(body.get(kind)):
                yield from _score(name, told)


def measures_of(found: list[Found]) -> list[Measure]:
    """The scores as measures of the benchmark."""
    return [
        Measure(name=one.name, value=one.value, stderr=one.stderr, n=one.n or 1) for one in found
    ]


def _of_task(task: str, told: object) -> Iterator[Found]:
    for metric, below in _items(told.get("metrics") if isinstance(told, dict) else None):
        scores = below.get("scores") if isinstance(below, dict) else None
        for name, score in _items(scores):
            yield from _score(f"{task}/{metric}/{name}", score)


def _score(name: str, told: object) -> Iterator[Found]:
    value = told.get("value") if isinstance(told, dict) else told
    if (number := _number(value)) is None:
        return
    stats = told.get("stats") if isinstance(told, dict) else None
    stats = stats if isinstance(stats, dict) else {}
    count = next((n for key in COUNTS if (n := _number(stats.get(key))) is not None), None)
    yield Found(
        name=name,
        value=number,
        stderr=_number(stats.get("stderr")),
        n=int(count) if count is not None and count >= 1 else None,
    )


def _items(told: object) -> list[tuple[str, object]]:
    return [(str(key), value) for key, value in told.items()] if isinstance(told, dict) else []


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)

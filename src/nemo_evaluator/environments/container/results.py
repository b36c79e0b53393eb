"""What a harness in an image leaves: its scores, from ``results.yml``.

Known forms: ``results.tasks.TASK.metrics.METRIC.scores.SCORE.{value, stats}``, the same below
``groups``, which may hold groups, and a flat ``metrics`` or ``scores``. Invariants: a file without
a single number is an error, never a score; no other score takes the place of the first one. The
file is another program's, and paid for: whatever YAML can say is read.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ...errors import ConfigError
from ...files.reading import UNREADABLE, first_line, read_document
from ...measured import Measure
from ...types import Record

log = logging.getLogger(__name__)

NAMES = ("results.yml", "results.yaml", "results.json")
COUNTS = ("count", "n", "num_samples", "samples", "n_samples")
MAX_DEPTH = 8
"""Groups within groups."""
SHOWN = 10
"""Names in a warning, at most."""
AGAIN = "correct the file, or remove it to run the harness again; then --resume"


class Found(Record, frozen=True, kw_only=True):
    """One score of a harness."""

    name: str
    """``TASK/METRIC/SCORE``; a flat one by its name."""
    value: float
    """Not a number where the harness reports none."""
    stderr: float | None = None
    n: int | None = None


def results_file(folder: Path) -> Path | None:
    """The file with the scores of a run; None where there is none yet."""
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def read_results(folder: Path, task: str = "") -> list[Found]:
    """The scores of a run, those of ``task`` first. Raises ConfigError where there are none, or
    where the first is not a number."""
    if (path := results_file(folder)) is None:
        raise ConfigError("there is no results.yml", where=str(folder), hint="see the log")
    found = list(scores_in(_document(path)))
    found.sort(key=lambda one: not _is_of(one.name, task))
    numbers = [one for one in found if math.isfinite(one.value)]
    if not numbers:
        raise ConfigError("holds no score", where=str(path), hint=AGAIN)
    if found[0] is not numbers[0]:
        what = f"{found[0].name}, the first score, is not a number"
        raise ConfigError(what, where=str(path), hint=AGAIN)
    if lost := [one.name for one in found if not math.isfinite(one.value)]:
        log.warning("%s: not numbers, and left out: %s", path, ", ".join(lost[:SHOWN]))
    return numbers


def scores_in(document: Mapping[str, object]) -> Iterator[Found]:
    """Every score, tasks before groups. What is a text in the place of a flat score is none."""
    results = document.get("results")
    body = results if isinstance(results, dict) else document
    found = [*_tasks(body), *_groups(body, "")]
    yield from found
    for kind in () if found else ("metrics", "scores"):
        for name, body_of_kind in _items(body.get(kind)):
            yield from _score(name, body_of_kind)


def measures_of(repeats: Sequence[Sequence[Found]]) -> list[Measure]:
    """The scores as measures of the benchmark: with several runs of the harness the mean over them,
    whose standard error no run tells."""
    by_name: dict[str, list[Found]] = {}
    for one in (one for found in repeats for one in found):
        by_name.setdefault(one.name, []).append(one)
    return [
        Measure(
            name=name,
            value=math.fsum(one.value for one in found) / len(found),
            stderr=found[0].stderr if len(found) == 1 else None,
            n=found[0].n or 1,
        )
        for name, found in by_name.items()
    ]


def _document(path: Path) -> Mapping[str, object]:
    text = read_document(path).decode(errors="replace")
    try:
        document = json.loads(text) if path.suffix == ".json" else yaml.load(text, Loader=_Loader)
    except (*UNREADABLE, yaml.YAMLError) as error:
        raise ConfigError(
            f"cannot be read: {first_line(error)}", where=str(path), hint=AGAIN
        ) from None
    return document if isinstance(document, dict) else {}


_Safe: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Safe):  # type: ignore[misc]
    """Values of other programs' types (``!!python/…``) stand for themselves, and mean nothing."""


def _of_another_type(loader: Any, node: yaml.Node) -> str:
    return str(node.tag)


_Loader.add_constructor(None, _of_another_type)


def _is_of(name: str, task: str) -> bool:
    """Whether it is the score of a task, which may be written ``HARNESS.TASK``."""
    return any(name.startswith(f"{one}/") for one in {task, task.rpartition(".")[2]})


def _tasks(body: Mapping[str, object]) -> Iterator[Found]:
    for task, body_of_task in _items(body.get("tasks")):
        yield from _of_task(task, body_of_task)


def _groups(body: Mapping[str, object], above: str, depth: int = 0) -> Iterator[Found]:
    """The scores of groups, each followed by those of the groups in it."""
    for group, body_of_group in _items(body.get("groups")) if depth < MAX_DEPTH else ():
        yield from _of_task(f"{above}{group}", body_of_group)
        if isinstance(body_of_group, dict):
            yield from _groups(body_of_group, f"{above}{group}/", depth + 1)


def _of_task(task: str, told: object) -> Iterator[Found]:
    for metric, below in _items(told.get("metrics") if isinstance(told, dict) else None):
        scores = below.get("scores") if isinstance(below, dict) else None
        for name, score in _items(scores):
            yield from _score(f"{task}/{metric}/{name}", score)


def _score(name: str, told: object) -> Iterator[Found]:
    number = _number(told.get("value") if isinstance(told, dict) else told)
    is_other = (
        "value" not in told if isinstance(told, dict) else isinstance(told, str | bool | list)
    )
    if number is None and is_other:
        return
    stats = told.get("stats") if isinstance(told, dict) else None
    stats = stats if isinstance(stats, dict) else {}
    count = next((n for key in COUNTS if (n := _number(stats.get(key))) is not None), None)
    yield Found(
        name=name,
        value=math.nan if number is None else number,
        stderr=_number(stats.get("stderr")),
        n=int(count) if count is not None and count >= 1 else None,
    )


def _items(told: object) -> list[tuple[str, object]]:
    return [(str(key), value) for key, value in told.items()] if isinstance(told, dict) else []


def _number(value: object) -> float | None:
    """A finite number, also where it is written as a text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None

"""`nel judge rank`: verdicts of pairwise judges, from runs and from files, become ratings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..decisions.sources import find
from ..errors import ConfigError
from ..judging.labels import records
from ..stats.preferences import Comparisons, Ratings, ratings
from ..types import Json

WINNERS = {"A": 1.0, "B": 0.0, "TIE": 0.5}
JUDGED = "judge:"


class Compared(NamedTuple):
    """One verdict."""

    problem: str
    first: str
    """The model whose answer was shown first."""
    second: str
    won: float


def rank_models(
    runs: Sequence[Path], pairs: Sequence[Path] = (), *, metric: str | None = None
) -> Ratings:
    """Rate every model that was compared. ``runs``: results with a pairwise_judge metric (that of
    the name, where given). ``pairs``: files of first, second, winner (A, B or tie; or the name of a
    model) and the problem. Raises ConfigError where there is nothing to rate."""
    found = [one for path in pairs for one in _of_file(path)]
    for path in runs:
        of_run = [*_of_run(path, metric)]
        if not of_run:
            what = "no verdict of a pairwise judge" + (f" named {metric!r}" if metric else "")
            raise ConfigError(
                what, where=str(path), hint="runs with a metric of type pairwise_judge have them"
            )
        found += of_run
    models = sorted({name for one in found for name in (one.first, one.second)})
    place = {name: i for i, name in enumerate(models)}
    given = Comparisons(
        models=models,
        first=np.array([place[one.first] for one in found], dtype=np.intp),
        second=np.array([place[one.second] for one in found], dtype=np.intp),
        won=np.array([one.won for one in found], dtype=np.float64),
        problems=[one.problem for one in found],
    )
    try:
        return ratings(given)
    except ValueError as error:
        hint = "compare every model with a common baseline, or with one that was"
        raise ConfigError(str(error), hint=hint) from None


def _of_run(path: Path, metric: str | None) -> Iterator[Compared]:
    for benchmark, source in find(path).items():
        rollouts = source.rollouts
        if rollouts is None:
            continue
        model = source.model or source.run_id
        for i in range(len(rollouts)):
            details = rollouts.row(i).get("scoring_details")
            for name, verdict in (details if isinstance(details, Mapping) else {}).items():
                if not name.startswith(JUDGED) or metric not in (None, name[len(JUDGED) :]):
                    continue
                if isinstance(verdict, Mapping) and isinstance(verdict.get("baseline"), str):
                    yield from _orders(f"{benchmark} {rollouts.problems[i]}", model, verdict)


def _orders(problem: str, model: str, verdict: Mapping[str, Json]) -> Iterator[Compared]:
    """The verdict of each order: the model's answer shown first, and after the baseline's."""
    baseline = str(verdict["baseline"])
    both_orders = verdict.get("orders")
    orders = (
        both_orders
        if isinstance(both_orders, list | tuple) and both_orders
        else [verdict.get("value")]
    )
    for shown, value in enumerate(orders):
        if not isinstance(value, int | float) or value not in (0.0, 0.5, 1.0):
            continue
        if shown == 0:
            yield Compared(problem, model, baseline, value)
        else:
            yield Compared(problem, baseline, model, 1.0 - value)


def _of_file(path: Path) -> Iterator[Compared]:
    for line, record in records(path):
        where = f"{path}:{line}"
        missing = [name for name in ("first", "second", "winner") if not record.get(name)]
        if missing:
            hint = "first, second, winner [, problem]"
            raise ConfigError(f"has no {' and no '.join(missing)}", where=where, hint=hint)
        first, second = str(record["first"]), str(record["second"])
        if first == second:
            raise ConfigError(f"compares {first!r} with itself", where=where)
        winner = str(record["winner"]).strip()
        won = {first: 1.0, second: 0.0}.get(winner, WINNERS.get(winner.upper()))
        if won is None:
            hint = f"A, B, tie, {first} or {second}"
            raise ConfigError(f"winner is {winner!r}", where=where, hint=hint)
        problem = record.get("problem")
        yield Compared(where if problem in (None, "") else str(problem), first, second, won)

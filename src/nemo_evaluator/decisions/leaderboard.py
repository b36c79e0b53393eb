"""Models in order, with the places that the data allow: of one benchmark, or of several together.

Results belong together where everything but the model was the same: the problems, what was asked
and how answers were graded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from ..stats.ranks import Array, RankInterval, rank_intervals
from ..types import Json, Record
from .comparability import benchmark_of
from .interim_looks import chose_its_end
from .metrics import REWARD, Metric, metric_named
from .options import CompareOptions
from .pairing import PerProblem, clusters_of, macro_weights, per_problem
from .sources import Source

MODEL = "model"
"""What is said of the model in an identity begins with this."""
BENCHMARK = "benchmark"


class Place(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One row of a leaderboard, over the problems all have in common."""

    name: str
    score: float
    rank: int
    rank_low: int
    """Best rank the data allow (95 %)."""
    rank_high: int
    n: int


class Board(Record, frozen=True, kw_only=True, omit_defaults=False):
    """A leaderboard."""

    title: str
    """The benchmark; of several the number of them."""
    places: tuple[Place, ...]
    benchmarks: int = 1


def boards(sources: Sequence[Source]) -> tuple[Board, ...]:
    """The leaderboards of some results: one for each benchmark that several models were asked, and
    one of all of them where the models are the same, in which each benchmark counts equally."""
    groups: dict[bytes, list[Source]] = {}
    for source in sources:
        if source.identity is not None:
            groups.setdefault(_but_the_model(source.identity), []).append(source)
    found, tables = [], []
    for group in groups.values():
        named = _by_model(group)
        if len(named) < 2:
            continue
        if places := ranked(list(named.items()), CompareOptions()):
            found.append(Board(title=benchmark_of(group[0]), places=places))
            tables.append(named)
    same = len(found) > 1 and len({tuple(sorted(named)) for named in tables}) == 1
    if same and (places := _places_over_all(tables)):
        title = f"{len(found)} benchmarks together"
        found.insert(0, Board(title=title, places=places, benchmarks=len(found)))
    return tuple(found)


def ranked(runs: Sequence[tuple[str, Source]], options: CompareOptions) -> tuple[Place, ...]:
    """Ranks over the problems that all have a verdict on, the best first whichever way the metric
    points; the unit is the cluster where there are clusters. A run that stopped early has no place:
    it chose its end, where such ranks do not hold. Empty where there are no problems, or no two
    runs."""
    runs = [(name, source) for name, source in runs if not chose_its_end(source)]
    if len(runs) < 2:
        return ()
    metric = metric_named(options.metric, higher_is_better=options.higher_is_better)
    found = _common([source for _, source in runs], metric, options)
    if found is None:
        return ()
    table, clusters = found
    ranks = rank_intervals(table if metric.higher_is_better else -table, clusters)
    return _places([name for name, _ in runs], table, ranks, len(table))


def _common(
    sources: Sequence[Source], metric: Metric, options: CompareOptions
) -> tuple[Array, Sequence[object] | None] | None:
    """Means of the problems that all have, a column each, and the problems' clusters; None where
    there are no such problems."""
    sides: list[PerProblem] = []
    for source in sources:
        if source.rollouts is None:
            return None
        side = per_problem(source.rollouts, metric, correct_above=options.correct_above)
        sides.append(side.known())
    common = sides[0].problems
    for side in sides[1:]:
        common = np.intersect1d(common, side.problems, assume_unique=True)
    if not len(common):
        return None
    table = np.stack([side.means[np.searchsorted(side.problems, common)] for side in sides], axis=1)
    rollouts, rows = sources[0].rollouts, sides[0].first[np.searchsorted(sides[0].problems, common)]
    assert rollouts is not None
    if metric.macro:
        table = table * macro_weights([rollouts.categories[i] for i in rows.tolist()])[:, None]
    return table, clusters_of(rollouts, rows, common)


def _places(
    names: Sequence[str], table: Array, ranks: Sequence[RankInterval], n: int
) -> tuple[Place, ...]:
    places = [
        Place(name=name, score=float(mean), rank=rank, rank_low=low, rank_high=high, n=n)
        for name, mean, (rank, low, high) in zip(names, table.mean(axis=0), ranks, strict=True)
    ]
    return tuple(sorted(places, key=lambda place: (place.rank, place.name)))


def _but_the_model(identity: Mapping[str, Json]) -> bytes:
    without_model = {
        key: value
        for key, value in identity.items()
        if key != BENCHMARK and key.partition(".")[0] != MODEL
    }
    return msgspec.json.encode(without_model, order="deterministic")


def _by_model(group: Sequence[Source]) -> dict[str, Source]:
    """The results by their models; models of one name are told apart by their services. Of two
    results of the same model the first."""
    models = [source.model or "unknown model" for source in group]
    found: dict[str, Source] = {}
    for source, model in zip(group, models, strict=True):
        service = source.published.service if source.published is not None else None
        name = f"{model} ({service})" if models.count(model) > 1 and service else model
        found.setdefault(name, source)
    return found


def _places_over_all(tables: Sequence[Mapping[str, Source]]) -> tuple[Place, ...]:
    """The places over several benchmarks: scores are means of the benchmarks' means."""
    names = sorted(tables[0])
    metric = metric_named(REWARD)
    parts: list[Array] = []
    units: list[str] = []
    for named in tables:
        found = _common([named[name] for name in names], metric, CompareOptions())
        if found is None:
            return ()
        part, clusters = found
        units += [f"{len(parts)} {name}" for name in clusters or range(len(part))]
        parts.append(part)
    whole = sum(len(part) for part in parts)
    # A row weighs so much that the mean of all rows is the mean of the benchmarks' means.
    table = np.concatenate([part * (whole / (len(parts) * len(part))) for part in parts])
    return _places(names, table, rank_intervals(table, units), whole)

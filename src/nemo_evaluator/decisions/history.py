"""Many runs in time: each against the first and against the one before it.

Steps that are each within the limit add up: the verdict is that on the newest run against the
first. Intervals against the first hold together over all later runs (Bonferroni), so that looking
after every run finds no drop that is not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from ..errors import ConfigError
from ..results.times import order
from ..stats.intervals import mean_interval
from ..types import Record
from .compare import Comparison, compare
from .metrics import Metric, metric_named
from .missing import value_range
from .options import CompareOptions
from .pairing import clusters_of, macro_weights, per_problem
from .provenance import created
from .rollouts import Rollouts
from .sources import Source
from .verdicts import Verdict, worst

Run = Mapping[str, Source]
Score = tuple[float | None, float | None, float | None]
"""A score and the ends of its interval, as far as they are known."""


class Moment(Record, frozen=True, kw_only=True):
    """One run of a benchmark."""

    run_id: str
    model: str
    path: str
    created: str | None
    score: float | None
    lower: float | None
    """Of the 95 % interval: as the run published it, else counted from its rows."""
    upper: float | None
    since_first: Comparison | None = None
    since_previous: Comparison | None = None
    note: str = ""
    """Why the run is compared with none."""


class Trend(Record, frozen=True, kw_only=True):
    """One benchmark, oldest run first."""

    benchmark: str
    moments: tuple[Moment, ...]

    @property
    def newest(self) -> Moment:
        """The last run."""
        return self.moments[-1]

    @property
    def verdict(self) -> Verdict:
        """On the newest run against the first."""
        found = self.newest.since_first
        return Verdict.INCONCLUSIVE if found is None else found.verdict


class History(Record, frozen=True, kw_only=True):
    """All benchmarks of some runs."""

    trends: tuple[Trend, ...]
    options: CompareOptions

    @property
    def verdict(self) -> Verdict:
        """The worst of the benchmarks."""
        return worst(trend.verdict for trend in self.trends)


def history(runs: Sequence[Run], options: CompareOptions) -> History:
    """The benchmarks that two runs or more have, by date; runs without one stay in their order.
    Raises ConfigError where there is none, or no run has the metric."""
    names = dict.fromkeys(name for run in runs for name in run)
    found = []
    for name in names:
        sources = [run[name] for run in runs if name in run]
        if len(sources) > 1:
            ordered = sorted(sources, key=lambda source: order(created(source)))
            found.append(Trend(benchmark=name, moments=tuple(_moments(ordered, options))))
    if not found:
        raise ConfigError("no benchmark is in two runs or more", hint="give more runs")
    moments = [moment for trend in found for moment in trend.moments]
    if all(moment.score is None and moment.note for moment in moments):
        raise ConfigError(moments[0].note, where=moments[0].path, hint="name another --metric")
    return History(trends=tuple(found), options=options)


def _moments(sources: Sequence[Source], options: CompareOptions) -> Iterator[Moment]:
    first, *later = sources
    metric = metric_named(options.metric, higher_is_better=options.higher_is_better)
    together = msgspec.structs.replace(options, alpha=options.level / len(later))
    yield _moment(first, metric)
    for previous, source in zip(sources, later, strict=False):
        since_first, note = _compared(first, source, together)
        since_previous, _ = _compared(previous, source, options)
        yield msgspec.structs.replace(
            _moment(source, metric),
            since_first=since_first,
            since_previous=since_previous,
            note=note,
        )


def _compared(one: Source, other: Source, options: CompareOptions) -> tuple[Comparison | None, str]:
    """The comparison, or why there is none."""
    try:
        return compare(one, other, options), ""
    except ConfigError as error:
        return None, _one_line(error)


def _one_line(error: ConfigError) -> str:
    return "; ".join(line.strip() for line in error.what.splitlines())


def _moment(source: Source, metric: Metric) -> Moment:
    score: Score = (None if metric.macro else source.value(metric.name)) or (None, None, None)
    note = ""
    if score[1] is None and source.rollouts is not None:
        try:
            score = _counted(source, source.rollouts, metric)
        except ConfigError as error:
            note = _one_line(error)
    return Moment(
        run_id=source.run_id,
        model=source.model,
        path=str(source.path),
        created=created(source),
        score=score[0],
        lower=score[1],
        upper=score[2],
        note=note,
    )


def _counted(source: Source, rollouts: Rollouts, metric: Metric) -> Score:
    """The score of the rows, where a bundle has none with an interval."""
    side = per_problem(rollouts, metric).known()
    if not len(side.means):
        return None, None, None
    clusters = clusters_of(rollouts, side.first, side.problems)
    if metric.macro:
        weights = macro_weights([rollouts.categories[i] for i in side.first.tolist()])
        found = mean_interval(side.means * weights, clusters)
    else:
        found = mean_interval(side.means, clusters, within=value_range(metric, source, source))
    return found.value, found.lower, found.upper

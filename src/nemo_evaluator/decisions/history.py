"""Many runs in time: each against the first and against the one before it.

Steps that are each within the limit add up: the verdict is that on the newest run against the
first. Intervals against the first hold together over all later runs (Bonferroni), so that looking
after every run finds no drop that is not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from ..errors import ConfigError
from ..stats.intervals import mean_interval
from ..types import Record
from .compare import Comparison, compare
from .metrics import metric_named
from .options import CompareOptions
from .pairing import clusters_of, per_problem
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
    Raises ConfigError where there is none."""
    names = dict.fromkeys(name for run in runs for name in run)
    found = []
    for name in names:
        sources = [run[name] for run in runs if name in run]
        if len(sources) > 1:
            ordered = sorted(sources, key=lambda source: created(source) or "")
            found.append(Trend(benchmark=name, moments=tuple(_moments(ordered, options))))
    if not found:
        raise ConfigError("no benchmark is in two runs or more", hint="give more runs")
    return History(trends=tuple(found), options=options)


def _moments(sources: Sequence[Source], options: CompareOptions) -> Iterator[Moment]:
    first, *later = sources
    together = msgspec.structs.replace(options, alpha=options.level / len(later))
    yield _moment(first, options.metric)
    for previous, source in zip(sources, later, strict=False):
        moment = _moment(source, options.metric)
        try:
            yield msgspec.structs.replace(
                moment,
                since_first=compare(first, source, together),
                since_previous=compare(previous, source, options),
            )
        except ConfigError as error:
            text = "; ".join(line.strip() for line in error.what.splitlines())
            yield msgspec.structs.replace(moment, note=text)


def _moment(source: Source, metric: str) -> Moment:
    told: Score = source.value(metric) or (None, None, None)
    if told[1] is None and source.rollouts is not None:
        told = _counted(source, source.rollouts, metric)
    return Moment(
        run_id=source.run_id,
        model=source.model,
        path=str(source.path),
        created=created(source),
        score=told[0],
        lower=told[1],
        upper=told[2],
    )


def _counted(source: Source, rollouts: Rollouts, metric: str) -> Score:
    """The score of the rows, where a bundle has none with an interval."""
    side = per_problem(rollouts, metric_named(metric))
    if not len(side.means):
        return None, None, None
    clusters = clusters_of(rollouts, side.first, side.problems)
    found = mean_interval(side.means, clusters, within=source.reward_range())
    return float(side.means.mean()), found.lower, found.upper

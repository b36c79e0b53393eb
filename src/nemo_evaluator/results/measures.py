"""What an environment made of all its rows where its metrics are no means (F1 of a corpus, say).

Computed once all rollouts of an invocation are over and journaled, so that everything derived stays
a function of the files. Invariant: measures count only for exactly the verdicts they were made of.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable

import msgspec

from ..measured import Measure, Measures
from ..types import BenchmarkPlan
from .identity import AFTERWARDS
from .journal import JournalIndex
from .published import AGGREGATE
from .summary import BenchmarkSummary, Estimate

Z = 1.959963984540054


def digest_of(index: JournalIndex, by: str = "") -> str:
    """Names the verdicts of a journal by where they stand, and what sums them up."""
    scored = sorted((key, state.ended_at) for key, state in index.rollouts.items() if state.scored)
    text = repr([(*key, offset) for key, offset in scored])
    return hashlib.sha256(f"{text}{by}".encode()).hexdigest()[:16]


def summed_up_by(plan: BenchmarkPlan) -> str:
    """What sums up the rows of a benchmark, as its identity names it."""
    return str([plan.identity.get(key) for key in AFTERWARDS])


def measures_in(index: JournalIndex, plan: BenchmarkPlan) -> Measures:
    """The measures that were made of just the verdicts that are there."""
    found = index.aggregated
    if found is None or found.of != digest_of(index, summed_up_by(plan)):
        return Measures()
    return Measures(measures=found.measures, absent=found.absent)


def with_measures(summary: BenchmarkSummary, made: Measures) -> BenchmarkSummary:
    """The summary with the measures among its metrics, and a warning for each that has no value:
    nothing else may stand under its name."""
    summary = _with_values(summary, made.measures)
    if not made.absent:
        return summary
    absent = {key.rpartition("/")[2] for key in made.absent} | made.absent.keys()
    named = {one.key for one in made.measures}
    return msgspec.structs.replace(
        summary,
        metrics={
            name: one
            for name, one in summary.metrics.items()
            if name in named or name not in absent
        },
        warnings=(*summary.warnings, *(f"{key} {why}" for key, why in made.absent.items())),
    )


def _with_values(summary: BenchmarkSummary, measures: Iterable[Measure]) -> BenchmarkSummary:
    """The summary with the measures among its metrics. Where verdicts are not right or wrong, the
    first of them is the headline, and nothing is known of what the missing rows would make it.

    What is told of parts is told of the whole by a measure, or not at all: the mean over all rows
    would count those of other parts, and means nothing for a perplexity."""
    all_of_them = list(measures)
    found = {measure.key: _estimate(measure) for measure in all_of_them}
    if not found:
        return summary
    of_parts = {one.key.removeprefix(f"{one.group}/") for one in all_of_them if one.group}
    kept = {name: one for name, one in summary.metrics.items() if name not in of_parts}
    summary = msgspec.structs.replace(summary, metrics={**kept, **found})
    headline = next(iter(found))
    effort = summary.effort
    if effort is not None and found[headline].n > effort.rollouts:
        summary = msgspec.structs.replace(summary, effort=None)  # a rollout is no single task
    if "pass@1" in summary.metrics:
        return summary
    return msgspec.structs.replace(
        summary,
        headline=headline,
        bound_if_rest_wrong=None,
        bound_if_rest_right=None,
        warnings=(),  # of the interval of the mean
    )


def _estimate(measure: Measure) -> Estimate:
    half = math.inf if measure.stderr is None else Z * measure.stderr
    return Estimate(
        value=measure.value,
        ci_lower=measure.value - half,
        ci_upper=measure.value + half,
        n=measure.n,
        method=AGGREGATE,
        stderr=measure.stderr,
        filter=measure.filter,
        higher_is_better=measure.higher_is_better,
        group=measure.group,
    )

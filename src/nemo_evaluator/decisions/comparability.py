"""Whether two results are comparable: same problems, same prompts, same scorer.

What a run's bundle says of its identity is compared field by field; expected answers and prompts
are compared problem by problem, so that results of other tools, which say less, are checked too.
The model and how it is served may differ: that is what is compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..results.identity import Difference, incomparable, served_differently, words
from ..types import Json
from .pairing import Pairs
from .rollouts import Rollouts
from .sources import Source

PUBLISHED = ("system_prompt", "max_problems", "scorers")
"""Fields of a published bundle's configuration that must agree; the seed of the shuffle too, where
it decided which problems are in."""
UNKNOWN = "not recorded: written by another tool"


def differences(baseline: Source, candidate: Source, pairs: Pairs | None) -> list[Difference]:
    """Everything that makes the two incomparable."""
    found = list(_differing_benchmark(baseline, candidate))
    one, other = baseline.identity, candidate.identity
    if one is not None and other is not None:
        found += incomparable(one, other)
    elif baseline.published and candidate.published:
        found += _published(baseline.config, candidate.config)
        found += _unknown_scorer(one, other)
    if pairs is not None and baseline.rollouts is not None and candidate.rollouts is not None:
        found += _contents(baseline.rollouts, candidate.rollouts, pairs)
    return found


def benchmark_of(source: Source) -> str:
    """The name of its benchmark, without the model that ``models:`` puts behind it."""
    return source.name.partition("@")[0] if source.identity is not None else source.name


def between(baseline: Source, candidate: Source) -> str:
    """The name of what two results are of."""
    same = baseline.name == candidate.name or benchmark_of(baseline) != benchmark_of(candidate)
    return baseline.name if same else benchmark_of(baseline)


def _differing_benchmark(baseline: Source, candidate: Source) -> Iterator[Difference]:
    if not (baseline.published and candidate.published):
        return
    if benchmark_of(baseline) != benchmark_of(candidate):
        yield Difference(what="benchmark", baseline=baseline.name, candidate=candidate.name)


def same_run(baseline: Source, candidate: Source) -> bool:
    """Whether one run is given twice, from its folder or from a copy."""
    if baseline.given is not None or candidate.given is not None:
        return False
    ours = baseline.identity is not None and candidate.identity is not None
    one = (baseline.run_id, baseline.name) == (candidate.run_id, candidate.name)
    return (ours and one) or baseline.path.resolve() == candidate.path.resolve()


def other_problems(baseline: Source, candidate: Source, pairs: Pairs) -> list[Difference]:
    """What shows that problems of one number are not the same problem on both sides."""
    changes = differences(baseline, candidate, pairs)
    return [found for found in changes if found.what.startswith(_OTHER_PROBLEMS)]


_OTHER_PROBLEMS = ("dataset digest", "expected answer")


def doubts(baseline: Source, candidate: Source) -> list[Difference]:
    """What does not forbid a comparison, and can still explain its outcome."""
    one, other = baseline.identity, candidate.identity
    return [] if one is None or other is None else list(served_differently(one, other))


def _unknown_scorer(
    one: Mapping[str, Any] | None, other: Mapping[str, Any] | None
) -> Iterator[Difference]:
    """One side says which function graded its answers, the other cannot: a difference of the two
    scores may be one of their scorers."""
    if (one is None) == (other is None):
        return
    sides = [
        UNKNOWN if identity is None else identity.get("environment.scorer")
        for identity in (one, other)
    ]
    yield Difference(what="scorer", baseline=sides[0], candidate=sides[1])


def _published(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Difference]:
    cut = one.get("max_problems") is not None or other.get("max_problems") is not None
    for key in (*PUBLISHED, *(("shuffle_seed",) if cut else ())):
        if key in one and key in other and one[key] != other[key]:
            yield Difference(what=words(key), baseline=one[key], candidate=other[key])


def _contents(one: Rollouts, other: Rollouts, pairs: Pairs) -> Iterator[Difference]:
    for name, column in (("expected_answer", "expected"), ("prompt", "prompts")):
        a = getattr(one, column)[pairs.baseline_rows]
        b = getattr(other, column)[pairs.candidate_rows]
        suspects = np.flatnonzero((a != b) & (a != 0) & (b != 0))
        differing = 0
        first: tuple[Json, Json] = (None, None)
        for i in suspects.tolist():
            mine = one.row(int(pairs.baseline_rows[i])).get(name)
            theirs = other.row(int(pairs.candidate_rows[i])).get(name)
            if not _same_value(mine, theirs):
                first = (mine, theirs) if not differing else first
                differing += 1
        if differing:
            what = f"{words(name)} of {differing} of {pairs.n} problems, as in the first of them"
            yield Difference(what=what, baseline=first[0], candidate=first[1])


def _same_value(one: Json, other: Json) -> bool:
    """Equal, or the same plain value as a number and as text: other tools write targets as text."""
    if isinstance(one, str) is isinstance(other, str):
        return bool(one == other)
    return not isinstance(one, dict | list) and str(one) == str(other)

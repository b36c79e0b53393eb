"""Several candidates against one baseline: corrected for their number, and ranked.

Every candidate is one more chance of a false alarm, so p-values are adjusted over all candidates
and benchmarks before verdicts are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from ..stats.multiple import benjamini_hochberg, holm
from ..types import Record
from .compare import Comparison, compare, judged, judged_as_published
from .leaderboard import Place, ranked
from .options import CompareOptions
from .sources import Source
from .verdicts import Shown, Verdict

Correction = Literal["holm", "bh", "none"]
EVENTS = ("worse", "beyond", "within", "better")


class Entry(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One candidate on one benchmark, after correction."""

    candidate: str
    comparison: Comparison
    p_worse: float | None
    p_better: float | None
    verdict: Verdict


class Field(Record, frozen=True, kw_only=True, omit_defaults=False):
    """All candidates."""

    baseline: str
    correction: Correction
    entries: tuple[Entry, ...]
    leaderboard: Mapping[str, tuple[Place, ...]]
    """By benchmark."""
    unmatched: tuple[str, ...]
    """Benchmarks that some of the runs do not have."""


def compare_all(
    baseline: tuple[str, Mapping[str, Source]],
    candidates: Sequence[tuple[str, Mapping[str, Source]]],
    options: CompareOptions,
    *,
    correction: Correction = "holm",
) -> Field:
    """Compare every candidate on every benchmark it shares with the baseline. Raises ConfigError
    for results that are not comparable."""
    name, sources = baseline
    found = [
        (label, compare(sources[benchmark], others[benchmark], options))
        for benchmark in sources
        for label, others in candidates
        if benchmark in others
    ]
    corrected = _corrected([c for _, c in found], correction)
    everyone = [baseline, *candidates]
    all_names = {benchmark for _, others in everyone for benchmark in others}
    shared = [b for b in sources if all(b in others for _, others in candidates)]
    return Field(
        baseline=name,
        correction=correction,
        entries=tuple(
            Entry(candidate=label, comparison=c, p_worse=p, p_better=q, verdict=c.verdict)
            for (label, _), (c, p, q) in zip(found, corrected, strict=True)
        ),
        leaderboard={
            benchmark: places
            for benchmark in shared
            if (places := ranked([(who, s[benchmark]) for who, s in everyone], options))
        },
        unmatched=tuple(sorted(all_names - set(shared))),
    )


def _corrected(
    found: Sequence[Comparison], correction: Correction
) -> list[tuple[Comparison, float | None, float | None]]:
    """Each comparison judged by p-values corrected for the number of all, with those of a drop and
    of a gain. Every event is a family of its own: a BLOCK and a PASS are both choices among many.
    """
    tested = [c for c in found if c.test is not None or c.evidence is not None]
    p_values = [_p_values(c) for c in tested]
    families = [_adjusted([row[i] for row in p_values], correction) for i in range(len(EVENTS))]
    corrected = {}
    for c, adjusted in zip(tested, zip(*families, strict=True), strict=True):
        if c.evidence is None:
            verdict = judged_as_published(c, adjusted[0], adjusted[-1])
        else:
            shown = (p <= c.options.level for p in adjusted)
            events = Shown(**dict(zip(EVENTS, shown, strict=True)))
            verdict = judged(msgspec.structs.replace(c, shown=events))
        corrected[id(c)] = (verdict, adjusted[0], adjusted[-1])
    return [corrected.get(id(c), (c, None, None)) for c in found]


def _p_values(c: Comparison) -> tuple[float, float, float, float]:
    """The p-values of the four events; by the published rule only of a drop and of a gain."""
    if c.evidence is None:
        assert c.test is not None
        return c.test.p_worse, 1.0, 1.0, c.test.p_better
    damage, limit = c.evidence, c.options.max_drop
    return (
        damage.p_beyond(0.0),
        damage.p_beyond(limit),
        damage.p_within(limit),
        damage.p_within(0.0),
    )


def _adjusted(p_values: list[float], correction: Correction) -> list[float]:
    if correction == "holm":
        return holm(p_values)
    return benjamini_hochberg(p_values) if correction == "bh" else p_values

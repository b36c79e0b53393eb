"""Whether two results are of the same thing: same problems, same prompts, same scorer.

What a run's bundle says of its identity is compared field by field; expected answers and prompts
are compared problem by problem, so that results of other tools, which say less, are checked too.
The model and how it is served may differ: that is what is compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..types import Json, Record
from .pairing import Pairs
from .rollouts import Rollouts
from .sources import Source

FREE = ("model", "service", "solver.model", "repeats")
"""Identity of what may differ; all that starts so is left out."""
PUBLISHED = ("system_prompt", "max_problems", "scorers")
"""Fields of a published bundle's configuration that must agree; the seed of the shuffle too, where
it decided which problems are in."""
DIGEST = "environment.dataset_digest"
SAME_BY_DIGEST = ("environment.dataset", "environment.dataset_revision")
SHOWN = 60


class Difference(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One thing in which two results differ that must not."""

    what: str
    baseline: Json
    candidate: Json

    def __str__(self) -> str:
        return f"{self.what}: {_shown(self.baseline)} and {_shown(self.candidate)}"


def differences(baseline: Source, candidate: Source, pairs: Pairs | None) -> list[Difference]:
    """Everything that makes the two incomparable."""
    found = list(_named(baseline, candidate))
    one, other = baseline.config.get("identity"), candidate.config.get("identity")
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        found += _identity(one, other)
    elif baseline.bundle and candidate.bundle:
        found += _published(baseline.config, candidate.config)
    if pairs is not None and baseline.rollouts is not None and candidate.rollouts is not None:
        found += _contents(baseline.rollouts, candidate.rollouts, pairs)
    return found


def _named(baseline: Source, candidate: Source) -> Iterator[Difference]:
    if baseline.bundle and candidate.bundle and baseline.name != candidate.name:
        yield Difference(what="benchmark", baseline=baseline.name, candidate=candidate.name)


def _identity(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Difference]:
    same_rows = one.get(DIGEST) is not None and one.get(DIGEST) == other.get(DIGEST)
    for key in sorted({*one, *other}):
        if key.startswith(FREE) or key == "benchmark" or (same_rows and key in SAME_BY_DIGEST):
            continue
        if key == "scorers":
            continue  # they stand beside the reward, and do not make it
        a, b = one.get(key), other.get(key)
        if a != b:
            yield Difference(what=_words(key), baseline=a, candidate=b)


def _published(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Difference]:
    cut = one.get("max_problems") is not None or other.get("max_problems") is not None
    for key in (*PUBLISHED, *(("shuffle_seed",) if cut else ())):
        if key in one and key in other and one[key] != other[key]:
            yield Difference(what=_words(key), baseline=one[key], candidate=other[key])


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
            if mine != theirs:
                first = (mine, theirs) if not differing else first
                differing += 1
        if differing:
            what = f"{_words(name)} of {differing} of {pairs.n} problems, as in the first of them"
            yield Difference(what=what, baseline=first[0], candidate=first[1])


def _words(key: str) -> str:
    return key.removeprefix("environment.").replace("_", " ").replace(".", " ")


def _shown(value: Json) -> str:
    text = " ".join(str(value).split()) if value is not None else "none"
    return repr(text if len(text) <= SHOWN else text[: SHOWN - 1] + "…")

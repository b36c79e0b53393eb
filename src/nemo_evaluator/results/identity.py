"""Whether two results mean the same: the one comparison of identities, for resume, merge, compare
and reports.

An identity is what `plan.lock` and a bundle hold under readable keys. A key that an older version
did not write (``SINCE``) says nothing about what that run did, and is no difference.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ..types import Json, Record

INTERCEPTORS = "model.interceptors"
SINCE = (INTERCEPTORS, "scorer.packages", "environment.packages")
"""Keys that identities of older runs lack."""
SCORER_KEYS = (
    "environment.scorer",
    "environment.judges",
    "environment.primary",
    "environment.packages",
    "scorers",
)
"""What says how answers are graded."""
AFTERWARDS = ("environment.aggregate",)
"""What sums up rows that have their verdicts: done again, from the journal, where it is another."""
CODE = ("environment.scorer", "environment.class", *AFTERWARDS)
"""Names of functions and classes with digests of their source."""
CODE_RULE = ":code-"
"""Marks a digest of today's rule. One of another rule says nothing: the names are compared."""
MODEL = ("model", "service", "solver.model", "repeats")
"""What may differ in a comparison of two models: every key that starts so."""
BESIDE = ("benchmark", "scorers")
"""The name under which a benchmark was asked for, and the metrics beside the reward."""
DIGEST = "environment.dataset_digest"
SAME_BY_DIGEST = ("environment.dataset", "environment.dataset_revision")
"""Addresses: they say nothing where the digests of the rows are equal."""
SERVED = ("model.protocol", "model.generation", "model.extra_body")
"""How a model was served: two models may need it different, but a reader must know."""
SHOWN = 60


class Difference(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One thing in which two results differ."""

    what: str
    baseline: Json
    candidate: Json

    def __str__(self) -> str:
        return f"{self.what}: {_value_text(self.baseline)} and {_value_text(self.candidate)}"


def changes(
    one: Mapping[str, Any], other: Mapping[str, Any], *, ignored: Collection[str] = ()
) -> Iterator[Difference]:
    """Every part of two identities that differs; of two mappings only what differs in them."""
    for key in sorted({*one, *other} - set(ignored)):
        if key in SINCE and (key not in one or key not in other):
            continue
        if key in CODE and _same_code(one.get(key), other.get(key)):
            continue
        yield from _changed(key, one.get(key), other.get(key))


def incomparable(one: Mapping[str, object], other: Mapping[str, object]) -> Iterator[Difference]:
    """What makes the results of two models not comparable: other problems, prompts or grading, or
    an interceptor that changes what the model is asked."""
    same_rows = one.get(DIGEST) is not None and one.get(DIGEST) == other.get(DIGEST)
    free = {key for key in {*one, *other} if key.startswith(MODEL) or key in BESIDE}
    free |= set(SAME_BY_DIGEST) if same_rows else set()
    yield from (_in_words(found) for found in changes(one, other, ignored=free))
    yield from _interceptors(one, other, requests=True)


def served_differently(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Difference]:
    """What may differ between two models, and can still explain a difference of their scores."""
    others = {*one, *other} - set(SERVED)
    yield from (_in_words(found) for found in changes(one, other, ignored=others))
    yield from _interceptors(one, other, requests=False)


def _same_code(one: Json, other: Json) -> bool:
    """The same name, where the two digests were made by different rules."""
    if not isinstance(one, str) or not isinstance(other, str):
        return False
    if (CODE_RULE in one) == (CODE_RULE in other):
        return one == other
    return one.partition(":")[0] == other.partition(":")[0]


def _changed(key: str, one: Json, other: Json) -> Iterator[Difference]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}):
            yield from _changed(f"{key}.{name}", one.get(name), other.get(name))
    elif one != other:
        yield Difference(what=key, baseline=one, candidate=other)


def _interceptors(
    one: Mapping[str, Any], other: Mapping[str, Any], *, requests: bool
) -> Iterator[Difference]:
    if INTERCEPTORS not in one or INTERCEPTORS not in other:
        return
    effect = "requests" if requests else "answers"
    sides = [
        [entry for entry in _entries(identity[INTERCEPTORS]) if entry.get("changes") == effect]
        for identity in (one, other)
    ]
    if sides[0] != sides[1]:
        yield Difference(
            what=f"interceptors that change {effect}",
            baseline=_entry_names(sides[0]),
            candidate=_entry_names(sides[1]),
        )


def _entries(found: Json) -> list[dict[str, object]]:
    """The interceptors as a plan writes them; whatever else a file says is none."""
    entries = found if isinstance(found, list | tuple) else ()
    return [entry for entry in entries if isinstance(entry, dict) and "name" in entry]


def _entry_names(entries: list[dict[str, object]]) -> str | None:
    shown = [
        str(entry["name"]) + (f" {entry['config']}" if entry.get("config") else "")
        for entry in entries
    ]
    return ", ".join(shown) or None


def _in_words(found: Difference) -> Difference:
    return Difference(what=words(found.what), baseline=found.baseline, candidate=found.candidate)


def words(key: str) -> str:
    """A key of an identity as a reader may see it."""
    return key.removeprefix("environment.").replace("_", " ").replace(".", " ")


def _value_text(value: Json) -> str:
    text = " ".join(str(value).split()) if value is not None else "none"
    return repr(text if len(text) <= SHOWN else text[: SHOWN - 1] + "…")

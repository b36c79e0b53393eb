"""Where a score may be wrong: what a reader should look at before believing it.

Reads the published results of a benchmark's folder; calls no model, changes nothing.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..types import Json, Record
from .audit_agents import planned_rollouts, step_doubts
from .audit_kinds import KINDS, Area, Whole
from .result_row import ResultRow, read_rows
from .rows import preview

EXAMPLES = 10
TEXT_ONLY = frozenset({"empty", "no_target"})
"""Doubts about an answer that is a text; the answer of others is what they left in a workspace."""


class Example(Record, frozen=True, kw_only=True):
    """One rollout, shortened."""

    problem_idx: int
    repeat: int
    text: str


class Finding(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One kind of doubt."""

    kind: str
    area: Area
    meaning: str
    count: int
    of: int
    """What it is a part of: scored rollouts, all rollouts, or problems."""
    share: float
    limit: float | None
    """Share above which it is to be checked before the score is trusted; None: no share is."""
    flagged: bool
    by_category: Mapping[str, int]
    """Where problems have categories: how many of each."""
    examples: tuple[Example, ...]


class Audit(Record, frozen=True, kw_only=True, omit_defaults=False):
    """The findings on one benchmark; kinds with nothing found are left out."""

    benchmark: str
    rollouts: int
    scored: int
    problems: int
    findings: tuple[Finding, ...]

    @property
    def flagged(self) -> bool:
        """Whether a finding is above its limit."""
        return any(finding.flagged for finding in self.findings)


class _Notes:
    """What was found so far, by kind."""

    def __init__(self, without: frozenset[str]) -> None:
        """``without``: kinds that are no doubt here."""
        self._without = without
        self._examples: dict[str, list[Example]] = {kind: [] for kind in KINDS}
        self._categories: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
        self._counts = Counter[str]()

    def add(self, kind: str, row: ResultRow, text: object) -> None:
        """One doubt about one rollout."""
        if kind in self._without:
            return
        self._counts[kind] += 1
        if (category := row.metadata.get("category")) is not None:
            self._categories[kind][str(category)] += 1
        if len(found := self._examples[kind]) < EXAMPLES:
            found.append(
                Example(problem_idx=row.problem_idx, repeat=row.repeat, text=preview(str(text)))
            )

    def add_absent(self, count: int) -> None:
        """Rollouts of which there is no row."""
        self._counts["absent"] += count

    def findings(
        self, wholes: Mapping[Whole, int], limits: Mapping[str, float]
    ) -> Iterator[Finding]:
        """All kinds of which there is one, in the order of the kinds."""
        for name, kind in KINDS.items():
            if not (count := self._counts[name]):
                continue
            of, limit = wholes[kind.whole], limits.get(name, kind.limit)
            share = count / of if of else 0.0
            yield Finding(
                kind=name,
                area=kind.area,
                meaning=kind.meaning,
                count=count,
                of=of,
                share=share,
                limit=limit,
                flagged=limit is not None and share > limit,
                by_category=dict(self._categories[name].most_common()),
                examples=tuple(self._examples[name]),
            )


def audit(folder: Path, limits: Mapping[str, float] | None = None) -> Audit:
    """Look through one benchmark's results. ``limits``: shares above which a kind is flagged,
    instead of its own."""
    steps = step_doubts(folder)
    notes = _Notes(TEXT_ONLY if steps.in_workspace else frozenset())
    rollouts = scored = 0
    prompts: dict[bytes, tuple[int, str]] = {}
    problems: set[int] = set()
    for row in read_rows(folder):
        rollouts += 1
        scored += row.judged
        for kind, text in (*_doubts(row), *steps.of(row)):
            notes.add(kind, row, text)
        if row.problem_idx not in problems:
            problems.add(row.problem_idx)
            for kind, text in _of_problem(row, prompts):
                notes.add(kind, row, text)
    wholes = {Whole.SCORED: scored, Whole.ROLLOUTS: rollouts, Whole.PROBLEMS: len(problems)}
    wholes[Whole.PLANNED] = planned_rollouts(folder) or rollouts
    notes.add_absent(max(0, wholes[Whole.PLANNED] - rollouts))
    return Audit(
        benchmark=folder.name,
        rollouts=rollouts,
        scored=scored,
        problems=len(problems),
        findings=tuple(notes.findings(wholes, limits or {})),
    )


def _doubts(row: ResultRow) -> Iterator[tuple[str, object]]:
    """Kinds of doubt about one rollout, each with what shows it."""
    details = row.scoring_details
    response = row.model_response or ""
    if not row.judged:
        yield "unscored", row.error or row.outcome
        return
    if row.reward is None:
        return
    failure = details.get("failure")
    if not response.strip():
        yield "empty", row.finish_reason or ""
    elif row.truncated:
        yield "truncated", response[-200:]
    elif failure == "refusal":
        yield "refusal", response
    elif row.extracted_answer is None and failure == "format_error":
        yield "no_answer", response[-200:]
    strict = details.get("strict_correct")
    if isinstance(strict, bool) and strict != bool(details.get("correct")):
        yield "strict_differs", f"{row.extracted_answer!r} in {response[-150:]!r}"
    if _judges_disagree(details):
        yield "judge_disagrees", "; ".join(_contradictions(details)) or details.get("judge")


def _of_problem(
    row: ResultRow, prompts: dict[bytes, tuple[int, str]]
) -> Iterator[tuple[str, object]]:
    """Doubts about a problem, from its first rollout."""
    target, prompt = row.expected_answer, row.prompt or ""
    if target is None or target == "" or target == []:
        yield "no_target", prompt
    if not prompt:
        return
    digest = hashlib.blake2b(" ".join(prompt.split()).encode("utf-8", "replace")).digest()
    earlier = prompts.setdefault(digest, (row.problem_idx, str(target)))
    if earlier[0] != row.problem_idx:
        yield "duplicate", f"also problem {earlier[0]}: {prompt}"
        if earlier[1] != str(target):
            yield "contradiction", f"{target!r}, and {earlier[1]} for problem {earlier[0]}"


def _contradictions(details: Mapping[str, Json]) -> Iterator[str]:
    """The judges' verdicts for the metrics on which they disagree."""
    for key, found in details.items():
        if not key.startswith("judge:") or not isinstance(found, dict):
            continue
        if not found.get("disagreement"):
            continue
        name = key.removeprefix("judge:")
        if isinstance(members := found.get("members"), dict):
            text = ", ".join(f"{who} {value}" for who, value in members.items())
        elif "orders" in found:
            first, second = found["orders"]
            text = f"{first:g} shown first, {second:g} shown second"
        else:
            text = f"{' and '.join(f'{x:g}' for x in found.get('scores', ()))}, by the order"
        yield f"{name}: {text}"


def _judges_disagree(details: Mapping[str, Json]) -> bool:
    judge = details.get("judge")
    return isinstance(judge, dict) and bool(judge.get("disagreement"))

"""Where a score may be wrong: what a reader should look at before believing it.

Reads the published results of a benchmark's folder; calls no model, changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..types import Json, Record
from .result_row import ResultRow, read_rows
from .rows import preview

EXAMPLES = 10
FLAGGED = 0.1
"""Share of scored rollouts without an answer from which a run is flagged: its score may say more
about formatting than about the model."""


class Example(Record, frozen=True, kw_only=True):
    """One rollout, shortened."""

    problem_idx: int
    repeat: int
    text: str


class Finding(Record, frozen=True, kw_only=True):
    """One kind of doubt."""

    kind: str
    meaning: str
    count: int
    of: int
    """What it is a part of: scored rollouts, all rollouts, or problems."""
    examples: tuple[Example, ...]

    @property
    def share(self) -> float:
        """Part of the whole."""
        return self.count / self.of if self.of else 0.0


class Audit(Record, frozen=True, kw_only=True):
    """The findings on one benchmark; kinds with nothing found are left out."""

    benchmark: str
    rollouts: int
    scored: int
    problems: int
    findings: tuple[Finding, ...]


MEANINGS = {
    "no_answer": "no answer was found in the response",
    "strict_differs": "right only if the requested format is ignored (or the reverse)",
    "truncated": "cut off by a token limit",
    "empty": "the response is empty",
    "refusal": "the model declined",
    "judge_disagrees": "a judge contradicts itself or another",
    "unscored": "no verdict",
    "duplicate": "the same problem more than once",
    "contradiction": "the same problem with different expected answers",
    "no_target": "no answer is expected",
}


def audit(folder: Path) -> Audit:
    """Look through one benchmark's results."""
    found: dict[str, list[Example]] = {kind: [] for kind in MEANINGS}
    counts = dict.fromkeys(MEANINGS, 0)
    rollouts = scored = 0
    prompts: dict[bytes, tuple[int, str]] = {}
    problems: set[int] = set()

    def note(kind: str, row: ResultRow, text: object) -> None:
        counts[kind] += 1
        if len(found[kind]) < EXAMPLES:
            found[kind].append(
                Example(problem_idx=row.problem_idx, repeat=row.repeat, text=preview(str(text)))
            )

    for row in read_rows(folder):
        rollouts += 1
        scored += row.reward is not None
        for kind, text in _doubts(row):
            note(kind, row, text)
        if row.problem_idx not in problems:
            problems.add(row.problem_idx)
            for kind, text in _of_problem(row, prompts):
                note(kind, row, text)
    whole = {"unscored": rollouts, "duplicate": len(problems), "contradiction": len(problems)}
    findings = tuple(
        Finding(
            kind=kind,
            meaning=MEANINGS[kind],
            count=count,
            of=len(problems) if kind == "no_target" else whole.get(kind, scored),
            examples=tuple(found[kind]),
        )
        for kind, count in counts.items()
        if count
    )
    return Audit(
        benchmark=folder.name,
        rollouts=rollouts,
        scored=scored,
        problems=len(problems),
        findings=findings,
    )


def _doubts(row: ResultRow) -> Iterator[tuple[str, object]]:
    """Kinds of doubt about one rollout, each with what shows it."""
    details = row.scoring_details
    response = row.model_response or ""
    if row.reward is None:
        yield "unscored", row.error or row.outcome
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
            said = ", ".join(f"{who} {value}" for who, value in members.items())
        elif "orders" in found:
            first, second = found["orders"]
            said = f"{first:g} shown first, {second:g} shown second"
        else:
            said = f"{' and '.join(f'{x:g}' for x in found.get('scores', ()))}, by the order"
        yield f"{name}: {said}"


def _judges_disagree(details: Mapping[str, Json]) -> bool:
    judge = details.get("judge")
    return isinstance(judge, dict) and bool(judge.get("disagreement"))

"""The lines that an evaluation program reads and writes, one JSON object each.

A line that is no result of ours (a program may log into the same file) is told and left out; a
result whose numbers make no sense is a rollout without a verdict, never a reward.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..errors import ConfigError
from ..files.reading import UNREADABLE
from ..measured import Measure
from ..types import ErrorInfo, Failure, Json, Problem, RolloutKey, Solution, Usage
from .grades import to_score
from .harness import Finished
from .harness_environment import SAMPLE_ID
from .scored import ScoredProblem

log = logging.getLogger(__name__)

OF_THE_ROLLOUT = ("id", "repeat", "prompt", "target", "response", "metadata", "usage", "error")
"""Fields of a result that are not its verdict."""


class Lines:
    """A file that a program appends lines to."""

    def __init__(self, path: Path) -> None:
        self._path, self._at = path, 0

    def new(self, *, whole: bool = False) -> Iterator[bytes]:
        """Lines written since the last call. ``whole``: the writer is gone, so that a last line
        without an end is one too."""
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return
        with file:
            file.seek(self._at)
            for line in file:
                if not line.endswith(b"\n") and not whole:
                    return
                self._at += len(line)
                yield line

    def end_last(self) -> None:
        """End a line that was cut off, so that the next one stands by itself."""
        if self._path.exists() and self._path.stat().st_size > self._at:
            with self._path.open("ab") as file:
                file.write(b"\n")
                self._at = file.tell()


def todo_line(name: str, repeat: int, key: RolloutKey, url: str | None) -> bytes:
    """A rollout to do. At its ``base_url`` what is used is counted to it."""
    line: dict[str, Json] = {"id": name, "repeat": repeat, "problem_idx": key.problem_idx}
    if url is not None:
        line |= {"base_url": url, "api_key": "none"}
    return msgspec.json.encode(line) + b"\n"


def row_line(row: ScoredProblem) -> bytes:
    """A rollout with its verdict, for ``NEL_TASK=aggregate``."""
    score = row.score
    line: dict[str, Json] = {
        **score.details,
        "id": row.problem.metadata.get(SAMPLE_ID),
        "repeat": row.repeat,
        "target": row.problem.target,
        "response": row.solution.response,
        "reward": score.reward,
        "correct": score.correct,
        "extracted": score.extracted,
        "metrics": dict(score.metrics),
        "metadata": dict(row.problem.metadata),
    }
    return msgspec.json.encode(line, enc_hook=str) + b"\n"


def finished_of(line: bytes, left: Mapping[tuple[str, int], RolloutKey]) -> Finished | None:
    """The rollout that a line is the result of; None where it is none of those that are left."""
    try:
        found = json.loads(line)
    except UNREADABLE:
        found = None
    if not isinstance(found, dict) or "id" not in found:
        if line.strip():
            log.warning("a line of the program is no result: %.120r", line)
        return None
    repeat = found.get("repeat", 0)
    key = left.get((str(found["id"]), repeat if isinstance(repeat, int) else 0))
    return None if key is None else _finished(key, found)


def _finished(key: RolloutKey, found: Mapping[str, Any]) -> Finished:
    metadata = found.get("metadata")
    problem = Problem(
        idx=key.problem_idx,
        prompt=str(found.get("prompt") or ""),
        target=found.get("target"),
        metadata=metadata if isinstance(metadata, dict) else {},
    )
    solution = Solution(
        response=str(found.get("response") or ""),
        usage=_usage(found.get("usage")),
        calls=0,
        tries=0,
    )
    score, error = None, None
    if found.get("error"):
        error = ErrorInfo(kind=Failure.INFRA_ERROR, message=f"{found['error']!s:.2000}")
    else:
        verdict = {name: value for name, value in found.items() if name not in OF_THE_ROLLOUT}
        try:
            score = to_score(verdict)
        except (TypeError, ValueError) as wrong:
            error = ErrorInfo(kind=Failure.VERIFIER, message=f"the program's result: {wrong}")
    return Finished(key=key, solution=solution, score=score, error=error, problem=problem)


def _usage(given: Any) -> Usage:
    try:
        return msgspec.convert(given, Usage) if isinstance(given, dict) else Usage()
    except msgspec.ValidationError:
        return Usage()


def measure_of(line: bytes, where: str) -> Measure:
    """A measure that a program made. Raises ConfigError."""
    try:
        return msgspec.json.decode(line, type=Measure)
    except UNREADABLE as error:
        raise ConfigError(
            f"{line[:80]!r} is no measure: {error}",
            where=where,
            hint='write lines like {"name": "f1", "value": 0.5, "n": 100}',
        ) from None


def read_ids(path: Path) -> Sequence[str]:
    """The ids of a file: ``id`` of its JSON lines, or else the numbers of its lines."""
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", where=f"samples: {path}") from None
    return [_id_of(line, number) for number, line in enumerate(lines)]


def _id_of(line: str, number: int) -> str:
    try:
        found = json.loads(line)
    except UNREADABLE:
        return str(number)
    return str(found["id"]) if isinstance(found, dict) and "id" in found else str(number)

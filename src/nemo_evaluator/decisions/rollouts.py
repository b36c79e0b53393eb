"""``results.jsonl`` as columns: what a comparison needs of each rollout, in a few machine words.

Texts stay in the file and are read for the few rollouts that are shown. Files of other tools in
the published format are read too: a line without ``outcome`` has a verdict unless its
``error_category`` says that nobody judged the answer.
"""

from __future__ import annotations

import json
import math
import mmap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from ..errors import ConfigError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

JUDGED_FAILURES = frozenset({"refusal", "empty", "format_error"})
"""Error categories of the published format that are answers all the same: bad ones."""
NOT_A_NUMBER = "a reward that is no number"


class Rows(Protocol):
    """The lines themselves, by position."""

    def __getitem__(self, position: int, /) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Rollouts:
    """All rollouts of a benchmark, one per (problem, repeat), sorted."""

    problems: Ints
    repeats: Ints
    rewards: Floats
    """NaN where there is no verdict."""
    truncated: Bools
    categories: Sequence[str | None]
    clusters: Sequence[str | None]
    expected: Ints
    """Hash of the expected answer as written; the same for all tools that write it alike."""
    prompts: Ints
    """Hash of the prompt as written; 0 where a line has none."""
    rows: Rows
    positions: Ints
    """Where each stands in ``rows``."""
    ignored: Mapping[str, int]
    """Lines that are not counted as they stand, by reason."""

    def __len__(self) -> int:
        return len(self.problems)

    def row(self, index: int) -> Mapping[str, Any]:
        """The whole line of one rollout."""
        return self.rows[int(self.positions[index])]


class _Error(msgspec.Struct):
    error_category: str | None = None
    category: str | None = None


class _Metadata(msgspec.Struct):
    category: Any = None


class _Line(msgspec.Struct):
    problem_idx: int
    repeat: int = 0
    reward: float | None = None
    outcome: str | None = None
    truncated: bool = False
    finish_reason: str | None = None
    metadata: _Metadata | None = None
    scoring_details: _Error | None = None
    cluster: str | None = None
    expected_answer: msgspec.Raw = msgspec.Raw()
    prompt: msgspec.Raw = msgspec.Raw()


_DECODER = msgspec.json.Decoder(_Line)


def read_rollouts(path: Path) -> Rollouts:
    """The columns of a file. Raises ConfigError naming the line that cannot be read.

    A torn last line, as a kill leaves it, is left out and counted under ``ignored``.
    """
    offsets: list[int] = []
    lines: list[_Line] = []
    ignored: Counter[str] = Counter()
    try:
        with path.open("rb") as file:
            for number, (offset, text) in enumerate(_lines(file), 1):
                try:
                    line = _DECODER.decode(text)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    if not text.endswith(b"\n"):
                        ignored["a torn last line"] += 1
                        continue
                    line = _tolerant(text, f"{path}:{number}")
                offsets.append(offset)
                lines.append(line)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from None
    return _columns(lines, _FileRows(path, offsets), ignored)


def rollouts_of(rows: Sequence[Mapping[str, Any]]) -> Rollouts:
    """The columns of lines held in memory. Raises ConfigError."""
    lines = [_checked(row, f"row {number}") for number, row in enumerate(rows)]
    return _columns(lines, rows, Counter())


def _lines(file: Any) -> Iterator[tuple[int, bytes]]:
    offset = 0
    for text in file:
        if not text.isspace():
            yield offset, text
        offset += len(text)


def _tolerant(text: bytes, where: str) -> _Line:
    """A line with what other writers put there: NaN, numbers as text, nulls."""
    try:
        row = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"is not JSON: {error}", where=where) from None
    return _checked(row, where)


def _checked(row: Any, where: str) -> _Line:
    if not isinstance(row, Mapping):
        raise ConfigError("is no object", where=where)
    found: dict[str, Any] = {
        "metadata": _part(row, "metadata"),
        "scoring_details": _part(row, "scoring_details"),
        "truncated": row.get("truncated") is True,
    }
    for name in ("problem_idx", "repeat"):
        value = row.get(name, 0 if name == "repeat" else None)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ConfigError(f"{name} is {value!r}, not a whole number", where=where)
        found[name] = value
    reward = row.get("reward")
    known = isinstance(reward, int | float) or reward is None
    found["reward"] = (None if reward is None else float(reward)) if known else math.nan
    for name in ("outcome", "finish_reason", "cluster"):
        value = row.get(name)
        found[name] = value if isinstance(value, str) else None
    for name in ("expected_answer", "prompt"):
        if row.get(name) is not None:
            found[name] = msgspec.Raw(msgspec.json.encode(row[name], enc_hook=str))
    return _Line(
        **{
            **found,
            "metadata": _Metadata(found["metadata"].get("category")),
            "scoring_details": _Error(
                *(
                    _text(found["scoring_details"].get(key))
                    for key in ("error_category", "category")
                )
            ),
        }
    )


def _part(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = row.get(name)
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _columns(lines: Sequence[_Line], rows: Rows, ignored: Counter[str]) -> Rollouts:
    problems = np.array([line.problem_idx for line in lines], dtype=np.int64)
    repeats = np.array([line.repeat for line in lines], dtype=np.int64)
    order, last = _last_of_each(problems, repeats)
    if (again := len(lines) - len(last)) > 0:
        ignored["an earlier line of the same rollout"] += again
    kept = order[last]
    chosen = [lines[i] for i in kept]
    rewards = np.array([_reward(line) for line in chosen], dtype=np.float64)
    strange = sum(_strange(line) for line in chosen)
    if strange:
        ignored[NOT_A_NUMBER] += strange
    return Rollouts(
        problems=problems[kept],
        repeats=repeats[kept],
        rewards=rewards,
        truncated=np.array([_cut(line) for line in chosen], dtype=np.bool_),
        categories=[_category(line) for line in chosen],
        clusters=[line.cluster for line in chosen],
        expected=np.array([_hash(line.expected_answer) for line in chosen], dtype=np.int64),
        prompts=np.array([_hash(line.prompt) for line in chosen], dtype=np.int64),
        rows=rows,
        positions=kept,
        ignored=dict(ignored),
    )


def _last_of_each(problems: Ints, repeats: Ints) -> tuple[Ints, Ints]:
    """The sorting order, and in it the positions of the last line of each rollout."""
    order = np.lexsort((repeats, problems)).astype(np.int64)
    p, r = problems[order], repeats[order]
    ends = np.ones(len(order), dtype=np.bool_)
    ends[:-1] = (p[1:] != p[:-1]) | (r[1:] != r[:-1])
    return order, np.flatnonzero(ends).astype(np.int64)


def _reward(line: _Line) -> float:
    if line.reward is None or not math.isfinite(line.reward):
        return math.nan
    if line.outcome is not None:
        return line.reward
    kind = line.scoring_details.error_category if line.scoring_details else None
    return line.reward if kind is None or kind in JUDGED_FAILURES else math.nan


def _strange(line: _Line) -> bool:
    return line.reward is not None and not math.isfinite(line.reward)


def _cut(line: _Line) -> bool:
    return line.truncated or line.finish_reason in ("length", "max_tokens")


def _category(line: _Line) -> str | None:
    value = line.metadata.category if line.metadata else None
    if value is None and line.scoring_details:
        value = line.scoring_details.category
    return None if value is None else str(value)


def _hash(raw: msgspec.Raw) -> int:
    data = bytes(raw)
    return 0 if not data or data == b"null" else hash(data)


@dataclass(frozen=True)
class _FileRows:
    path: Path
    offsets: list[int]

    @cached_property
    def _map(self) -> mmap.mmap:
        # Tens of thousands of flips are read one by one: mapped once, not opened each time.
        with self.path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __getitem__(self, position: int, /) -> Mapping[str, Any]:
        start = self.offsets[position]
        end = self._map.find(b"\n", start)
        text = self._map[start : end if end >= 0 else None]
        try:
            row: dict[str, Any] = msgspec.json.decode(text)
        except msgspec.DecodeError:
            row = json.loads(text)
        return row

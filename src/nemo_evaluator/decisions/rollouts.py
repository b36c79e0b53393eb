"""``results.jsonl`` as columns: what a comparison needs of each rollout, in a few machine words.

Texts stay in the file and are read for the few rollouts that are shown. Files of other tools in
the published format are read too. What counts as a verdict is ``results.result_row``'s rule.
"""

from __future__ import annotations

import json
import math
import mmap
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..files.reading import UNREADABLE, first_line, open_regular, read_lines
from ..finish import FinishReason
from ..measured import can_be_averaged
from ..records import Json
from ..results.layout import RESULTS, UNSCORED
from ..results.result_row import MOST, Index, has_verdict

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NOT_A_NUMBER = "a reward that is not a number"


class Rows(Protocol):
    """The lines themselves, by position."""

    def __getitem__(self, position: int, /) -> Mapping[str, Json]: ...


@dataclass(frozen=True, slots=True)
class Rollouts:
    """All rollouts of a benchmark, one per (problem, repeat), sorted."""

    problems: Ints
    repeats: Ints
    rewards: Floats
    """NaN where there is no verdict."""
    correct: Floats
    """1 or 0 as the run says it; NaN where it does not."""
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

    def by_reward(self) -> Rollouts:
        """The same, as if the run had not said which answers are correct."""
        return replace(self, correct=np.full(len(self), np.nan))

    def row(self, index: int) -> Mapping[str, Any]:
        """The whole line of one rollout."""
        return self.rows[int(self.positions[index])]


class _Details(msgspec.Struct):
    error_category: str | None = None
    category: str | None = None
    method: str | None = None
    judge: Json = None
    correct: Json = None


class _Metadata(msgspec.Struct):
    category: Json = None


class _Line(msgspec.Struct):
    problem_idx: Index
    repeat: Index = 0
    reward: float | None = None
    outcome: str | None = None
    truncated: bool = False
    finish_reason: str | None = None
    metadata: _Metadata | None = None
    scoring_details: _Details | None = None
    cluster: str | None = None
    expected_answer: msgspec.Raw = msgspec.Raw()
    prompt: msgspec.Raw = msgspec.Raw()


_DECODER = msgspec.json.Decoder(_Line)


def read_rollouts(folder: Path) -> Rollouts | None:
    """The columns of a folder's results; None where it has none. Raises ConfigError naming the
    line that cannot be read.

    A torn last line, as a kill leaves it, is left out and counted under ``ignored``.
    """
    # Of two lines of one rollout the last one counts: verdicts are read last.
    paths = [path for name in (UNSCORED, RESULTS) if (path := folder / name).is_file()]
    columns, rows = _Columns(), _FileRows()
    for path in paths:
        offsets = rows.add(path)
        try:
            with open_regular(path) as file:
                _read(file, path, columns, offsets)
        except OSError as error:
            raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from None
    return columns.rollouts(rows) if paths else None


def _read(file: BinaryIO, path: Path, columns: _Columns, offsets: array[int]) -> None:
    for number, (offset, text) in enumerate(_lines(file), 1):
        try:
            line = _DECODER.decode(text)
        except UNREADABLE:
            if not text.endswith(b"\n"):
                columns.ignored["a torn last line"] += 1
                continue
            line = _tolerant(text, f"{path}:{number}")
        offsets.append(offset)
        columns.add(line)


def rollouts_of(rows: Sequence[Mapping[str, Json]]) -> Rollouts:
    """The columns of lines held in memory. Raises ConfigError."""
    columns = _Columns()
    for number, row in enumerate(rows):
        columns.add(_parse_row(row, f"row {number}"))
    return columns.rollouts(rows)


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    return ((offset, text) for offset, text in read_lines(file) if not text.isspace())


def _tolerant(text: bytes, where: str) -> _Line:
    """A line with what other writers put there: NaN, numbers as text, nulls."""
    try:
        row = json.loads(text)
    except UNREADABLE as error:
        raise ConfigError(f"is not JSON: {first_line(error)}", where=where) from None
    return _parse_row(row, where)


def _parse_row(row: Json, where: str) -> _Line:
    if not isinstance(row, Mapping):
        raise ConfigError("is not an object", where=where)
    found: dict[str, Any] = {
        "metadata": _part(row, "metadata"),
        "scoring_details": _part(row, "scoring_details"),
        "truncated": row.get("truncated") is True,
    }
    for name in ("problem_idx", "repeat"):
        value = _python_scalar(row.get(name, 0 if name == "repeat" else None))
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) > MOST:
            raise ConfigError(f"{name} is {value!r}, not a whole number", where=where)
        found[name] = value
    reward = _python_scalar(row.get("reward"))
    found["reward"] = None if reward is None else _number(reward)
    for name in ("outcome", "finish_reason", "cluster"):
        value = row.get(name)
        found[name] = value if isinstance(value, str) else None
    for name in ("expected_answer", "prompt"):
        if row.get(name) is not None:
            found[name] = _raw(row[name])
    return _Line(
        **{
            **found,
            "metadata": _Metadata(found["metadata"].get("category")),
            "scoring_details": _details(found["scoring_details"]),
        }
    )


def _number(value: Json) -> float:
    try:
        return float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:  # a whole number of 400 digits
        return math.inf


def _raw(value: Json) -> msgspec.Raw:
    try:
        return msgspec.Raw(msgspec.json.encode(value, enc_hook=str))
    except (UnicodeEncodeError, OverflowError):  # half of a surrogate pair, or a number of 70 bits
        return msgspec.Raw(json.dumps(value, default=str).encode())


def _details(part: Mapping[str, Json]) -> _Details:
    category, group, method = (
        _text(part.get(key)) for key in ("error_category", "category", "method")
    )
    return _Details(category, group, method, part.get("judge"), _python_scalar(part.get("correct")))


def _python_scalar(value: Any) -> Any:
    """A scalar of numpy as Python's own."""
    return value.item() if isinstance(value, np.generic) else value


def _part(row: Mapping[str, Json], name: str) -> Mapping[str, Json]:
    value = row.get(name)
    return value if isinstance(value, Mapping) else {}


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None


class _Columns:
    """Takes line by line what is kept of it: a line's texts are let go at once."""

    def __init__(self) -> None:
        self.ignored: Counter[str] = Counter()
        self._integers = {
            name: array("q") for name in ("problems", "repeats", "expected", "prompts")
        }
        self._rewards, self._correct = array("d"), array("d")
        self._strange, self._cut = array("b"), array("b")
        self._categories: list[str | None] = []
        self._clusters: list[str | None] = []
        self._names: dict[str, str] = {}

    def add(self, line: _Line) -> None:
        """One line."""
        integers = self._integers
        integers["problems"].append(line.problem_idx)
        integers["repeats"].append(line.repeat)
        integers["expected"].append(_hash(line.expected_answer))
        integers["prompts"].append(_hash(line.prompt))
        self._rewards.append(_reward(line))
        self._correct.append(_correct(line))
        self._strange.append(_strange(line))
        self._cut.append(_cut(line))
        self._categories.append(self._interned(_category(line)))
        self._clusters.append(self._interned(line.cluster))

    def rollouts(self, rows: Rows) -> Rollouts:
        """The columns, sorted, the last line of each rollout."""
        integers = {
            name: np.array(column, dtype=np.int64) for name, column in self._integers.items()
        }
        order, last = _last_of_each(integers["problems"], integers["repeats"])
        if (again := len(order) - len(last)) > 0:
            self.ignored["an earlier line of the same rollout"] += again
        kept = order[last]
        if strange := int(np.array(self._strange, dtype=np.int64)[kept].sum()):
            self.ignored[NOT_A_NUMBER] += strange
        return Rollouts(
            problems=integers["problems"][kept],
            repeats=integers["repeats"][kept],
            rewards=np.array(self._rewards, dtype=np.float64)[kept],
            correct=np.array(self._correct, dtype=np.float64)[kept],
            truncated=np.array(self._cut, dtype=np.bool_)[kept],
            categories=[self._categories[i] for i in kept.tolist()],
            clusters=[self._clusters[i] for i in kept.tolist()],
            expected=integers["expected"][kept],
            prompts=integers["prompts"][kept],
            rows=rows,
            positions=kept,
            ignored=dict(self.ignored),
        )

    def _interned(self, name: str | None) -> str | None:
        """One object for equal names."""
        return None if name is None else self._names.setdefault(name, name)


def _last_of_each(problems: Ints, repeats: Ints) -> tuple[Ints, Ints]:
    """The sorting order, and in it the positions of the last line of each rollout."""
    order = np.lexsort((repeats, problems)).astype(np.int64)
    p, r = problems[order], repeats[order]
    ends = np.ones(len(order), dtype=np.bool_)
    ends[:-1] = (p[1:] != p[:-1]) | (r[1:] != r[:-1])
    return order, np.flatnonzero(ends).astype(np.int64)


def _reward(line: _Line) -> float:
    if line.reward is None or _strange(line):
        return math.nan
    found = line.scoring_details
    # Most lines are ours and scored; for these no mapping is made.
    if line.outcome == "scored" and (found is None or found.error_category is None):
        return line.reward
    return line.reward if has_verdict(line.outcome, _marks(found)) else math.nan


def _correct(line: _Line) -> float:
    correct = line.scoring_details.correct if line.scoring_details is not None else None
    return float(correct) if isinstance(correct, bool) else math.nan


def _marks(found: _Details | None) -> Mapping[str, Json]:
    if found is None:
        return {}
    names = ("error_category", "method", "judge")
    return {name: value for name in names if (value := getattr(found, name)) is not None}


def _strange(line: _Line) -> bool:
    return line.reward is not None and not can_be_averaged(line.reward)


def _cut(line: _Line) -> bool:
    return line.truncated or FinishReason.of(line.finish_reason).truncated


def _category(line: _Line) -> str | None:
    value = line.metadata.category if line.metadata else None
    if value is None and line.scoring_details:
        value = line.scoring_details.category
    return None if value is None else str(value)


def _hash(raw: msgspec.Raw) -> int:
    data = bytes(raw)
    return 0 if not data or data == b"null" else hash(data)


class _FileRows:
    """The lines of some files, numbered through."""

    def __init__(self) -> None:
        self._files: list[tuple[Path, array[int]]] = []
        self._maps: dict[Path, mmap.mmap] = {}

    def add(self, path: Path) -> array[int]:
        """The offsets of a file's lines, to be filled."""
        self._files.append((path, array("q")))
        return self._files[-1][1]

    def __getitem__(self, position: int, /) -> Mapping[str, Json]:
        for path, offsets in self._files:
            if position < len(offsets):
                return self._line(path, offsets[position])
            position -= len(offsets)
        raise IndexError(position)

    def _line(self, path: Path, start: int) -> Mapping[str, Json]:
        # Tens of thousands of flips are read one by one: mapped once, not opened each time.
        if path not in self._maps:
            with path.open("rb") as file:
                self._maps[path] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        found = self._maps[path]
        end = found.find(b"\n", start)
        text = found[start : end if end >= 0 else None]
        try:
            row: dict[str, Json] = msgspec.json.decode(text)
        except msgspec.DecodeError:
            row = json.loads(text)
        return row

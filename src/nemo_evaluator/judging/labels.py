"""Files of what people said of answers: JSON lines or CSV, one judgement a row.

A row of a grade has ``prompt``, ``response``, ``label`` and perhaps ``reference``; a row of a pair
has ``prompt``, ``a``, ``b`` and a ``label`` of ``A``, ``B`` or ``tie``. Labels of grades are
numbers on the judge's scale, or true and false, or words of which the judge has to choose one; a
row whose label is ``unclear`` is left out, as `nel view` writes it where a person cannot tell.
Where a benchmark judges, the other columns are those of its dataset.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ConfigError

PAIR_LABELS = ("A", "B", "tie")
YES = frozenset({"true", "yes", "pass", "correct"})
NO = frozenset({"false", "no", "fail", "incorrect"})
UNCLEAR = "unclear"
MOST_WORDS = 12
"""More different words are no set of labels but free text."""


@dataclass(frozen=True, slots=True)
class Row:
    """One judgement by people."""

    prompt: str
    answers: tuple[str, ...]
    """One, or the two of a pair."""
    label: str | float | bool
    reference: str | None
    line: int
    columns: Mapping[str, Any] = field(default_factory=dict)
    """All but response and label, as they are."""


@dataclass(frozen=True, slots=True)
class LabelFile:
    """All rows of a file, of one kind."""

    path: Path
    kind: str
    """``pairs``, ``numbers``, ``verdicts`` (true or false) or ``words``."""
    rows: tuple[Row, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """The labels there are, of words and pairs."""
        if self.kind == "pairs":
            return PAIR_LABELS
        return tuple(sorted({str(row.label) for row in self.rows}))

    def check_prompts(self) -> None:
        """Raise ConfigError unless every row says what was asked."""
        for row in self.rows:
            if row.columns.get("prompt") is None:
                raise _incomplete(["prompt"], f"{self.path}:{row.line}")


def read_labels(path: Path) -> LabelFile:
    """Read a file. Raises ConfigError naming the line that is not as it must be."""
    found = [item for item in records(path) if item[1].get("label") != UNCLEAR]
    if not found:
        raise ConfigError("holds no labels", where=str(path))
    pairs = "a" in found[0][1] or "b" in found[0][1]
    needed = ("a", "b", "label") if pairs else ("response", "label")
    for number, record in found:
        missing = [name for name in needed if record.get(name) is None]
        if not missing and not str(record["label"]).strip():
            missing = ["label"]
        if missing:
            raise _incomplete(missing, f"{path}:{number}")
    values = [_label_value(record["label"]) for _, record in found]
    kind = "pairs" if pairs else _kind(values)
    rows = tuple(
        Row(
            prompt=str(record.get("prompt") or ""),
            answers=tuple(str(record[name]) for name in needed[:-1]),
            label=_label(value, kind, f"{path}:{number}"),
            reference=None if record.get("reference") in (None, "") else str(record["reference"]),
            line=number,
            columns={name: record[name] for name in record if name not in needed},
        )
        for (number, record), value in zip(found, values, strict=True)
    )
    if kind == "words" and len({row.label for row in rows}) > MOST_WORDS:
        raise ConfigError(
            f"has more than {MOST_WORDS} different labels",
            where=str(path),
            hint="labels are numbers, true and false, or a few words",
        )
    return LabelFile(path, kind, rows)


def _incomplete(missing: list[str], where: str) -> ConfigError:
    return ConfigError(
        f"has no {' and no '.join(missing)}",
        where=where,
        hint="prompt, response, label [, reference], or prompt, a, b, label",
    )


def records(path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    """The rows of a CSV or JSON lines file with the number of their line. Raises ConfigError."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() == ".csv":
                table = csv.DictReader(file)
                for record in table:
                    yield table.line_num, record
                return
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, _object(line, f"{path}:{number}")
    except csv.Error as error:
        hint = "JSON lines hold texts of any length"
        raise ConfigError(f"is not CSV: {error}", where=str(path), hint=hint) from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from None
    except UnicodeDecodeError:
        raise ConfigError("is not UTF-8 text", where=str(path)) from None


def _object(line: str, where: str) -> Mapping[str, object]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"is not JSON: {error}", where=where) from None
    if not isinstance(record, dict):
        raise ConfigError("is not an object", where=where)
    return record


def _label_value(value: object) -> str | float | bool:
    """A label as JSON or CSV has it: a number, or true or false, else the text."""
    if isinstance(value, bool):
        return value
    text = str(value).strip()
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def _kind(values: list[str | float | bool]) -> str:
    if all(_verdict(value) is not None for value in values):
        return "verdicts"
    if all(isinstance(value, float) for value in values):
        return "numbers"
    return "words"


def _verdict(value: str | float | bool) -> bool | None:
    if isinstance(value, bool):
        return value
    text = str(value).lower()
    return text in YES if text in YES | NO else None


def _label(value: str | float | bool, kind: str, where: str) -> str | float | bool:
    if kind == "words" and not isinstance(value, str):
        raise ConfigError(
            f"the label {value!r} is not a word like the others",
            where=where,
            hint="labels are all numbers, all true or false, or all words",
        )
    if kind == "verdicts":
        return bool(_verdict(value))
    if kind != "pairs":
        return value
    text = str(value)
    known = {"a": "A", "b": "B", "tie": "tie", "1.0": "A", "2.0": "B"}
    if text.lower() not in known:
        raise ConfigError(f"the label is {text!r}", where=where, hint="A, B or tie")
    return known[text.lower()]

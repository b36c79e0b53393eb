"""A data file as a benchmark: `--bench ./faq.csv`.

The columns and the scorer are guessed from the names and values of the file, said to the user, and
overridden by `params`. A guess that cannot be made is an error that lists the columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from string import ascii_uppercase
from typing import Any, NamedTuple

from ..errors import ConfigError
from ..kinds import SCORERS
from ..scoring.primitives import find_scorer
from .define import Definition
from .params import check_params
from .row_files import Row, read_file

ENDINGS = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
QUESTION = ("question", "prompt", "input", "problem", "query", "instruction", "text")
TARGET = ("target", "answer", "expected", "expected_answer", "label", "gold", "solution", "output")
OPTIONS = ("options", "choices")
CATEGORY = ("category", "subject", "topic")
ASK_TEXT = '{question}\n\nEnd with a line that says "Answer:" and the answer, nothing else.'
ASK_NUMBER = '{question}\n\nEnd with a line that says "Answer:" and the number, nothing else.'
ASK_OPTION = (
    "{question}\n\n{options_text}\n\n"
    'End with a line that says "Answer:" and the letter of the right option, nothing else.'
)


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column is what, and how answers are graded."""

    question: str
    target: str
    options: tuple[str, ...]
    """One column that holds a list, or one column per option; empty for open questions."""
    category: str | None
    scorer: str
    prompt: str

    def __str__(self) -> str:
        parts = [f"question from {self.question!r}", f"expected answer from {self.target!r}"]
        if self.options:
            parts.append(f"options from {', '.join(map(repr, self.options))}")
        if self.category:
            parts.append(f"category from {self.category!r}")
        return f"{', '.join(parts)}; graded by {self.scorer}"


def is_table(name: str) -> bool:
    """Whether a benchmark's name is that of a data file."""
    return "://" not in name and name.lower().endswith(ENDINGS)


def table_benchmark(path: Path, params: Mapping[str, Any]) -> Definition:
    """The file as a benchmark; `params` override what is guessed. Raises ConfigError."""
    _, columns = _read(path, params)
    return Definition(
        name=path.stem,
        dataset=path.resolve(),
        prompt=columns.prompt,
        scorer=find_scorer(columns.scorer),
        prepare_row=partial(_prepared, columns),
        category_field=columns.category,
        given=dict(params),
    )


def described(path: Path, params: Mapping[str, Any]) -> str:
    """What is read from which column, in one line for the user. Raises ConfigError."""
    rows, columns = _read(path, params)
    return f"{path}: {len(rows):,} rows; {columns}"


def _read(path: Path, params: Mapping[str, Any]) -> tuple[Sequence[Row], Columns]:
    check_params(_Given, params, where=str(path))
    if not path.is_file():
        raise ConfigError("there is no such file", where=str(path))
    rows = read_file(path)
    if not rows:
        raise ConfigError("holds no rows", where=str(path))
    return rows, _columns(path, rows, _Given(**params))


class _Given(NamedTuple):
    """The accepted `params`."""

    question_field: str | None = None
    target_field: str | None = None
    options_field: str | None = None
    """One column, or several separated by commas."""
    category_field: str | None = None
    prompt: str | None = None
    scorer: str | None = None


def _columns(path: Path, rows: Sequence[Row], given: _Given) -> Columns:
    names = list(dict.fromkeys(name for row in rows[:100] for name in row))
    question = _column_named(path, names, given.question_field, QUESTION, "question")
    target = _column_named(path, names, given.target_field, TARGET, "target")
    options = _options(path, names, given.options_field)
    category = given.category_field or _first(names, CATEGORY)
    if category is not None:
        _column_named(path, names, category, (), "category")
    if given.scorer is not None and not SCORERS.has(given.scorer):
        raise ConfigError(
            f"there is no scorer {given.scorer!r}",
            where=str(path),
            hint=SCORERS.hint(given.scorer),
        )
    if options:
        kind, asked = "multichoice_regex", ASK_OPTION
    elif all(_is_number(row.get(target)) for row in rows):
        kind, asked = "numeric_match", ASK_NUMBER
    else:
        kind, asked = "fuzzy_match", ASK_TEXT
    return Columns(question, target, options, category, given.scorer or kind, given.prompt or asked)


def _column_named(
    path: Path, names: Sequence[str], given: str | None, usual: Sequence[str], what: str
) -> str:
    columns = ", ".join(map(str, names))
    if given is not None:
        if given not in names:
            raise ConfigError(
                f"has no column {given!r}", where=str(path), hint=f"the columns are {columns}"
            )
        return given
    found = _first(names, usual)
    if found is None:
        raise ConfigError(
            f"cannot tell which column holds the {what}; the columns are {columns}",
            where=str(path),
            hint=f"name it: --{what}-field COLUMN, or params: {{{what}_field: COLUMN}}",
        )
    return found


def _first(names: Sequence[str], usual: Sequence[str]) -> str | None:
    by_lower = {str(name).strip().lower(): name for name in reversed(names)}
    return next((by_lower[name] for name in usual if name in by_lower), None)


def _options(path: Path, names: Sequence[str], given: str | None) -> tuple[str, ...]:
    if given is not None:
        columns = tuple(name.strip() for name in given.split(","))
        return tuple(_column_named(path, names, name, (), "options") for name in columns)
    if (found := _first(names, OPTIONS)) is not None:
        return (found,)
    letters = [letter for letter in ascii_uppercase if letter in names]
    return tuple(letters) if letters[:2] == ["A", "B"] else ()


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or value is None:
        return False
    try:
        float(str(value).strip().replace(",", "").lstrip("$"))
    except ValueError:
        return False
    return True


def _prepared(columns: Columns, row: dict[str, Any], _idx: int, _rng: Random) -> dict[str, Any]:
    """The row with the fields that the prompt and the scorer use."""
    prepared = {**row, "question": row.get(columns.question), "target": row.get(columns.target)}
    if columns.options:
        options = _options_of(row, columns.options)
        prepared["options_text"] = "\n".join(
            f"{letter}. {text}" for letter, text in zip(ascii_uppercase, options, strict=False)
        )
        prepared["target"] = _letter(row.get(columns.target), options)
    return prepared


def _options_of(row: Row, columns: Sequence[str]) -> list[str]:
    if len(columns) > 1:
        return [str(row[name]) for name in columns if row.get(name) not in (None, "")]
    options = row.get(columns[0])
    if not isinstance(options, list) or not 2 <= len(options) <= len(ascii_uppercase):
        raise ConfigError(
            f"{columns[0]!r} is not a list of 2 to {len(ascii_uppercase)} options",
            hint="fix the row, or name other columns: --options-field A,B,C,D",
        )
    return [str(option) for option in options]


def _letter(target: Any, options: Sequence[str]) -> str:
    """The letter of the right option: given as a letter, or as the option's text."""
    text = str(target).strip()
    letters = ascii_uppercase[: len(options)]
    if text in options:
        return letters[options.index(text)]
    if len(text) == 1 and text.upper() in letters:
        return text.upper()
    raise ConfigError(
        f"the expected answer {text!r} is neither an option nor a letter up to {letters[-1]}",
        hint="an index is not accepted: it could start at 0 or at 1",
    )

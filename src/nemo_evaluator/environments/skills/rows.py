"""Rows that NeMo Skills prepared, as prompts and scorers here expect them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from random import Random
from string import ascii_uppercase
from typing import Any

from ...errors import ConfigError
from ...scoring.instructions.registry import find_instruction
from ...scoring.targets import no_value

QUESTION = ("problem", "question", "prompt")
"""Fields that hold what is asked, the first that is there."""
TARGET = "expected_answer"
LETTERS = "ABCDEFGHIJ"
"""Letters of options where a row lists none."""
OPTION = re.compile(r"^[ \t]*\(?([A-Z])[).:](?:[ \t]+(.*))?$", re.MULTILINE)


def prepared(row: dict[str, Any], idx: int, rng: Random) -> dict[str, Any]:
    """A row that is compared with its ``expected_answer``. Raises ConfigError."""
    if (why := no_value(row.get(TARGET))) is not None and TARGET in row:
        raise ConfigError(
            f"no answer can meet its {TARGET}: {why}", hint="fix the rows or leave them out"
        )
    return untargeted(row, idx, rng)


def untargeted(row: dict[str, Any], idx: int, rng: Random) -> dict[str, Any]:
    """A row whose answers are checked without a target. Raises ConfigError."""
    question = next((row[name] for name in QUESTION if row.get(name)), None)
    if question is None:
        raise ConfigError(f"has none of the fields {', '.join(QUESTION)}")
    if not isinstance(question, str):
        raise ConfigError(f"the question is not text but {type(question).__name__}")
    asked = {"problem": question, "question": question}
    return {"subset_for_metrics": None, "examples": "", **row, **asked}


def with_instructions(row: dict[str, Any], idx: int, rng: Random) -> dict[str, Any]:
    """A row of IFEval, all of whose instructions are known. Raises ConfigError."""
    names = row.get("instruction_id_list")
    if not isinstance(names, list) or not names:
        raise ConfigError("has no instruction_id_list")
    for name in names:
        find_instruction(str(name))
    return untargeted(row, idx, rng)


def with_options(row: dict[str, Any], idx: int, rng: Random) -> dict[str, Any]:
    """A row of multiple choice: the question shows its options, and the scorer knows them."""
    row = prepared(row, idx, rng)
    question, given = row["problem"], _options(row)
    options = given or dict(_lines(str(row.get("options") or "")))
    shown = row["options"] if isinstance(row.get("options"), str) else ""
    shown = shown or "\n".join(f"{letter}) {text}" for letter, text in options.items())
    if shown and not _stands_in(options, shown, question):
        question = f"{question}\n\n{shown}"
    if not options:
        options = dict(_lines(question))
    target = str(row.get(TARGET, "")).strip().upper()
    if len(target) == 1 and target in ascii_uppercase and target not in options:
        if given:
            known = ", ".join(given)
            raise ConfigError(f"its {TARGET} {target!r} is none of its options {known}")
        options = {}  # lines that look like options are others
    choices: dict[str, list[str]] = {"label": list(options) or list(LETTERS)}
    if options:
        choices["text"] = list(options.values())
    return row | {"problem": question, "question": question, "choices": choices}


def _options(row: Mapping[str, Any]) -> dict[str, str]:
    """Letter and text of the options that fields of a row hold."""
    if isinstance(listed := row.get("options") or row.get("choices"), list):
        return {letter: str(text) for letter, text in zip(ascii_uppercase, listed, strict=False)}
    if isinstance(listed, Mapping):
        return {str(letter): str(text) for letter, text in listed.items()}
    fields = {letter: str(row[letter]) for letter in ascii_uppercase if row.get(letter) is not None}
    return fields if len(fields) > 1 else {}


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """The last options, from A on without a gap, that stand on lines of a text."""
    found: list[tuple[str, str]] = []
    for letter, option in OPTION.findall(text):
        if letter == "A":
            found = []
        if len(found) < len(ascii_uppercase) and letter == ascii_uppercase[len(found)]:
            found.append((letter, option.strip()))
    return iter(found if len(found) > 1 else [])


def _stands_in(options: Mapping[str, str], shown: str, question: str) -> bool:
    """Whether a question shows its options already."""
    return shown in question or dict(_lines(question)) == options

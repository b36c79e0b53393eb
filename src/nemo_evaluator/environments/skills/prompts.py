"""Prompt configurations of NeMo Skills: a YAML file with ``user``, ``system`` and examples.

Three are known by name; others are read from the installed package or a file of the user's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import yaml

from ...config.text_file import read_text
from ...errors import ConfigError

MATH, CHOICE, PLAIN = "generic/math", "eval/aai/mcq-4choices", "generic/default"
_ASKED_CHOICE = (
    "Answer the following multiple choice question. The last line of your response should be "
    "in the following format: 'Answer: LETTER' (e.g. 'Answer: A').\n\n{problem}"
)
KNOWN: Mapping[str, str] = {
    MATH: "Solve the following math problem. Make sure to put the answer (and only answer) inside "
    "\\boxed{{}}.\n\n{problem}",
    CHOICE: _ASKED_CHOICE,
    "eval/aai/mcq-10choices": _ASKED_CHOICE,
    PLAIN: "{question}",
}
FIELDS = {"user", "system", "few_shot_examples", "code_tags"}


class Asked(NamedTuple):
    """How a problem is asked."""

    user: str
    system: str | None = None


def find_prompt(name: str, configs: Path | None) -> Asked | None:
    """A configuration by its name (``generic/math``) or its file; None: it is not here. ``configs``
    is the folder of those that the package has. Raises ConfigError."""
    given = Path(name).expanduser()
    if given.suffix in (".yaml", ".yml"):
        return _read(given)
    path = configs / f"{name}.yaml" if configs is not None else None
    if path is not None and path.is_file():
        return _read(path)
    return Asked(KNOWN[name]) if name in KNOWN else None


def _read(path: Path) -> Asked:
    text = read_text(path)
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        raise ConfigError("is not valid YAML", where=f"{path}{line}") from None
    if not isinstance(found, dict) or not isinstance(found.get("user"), str):
        raise ConfigError(
            "is not a prompt configuration: it needs the text `user`", where=str(path)
        )
    if unknown := sorted(map(str, found.keys() - FIELDS)):
        raise ConfigError(
            f"has {', '.join(unknown)}, which is not known here",
            where=str(path),
            hint=f"known are {', '.join(sorted(FIELDS))}",
        )
    examples = found.get("few_shot_examples") or {}
    if kind := examples.get("examples_type") or examples.get("retrieval_field"):
        raise ConfigError(
            f"its examples {kind!r} are code of NeMo Skills, which is not run here",
            where=str(path),
            hint="write them into `user`, and leave few_shot_examples out",
        )
    system = found.get("system")
    return Asked(found["user"], str(system) if system else None)

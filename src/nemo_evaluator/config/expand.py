"""``${NAME}`` and ``${NAME:-default}`` from the environment and `.env` files.

``$${`` stands for a literal ``${``. An unset name without a default is an error that names file and
line. Values of secret-looking names are remembered, so that nobody writes them to disk.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .yaml_file import Document, KeyPath

REFERENCE = re.compile(r"\$\$\{|\$\{(\w+)(?::-(.*?))?\}", re.DOTALL)
SECRET_NAME = re.compile(r"key|token|secret|password|credential|authorization", re.IGNORECASE)
NOT_SECRET = re.compile(r"tokens|tokenizer|_env$", re.IGNORECASE)
MIN_SECRET = 6


@dataclass(slots=True)
class Expansion:
    """The expanded data and the secrets met on the way."""

    data: Any
    secrets: set[str] = field(default_factory=set)


def looks_secret(name: str) -> bool:
    """Whether a field or variable of this name holds a secret."""
    return bool(SECRET_NAME.search(name)) and not NOT_SECRET.search(name)


def environment(folders: Iterable[Path]) -> dict[str, str]:
    """The process environment over the `.env` files of some folders (the first folder wins)."""
    values: dict[str, str] = {}
    for folder in folders:
        for name, value in read_dotenv(folder / ".env").items():
            values.setdefault(name, value)
    return {**values, **os.environ}


def read_dotenv(path: Path) -> dict[str, str]:
    """``NAME=value`` lines; comments, ``export`` and quotes are understood. No file, no values."""
    values = {}
    if not path.is_file():
        return {}
    for line in path.read_text(encoding="utf-8").splitlines():
        match = re.match(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*$", line)
        if match is None:
            continue
        value = match[2]
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        else:
            value = re.split(r"\s#", value, maxsplit=1)[0].rstrip()
        values[match[1]] = value
    return values


def expand(document: Document, env: Mapping[str, str]) -> Expansion:
    """Expand every string. Raises ConfigError listing every unset variable."""
    result = Expansion(None)
    unset: list[str] = []

    def replace(match: re.Match[str], path: KeyPath) -> str:
        name, default = match[1], match[2]
        if name is None:
            return "${"
        value = env.get(name, default)
        if value is None:
            where = document.marks.get(path, ".".join(map(str, path)))
            unset.append(f"{where}: environment variable {name} is not set")
            return ""
        if looks_secret(name):
            note(value)
        return str(value)

    def note(value: str) -> None:
        if len(value) >= MIN_SECRET:
            result.secrets.add(value)

    def walk(value: Any, path: KeyPath) -> Any:
        if isinstance(value, dict):
            return {key: walk(child, (*path, key)) for key, child in value.items()}
        if isinstance(value, list):
            return [walk(child, (*path, index)) for index, child in enumerate(value)]
        if isinstance(value, str):
            expanded = REFERENCE.sub(lambda match: replace(match, path), value)
            if path and looks_secret(str(path[-1])):
                note(expanded)
            return expanded
        return value

    result.data = walk(document.data, ())
    if unset:
        raise ConfigError(
            "\n".join(unset), hint="set it, put it in .env, or write ${NAME:-default}"
        )
    return result

"""Problems in a configuration as a user reads them: ``file:line: path: what — how to fix it``.

All problems of a document come in one ConfigError, a line each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..errors import ConfigError
from .tree import KeyPath


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing to fix."""

    path: KeyPath
    what: str
    hint: str | None = None


def format_path(path: KeyPath) -> str:
    """``benchmarks[0].solver.type``; keys that hold a dot are quoted: ``services["gpt-4.1"]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif "." in part or "[" in part:
            text += f'["{part}"]'
        else:
            text += f".{part}" if text else part
    return text


def as_error(problems: Iterable[Mistake], locate: Callable[[KeyPath], str]) -> ConfigError | None:
    """One error for all problems (each said once), or None where there is none."""
    found = sorted(dict.fromkeys(problems), key=lambda problem: _order(locate(problem.path)))
    if not found:
        return None
    errors = [
        ConfigError(
            f"{format_path(problem.path)}: {problem.what}" if problem.path else problem.what,
            where=locate(problem.path) or None,
            hint=problem.hint,
        )
        for problem in found
    ]
    if len(errors) == 1:
        return errors[0]
    lines = "\n".join(f"  {error}" for error in errors)
    return ConfigError(f"{len(errors)} problems in the configuration:\n{lines}")


def _order(mark: str) -> tuple[str, int]:
    """By file and line; what was written nowhere comes first."""
    file, _, line = mark.rpartition(":")
    return (file, int(line)) if line.isdigit() else (mark, 0)

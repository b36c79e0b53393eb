"""Instructions whose following a program can check: a name, and a function of the response.

Built in are the 25 of IFEval. Further ones come by decorator, or from installed packages by the
entry-point group ``nemo_evaluator.instructions``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from ...errors import ConfigError
from ...plugins import installed
from ...types import Json

GROUP = "nemo_evaluator.instructions"
Check = Callable[..., bool]
F = TypeVar("F", bound=Check)

INSTRUCTIONS: dict[str, Check] = {}
"""Checks by name: ``check(response, **arguments)`` is whether the response follows it."""


def instruction(name: str) -> Callable[[F], F]:
    """Register a check: ``@instruction("style:no_shouting")``. The last one of a name counts."""

    def add(check: F) -> F:
        INSTRUCTIONS[name] = check
        return check

    return add


def find_instruction(name: str) -> Check:
    """The check of a name. Raises ConfigError if there is none, or its plug-in is broken."""
    from . import ifeval_checks  # noqa: F401  registers the built-in ones

    if name in INSTRUCTIONS:
        return INSTRUCTIONS[name]
    for entry in installed(GROUP, name):
        try:
            check: Check = instruction(name)(entry.load())
            return check
        except Exception as error:  # foreign code
            raise ConfigError(
                f"plug-in cannot be loaded: {type(error).__name__}: {error}",
                where=f"instruction {name!r} ({entry.value})",
            ) from error
    close = get_close_matches(name, INSTRUCTIONS, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(INSTRUCTIONS)}"
    raise ConfigError(f"unknown instruction {name!r}", hint=hint)


def follows(name: str, response: str, arguments: Mapping[str, Json]) -> bool:
    """Whether a response follows an instruction; an empty one follows none. Arguments that are
    None are left out, as datasets write them. Raises ConfigError for arguments that do not fit."""
    if not response.strip():
        return False
    check = find_instruction(name)
    given = {key: value for key, value in arguments.items() if value is not None}
    try:
        return bool(check(response, **given))
    except TypeError as error:
        raise ConfigError(f"arguments do not fit: {error}", where=f"instruction {name!r}") from None

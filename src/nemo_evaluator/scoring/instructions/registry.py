"""Instructions whose following a program can check: a name, and a function of the response.

Built in are the 25 of IFEval (``kinds.INSTRUCTIONS``). Further ones come by decorator, or from
installed packages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from ...errors import ConfigError, suggest
from ...kinds import INSTRUCTIONS as KIND
from ...types import Json

Check = Callable[..., bool]
F = TypeVar("F", bound=Check)

OWN: dict[str, Check] = {}
"""Checks of the decorator, and those that were asked for. ``check(response, **arguments)`` says
whether the response follows it."""


def instruction(name: str) -> Callable[[F], F]:
    """Register a check: ``@instruction("style:no_shouting")``. The last one of a name counts."""

    def add(check: F) -> F:
        OWN[name] = check
        return check

    return add


def find_instruction(name: str) -> Check:
    """The check of a name. Raises ConfigError if there is none, or its plug-in is broken."""
    if name in OWN:
        return OWN[name]
    if not KIND.has(name):
        raise ConfigError(
            f"there is no instruction {name!r}", hint=suggest(name, [*OWN, *KIND.names()])
        )
    check = KIND.load(name)
    if not callable(check):
        raise KIND.wrong(name, "it needs to be a function of the response")
    OWN[name] = check
    return check


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

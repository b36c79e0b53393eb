"""Which harnesses have packages of their own, where each is found, and how it is installed."""

from __future__ import annotations

import asyncio

from ..environments.inspect.harness import WANTED as INSPECT
from ..environments.lm_eval.remote import WANTED as LM_EVAL
from ..errors import ConfigError, suggest
from ..foreign import Interpreter, Wanted, find_interpreter
from ..foreign.installing import install
from ..solvers.harbor.worker import HARBOR

HARNESSES = {wanted.harness or "": wanted for wanted in (LM_EVAL, INSPECT, HARBOR)}
NEEDS_NONE = ("skills", "vlmevalkit", "gym", "container")
"""Harnesses whose formats or servers are enough."""


def named(name: str) -> Wanted:
    """The package of a harness. Raises ConfigError."""
    if name in HARNESSES:
        return HARNESSES[name]
    if name in NEEDS_NONE:
        raise ConfigError(
            f"{name} needs no package", hint=f"run it: nel eval run --bench {name}://"
        )
    known = (*HARNESSES, *NEEDS_NONE)
    raise ConfigError(f"there is no harness {name!r}", hint=suggest(name, known))


async def installed(wanted: Wanted, *, again: bool) -> Interpreter:
    """Install a harness, where it is not there. Raises ConfigError."""
    return await install(wanted, again=again)


async def found_of() -> dict[str, str]:
    """Each harness with its version and interpreter, or how to get it."""
    lines = await asyncio.gather(*map(_status_line, HARNESSES.values()))
    return dict(zip(HARNESSES, lines, strict=True))


async def _status_line(wanted: Wanted) -> str:
    try:
        found = await find_interpreter(wanted)
    except ConfigError as error:
        return f"absent: {error.what}; nel harness install {wanted.harness}"
    return f"{wanted.package} {found.version} ({found.python})"

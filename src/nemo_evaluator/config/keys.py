"""Functions that give API keys, under the names by which a configuration refers to them.

``api_key_command: python:my_module:get_key`` imports the function; a function handed over in Python
(``evaluate(api_key=get_key)``) is remembered under such a name, so that the configuration of a run
stays text.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from typing import cast

from ..errors import ConfigError

KeyFunction = Callable[[], str | Awaitable[str]]
PREFIX = "python:"
_given: dict[str, KeyFunction] = {}


def remember(function: KeyFunction) -> str:
    """The ``api_key_command`` that calls a function of this process."""
    module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
    base = f"{module}:{name or type(function).__qualname__}"
    name, number = base, 1
    while _given.get(name, function) is not function:
        number += 1
        name = f"{base}#{number}"
    _given[name] = function
    return PREFIX + name


def find(command: str) -> KeyFunction:
    """The function of a ``python:module:function``. Raises ConfigError."""
    name = command.removeprefix(PREFIX)
    if (given := _given.get(name)) is not None:
        return given
    module, _, path = name.partition(":")
    where = f"api_key_command {command}"
    try:
        found: object = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        hint = "write python:MODULE:FUNCTION, of a module that can be imported here"
        raise ConfigError(f"there is no such function ({error})", where=where, hint=hint) from None
    if not callable(found):
        raise ConfigError("is not a function", where=where)
    return cast(KeyFunction, found)

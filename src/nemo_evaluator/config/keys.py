"""Functions that give API keys, under the names by which a configuration refers to them.

``api_key_command: python:my_module:get_key`` imports the function; a function handed over in Python
(``evaluate(api_key=get_key)``) is remembered under such a name, so that the configuration of a run
stays text.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

from ..errors import ConfigError
from ..plugins import loading, object_at

KeyFunction = Callable[[], str | Awaitable[str]]
PREFIX = "python:"
FORM = "write python:MODULE:FUNCTION or python:FILE.py:FUNCTION"
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


def is_of_this_process(command: str) -> bool:
    """Whether another process cannot import the function of a command."""
    name = command.removeprefix(PREFIX)
    return name in _given and ("<" in name or "#" in name or name.startswith("__main__"))


def find(command: str) -> KeyFunction:
    """The function of a ``python:module:function``, or of ``python:file.py:function``. Raises
    ConfigError."""
    name = command.removeprefix(PREFIX)
    if (given := _given.get(name)) is not None:
        return given
    where = f"api_key_command {command}"
    if ":" not in name:
        raise ConfigError("names no function", where=where, hint=FORM)
    with loading(where, name):
        found = object_at(name)
    if not callable(found):
        raise ConfigError("is not a function", where=where, hint=FORM)
    return cast(KeyFunction, found)

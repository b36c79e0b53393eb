"""``params:`` of a configuration, checked against the function or class that takes them."""

from __future__ import annotations

import inspect
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from ..errors import ConfigError
from ..records import Json, Record

R = TypeVar("R", bound=Record)


def check_params(takes: Callable[..., Any] | None, given: Mapping[str, Any], *, where: str) -> None:
    """Raise ConfigError for unknown and for missing ones, naming the accepted."""
    parameters = inspect.signature(takes).parameters if takes is not None else {}
    named = {n: p for n, p in parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    unknown = [name for name in given if name not in named and not takes_any]
    missing = [n for n, p in named.items() if p.default is p.empty and n not in given]
    wrong = [
        f"{kind} params {', '.join(names)}"
        for kind, names in (("unknown", unknown), ("missing", missing))
        if names
    ]
    if wrong:
        raise ConfigError(
            "; ".join(wrong), where=where, hint=f"it accepts {', '.join(named) or 'none'}"
        )


def options_of(uri: str, params: Mapping[str, Json], kind: type[R]) -> tuple[str, R]:
    """What stands after ``scheme://``, and the options of its query and of ``params`` together.
    Raises ConfigError naming the accepted."""
    rest, _, query = uri.partition("://")[2].partition("?")
    asked: dict[str, Json] = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
    if twice := sorted(asked.keys() & params.keys()):
        raise ConfigError(f"params say {', '.join(twice)} again", where=uri)
    try:
        return urllib.parse.unquote(rest), msgspec.convert({**asked, **params}, kind, strict=False)
    except msgspec.ValidationError as error:
        known = ", ".join(kind.__struct_fields__)
        raise ConfigError(f"options: {error}", where=uri, hint=f"it accepts {known}") from None

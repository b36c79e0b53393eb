"""``params:`` of a configuration, checked against the function or class that takes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ConfigError


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

"""Flags that say how a service is reached: its key, its headers, certificates and proxy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..errors import ConfigError
from .keys import remember
from .tree import KeyPath, Node, from_plain, set_at

KEY_FLAGS = ("api_key", "api_key_env", "api_key_command")
FILE_FLAGS = ("ca_file", "client_cert", "client_key")
ENDPOINT_FLAGS = (*KEY_FLAGS, *FILE_FLAGS, "http_proxy", "headers")
_SEPARATOR = re.compile(r"\s*[=:]\s*")


def flag_name(field: str) -> str:
    """The command line's word for a field of a service or a setting."""
    return "--header" if field == "headers" else f"--{field.replace('_', '-')}"


def given_flags(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The flags about the endpoint that were given."""
    return {name: flags[name] for name in ENDPOINT_FLAGS if flags.get(name) not in (None, (), {})}


def with_endpoint(tree: Node, path: KeyPath, flags: Mapping[str, object]) -> Node:
    """The service at a path, reached as the flags say. Raises ConfigError.

    A key takes the place of whatever key the service has; headers are added to those it has. Flags'
    texts are taken as they are: a ``${...}`` in them is not expanded.
    """
    keys = [name for name in KEY_FLAGS if flags.get(name) is not None]
    if len(keys) > 1:
        raise ConfigError(
            f"{flag_name(keys[0])} and {flag_name(keys[1])} are both set", hint="give one of them"
        )
    for name, value in given_flags(flags).items():
        if name == "headers":
            for header, text in parsed_headers(value).items():
                tree = _set_flag(tree, (*path, "proxy", "extra_headers", header), text, name)
        elif name in KEY_FLAGS:
            tree = _with_key(tree, path, name, value)
        else:
            tree = _set_flag(tree, (*path, name), str(value), name)
    return tree


def refuse_for_simulated(flags: Mapping[str, object]) -> None:
    """Raises ConfigError for any flag about an endpoint: the simulated model has none."""
    for name in given_flags(flags):
        what = "takes no key" if name in KEY_FLAGS else f"has no use for {flag_name(name)}"
        hint = "leave the key out" if name in KEY_FLAGS else "leave it out"
        raise ConfigError(f"the simulated model {what}", hint=hint)


def parsed_headers(given: Mapping[str, str] | Iterable[str]) -> dict[str, str]:
    """Headers as a mapping, or as texts ``NAME=VALUE`` (``NAME: VALUE`` will do). Raises
    ConfigError, which does not show the value."""
    if isinstance(given, Mapping):
        return dict(given)
    headers = {}
    for text in given:
        name, *value = _SEPARATOR.split(text.strip(), maxsplit=1)
        if not name or not value:
            raise ConfigError("a header is NAME=VALUE", where=f"--header {name[:20]}")
        headers[name] = value[0]
    return headers


def _with_key(tree: Node, path: KeyPath, name: str, value: str | Callable[..., Any]) -> Node:
    if callable(value):
        name, value = "api_key_command", remember(value)
    for other in KEY_FLAGS:
        if other != name:
            tree = set_at(tree, (*path, other), Node(None))
    return _set_flag(tree, (*path, name), value, name)


def _set_flag(tree: Node, path: KeyPath, value: Any, flag: str) -> Node:
    texts = [text.replace("${", "$${") for text in ([value] if isinstance(value, str) else value)]
    plain = texts[0] if isinstance(value, str) else texts
    try:
        return set_at(tree, path, from_plain(plain, flag_name(flag)))
    except LookupError as error:
        raise ConfigError(str(error.args[0]), where=flag_name(flag)) from None

"""``${NAME}`` and ``${NAME:-default}`` in the values of a document.

``$${`` stands for a literal ``${``. A set but empty variable is empty; an unset one without default
is a problem with file and line. Secret values found are remembered, so that they are never written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .mistakes import Mistake
from .scrubber import KNOWN
from .secrecy import MIN_LENGTH, secret_variable, told_secrets, variable_secrets
from .tree import KeyPath, Node

REDACTED = "REDACTED"
"""The variable that a kept configuration names in the place of a secret given in clear."""
HANDED = "NEL_SECRET_"
"""Begins the variables that a run elsewhere gets in the place of secrets given in clear."""
REFERENCE = re.compile(r"\$\$\{|\$\{([A-Za-z_]\w*)(?::-([^}]*))?\}")

_UNUSABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(slots=True)
class Expansion:
    """The expanded data, the secrets in it, and what could not be expanded."""

    env: Mapping[str, str]
    data: Any = None
    secrets: set[str] = field(default_factory=set)
    problems: list[Mistake] = field(default_factory=list)

    def keep_secrets(self, values: Iterable[str]) -> None:
        """Remember values, unless they are too short to be distinguished from ordinary text."""
        found = [value for value in values if len(value) >= MIN_LENGTH]
        self.secrets.update(found)
        KNOWN.learn(*found)


def expand(root: Node, env: Mapping[str, str]) -> Expansion:
    """Expand every text of a tree, and look up the keys that are named by ``api_key_env``."""
    result = Expansion(env)
    result.data = _expand(root, (), result)
    services = result.data.get("services") if isinstance(result.data, dict) else None
    if isinstance(services, dict):
        for name, service in services.items():
            if isinstance(service, dict) and service.get("type") == "api":
                _look_up_key(service, ("services", name), result)
    return result


def _expand(node: Node, path: KeyPath, result: Expansion) -> object:
    if isinstance(node.value, dict):
        return {key: _expand(child, (*path, key), result) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [_expand(child, (*path, i), result) for i, child in enumerate(node.value)]
    if not isinstance(node.value, str):
        if isinstance(node.value, int):
            result.keep_secrets(told_secrets(str(node.value), path))
        return node.value

    def value_of(match: re.Match[str]) -> str:
        name: str | None = match[1]
        if name is None:
            return "${"
        default: str | None = match[2]
        value = result.env.get(name, default)
        if value is None:
            result.problems.append(_unset(name, path))
            return ""
        if secret_variable(name):
            result.keep_secrets(variable_secrets(value))
        return value

    text = REFERENCE.sub(value_of, node.value)
    if (unusable := _UNUSABLE.search(text)) is not None:
        what = f"holds the character {unusable[0]!a}, which no file or request can hold"
        result.problems.append(Mistake(path, what))
        return ""
    result.keep_secrets(told_secrets(text, path))
    return text


def _look_up_key(service: dict[str, object], path: KeyPath, result: Expansion) -> None:
    name = service.get("api_key_env")
    if not isinstance(name, str) or not name.isidentifier():
        return
    if service.get("api_key"):
        hint = "remove one of them"
        result.problems.append(Mistake(path, "api_key and api_key_env are both set", hint))
    elif not result.env.get(name):
        result.problems.append(_unset(name, (*path, "api_key_env"), "set it, or put it in .env"))
    else:
        service["api_key"] = result.env[name]
        result.keep_secrets(variable_secrets(result.env[name]))


def _unset(
    name: str, path: KeyPath, hint: str = "set it, put it in .env, or write ${NAME:-default}"
) -> Mistake:
    if name == REDACTED or name.startswith(HANDED):
        what = "a secret stood here in clear, which is not kept"
        return Mistake(path, what, "write ${NAME} for the variable that holds the secret")
    return Mistake(path, f"environment variable {name} is not set", hint.replace("NAME", name))

"""The configuration of a proxy that runs alone (`nel proxy -c FILE`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import ConfigError
from .connecting import KEY_FLAGS, with_endpoint
from .endpoints import ApiService
from .environment import environment
from .expand import expand
from .explain import explain
from .mistakes import as_error
from .quick import key_variable
from .tree import KeyPath, Node, from_plain, locate, set_at, step
from .yaml_file import read_yaml

FLAGS = {
    "url": "--upstream",
    "model": "--model",
    "max_turns": "--max-turns",
    "budget_tokens": "--budget-tokens",
    "budget_usd": "--budget-usd",
    "log": "--log",
}
VARIABLES = {"url": "NEMO_MODEL_URL", "model": "NEMO_MODEL_ID"}
"""Variables for what neither flags nor the file say."""
STEPS: dict[str, tuple[str, KeyPath]] = {
    "max_turns": ("turn_counter", ("max_turns",)),
    "budget_tokens": ("budget", ("run", "tokens")),
    "budget_usd": ("budget", ("run", "usd")),
}
"""Interceptor and option that a flag sets."""
LEVELS = {"full": "full", "meta": "summary", "off": "off"}
TRAFFIC_FILE = "model_traffic.jsonl"


@dataclass(frozen=True, slots=True)
class ProxyFile:
    """A checked service, and where its fields stand."""

    service: ApiService
    tree: Node

    def locate(self, path: KeyPath) -> str:
        """``file:line`` of a path."""
        return locate(self.tree, path)


def load_proxy_file(path: Path | None, flags: Mapping[str, object]) -> ProxyFile:
    """The fields of an `api` service, from a file, from flags, which win, and from VARIABLES.

    ``flags`` maps names of FLAGS and ENDPOINT_FLAGS to values. Raises ConfigError with file and
    line.
    """
    folders = [Path.cwd()] if path is None else [Path.cwd(), path.resolve().parent]
    env = environment(folders)
    tree = from_plain({}) if path is None else read_yaml(path)
    fields = _with_address(dict(tree.value or {}), flags, env)
    if "url" not in fields:
        raise ConfigError(
            "there is no endpoint to send to",
            where=str(path) if path else None,
            hint="give --upstream URL, set NEMO_MODEL_URL, or write a `url` in the file",
        )
    fields.setdefault("protocol", Node("chat_completions", ""))
    fields["type"] = Node("api", "")
    tree = with_endpoint(Node(fields, tree.mark), (), flags)
    tree = _with_steps(tree, flags)
    expansion = expand(Node({"services": Node({"proxy": tree}, "")}, ""), env)
    problems = [replace(found, path=found.path[2:]) for found in expansion.problems]
    data = expansion.data["services"]["proxy"]
    secrets = frozenset(expansion.secrets)
    service = None
    try:
        service = ApiService.model_validate(data, context=secrets)
    except ValidationError as error:
        problems += list(explain(error, secrets, ApiService))
    failure = as_error(problems, lambda where: locate(tree, where))
    if failure is not None:
        raise failure
    assert service is not None
    return ProxyFile(service, tree)


def _with_address(
    fields: dict[str, Node], flags: Mapping[str, Any], env: Mapping[str, str]
) -> dict[str, Node]:
    """The fields with URL and model of flags and environment. A key of the environment goes only
    to an endpoint that does not come from a file: the file may come from a stranger."""
    from_file = "url" in fields and "url" not in flags
    for name, variable in VARIABLES.items():
        if name in flags:
            fields[name] = Node(_literal(flags[name]), FLAGS[name])
        elif name not in fields and env.get(variable):
            fields[name] = Node(_literal(env[variable]), variable)
    has_key = any(name in fields or flags.get(name) is not None for name in KEY_FLAGS)
    if not has_key and not from_file and (holder := key_variable(env)) is not None:
        fields["api_key_env"] = Node(holder, holder)
    return fields


def _with_steps(tree: Node, flags: Mapping[str, Any]) -> Node:
    """The document with limits as interceptors, and the traffic log, as the flags say."""
    try:
        for flag in STEPS.keys() & flags.keys():
            name, option = STEPS[flag]
            tree, index = _with_step(tree, name)
            path: KeyPath = ("proxy", "interceptors", index, "config", *option)
            tree = set_at(tree, path, Node(flags[flag], FLAGS[flag]))
        if "log" in flags:
            mark, log = FLAGS["log"], ("proxy", "model_traffic")
            tree = set_at(tree, (*log, "level"), Node(LEVELS[flags["log"]], mark))
            kept = step(step(step(tree, "proxy") or tree, "model_traffic") or tree, "path")
            if kept is None:
                tree = set_at(tree, (*log, "path"), Node(TRAFFIC_FILE, mark))
    except LookupError as error:
        raise ConfigError(str(error.args[0]), where=tree.mark or None) from None
    return tree


def _with_step(tree: Node, name: str) -> tuple[Node, int]:
    """The document with an interceptor, which is put first where the file lists none of the name;
    its place."""
    listed = step(step(tree, "proxy") or Node({}), "interceptors")
    entries = list(listed.value) if listed and isinstance(listed.value, list) else []
    for index, entry in enumerate(entries):
        named = step(entry, "name")
        if named is not None and named.value == name:
            return tree, index
    entries.insert(0, from_plain({"name": name}))
    mark = listed.mark if listed else ""
    return set_at(tree, ("proxy", "interceptors"), Node(entries, mark)), 0


def _literal(text: str) -> str:
    """A value that is taken as it is: a reference in it would be expanded."""
    return text.replace("${", "$${")

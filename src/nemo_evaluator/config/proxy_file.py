"""The configuration of a proxy that runs alone (`nel proxy -c FILE`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import ConfigError
from .connecting import with_endpoint
from .endpoints import ApiService
from .environment import environment
from .expand import expand
from .explain import explain
from .problems import as_error
from .tree import KeyPath, Node, from_plain, locate
from .yaml_file import read_yaml

FLAGS = {"url": "--upstream", "model": "--model"}


@dataclass(frozen=True, slots=True)
class ProxyFile:
    """A checked service, and where its fields stand."""

    service: ApiService
    tree: Node

    def locate(self, path: KeyPath) -> str:
        """``file:line`` of a path."""
        return locate(self.tree, path)


def load_proxy_file(path: Path | None, flags: Mapping[str, Any]) -> ProxyFile:
    """The fields of an `api` service, from a file and from flags, which win.

    ``flags`` maps fields to values that are not None. Raises ConfigError with file and line.
    """
    folders = [Path.cwd()] if path is None else [Path.cwd(), path.resolve().parent]
    tree = from_plain({}) if path is None else read_yaml(path)
    fields = dict(tree.value or {})
    for name, flag in FLAGS.items():
        if name in flags:
            fields[name] = Node(flags[name], flag)
    if "url" not in fields:
        raise ConfigError(
            "there is no endpoint to send to",
            where=str(path) if path else None,
            hint="give --upstream URL, or a `url` in the file",
        )
    fields.setdefault("protocol", Node("chat_completions", ""))
    fields["type"] = Node("api", "")
    tree = with_endpoint(Node(fields, tree.mark), (), flags)
    expansion = expand(Node({"services": Node({"proxy": tree}, "")}, ""), environment(folders))
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

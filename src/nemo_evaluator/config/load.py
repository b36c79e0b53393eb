"""From a file (or a mapping) to a checked configuration.

Order: compose, apply overrides, resolve self references, drop private keys, inline playbooks,
expand ``${ENV}``, validate, cross-check. The snapshot is made from the tree before expansion: it
holds references, never values.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import ConfigError
from .checks import budget_warnings, judge_warnings
from .compose import compose
from .environment import environment
from .expand import expand
from .explain import explain
from .ineffective_fields import inert_fields
from .mistakes import Mistake, as_error, format_path
from .overrides import apply_overrides, parse_key
from .playbooks import inline_playbooks
from .references import resolve_references
from .root import EvalConfig
from .services import ModelFields
from .several_models import with_models
from .slurm_checks import slurm_warnings
from .snapshot import snapshot
from .tree import KeyPath, Node, from_plain, locate, plain, step


@dataclass(frozen=True, slots=True)
class Loaded:
    """A checked configuration and where it came from."""

    config: EvalConfig
    tree: Node = field(repr=False)
    """Composed and overridden, with ``${ENV}`` references unexpanded."""
    sources: tuple[str, ...]
    """The files it was made of, the main one first."""
    overrides: tuple[str, ...] = field(repr=False)
    env: Mapping[str, str] = field(repr=False)
    secrets: frozenset[str] = field(repr=False)
    """Values that must not be written anywhere."""
    warnings: tuple[str, ...] = ()

    @property
    def raw(self) -> dict[str, object]:
        """The document as plain data, references unexpanded. May hold literal secrets."""
        data: dict[str, object] = plain(self.tree)
        return data

    def locate(self, path: str | KeyPath) -> str:
        """``file:line`` of a path (``benchmarks[0].solver``), or of what is above it; or ``""``."""
        return locate(self.tree, parse_key(path) if isinstance(path, str) else path)

    def wrote(self, path: KeyPath) -> bool:
        """Whether something was written there."""
        node: Node | None = self.tree
        for part in path:
            node = step(node, part) if node is not None else None
        return node is not None

    @contextlib.contextmanager
    def at(self, path: KeyPath) -> Iterator[None]:
        """Around opening what is named there: an error says also which line of a file names it."""
        try:
            yield
        except ConfigError as error:
            mark = self.locate(path)
            if not mark.startswith(tuple(f"{source}:" for source in self.sources)):
                raise
            where = f"{mark}: {error.where or format_path(path)}"
            raise ConfigError(error.what, where=where, hint=error.hint) from error.__cause__

    def snapshot(self, command: str | None = None) -> str:
        """The configuration as YAML that can be run again; holds no secret."""
        return snapshot(
            self.raw,
            sources=self.sources,
            overrides=self.overrides,
            secrets=self.secrets,
            command=command,
        )


def load(
    path: str | Path, overrides: Sequence[str] = (), env: Mapping[str, str] | None = None
) -> Loaded:
    """Load a YAML file. Raises ConfigError naming file and line of every problem.

    ``env`` are the variables for ``${NAME}``; by default the environment over the `.env` files of
    the current directory and of the file's.
    """
    path = Path(path)
    if "\0" in str(path):
        raise ConfigError("cannot be read: no path holds the character '\\x00'", where=f"{path!r}")
    tree, sources = compose(path)
    if env is None:
        env = environment(dict.fromkeys([Path.cwd(), path.resolve().parent]))
    return _load(tree, sources, overrides, env, (path.resolve().parent, Path.cwd()))


def parse(
    data: Mapping[str, Any], overrides: Sequence[str] = (), env: Mapping[str, str] | None = None
) -> Loaded:
    """Check a document given as a mapping; `defaults` need a file. Raises ConfigError."""
    if env is None:
        env = environment([Path.cwd()])
    return _load(from_plain(data), (), overrides, env, (Path.cwd(),))


def check(
    tree: Node, sources: tuple[str, ...], overrides: Sequence[str], env: Mapping[str, str]
) -> Loaded:
    """Expand, validate and cross-check a composed tree. Raises ConfigError with every problem."""
    expansion = expand(tree, env)
    problems = list(expansion.problems)
    secrets = frozenset(expansion.secrets)
    config = None
    try:
        with _no_search_for_plugins():
            config = EvalConfig.model_validate(expansion.data, context=secrets)
    except ValidationError as error:
        # A value that could not be expanded has been complained of once.
        unset = {problem.path for problem in problems}
        problems += [p for p in explain(error, secrets, EvalConfig) if p.path not in unset]
    failure = as_error(problems, lambda path: locate(tree, path))
    if failure is not None:
        raise failure
    assert config is not None
    return Loaded(
        config=config,
        tree=tree,
        sources=sources,
        overrides=tuple(overrides),
        env=env,
        secrets=secrets,
        warnings=tuple(_warnings(config)),
    )


def secrets(loaded: Loaded) -> frozenset[str]:
    """Secret values in the configuration, to be redacted from every text that is written."""
    return loaded.secrets


def _load(
    tree: Node,
    sources: tuple[str, ...],
    overrides: Sequence[str],
    env: Mapping[str, str],
    folders: Sequence[Path],
) -> Loaded:
    tree = resolve_references(apply_overrides(tree, overrides))
    if not isinstance(tree.value, dict):
        kind = type(tree.value).__name__
        raise ConfigError(f"must be a mapping, not {kind}", where=tree.mark or None)
    public = {key: child for key, child in tree.value.items() if not key.startswith("_")}
    whole, playbooks = inline_playbooks(Node(public, tree.mark), list(dict.fromkeys(folders)))
    return check(with_models(whole), (*sources, *playbooks), overrides, env)


@contextlib.contextmanager
def _no_search_for_plugins() -> Iterator[None]:
    """The first validation builds all validators. pydantic would look through every installed
    package for plug-ins of its own first, which takes longer than the building."""
    name = "PYDANTIC_DISABLE_PLUGINS"
    before = os.environ.get(name)
    os.environ[name] = "__all__"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


def _warnings(config: EvalConfig) -> list[str]:
    """What is odd but can be run."""
    found = [
        f"services.{name}: {warning}"
        for name, service in config.services.items()
        if isinstance(service, ModelFields)
        for warning in service.warnings()
    ]
    found += [*budget_warnings(config), *judge_warnings(config), *slurm_warnings(config)]
    return [*found, *inert_fields(config)]


__all__ = ["Loaded", "Mistake", "check", "load", "parse", "secrets"]

"""From a file (or a mapping) to a checked configuration.

Order: compose, apply overrides, expand ``${ENV}``, validate, cross-check. What is remembered for the
snapshot is the document before expansion: it holds references, never values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from .compose import compose, prune
from .expand import Expansion, environment, expand
from .overrides import apply_overrides
from .problems import as_config_error
from .root import EvalConfig
from .services import ApiService
from .snapshot import snapshot
from .yaml_file import Document


@dataclass(frozen=True, slots=True)
class Loaded:
    """A checked configuration and where it came from."""

    config: EvalConfig
    document: Document
    """Composed and overridden, with ``${ENV}`` references unexpanded."""
    source: str
    overrides: tuple[str, ...]
    env: Mapping[str, str]
    secrets: frozenset[str]
    """Values that must not be written anywhere."""
    warnings: tuple[str, ...] = ()

    def snapshot(self) -> str:
        """The configuration as YAML that can be run again; holds no secret."""
        return snapshot(self.document.data, self.source, self.overrides, self.secrets)

    def with_overrides(self, overrides: Sequence[str]) -> Loaded:
        """The same with more fields set. Raises ConfigError."""
        document = Document(_copied(self.document.data), dict(self.document.marks))
        apply_overrides(document, overrides)
        checked = _checked(document, self.source, self.env)
        return replace(checked, overrides=(*self.overrides, *overrides))


def load(
    path: str | Path, overrides: Sequence[str] = (), env: Mapping[str, str] | None = None
) -> Loaded:
    """Load a YAML file. Raises ConfigError naming file and line of every problem."""
    path = Path(path)
    document = compose(path)
    if env is None:
        env = environment([Path.cwd(), path.resolve().parent])
    return _load(document, str(path), overrides, env)


def parse(
    data: Mapping[str, Any], overrides: Sequence[str] = (), env: Mapping[str, str] | None = None
) -> Loaded:
    """Check a document given as a mapping. Raises ConfigError."""
    if env is None:
        env = environment([Path.cwd()])
    return _load(Document(prune(_copied(dict(data)))), "", overrides, env)


def _load(
    document: Document, source: str, overrides: Sequence[str], env: Mapping[str, str]
) -> Loaded:
    apply_overrides(document, overrides)
    return replace(_checked(document, source, env), overrides=tuple(overrides))


def _checked(document: Document, source: str, env: Mapping[str, str]) -> Loaded:
    expansion: Expansion = expand(document, env)
    try:
        config = EvalConfig.model_validate(expansion.data)
    except ValidationError as error:
        raise as_config_error(error, expansion.data, document.marks) from None
    warnings = [
        f"services.{name}: {service.suffix_mismatch}"
        for name, service in config.services.items()
        if isinstance(service, ApiService) and service.suffix_mismatch
    ]
    return Loaded(
        config=config,
        document=document,
        source=source,
        overrides=(),
        env=env,
        secrets=frozenset(expansion.secrets),
        warnings=tuple(warnings),
    )


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(child) for child in value]
    return value

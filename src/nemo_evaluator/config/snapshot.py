"""The configuration as it is kept in a run directory: runnable again, without secrets."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence
from typing import Any

import yaml

from ..version import __version__
from .expand import REFERENCE, looks_secret

REDACTED = "${REDACTED}"


def snapshot(data: Any, source: str, overrides: Sequence[str], secrets: Collection[str]) -> str:
    """YAML with a header that says where it came from."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    header = [
        "# The resolved configuration of this run; run it again with: nel eval run config.yaml -o DIR",
        f"# nemo-evaluator: {__version__}",
        f"# created: {now}",
        f"# source config: {source or 'command line'}",
    ]
    header += [f"# override: {_hide(text.splitlines()[0], secrets)}" for text in overrides if text]
    body = yaml.safe_dump(_cleaned(data, "", secrets), sort_keys=False, allow_unicode=True)
    return "\n".join(header) + "\n" + body


def _cleaned(value: Any, name: str, secrets: Collection[str]) -> Any:
    if isinstance(value, dict):
        return {key: _cleaned(child, str(key), secrets) for key, child in value.items()}
    if isinstance(value, list):
        return [_cleaned(child, name, secrets) for child in value]
    if isinstance(value, str):
        if looks_secret(name) and not _is_reference(value):
            return REDACTED
        return _hide(value, secrets)
    return value


def _is_reference(value: str) -> bool:
    """Whether nothing of a secret stands in the text itself, only references without defaults."""
    if not REFERENCE.search(value):
        return not value
    rest = REFERENCE.sub("", value)
    return all(match[2] in (None, "", "none") for match in REFERENCE.finditer(value)) and (
        rest.strip() in ("", "Bearer", "Basic")
    )


def _hide(text: str, secrets: Collection[str]) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    name, equals, _ = text.partition("=")
    if equals and looks_secret(name.rpartition(".")[2]) and "${" not in text:
        return f"{name}={REDACTED}"
    return text

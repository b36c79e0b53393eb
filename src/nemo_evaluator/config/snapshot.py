"""The configuration as it is kept in a run directory: runnable again, without secrets."""

from __future__ import annotations

import datetime
import re
import shlex
import sys
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

import yaml

from ..errors import ConfigError
from ..version import __version__
from .expand import REDACTED as REDACTED_VARIABLE
from .expand import REFERENCE
from .overrides import parse_value
from .scrubber import KNOWN, scrubber_of
from .secrecy import MIN_LENGTH, hidden_urls, redact, secret_field, secret_variable
from .yaml_text import to_yaml

REDACTED = f"${{{REDACTED_VARIABLE}}}"
_HEADER = re.compile(
    r"^((?:--?[\w-]+=)?(?:[\w-]*-)?(?:authorization|api-?key|token|cookie|auth|secret)\s*[:=]\s*)\S",
    re.IGNORECASE,
)
"""A header given as one word: ``--header=X-Api-Key=abc``, ``Authorization: Bearer abc``."""
_NAMED = re.compile(r"^(--?(?:[\w-]*-)?(?:key|token|secret|password))(=.+)?$", re.IGNORECASE)


def snapshot(
    data: Mapping[str, Any],
    *,
    sources: Sequence[str],
    overrides: Sequence[str],
    secrets: Collection[str],
    command: str | None,
) -> str:
    """YAML with a header that says where it came from. It loads back as it stands."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    if command is None:
        command = safe_command(sys.argv)
    lines = [
        "The configuration of this run. Run it again: nel eval run config.yaml -o DIR",
        f"nemo-evaluator version: {__version__}",
        f"created: {now}",
        f"command: {_without_secrets(command, secrets, '***')}",
        *(f"source config: {source}" for source in sources),
        *(f"override: {safe_override(text, secrets)}" for text in overrides),
    ]
    header = "".join(f"# {' '.join(line.split())}\n" for line in lines)
    body = to_yaml(_cleaned(dict(data), secrets, "", ""))
    return header + body


def safe_override(text: str, secrets: Collection[str] = ()) -> str:
    """An override as it may be written: the values of secret places replaced."""
    key, equals, value = text.partition("=")
    names = re.findall(r"[^.\[\]\"']+", key)
    if not equals or not names:
        return _without_secrets(text, secrets, REDACTED)
    places = list(pairwise(["", *names]))
    if any(_is_literal_secret(value, name, parent) for parent, name in places):
        return f"{key}={REDACTED}"
    if value.lstrip()[:1] in ("{", "["):
        return f"{key}={_safe_value(value, names[-1], secrets)}"
    return _without_secrets(text, secrets, REDACTED)


def _safe_value(text: str, name: str, secrets: Collection[str]) -> str:
    """A mapping or list of an override, with the values of secret places replaced."""
    try:
        value = parse_value(text)
    except ConfigError:
        return REDACTED  # which part of it is secret is unknown
    cleaned = _cleaned(value, secrets, name, "")
    if cleaned == value:
        return text
    return yaml.safe_dump(cleaned, default_flow_style=True, sort_keys=False, width=10**6).strip()


def safe_command(argv: Sequence[str]) -> str:
    """A command line as it may be written: the values of secret options and places replaced."""
    shown: list[str] = []
    hide_next = False
    for word in argv:
        match = _NAMED.match(word)
        if hide_next:
            word = "***"
        elif match and match[2]:
            word = f"{match[1]}=***"
        elif header := _HEADER.match(word):
            word = f"{header[1]}***"
        elif "=" in word:
            prefix = next((p for p in ("--override=", "-O") if word.startswith(p)), "")
            word = prefix + safe_override(word.removeprefix(prefix))
        hide_next = bool(match and not match[2] and not hide_next)
        shown.append(KNOWN(hidden_urls(word, "***")))
    return shlex.join(shown)


def _without_secrets(text: str, secrets: Collection[str], mask: str) -> str:
    """A text without known secrets, and without those of the URLs in it."""
    text = redact(hidden_urls(text, mask), secrets, mask)
    return scrubber_of(frozenset(secrets), mask)(text)


def _cleaned(value: object, secrets: Collection[str], name: str, parent: str) -> object:
    if isinstance(value, dict):
        if secret_field(name, parent):  # so is all below it
            return {key: _cleaned(child, secrets, name, parent) for key, child in value.items()}
        return {key: _cleaned(child, secrets, str(key), name) for key, child in value.items()}
    if isinstance(value, list):
        return [_cleaned(child, secrets, name, parent) for child in value]
    if value is None or isinstance(value, bool):
        return value
    if _is_literal_secret(str(value), name, parent):
        return REDACTED
    if not isinstance(value, str):
        return value
    value = REFERENCE.sub(_without_default, value)
    # A name may equal a secret by chance ("simulated"): what says the kind of a record stays.
    return value if name in ("type", "protocol") else _without_secrets(value, secrets, REDACTED)


def _is_literal_secret(value: str, name: str, parent: str) -> bool:
    """Whether what stands there is a secret in clear."""
    return secret_field(name, parent) and is_literal_secret(value)


def is_literal_secret(value: str) -> bool:
    """Whether text that stands in a secret place holds more than references and a scheme."""
    rest = REFERENCE.sub("", value).strip()
    return rest not in ("", "Bearer", "Basic", "null", "~")


def _without_default(match: re.Match[str]) -> str:
    """A reference without the default that may be a secret; short ones (``none``) are not."""
    name, default = match[1], match[2]
    if name is None or default is None or len(default) < MIN_LENGTH or not secret_variable(name):
        return match[0]
    return f"${{{name}}}"

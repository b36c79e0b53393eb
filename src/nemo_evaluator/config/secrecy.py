"""What counts as a secret, and how secrets are kept out of everything that is shown or written.

A secret is known by its place (an ``api_key``, an ``Authorization`` header, a variable called
``HF_TOKEN``) or by where its value came from (``${MY_API_KEY}``). Values shorter than
`MIN_LENGTH` are not searched for in other texts: that would blank out ordinary words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

MIN_LENGTH = 6
MASK = "**********"
_VARIABLE = re.compile(r"key|token(?!s|izer)|secret|password|credential", re.IGNORECASE)
_FIELD = re.compile(
    r"^(.*[_.-])?(api[_-]?key|access[_-]?key|secret[_-]?key|private[_-]?key|key"
    r"|(access|auth|api|bearer|refresh|hf|session)[_-]?token|token|secret|password|passwd"
    r"|credentials?|authorization|auth|cookie)$",
    re.IGNORECASE,
)
_ENVIRONMENTS = {"container_env", "extra_env", "env_vars"}


def secret_variable(name: str) -> bool:
    """Whether an environment variable of this name is taken to hold a secret."""
    return bool(_VARIABLE.search(name))


def secret_field(name: str, parent: str = "") -> bool:
    """Whether text under this key of a document is taken to be a secret."""
    if parent in _ENVIRONMENTS:
        return secret_variable(name)
    return bool(_FIELD.match(name))


def url_password(text: str) -> str | None:
    """The password in ``scheme://user:password@host``."""
    if "@" not in text or "://" not in text:
        return None
    try:
        return urlsplit(text).password
    except ValueError:
        return None


def redact(text: str, secrets: Iterable[str], mask: str = MASK) -> str:
    """``text`` with every secret in it replaced; longer ones first."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, mask)
    return text


def masked(value: Any, secrets: Iterable[str] = (), parent: str = "") -> Any:
    """A copy of plain data with the text in secret places, and known secrets anywhere, masked."""
    if isinstance(value, Mapping):
        return {
            key: MASK
            if isinstance(child, str) and child and secret_field(str(key), parent)
            else masked(child, secrets, str(key))
            for key, child in value.items()
        }
    if isinstance(value, list | tuple):
        return [masked(child, secrets, parent) for child in value]
    return redact(value, secrets) if isinstance(value, str) else value

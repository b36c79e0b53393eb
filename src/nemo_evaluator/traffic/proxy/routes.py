"""What a path means: which session, which protocol. Pure functions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from urllib.parse import unquote

_SESSION = re.compile(r"/s/([^/]+)(/.*)?")
_VERSIONED = re.compile(r"(?:/v\d+)*(/.*)?")
SESSION_HEADER = "x-nel-session"
PROTOCOLS = {
    "/chat/completions": "chat_completions",
    "/completions": "completions",
    "/responses": "responses",
    "/embeddings": "embeddings",
}


class Kind(Enum):
    """What is asked for."""

    CALL = auto()
    """A call of one of ``PROTOCOLS``."""
    MESSAGES = auto()
    """Anthropic messages, translated."""
    COUNT_TOKENS = auto()
    MODELS = auto()
    HEALTH = auto()
    METRICS = auto()
    OTHER = auto()
    """Nothing of ours: passed through."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes."""

    kind: Kind
    session: str = ""
    protocol: str = ""
    path: str = "/"
    """Without the session's prefix."""


def route(method: str, path: str) -> Route:
    """The route of an undecoded path without query.

    ``/s/<id>/...`` names the session; ``/v1`` may stand before a known path once, twice or not at
    all, since clients disagree about whose part of the address it is.
    """
    session = ""
    if (match := _SESSION.fullmatch(path)) is not None:
        session, path = unquote(match[1]), match[2] or "/"
    versioned = _VERSIONED.fullmatch(path)
    bare = (versioned[1] if versioned else path) or "/"
    bare = bare.rstrip("/") or "/"
    return Route(_kind(method, bare, path), session, PROTOCOLS.get(bare, ""), path)


def _kind(method: str, bare: str, path: str) -> Kind:
    if method == "POST":
        if bare in PROTOCOLS:
            return Kind.CALL
        named = {"/messages": Kind.MESSAGES, "/messages/count_tokens": Kind.COUNT_TOKENS}
        return named.get(bare, Kind.OTHER)
    if method == "GET":
        if path in ("/health", "/healthz"):
            return Kind.HEALTH
        if path == "/metrics":
            return Kind.METRICS
        if bare == "/models" or bare.startswith("/models/"):
            return Kind.MODELS
    return Kind.OTHER


def upstream_path(path: str) -> tuple[bool, str]:
    """Whether a passed-through path is relative to the API (``/v1``), and the path below it."""
    if (match := _VERSIONED.fullmatch(path)) and match[1] != path:
        return True, match[1] or ""
    return False, path

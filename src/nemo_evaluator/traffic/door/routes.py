"""What a path means: which session, which protocol. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from urllib.parse import unquote

_SESSION = re.compile(r"/s/([^/]+)(/.*)?")
_VERSIONED = re.compile(r"(?:/v\d+)*(/.*)?")
_AZURE = re.compile(r"/openai(?:/deployments/([^/]+))?(?:/v\d+)*(/.*)")
"""Where clients of Azure OpenAI send what others send to ``/v1``."""
_ODD = re.compile(r"[\x00-\x1f\x7f\\]")
MAX_DECODINGS = 5
"""A path that is still percent-encoded after this many decodings is refused."""
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
    """None of the above: passed through if the path is listed."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes."""

    kind: Kind
    session: str = ""
    protocol: str = ""
    path: str = "/"
    """Without the session's prefix."""
    model: str = ""
    """The model, where the path names it (Azure's deployments)."""


@lru_cache(maxsize=1024)
def route(method: str, path: str) -> Route:
    """The route of an undecoded path without query.

    ``/s/<id>/...`` names the session; ``/v1`` may stand before a known path once, twice or not at
    all, since clients disagree about whose part of the address it is. Clients of Azure OpenAI write
    ``/openai/deployments/<model>`` or ``/openai/v1`` there.
    """
    session = ""
    if (match := _SESSION.fullmatch(path)) is not None:
        session, path = unquote(match[1]), match[2] or "/"
    versioned = _VERSIONED.fullmatch(path)
    bare = (versioned[1] if versioned else path) or "/"
    bare = bare.rstrip("/") or "/"
    model = ""
    if (azure := _AZURE.fullmatch(bare)) is not None and azure[2] in PROTOCOLS:
        model, bare = unquote(azure[1] or ""), azure[2]
    return Route(_kind(method, bare, path), session, PROTOCOLS.get(bare, ""), path, model)


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


def stays_below(path: str) -> bool:
    """Whether an upstream reads a path as one below the base it is put after, however it decodes:
    no ``.`` and ``..`` segments, no empty ones, no backslash, no control character."""
    for _ in range(MAX_DECODINGS):
        if not path.startswith("/") or _ODD.search(path):
            return False
        segments = path.removesuffix("/").split("/")[1:]
        if any(segment.partition(";")[0] in ("", ".", "..") for segment in segments):
            return False
        if (decoded := unquote(path)) == path:
            return True
        path = decoded
    return False


class PassThrough:
    """Upstream paths that clients may reach although the proxy does not interpret them."""

    def __init__(self, paths: Collection[str]) -> None:
        """Each path stands for itself and all below; ``/`` for everything."""
        self._all = "/" in paths
        self._listed = [(below, listed.rstrip("/")) for below, listed in map(upstream_path, paths)]

    def allows(self, path: str) -> bool:
        """Whether a path (without query) is listed, or below one that is."""
        if not stays_below(path):
            return False
        below_api, bare = upstream_path(path)
        return self._all or any(
            below_api == below and (bare == listed or bare.startswith(f"{listed}/"))
            for below, listed in self._listed
        )

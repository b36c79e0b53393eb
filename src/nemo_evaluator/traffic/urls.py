"""Addresses of endpoints, however the user wrote them."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

PATHS = {
    "chat_completions": "/chat/completions",
    "completions": "/completions",
    "responses": "/responses",
    "embeddings": "/embeddings",
    "rewards": "/pooling",
}
REWARD_PATHS = ("/pooling", "/score", "/classify", "/reward")
"""Ends of the URLs at which reward models are served."""
_SUFFIXES = sorted(PATHS.values(), key=len, reverse=True)


def endpoint_url(url: str, protocol: str) -> str:
    """The URL to post to: a full path stays, a base (``.../v1``) gets the protocol's path, a bare
    host gets ``/v1`` too. Idempotent; a query is kept, a fragment is not."""
    if protocol == "rewards" and is_reward_url(url):
        return urlunsplit(urlsplit(url)._replace(fragment=""))
    return _with_path(url, PATHS[protocol])


def is_reward_url(url: str) -> bool:
    """Whether the path is that of a reward model."""
    return urlsplit(url).path.rstrip("/").endswith(REWARD_PATHS)


def models_url(url: str) -> str:
    """Where the same endpoint lists its models."""
    return _with_path(url, "/models")


def base_url(url: str) -> str:
    """What all paths of the endpoint begin with, e.g. ``https://host/v1``; without a query."""
    parts = urlsplit(_with_path(url, ""))
    return urlunsplit(parts._replace(query=""))


def api_root(base: str) -> str:
    """What a base URL stands on: without a ``/v1`` at its end."""
    return re.sub(r"/v\d+$", "", base)


def with_query(url: str, more: str) -> str:
    """The URL with the parameters of another query that it does not set itself.

    ``with_query("http://h/x?a=1", "a=2&b=3")`` is ``http://h/x?a=1&b=3``.
    """
    parts = urlsplit(url)
    own = [pair for pair in parts.query.split("&") if pair]
    names = {pair.partition("=")[0] for pair in own}
    added = [pair for pair in more.split("&") if pair and pair.partition("=")[0] not in names]
    return urlunsplit(parts._replace(query="&".join([*own, *added]))) if added else url


def peer_name(url: str) -> str:
    """Scheme, host and port: what may be shown, without credentials, path or query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{_host(parts)}"


def split_credentials(url: str) -> tuple[str, tuple[str, str] | None]:
    """The URL without ``user:password@``, and the two (decoded) where they were there."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url, None
    clean = urlunsplit(parts._replace(netloc=_host(parts)))
    return clean, (unquote(parts.username or ""), unquote(parts.password or ""))


def _with_path(url: str, end: str) -> str:
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    suffix = next((suffix for suffix in _SUFFIXES if path.endswith(suffix)), None)
    base = path.removesuffix(suffix).rstrip("/") if suffix else path or "/v1"
    return urlunsplit(parts._replace(path=base + end, fragment=""))


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    try:
        port = parts.port
    except ValueError:  # shown in the message that says so
        return host
    return f"{host}:{port}" if port else host

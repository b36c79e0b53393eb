"""Addresses of endpoints, however the user wrote them."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

PATHS = {
    "chat_completions": "/chat/completions",
    "completions": "/completions",
    "responses": "/responses",
}


def endpoint_url(url: str, protocol: str) -> str:
    """The URL to post to: a full path stays, a base (``.../v1``) gets the protocol's path, a bare
    host gets ``/v1`` too. Idempotent; a query is kept."""
    base = base_url(url)
    parts = urlsplit(base)
    return urlunsplit(parts._replace(path=parts.path + PATHS[protocol]))


def base_url(url: str) -> str:
    """The part before the protocol's path."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    for suffix in sorted(PATHS.values(), key=len, reverse=True):
        if path.endswith(suffix):
            return urlunsplit(parts._replace(path=path.removesuffix(suffix)))
    return urlunsplit(parts._replace(path=path or "/v1"))


def peer_name(url: str) -> str:
    """Scheme, host and port: what may be shown, without credentials, path or query."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")

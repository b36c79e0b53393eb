"""Addresses of model endpoints, however the user wrote them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

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


def _with_path(url: str, end: str) -> str:
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    suffix = next((suffix for suffix in _SUFFIXES if path.endswith(suffix)), None)
    base = path.removesuffix(suffix).rstrip("/") if suffix else path or "/v1"
    return urlunsplit(parts._replace(path=base + end, fragment=""))

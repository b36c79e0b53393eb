"""Parts of URLs: what may be shown of one, what is secret in one, what is added to one."""

from __future__ import annotations

import base64
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit


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


def basic_authorization(user: str, password: str) -> str:
    """The value of an ``Authorization`` header."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def bracketed(host: str) -> str:
    """A host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


def _host(parts: SplitResult) -> str:
    host = bracketed(parts.hostname or "")
    try:
        port = parts.port
    except ValueError:  # shown in the message that says so
        return host
    return f"{host}:{port}" if port else host

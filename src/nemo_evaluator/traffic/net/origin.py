"""Whom to connect to, and over which proxy of the environment."""

from __future__ import annotations

import base64
import os
import sys
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from ...errors import ConfigError
from ..urls import peer_name

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy."""

    host: str
    port: int
    authorization: str | None = None
    """Value of the ``Proxy-Authorization`` header."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port of a service."""

    scheme: str
    host: str
    port: int
    proxy: Proxy | None = None

    @classmethod
    def of(cls, url: str) -> Origin:
        """The origin of a URL. Raises ConfigError for a host or proxy that cannot be."""
        parts = urlsplit(url)
        try:
            host = parts.hostname or ""
            if ":" not in host:
                host = host.encode("idna").decode()
            port = parts.port or PORTS[parts.scheme]
        except (ValueError, KeyError):
            host, port = "", 0
        if not host:
            raise ConfigError("the URL is not valid", where=peer_name(url))
        return cls(parts.scheme, host, port, environment_proxy(url))

    @property
    def authority(self) -> str:
        """Value of the ``Host`` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def shown(self) -> str:
        """Host and port, for messages."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def form(self, target: str) -> str:
        """A path and query as this origin, or the proxy before it, wants them."""
        if self.proxy is None or self.scheme == "https":
            return target
        return f"http://{self.authority}{target}"


def environment_proxy(url: str) -> Proxy | None:
    """The proxy that ``HTTPS_PROXY``, ``NO_PROXY``, ... name for a URL. Raises ConfigError for one
    that is no plain HTTP proxy."""
    named_by_system = sys.platform in ("darwin", "win32")
    if not named_by_system and not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    import urllib.request  # 15 ms, and hardly ever needed

    parts = urlsplit(url)
    if not parts.hostname or urllib.request.proxy_bypass(parts.hostname):
        return None
    address = urllib.request.getproxies().get(parts.scheme)
    if not address:
        return None
    named = urlsplit(address if "://" in address else f"http://{address}")
    variable = f"{parts.scheme.upper()}_PROXY"
    try:
        host, port = named.hostname, named.port or PORTS["http"]
    except ValueError:
        host, port = None, 0
    if named.scheme != "http" or not host:
        hint = f"unset {variable}, or name the host in NO_PROXY"
        raise ConfigError("only http:// proxies are supported", where=variable, hint=hint)
    return Proxy(host, port, _authorization(named))


def _authorization(parts: SplitResult) -> str | None:
    if parts.username is None:
        return None
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"

"""Whom to connect to, and over which proxy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from ...errors import ConfigError
from ..headers import Headers, RequestHead, request_target
from ..urls import bracketed, peer_name
from .proxies import DIRECT, PORTS, Proxy, environment_proxy, proxy_at


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port of a service."""

    scheme: str
    host: str
    port: int
    proxy: Proxy | None = None

    @classmethod
    def of(cls, url: str, proxy: str | None = None) -> Origin:
        """The origin of a URL. ``proxy`` is a proxy's URL, ``direct`` for none, or None for what
        the environment names. Raises ConfigError for a host or proxy that cannot be."""
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
        if proxy == DIRECT:
            return cls(parts.scheme, host, port)
        if proxy:
            hint = "write http://HOST:PORT, or direct for none"
            return cls(parts.scheme, host, port, proxy_at(proxy, "http_proxy", hint))
        return cls(parts.scheme, host, port, environment_proxy(url))

    @property
    def authority(self) -> str:
        """Value of the ``Host`` header."""
        host = bracketed(self.host)
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def shown(self) -> str:
        """Host and port, for messages."""
        return f"{bracketed(self.host)}:{self.port}"

    def head(self, method: str, url: str, headers: Mapping[str, str]) -> RequestHead:
        """The head of requests for a URL of this origin; ``headers`` go before its own."""
        parts = urlsplit(url)
        target = request_target((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
        own = {"Host": self.authority, "Accept": "*/*"}
        proxy = self.proxy if self.scheme == "http" else None
        if proxy is not None and proxy.authorization:
            own["Proxy-Authorization"] = proxy.authorization
        return RequestHead(method, self.form(target), Headers.of(own, headers))

    def form(self, target: str) -> str:
        """A path and query as this origin, or the proxy before it, wants them."""
        if self.proxy is None or self.scheme == "https":
            return target
        return f"http://{self.authority}{target}"

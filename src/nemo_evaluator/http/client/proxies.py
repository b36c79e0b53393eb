"""Which HTTP proxy stands before a host: the one that is set, or the environment's.

``HTTP_PROXY``, ``HTTPS_PROXY`` and ``ALL_PROXY`` in either case (lower case wins, as in curl), less
the hosts of ``NO_PROXY``: names and all below them, ``host:port``, addresses, networks, ``*``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from urllib.parse import SplitResult, unquote, urlsplit

from ...errors import ConfigError
from ..urls import basic_authorization

PORTS = {"http": 80, "https": 443}
DIRECT = "direct"
"""Set in the place of a proxy's URL: use none, whatever the environment says."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy."""

    host: str
    port: int
    authorization: str | None = None
    """Value of the ``Proxy-Authorization`` header."""


def proxy_at(address: str, where: str, hint: str) -> Proxy:
    """The proxy of a URL. Raises ConfigError for one that is no plain HTTP proxy."""
    try:
        named = urlsplit(address if "://" in address else f"http://{address}")
        host, port = named.hostname, named.port or PORTS["http"]
    except ValueError:
        named, host, port = urlsplit(""), None, 0
    if named.scheme != "http" or not host:
        raise ConfigError("only http:// proxies are supported", where=where, hint=hint)
    return Proxy(host, port, _authorization(named))


def environment_proxy(url: str) -> Proxy | None:
    """The proxy that the environment names for a URL. Raises ConfigError for one that is no plain
    HTTP proxy."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)
    found = _proxy_variable(parts.scheme, os.environ)
    if found is None and sys.platform in ("darwin", "win32"):
        found = _of_system(parts)
    if found is None or not host or is_exempt(host, port, _variable("no_proxy", os.environ)):
        return None
    variable, address = found
    return proxy_at(address, variable, f"unset {variable}, or name the host in NO_PROXY")


def is_exempt(host: str, port: int, no_proxy: str) -> bool:
    """Whether ``NO_PROXY`` names a host: ``.example.org`` and ``example.org`` name all below too,
    ``example.org:8000`` only that port, ``10.0.0.0/8`` a network, ``*`` everything."""
    entries = no_proxy.replace(",", " ").lower().split()
    return any(_matches(entry, host.lower().rstrip("."), port) for entry in entries)


def _matches(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    if (address := _address(host)) is not None:
        try:
            if address in ip_network(entry.strip("[]"), strict=False):
                return True
        except ValueError:
            pass
    name, colon, number = entry.rpartition(":")
    if colon and number.isdecimal() and (":" not in name or name.endswith("]")):
        if int(number) != port:
            return False
        entry = name
    entry = entry.strip("[]").removeprefix("*").strip(".")
    return bool(entry) and (host == entry or host.endswith(f".{entry}"))


def _address(host: str) -> object:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _proxy_variable(scheme: str, env: Mapping[str, str]) -> tuple[str, str] | None:
    """Variable and address."""
    for name in (f"{scheme}_proxy", "all_proxy"):
        if address := _variable(name, env):
            return name.upper(), address
    return None


def _variable(name: str, env: Mapping[str, str]) -> str:
    return env.get(name) or env.get(name.upper()) or ""


def _of_system(parts: SplitResult) -> tuple[str, str] | None:
    """What the system's settings name (macOS, Windows)."""
    import urllib.request  # 15 ms

    if urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    address = urllib.request.getproxies().get(parts.scheme)
    return (f"{parts.scheme.upper()}_PROXY", address) if address else None


def _authorization(parts: SplitResult) -> str | None:
    if parts.username is None:
        return None
    return basic_authorization(unquote(parts.username), unquote(parts.password or ""))

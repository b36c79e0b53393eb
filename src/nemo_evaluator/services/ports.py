"""Which port each server gets. A port that the user fixed is kept; any other is a free one that no
other evaluation of this machine has reserved, so that two servers never want the same."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import re
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..errors import ConfigError
from .launch import HOST, Launch
from .machine_claims import claimed

KIND = "ports"
FIRST_PORT, LAST_PORT = 8000, 65535
_FIRST_OF_ANY, _LAST_OF_ANY = 20000, 32767
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_OFFSET = re.compile(r"\{port\+(\d+)\}")


def assigned_ports(launches: Mapping[str, Launch]) -> dict[str, int]:
    """The first port of each service where all are started on the same node: those that are said,
    and the next ones for the others, in order."""
    taken = {
        port
        for launch in launches.values()
        if launch.port is not None and launch.port_is_fixed
        for port in range(launch.port, launch.port + ports_of(launch))
    }
    found: dict[str, int] = {}
    for name, launch in launches.items():
        if launch.port is not None and launch.port_is_fixed:
            found[name] = launch.port
            continue
        width, port = ports_of(launch), launch.port or FIRST_PORT
        while taken & {*range(port, port + width)}:
            port += 1
        found[name] = port
        taken |= {*range(port, port + width)}
    return found


def ports_of(launch: Launch) -> int:
    """How many ports, one after the other, a service takes."""
    words = (word for process in launch.programs for word in (*process.argv, *process.setup))
    more = (int(number) for word in words for number in _OFFSET.findall(word))
    return launch.instances + max(more, default=0)


class ReservedPorts:
    """Ports, one after the other, that no other evaluation of this machine takes while they are
    held: a server needs minutes until it listens itself."""

    def __init__(self, launch: Launch, where: str) -> None:
        """The ports that the launch names, or free ones where it names none. Raises ConfigError."""
        count, named = ports_of(launch), launch.port
        self._held = contextlib.ExitStack()
        if named is not None and launch.port_is_fixed:
            self.first = named
            self._reserve(named, count)  # whether it is free is seen when the server is started
            return
        ports = _any_ports() if named is None else range(named, LAST_PORT - count)
        found = next((port for port in ports if self._take(port, count)), None)
        if found is None:
            raise ConfigError(f"no port from {named or _FIRST_OF_ANY} on is free", where=where)
        self.first = found

    def release(self) -> None:
        """Let others have the ports."""
        self._held.close()

    def _take(self, first: int, count: int) -> bool:
        if not self._reserve(first, count):
            return False
        if all(trouble_with(port) is None for port in range(first, first + count)):
            return True
        self._held.close()
        return False

    def _reserve(self, first: int, count: int) -> bool:
        """Whether no other evaluation holds any of them."""
        claim = claimed(KIND, range(first, first + count))
        if claim is not None:
            self._held.enter_context(claim)
        return claim is not None


def trouble_with(port: int) -> str | None:
    """Why a server cannot listen on a port; None where it can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            return error.strerror or os.strerror(error.errno or errno.EADDRINUSE)
    return None


def _any_ports() -> Iterable[int]:
    """Ports for a server whose port is free to choose, in the order in which they are tried.

    The system gives ports of its ephemeral range to every outgoing connection; a server that needs
    minutes until it listens would find such a port taken. So ports below that range come first.
    """
    try:
        first_ephemeral = int(_EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        first_ephemeral = _LAST_OF_ANY + 1
    last = min(_LAST_OF_ANY, first_ephemeral - 1)
    if last < _FIRST_OF_ANY:
        last = _LAST_OF_ANY
    ports = [*range(_FIRST_OF_ANY, last + 1)]
    start = random.randrange(len(ports))
    return ports[start:] + ports[:start]

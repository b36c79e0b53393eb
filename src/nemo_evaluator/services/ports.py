"""Which port each server gets. A port that somebody said is kept; any other is the next free one
from 8000 on, so that two servers of a machine, or two evaluations, never want the same."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .launch import Launch

FIRST_PORT = 8000
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

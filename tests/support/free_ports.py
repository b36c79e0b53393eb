"""Ports for servers that tests start themselves."""

from __future__ import annotations

from nemo_evaluator.services.launch import Launch
from nemo_evaluator.services.ports import ReservedPorts

_HELD: list[ReservedPorts] = []


def free_port() -> int:
    """A port that no outgoing connection takes, and that no other test gets while this process
    lives: a server may need a minute until it listens."""
    _HELD.append(ReservedPorts(Launch(), "a test"))
    return _HELD[-1].first

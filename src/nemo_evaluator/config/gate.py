"""The gate that a run is made for: the `gate` section."""

from __future__ import annotations

from typing import Literal

from .base import ConfigRecord


class GateConfig(ConfigRecord):
    """The policy that the results are judged by, against a run that there is. The verdict is told
    at the end; it does not change the exit code of the run."""

    policy: str
    """File of the policy, as `nel gate` reads it."""
    baseline: str
    """Directory of the run that the results are compared with."""
    stop_when: Literal["decided"] | None = None
    """`decided`: ask in random order, and end as soon as the policy's answer is certain."""

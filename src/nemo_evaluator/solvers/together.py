"""Several calls of one rollout as one."""

from __future__ import annotations

import msgspec

from ..types import Generation


def together(one: Generation, other: Generation) -> Generation:
    """Two calls as one: the later text, with the sums of what they used."""
    costs = [cost for cost in (one.cost_usd, other.cost_usd) if cost is not None]
    return msgspec.structs.replace(
        other,
        usage=one.usage + other.usage,
        latency_ms=one.latency_ms + other.latency_ms,
        ttft_ms=one.ttft_ms,
        tries=one.tries + other.tries,
        cost_usd=sum(costs) if costs else None,
        simulated=one.simulated or other.simulated,
        cached=one.cached and other.cached,
    )

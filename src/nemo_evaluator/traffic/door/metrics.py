"""Counters of a proxy in Prometheus' text format (exposition format 0.0.4)."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping

from ..client import ModelClient

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Upper bounds in seconds."""


class Metrics:
    """What the door itself counts; tokens and costs are the ledger's."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._statuses: Counter[tuple[str, int]] = Counter()
        self._buckets = [0] * (len(BUCKETS) + 1)
        self._seconds = 0.0

    def note(self, kind: str, status: int, seconds: float) -> None:
        """One request was answered; 499 stands for a client that left."""
        self._statuses[kind, status] += 1
        self._buckets[bisect_left(BUCKETS, seconds)] += 1
        self._seconds += seconds

    def text(self, model: ModelClient) -> str:
        """The page."""
        total = model.ledger.total
        lines = [*self._requests(), *self._durations()]
        lines += _metric("nel_proxy_in_flight", "gauge", "Requests now.", {"": self.in_flight})
        tasks = len(asyncio.all_tasks())
        lines += _metric("nel_proxy_tasks", "gauge", "Tasks of the event loop.", {"": tasks})
        tokens = {
            "prompt": total.prompt_tokens,
            "completion": total.completion_tokens,
            "reasoning": total.reasoning_tokens,
            "cached": total.cached_tokens,
        }
        lines += _metric(
            "nel_tokens_total",
            "counter",
            "Tokens as the provider reports them.",
            {f'{{kind="{kind}"}}': count for kind, count in tokens.items()},
        )
        lines += _metric(
            "nel_cost_usd_total",
            "counter",
            "Cost, where prices are known.",
            {"": total.cost_usd or 0},
        )
        calls = {
            '{end="answer"}': total.answers - total.cached_answers,
            '{end="cache"}': total.cached_answers,
            '{end="abandoned"}': total.abandoned,
        }
        calls |= {f'{{end="{kind.value}"}}': count for kind, count in total.errors.items()}
        lines += _metric("nel_calls_total", "counter", "Calls by how they ended.", calls)
        in_flight, limit = model.load()[:2]
        lines += _metric("nel_upstream_in_flight", "gauge", "Requests upstream.", {"": in_flight})
        lines += _metric("nel_upstream_limit", "gauge", "Most of them now.", {"": limit or 0})
        return "\n".join(lines) + "\n"

    def _requests(self) -> Iterator[str]:
        values = {
            f'{{kind="{kind}",status="{status}"}}': count
            for (kind, status), count in sorted(self._statuses.items())
        }
        yield from _metric("nel_proxy_requests_total", "counter", "Requests answered.", values)

    def _durations(self) -> Iterator[str]:
        name = "nel_proxy_request_seconds"
        yield f"# HELP {name} Time from a request to the end of its answer."
        yield f"# TYPE {name} histogram"
        below = 0
        for bound, count in zip((*BUCKETS, "+Inf"), self._buckets, strict=True):
            below += count
            yield f'{name}_bucket{{le="{bound}"}} {below}'
        yield f"{name}_sum {self._seconds:.6f}"
        yield f"{name}_count {below}"


def _metric(name: str, kind: str, help_text: str, values: Mapping[str, float]) -> Iterator[str]:
    yield f"# HELP {name} {help_text}"
    yield f"# TYPE {name} {kind}"
    for labels, value in values.items():
        yield f"{name}{labels} {value:g}" if isinstance(value, float) else f"{name}{labels} {value}"

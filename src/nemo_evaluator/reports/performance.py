"""How well a model was served, as a block of a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..results.effort import Quantity
from ..results.published import Published
from . import figures as show
from .blocks import Block, Table
from .effort import amount, limits

NOTE = (
    "Quantiles over answers, with intervals over problems; failed attempts and answers from a "
    "cache do not count. Times include the network and whatever else the endpoint was doing."
)


def performance_blocks(data: Published) -> Iterator[Block]:
    """Times, pace, and what a correct answer costs."""
    performance = data.performance
    if performance is None:
        return
    rows: list[tuple[str, Quantity | None, Callable[[float], str]]] = [
        ("Time to the first token, p50", performance.ttft_p50_ms, _ms),
        ("Time to the first token, p90", performance.ttft_p90_ms, _ms),
        ("Latency of an answer, p50", performance.latency_p50_ms, _ms),
        ("Latency of an answer, p90", performance.latency_p90_ms, _ms),
        ("Completion tokens per second, p50", performance.tokens_per_s_p50, amount),
    ]
    if data.effort is None:  # of agents it stands with what else a solved task took
        rows += [
            ("Cost per correct answer", performance.cost_per_correct, show.usd),
            ("Tokens per correct answer", performance.tokens_per_correct, amount),
        ]
    cells = tuple(_row(name, found, text) for name, found, text in rows if found is not None)
    if cells:
        yield Table("Performance", ("", "Value", "95 % CI", "Problems"), cells, NOTE)


def _row(name: str, found: Quantity, text: Callable[[float], str]) -> tuple[str, str, str, str]:
    return name, text(found.value), limits(found, text), show.count(found.n)


def _ms(value: float) -> str:
    return show.duration(value / 1000)

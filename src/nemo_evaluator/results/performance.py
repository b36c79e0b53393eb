"""How well a model is served: times and pace of its answers, and what a correct one costs.

About the answers that count: attempts that failed and answers from a cache say nothing of it.
"""

from __future__ import annotations

from ..types import Record
from .effort import Quantity


class Performance(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Quantiles over answers, with their 95 % intervals over problems. None: not known."""

    answers: int
    ttft_p50_ms: Quantity | None
    """Time to the first token; known where answers are streamed."""
    ttft_p90_ms: Quantity | None
    latency_p50_ms: Quantity | None
    """Time of a whole answer; of an agent that of all its calls."""
    latency_p90_ms: Quantity | None
    tokens_per_s_p50: Quantity | None
    """Completion tokens of one answer per second: after the first token where that is known, else
    of the whole time."""
    cost_per_correct: Quantity | None
    """US dollars by correct answers; None where none is correct, or no price is known."""
    tokens_per_correct: Quantity | None

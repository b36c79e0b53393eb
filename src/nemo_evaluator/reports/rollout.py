"""One rollout as texts: what was asked, expected, answered, read out of it, and why it counts so.

Long texts are cut, and say by how much; nothing is left out in silence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from ..results.result_row import ResultRow
from ..results.rollout_filter import Kind, kind_of
from ..types import Json
from .escape import one_line, visible
from .figures import duration

LONG = 2_000
"""Characters of a question or answer that are shown unless all is asked for."""
KINDS = {
    Kind.RIGHT: "right",
    Kind.WRONG: "wrong",
    Kind.NO_ANSWER: "no answer found",
    Kind.ERROR: "error",
}
NO_REASON = frozenset({"correct", "error", "error_category"})
"""Scoring details that stand elsewhere already."""


def rollout_head(row: ResultRow) -> str:
    """``17/0 · wrong · reward 0 · 812 ms · 104 tokens``."""
    parts = [str(row.key), KINDS[kind_of(row)]]
    if row.reward is not None:
        parts.append(f"reward {row.reward:g}")
    if row.truncated:
        parts.append("truncated")
    if row.wall_ms is not None:
        parts.append(duration(row.wall_ms / 1000))
    elif row.latency_ms is not None:
        parts.append(f"{row.latency_ms:,.0f} ms")
    if row.tokens is not None:
        parts.append(f"{row.tokens:,} tokens")
    return one_line(" · ".join(parts))


def rollout_parts(
    row: ResultRow, before: ResultRow | None = None, *, full: bool = False
) -> Iterator[tuple[str, str]]:
    """Name and text of each part. ``before``: the same rollout in another run."""
    limit = None if full else LONG
    yield "question", cut(row.prompt or "", limit)
    yield "expected", cut(as_text(row.expected_answer), limit)
    if before is not None:
        yield "extracted before", cut(as_text(before.extracted_answer), limit)
    yield "extracted", cut(as_text(row.extracted_answer), limit)
    if row.reasoning:
        size = f"{len(row.reasoning):,} characters"
        yield "reasoning", visible(row.reasoning) if full else f"{size} (--full shows them)"
    if before is not None:
        yield "answer before", cut(before.model_response or "", limit)
    yield "answer", cut(row.model_response or "", limit)
    if row.error is not None:
        kind = row.scoring_details.get("error_category")
        yield "error", cut(f"{kind}: {row.error}" if kind else row.error, limit)
    if before is not None:
        yield "why before", cut(why(before.scoring_details), limit)
    yield "why", cut(why(row.scoring_details), limit)


def why(details: Mapping[str, Json]) -> str:
    """The scoring details in a line."""
    reasons = (
        f"{name}: {as_text(value)}" for name, value in details.items() if name not in NO_REASON
    )
    return "; ".join(reasons)


def as_text(value: Json) -> str:
    """A value as a reader takes it: text as it is, everything else as JSON; nothing as nothing."""
    if value is None or isinstance(value, str):
        return value or ""
    return msgspec.json.encode(value, enc_hook=str).decode()


def cut(text: str, limit: int | None) -> str:
    """At most this many characters; the rest is counted."""
    if limit is None or len(text) <= limit:
        return visible(text)
    return f"{visible(text[:limit])} … ({len(text) - limit:,} more characters)"

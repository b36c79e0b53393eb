"""Why a verdict is what it is, in words."""

from __future__ import annotations

from collections.abc import Mapping

from ..results.result_row import ResultRow
from ..results.tables import plain_text

EXPLAINED = ("explanation", "reason", "reasoning", "rationale")
"""Details of a verdict that say why."""
BESIDE = "judge:"
"""Begins the details of each judge beside a benchmark's own verdict; one may decide the reward."""


def explanation(row: ResultRow) -> str:
    """Why the verdict is what it is: what the verifier or the judge says, or what it compared."""
    details = row.scoring_details
    judge = details.get("judge")
    for part in (details, judge if isinstance(judge, Mapping) else {}):
        for name in EXPLAINED:
            if isinstance(text := part.get(name), str) and text.strip():
                return text
    words = [f"method: {details.get('method', 'unknown')}"]
    if row.extracted_answer is not None:
        words.append(f"answer: {plain_text(row.extracted_answer)}")
    if row.expected_answer is not None:
        words.append(f"expected: {plain_text(row.expected_answer)}")
    if (failure := details.get("failure") or details.get("error_category")) is not None:
        words.append(f"failure: {failure}")
    for name, ruling in details.items():
        if name.startswith(BESIDE) and isinstance(ruling, Mapping):
            stated = ruling.get("explanation") or plain_text(ruling.get("value"))
            words.append(f"{name.removeprefix(BESIDE)}: {stated}")
    return "\n".join(words)

"""A flip table as text."""

from __future__ import annotations

from collections.abc import Iterator

from ..results.flips import Flips

WIDTH = 28


def flip_lines(flips: Flips, limit: int) -> Iterator[str]:
    """Counts, and the first this many flips."""
    counts = (
        f"{flips.same:,} verdicts the same, {flips.up:,} up, {flips.down:,} down,"
        f" {flips.gained:,} gained, {flips.lost:,} lost"
    )
    yield f"{flips.benchmark}: {counts}"
    shown = flips.flips[:limit]
    if shown:
        yield _row("rollout", "reward", "extracted before", "extracted after", "expected")
    for flip in shown:
        rewards = f"{_reward(flip.before)} → {_reward(flip.after)}"
        yield _row(
            f"{flip.problem_idx}/{flip.repeat}",
            rewards,
            flip.extracted_before,
            flip.extracted_after,
            flip.expected,
        )
    if len(flips.flips) > limit > 0:
        yield f"  ... and {len(flips.flips) - limit:,} more in flips.json"


def _row(rollout: str, rewards: str, *texts: str) -> str:
    cells = (f"{_short(text):<{WIDTH}}" for text in texts)
    return f"  {rollout:>10}  {rewards:<13} {' '.join(cells)}".rstrip()


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"


def _reward(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"

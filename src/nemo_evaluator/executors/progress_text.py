"""The numbers of a running benchmark as short texts. Pure functions; nothing here prints."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..engine.progress import BenchmarkProgress

PACE_SECONDS = 30.0
"""The pace is that of this many last seconds: what a run did in its first minute says little."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a benchmark goes."""

    tokens_per_s: float | None = None
    """Output tokens: what the model wrote."""
    eta_s: float | None = None
    """Seconds left; None where nothing was done lately."""
    per_s: float | None = None
    """Rollouts that ended per second."""


@dataclass(slots=True)
class PaceMeter:
    """Measures the pace of one benchmark from its snapshots, the latest last."""

    _seen: deque[tuple[float, int, int]] = field(default_factory=deque)

    def measure(self, progress: BenchmarkProgress, now: float) -> Pace:
        """The pace of the last ``PACE_SECONDS``; over all its time once it is finished.

        Example: 30 of 100 rollouts and 6,000 output tokens in the last 30 s: 200 tokens/s, 70 s
        left.
        """
        if progress.started_at is None:
            return Pace()
        fresh, seen = progress.done + progress.failed - progress.restored, self._seen
        if progress.finished:
            end = progress.finished_at if progress.finished_at is not None else now
            return Pace(_rate(progress.output_tokens, end - progress.started_at))
        if not seen:
            seen.append((progress.started_at, 0, 0))
        seen.append((now, fresh, progress.output_tokens))
        while len(seen) > 2 and seen[1][0] <= now - PACE_SECONDS:
            seen.popleft()
        since, fresh_then, tokens_then = seen[0]
        per_s = _rate(fresh - fresh_then, now - since)
        if progress.load.outage:
            return Pace()  # the time of the next progress is unknown
        return Pace(
            _rate(progress.output_tokens - tokens_then, now - since),
            progress.left / per_s if per_s else None,
            per_s,
        )


def run_eta(rows: Sequence[tuple[BenchmarkProgress, Pace]]) -> float | None:
    """Seconds until the last benchmark is done, at the pace of those that run now.

    Example: 100 rollouts left of the one that runs at 2 a second, 300 of the next one: 200 s.
    """
    running = [pace.per_s for progress, pace in rows if not progress.finished and pace.per_s]
    left = sum(progress.left for progress, _ in rows if not progress.finished)
    return left / sum(running) if running else None


def _rate(count: int, seconds: float) -> float | None:
    return count / seconds if seconds > 0 and count > 0 else None


def score(progress: BenchmarkProgress) -> str:
    """The score so far with its 95 % interval, computed as the final ones are; empty without one.

    Example: 411 of 640 right: ``0.642 [0.604, 0.678]``.
    """
    found = progress.score
    if found is None:
        return ""
    if math.isinf(found.lower) or math.isinf(found.upper):
        return f"{found.value:.3f}"
    return f"{found.value:.3f} [{found.lower:.3f}, {found.upper:.3f}]"


def measure(progress: BenchmarkProgress) -> str:
    """What the score is."""
    return "pass@1" if progress.binary else "mean reward"


def share(progress: BenchmarkProgress) -> str:
    """``640/1319 (48.5 %)``; it says 100 % only when all is done."""
    if not progress.total:
        return "0/0"
    percent = 100 * progress.done / progress.total
    if progress.done < progress.total:
        percent = min(percent, 99.9)
    return f"{progress.done}/{progress.total} ({percent:.1f} %)"


def errors(progress: BenchmarkProgress) -> str:
    """Rollouts without a verdict by kind: ``rate_limit 3, timeout 1``."""
    return _by_count(progress.errored)


def limited(progress: BenchmarkProgress) -> str:
    """Agents that a limit ended, by limit: ``turns 3, time 1``."""
    return _by_count(progress.ended_by)


def _by_count(counts: Mapping[str, int]) -> str:
    """The most frequent first."""
    by_count = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{kind} {count}" for kind, count in by_count)


def failed(progress: BenchmarkProgress) -> str:
    """How many rollouts got no verdict, and why: ``4 (rate_limit 3, timeout 1)``."""
    return f"{progress.failed} ({errors(progress)})" if progress.failed else ""


def truncated(progress: BenchmarkProgress) -> str:
    """Share of this invocation's answers that a token limit cut, where there are any."""
    return _of_fresh(progress, progress.truncated)


def refused(progress: BenchmarkProgress) -> str:
    """Share of this invocation's verdicts whose request the endpoint refused, if any."""
    return _of_fresh(progress, progress.refused)


def _of_fresh(progress: BenchmarkProgress, count: int) -> str:
    fresh = progress.done - progress.restored
    return f"{100 * count / fresh:.1f} %" if count and fresh > 0 else ""


def cost(usd: float) -> str:
    """US dollars, to the cent from ten cents on: ``$12.34``, ``$0.0042``."""
    return f"${usd:.2f}" if usd >= 0.1 or usd == 0 else f"${usd:.4f}"


def duration(seconds: float) -> str:
    """``1h23m``, ``45m12s`` or ``12s``.

    >>> duration(4980), duration(2712.4), duration(12), duration(3599.6)
    ('1h23m', '45m12s', '12s', '1h00m')
    """
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 60}m{whole % 60:02d}s" if whole >= 60 else f"{whole}s"


def in_flight(progress: BenchmarkProgress) -> str:
    """Requests in flight and how many may be: ``32/64``; empty where nothing is running."""
    load = progress.load
    if progress.finished or progress.started_at is None or load.limit is None:
        return ""
    return f"{load.in_flight}/{load.limit}"


def label(progress: BenchmarkProgress) -> str:
    """The benchmark's name, marked where the model is simulated."""
    return progress.label + (" (simulated)" if progress.simulated else "")


def line(progress: BenchmarkProgress, pace: Pace) -> str:
    """The whole progress on one line.

    Example: ``gsm8k 640/1319 (48.5 %) pass@1 0.642 [0.604, 0.678] 812 output tok/s 32/64 in flight
    5 retries failed: 3 (rate_limit 3) eta 2m10s``.
    """
    parts = [label(progress), share(progress)]
    parts += [f"{measure(progress)} {text}"] if (text := score(progress)) else []
    parts += [f"{pace.tokens_per_s:.0f} output tok/s"] if pace.tokens_per_s is not None else []
    parts += [f"{text} in flight"] if (text := in_flight(progress)) else []
    parts += [f"{progress.retries} retries"] if progress.retries else []
    parts += [f"truncated {text}"] if (text := truncated(progress)) else []
    parts += [f"refused {text}"] if (text := refused(progress)) else []
    parts += [f"ended by {text}"] if (text := limited(progress)) else []
    parts += [f"failed: {text}"] if (text := failed(progress)) else []
    parts += [cost(progress.cost_usd)] if progress.cost_usd is not None else []
    parts += [f"eta {duration(pace.eta_s)}"] if pace.eta_s is not None else []
    parts += [progress.status] if progress.status else []
    parts += [f"slowest: {'; '.join(progress.stalled[:3])}"] if progress.stalled else []
    return " ".join(parts)

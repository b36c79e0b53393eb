"""The numbers of a running benchmark as short texts. Pure functions; nothing here prints."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from ..engine.progress import BenchmarkProgress
from ..stats.intervals import wilson

Z = 1.959963984540054
PACE_SECONDS = 30.0
"""The pace is that of so many last seconds: what a run did in its first minute says little."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a benchmark goes."""

    tokens_per_s: float | None = None
    eta_s: float | None = None
    """Seconds left; None where nothing was done lately."""


@dataclass(slots=True)
class PaceMeter:
    """Measures the pace of one benchmark from its snapshots, the latest last."""

    _seen: deque[tuple[float, int, int]] = field(default_factory=deque)

    def measure(self, progress: BenchmarkProgress, now: float) -> Pace:
        """The pace of the last ``PACE_SECONDS``; over all its time once it is finished.

        Example: 30 of 100 rollouts and 6,000 tokens in the last 30 s: 200 tokens/s, 70 s left.
        """
        if progress.started_at is None:
            return Pace()
        fresh, seen = progress.done - progress.restored, self._seen
        if progress.finished:
            end = progress.finished_at if progress.finished_at is not None else now
            return Pace(_rate(progress.tokens, end - progress.started_at))
        if not seen:
            seen.append((progress.started_at, 0, 0))
        seen.append((now, fresh, progress.tokens))
        while len(seen) > 2 and seen[1][0] <= now - PACE_SECONDS:
            seen.popleft()
        since, fresh_then, tokens_then = seen[0]
        per_s = _rate(fresh - fresh_then, now - since)
        left = progress.total - progress.done
        return Pace(
            _rate(progress.tokens - tokens_then, now - since),
            left / per_s if per_s else None,
        )


def _rate(count: int, seconds: float) -> float | None:
    return count / seconds if seconds > 0 and count > 0 else None


def score(progress: BenchmarkProgress) -> str:
    """The score so far with its 95 % interval; empty without one.

    Wilson's interval where every verdict is yes or no, else a normal one. The repeats of a problem
    count as one observation: too wide where they vary, never too narrow. The final report knows
    which rollouts belong together and is exact.

    Example: 411 of 640 right: ``0.642 [0.604, 0.678]``.
    """
    n = progress.scored
    if not n:
        return ""
    independent = max(1.0, n / progress.repeats)
    if progress.binary:
        mean = progress.correct / n
        lower, upper = wilson(mean, independent)
        return f"{mean:.3f} [{lower:.3f}, {upper:.3f}]"
    mean = progress.score_sum / n
    if independent < 2:
        return f"{mean:.3f}"
    variance = max(0.0, progress.score_sq_sum / n - mean * mean)
    spread = Z * math.sqrt(variance / (independent - 1))
    return f"{mean:.3f} [{mean - spread:.3f}, {mean + spread:.3f}]"


def share(progress: BenchmarkProgress) -> str:
    """``640/1319 (48.5 %)``; it says 100 % only when all is done."""
    if not progress.total:
        return "0/0"
    percent = 100 * progress.done / progress.total
    if progress.done < progress.total:
        percent = min(percent, 99.9)
    return f"{progress.done}/{progress.total} ({percent:.1f} %)"


def errors(progress: BenchmarkProgress) -> str:
    """Final errors by kind, the most frequent first: ``rate_limit 3, timeout 1``."""
    by_count = sorted(progress.errored.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{kind} {count}" for kind, count in by_count)


def truncated(progress: BenchmarkProgress) -> str:
    """Share of this invocation's answers that a token limit cut, where there are any."""
    fresh = progress.scored - progress.restored
    if not progress.truncated or fresh <= 0:
        return ""
    return f"{100 * progress.truncated / fresh:.1f} %"


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
    if progress.finished or progress.started_at is None or progress.limit is None:
        return ""
    return f"{progress.in_flight}/{progress.limit}"


def label(progress: BenchmarkProgress) -> str:
    """The benchmark's name, marked where the model is simulated."""
    return progress.label + (" (simulated)" if progress.simulated else "")


def line(progress: BenchmarkProgress, pace: Pace) -> str:
    """All of it on one line.

    Example: ``gsm8k 640/1319 (48.5 %) score 0.642 [0.604, 0.678] 812 tok/s 32/64 in flight errors:
    rate_limit 3 eta 2m10s``.
    """
    parts = [label(progress), share(progress)]
    parts += [f"score {text}"] if (text := score(progress)) else []
    parts += [f"{pace.tokens_per_s:.0f} tok/s"] if pace.tokens_per_s is not None else []
    parts += [f"{text} in flight"] if (text := in_flight(progress)) else []
    parts += [f"truncated {text}"] if (text := truncated(progress)) else []
    parts += [f"errors: {text}"] if (text := errors(progress)) else []
    parts += [cost(progress.cost_usd)] if progress.cost_usd is not None else []
    parts += [f"eta {duration(pace.eta_s)}"] if pace.eta_s is not None else []
    parts += [progress.status] if progress.status else []
    parts += [f"waiting: {'; '.join(progress.stalled[:3])}"] if progress.stalled else []
    return " ".join(parts)

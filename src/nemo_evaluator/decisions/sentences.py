"""A drop in plain words: ``gsm8k fell 12.0 points (8.4 to 15.6); 3 were allowed``.

Amounts have no sign: the words tell which way. A share is told in points of a hundred, any other
scale in its own units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..results.identity_facts import facts_of
from .damage import Bounds
from .metrics import metric_named

FINE = 0.01
"""Limits below this need a second decimal of a point."""
PERCENT = 100


@dataclass(frozen=True, slots=True)
class Scale:
    """How amounts of a metric are written."""

    points: bool
    """As points of a hundred."""
    higher_is_better: bool = True
    digits: int = 1

    def score(self, value: float) -> str:
        """``84.2 %``, or the number as it is."""
        return f"{value * PERCENT:.{self.digits}f} %" if self.points else f"{value:.4g}"

    def change(self, value: float) -> str:
        """The change with its sign; a zero has none."""
        number = round(value * PERCENT, self.digits) if self.points else float(f"{value:.3g}")
        form = f"{number + 0.0:+.{self.digits}f}" if self.points else f"{number + 0.0:+.4g}"
        return form if number else form[1:]

    def interval(self, low: float, high: float) -> str:
        """Both ends, with their signs."""
        return f"{self.change(low)} to {self.change(high)}"

    def limit(self, allowed: float) -> str:
        """What is allowed, without zeros at its end."""
        return f"{round(allowed * PERCENT, 6) if self.points else allowed:g}"

    def signed_limit(self, allowed: float) -> str:
        """The limit as the largest change that is allowed: negative where a drop is."""
        sign = "-" if self.higher_is_better and allowed else "+" if allowed else ""
        return f"{sign}{self.limit(allowed)}"

    def amount(self, value: float) -> str:
        """Without a sign."""
        return f"{abs(value) * PERCENT:.{self.digits}f}" if self.points else f"{abs(value):.3g}"

    def with_unit(self, value: float) -> str:
        """``12.0 points``."""
        return f"{self.amount(value)} points" if self.points else self.amount(value)

    @property
    def drop(self) -> str:
        """The change that is for the worse."""
        return "drop" if self.higher_is_better else "rise"

    @property
    def unit(self) -> str:
        """For the head of a column."""
        return "points" if self.points else "own units"


def scale_of(
    metric: str | None,
    *,
    higher_is_better: bool,
    limit: float,
    scores: tuple[float | None, float | None],
    config: Mapping[str, Any],
) -> Scale:
    """The scale of a metric between two scores. ``config``: of a run, which may declare the range
    of its rewards."""
    kind = metric_named(metric or "")
    declared = facts_of(config.get("identity") or {}).reward_range
    share = kind.verdicts or (
        kind.score
        and (declared in (None, (0.0, 1.0)))
        and all(score is not None and 0 <= score <= 1 for score in scores)
    )
    return Scale(share, higher_is_better, 2 if 0 < limit < FINE else 1)


def told(name: str, damage: Bounds, limit: float, scale: Scale) -> str:
    """What became of a benchmark: shown beyond the limit, shown, ruled out, or open. Without its
    name where that is empty."""
    fell, rose = ("fell", "rose") if scale.higher_is_better else ("rose", "fell")
    head, colon = (f"{name} ", f"{name}: ") if name else ("", "")
    allowed = f"{scale.limit(limit)} {'was' if scale.limit(limit) == '1' else 'were'} allowed"
    size = f"{scale.with_unit(damage.damage)} ({_range(damage, scale)})"
    if damage.lower > 0:
        more = damage.lower <= limit < damage.upper
        return f"{head}{fell} {size}; {allowed}" + (", and more is not ruled out" if more else "")
    if damage.upper < 0:
        return f"{head}{rose} {size}"
    if damage.lower == damage.upper == 0:
        # The published interval, which has no width where nothing changed, rules nothing out.
        return f"{colon}nothing changed; {allowed}"
    end = scale.with_unit(max(0.0, damage.upper))
    if damage.upper <= limit:
        return f"{head}held: a {scale.drop} of more than {end} is ruled out; {allowed}"
    return f"{colon}a {scale.drop} of up to {end} is not ruled out; {allowed}"


def _range(damage: Bounds, scale: Scale) -> str:
    low, high = sorted((abs(damage.lower), abs(damage.upper)))
    return f"{scale.amount(low)} to {scale.amount(high)}"


def percent(share: float) -> str:
    """One decimal; what is nearly certain is not called certain."""
    if 0.9995 <= share < 1:
        return "over 99.9 %"
    return "under 0.1 %" if 0 < share < 0.0005 else f"{share * PERCENT:.1f} %"

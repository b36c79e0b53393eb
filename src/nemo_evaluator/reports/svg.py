"""Plots as inline SVG that fits any width: positions are percentages, texts keep their size.

Colours come from the page's style (classes ``good``, ``bad``, ``unsure``, ``plain``), so a plot is
light or dark as the page is. Every plot has a text for those who cannot see it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

NICE = (1.0, 2.0, 2.5, 5.0, 10.0)
NEAR = 8.0
"""Marks of a histogram nearer than this share of the width, in percent, share a label."""
ROW = 28
"""Height of a row of a forest plot, in pixels."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A stretch of numbers, with round ticks on it. ``log``: equal factors are equal lengths."""

    low: float
    high: float
    log: bool = False

    def at(self, x: float) -> float:
        """Where a number stands, in percent of the width; what is beyond ends at the edge."""
        low, high, x = self.low, self.high, min(max(x, self.low), self.high)
        if self.log:
            low, high, x = math.log(low), math.log(high), math.log(x)
        return 100 * (x - low) / (high - low) if high > low else 50.0

    def ticks(self, most: int = 5) -> list[float]:
        """Round numbers within."""
        if self.log:
            return self._log_ticks(most)
        step = nice_step((self.high - self.low) / most)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(i * step, 12) for i in range(first, last + 1)]

    def _log_ticks(self, most: int) -> list[float]:
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for digits in ((1, 2, 5), (1, 3), (1,)):
            ticks = [round(d * 10.0**p, 12) for p in powers for d in digits]
            ticks = [tick for tick in ticks if self.low <= tick <= self.high]
            if len(ticks) <= most + 1:
                break
        return ticks[:: max(1, math.ceil(len(ticks) / (most + 1)))]


def nice_step(least: float) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten that is not less."""
    if least <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(m * power for m in NICE if m * power >= least * (1 - 1e-9))


def axis_around(numbers: Sequence[float], *, within: tuple[float, float] | None = None) -> Axis:
    """An axis on which all finite numbers have room, ending at round numbers."""
    finite = [x for x in numbers if math.isfinite(x)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    step = nice_step(max(high - low, 1e-6, abs(high) * 1e-6) / 4)
    low, high = math.floor(low / step - 1e-9) * step, math.ceil(high / step + 1e-9) * step
    if high <= low:
        low, high = low - step, high + step
    if within is not None:
        low, high = max(low, within[0]), min(high, within[1])
    return Axis(low, high)


def interval(
    axis: Axis,
    value: float,
    lower: float | None,
    upper: float | None,
    *,
    tone: str = "plain",
    limit: float | None = None,
    about: str = "",
) -> Markup:
    """One row of a forest plot: a bar for the interval, a dot for the value, the grid behind."""
    lines = [_upright(axis.at(tick), "zero" if tick == 0 else "grid") for tick in axis.ticks()]
    if limit is not None:
        lines.append(_upright(axis.at(limit), "limit"))
    if lower is not None and upper is not None:
        lines.append(
            Markup('<line class="bar {}" x1="{:.2f}%" x2="{:.2f}%" y1="50%" y2="50%"/>').format(
                tone, axis.at(lower), axis.at(upper)
            )
        )
    dot = Markup('<circle class="{}" cx="{:.2f}%" cy="50%" r="4.5"/>').format(tone, axis.at(value))
    return _svg(ROW, about, [*lines, dot])


def scale(axis: Axis, *, unit: str = "") -> Markup:
    """The labels under a plot."""
    return _svg(18, "", _labels(axis, 13, unit), hidden=True)


def histogram(
    edges: Sequence[float],
    counts: Sequence[int],
    *,
    marks: Sequence[tuple[str, float]] = (),
    log: bool = False,
    unit: str = "",
    about: str = "",
    height: int = 120,
) -> Markup:
    """Bars between edges (one more edge than counts); ``marks`` are named uprights."""
    axis = Axis(edges[0], edges[-1], log)
    most = max(counts, default=0) or 1
    base, top = height - 20, 18
    parts = []
    for left, right, count in zip(edges[:-1], edges[1:], counts, strict=True):
        if count:
            high = max(1.0, (base - top) * count / most)
            x, width = axis.at(left), axis.at(right) - axis.at(left)
            parts.append(
                Markup(
                    '<rect class="column" x="{:.2f}%" width="{:.2f}%" y="{:.1f}" height="{:.1f}">'
                    "<title>{} to {}{}: {:,}</title></rect>"
                ).format(
                    x, max(width - 0.25, 0.2), base - high, high,
                    number(left), number(right), unit, count,
                )
            )  # fmt: skip
    parts.append(Markup('<line class="zero" x1="0" x2="100%" y1="{0}" y2="{0}"/>').format(base))
    parts += [
        Markup('<line class="mark" x1="{0:.2f}%" x2="{0:.2f}%" y1="{1}" y2="{2}"/>').format(
            axis.at(x), top - 4, base
        )
        for _, x in marks
    ]
    parts += [_label(x, 10, name, "tick strong") for name, x in _spread_marks(axis, marks)]
    return _svg(height, about, [*parts, *_labels(axis, height - 5, unit)])


def _spread_marks(axis: Axis, marks: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    """Names of marks and where they stand; those too near to each other share a place."""
    found: list[tuple[str, float]] = []
    for name, x in marks:
        at = axis.at(x)
        if found and abs(at - found[-1][1]) < NEAR:
            found[-1] = (f"{found[-1][0]}, {name}", (found[-1][1] + at) / 2)
        else:
            found.append((name, at))
    return found


def columns(items: Sequence[tuple[str, int]], *, about: str = "", height: int = 120) -> Markup:
    """A bar for each count, with the count above and the name below."""
    most = max((count for _, count in items), default=0) or 1
    base, top, step = height - 20, 18, 100 / max(len(items), 1)
    parts = []
    for position, (name, count) in enumerate(items):
        high = max(1.0, (base - top) * count / most) if count else 0.0
        middle = (position + 0.5) * step
        parts += [
            Markup(
                '<rect class="column" x="{:.2f}%" width="{:.2f}%" y="{:.1f}" height="{:.1f}"/>'
            ).format(middle - 0.4 * step, 0.8 * step, base - high, high),
            _text(middle, base - high - 5, f"{count:,}", "tick strong"),
            _text(middle, height - 5, name, "tick"),
        ]
    parts.append(Markup('<line class="zero" x1="0" x2="100%" y1="{0}" y2="{0}"/>').format(base))
    return _svg(height, about, parts)


def shares(parts: Sequence[tuple[float, str]], *, about: str = "", height: int = 14) -> Markup:
    """One bar in parts: shares of 1 and their classes."""
    drawn, at = [], 0.0
    for share, tone in parts:
        drawn.append(
            Markup('<rect class="{}" x="{:.3f}%" width="{:.3f}%" y="0" height="{}"/>').format(
                tone, 100 * at, 100 * share, height
            )
        )
        at += share
    return _svg(height, about, drawn)


def number(x: float) -> str:
    """A number on an axis: 12,000 as 12k."""
    if abs(x) >= 1_000_000:
        return f"{x / 1_000_000:g}M"
    if abs(x) >= 10_000:
        return f"{x / 1000:g}k"
    return f"{x:g}" if abs(x) < 1000 else f"{x:,.0f}"


def _svg(height: int, about: str, parts: Sequence[Markup], *, hidden: bool = False) -> Markup:
    role = (
        Markup(' aria-hidden="true"')
        if hidden or not about
        else Markup(' role="img" aria-label="{}"').format(about)
    )
    return Markup('<svg width="100%" height="{}"{}>{}</svg>').format(
        height, role, Markup("").join(parts)
    )


def _upright(x: float, kind: str) -> Markup:
    return Markup('<line class="{0}" x1="{1:.2f}%" x2="{1:.2f}%" y1="0" y2="100%"/>').format(
        kind, x
    )


def _labels(axis: Axis, y: float, unit: str) -> list[Markup]:
    ticks = axis.ticks()
    last = len(ticks) - 1
    return [
        _label(axis.at(tick), y, number(tick) + (unit if i == last else ""), "tick")
        for i, tick in enumerate(ticks)
    ]


def _label(x: float, y: float, text: str, kind: str) -> Markup:
    """A text on a place; at the edges it stays within."""
    return _text(x, y, text, kind, "start" if x < 6 else "end" if x > 94 else "middle")


def _text(x: float, y: float, text: str, kind: str, side: str = "middle") -> Markup:
    return Markup('<text class="{}" x="{:.2f}%" y="{:.0f}" text-anchor="{}">{}</text>').format(
        kind, x, y, side, text
    )

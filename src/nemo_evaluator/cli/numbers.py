"""Numbers of options: click's own ranges let NaN through, for no comparison with it is true."""

from __future__ import annotations

import math
from typing import Any

import click


class FloatRange(click.FloatRange):
    """A range of numbers, without NaN."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number, or a usage error."""
        found = super().convert(value, param, ctx)
        if math.isnan(found):
            self.fail(f"{value!r} is not a number", param, ctx)
        return found


class NamedShare(click.ParamType[tuple[str, float]]):
    """``NAME=SHARE``, with a share of 0 to 1."""

    name = "share"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        """Name and share, or a usage error."""
        name, equals, share = str(value).partition("=")
        if not equals:
            self.fail(f"{value!r} is not NAME=SHARE", param, ctx)
        return name, FloatRange(0, 1).convert(share, param, ctx)

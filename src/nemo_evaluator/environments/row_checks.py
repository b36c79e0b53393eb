"""Every row that will be asked is tried before anything is paid: the prompt can be filled in, the
target is there and can be met. All that is wrong comes in one error, with the rows named.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, runtime_checkable

from ..errors import ConfigError

CHECK_SECONDS = 20.0
"""Longest time spent on rows; what is not reached is checked when it is asked."""
SHOWN = 5
"""Rows and kinds of faults named in one error."""


@runtime_checkable
class ChecksRows(Protocol):
    """An environment that can try its rows without asking anything."""

    async def check(self, order: Sequence[int]) -> None:
        """Raise one ConfigError for all rows of ``order`` that cannot be asked or scored."""


def check_rows(order: Iterable[int], attempt: Callable[[int], None], *, where: str) -> None:
    """Call ``attempt`` for each row. Raises one ConfigError for what it raised. Blocks."""
    found: dict[tuple[str, str | None], dict[int, str | None]] = {}
    deadline = time.monotonic() + CHECK_SECONDS
    tried = 0
    for idx in order:
        if time.monotonic() > deadline:
            break
        tried += 1
        try:
            attempt(idx)
        except ConfigError as error:
            found.setdefault((error.what, error.hint), {})[idx] = error.where
    if not found:
        return
    errors = [
        ConfigError(what, where=_place(rows, where, tried), hint=hint)
        for (what, hint), rows in sorted(found.items(), key=lambda item: -len(item[1]))
    ]
    if len(errors) == 1:
        raise errors[0]
    lines = "\n".join(f"  {error}" for error in errors[:SHOWN])
    more = f"\n  and {len(errors) - SHOWN} other faults" if len(errors) > SHOWN else ""
    raise ConfigError(f"{len(errors)} faults in the rows:\n{lines}{more}", where=where)


def _place(rows: dict[int, str | None], where: str, tried: int) -> str:
    """The rows by number, or by the places that the errors name themselves (``quiz.csv:5``)."""
    named = [place for idx, place in rows.items() if place and place != f"{where}, row {idx}"]
    if len(named) < len(rows):
        return f"{where}, {_rows(list(rows), tried)}"
    more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    return ", ".join(named[:SHOWN]) + more


def _rows(rows: list[int], tried: int) -> str:
    """``row 7``, ``rows 3, 7 and 12``, ``all 120 rows``."""
    if len(rows) == tried > 1:
        return f"all {tried} rows"
    named = sorted(rows)[:SHOWN]
    if len(rows) == 1:
        return f"row {named[0]}"
    if len(rows) > SHOWN:
        return f"rows {', '.join(map(str, named))} and {len(rows) - SHOWN} more"
    return f"rows {', '.join(map(str, named[:-1]))} and {named[-1]}"

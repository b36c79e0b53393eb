"""Every row that will be asked is tried before anything is paid: the prompt can be filled in, the
target is there and can be met. All that is wrong comes in one error, with the rows named.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from ..errors import ConfigError

CHECK_SECONDS = 20.0
"""Longest time spent on rows; what is not reached is checked when it is asked."""
PLACEHOLDER = re.compile(r"\{([^\W\d]\w*)\}")
SHOWN = 5
"""Rows and kinds of faults named in one error."""


@runtime_checkable
class ChecksRows(Protocol):
    """An environment that can try its rows without asking anything."""

    async def check(self, order: Sequence[int]) -> None:
        """Raise one ConfigError for all rows of ``order`` that cannot be asked or scored."""


def check_rows(
    order: Iterable[int],
    attempt: Callable[[int], None],
    *,
    where: str,
    line_of: Callable[[int], str | None] = lambda _: None,
) -> None:
    """Call ``attempt`` for each row. Raises one ConfigError for what it raised. Blocks.

    ``line_of`` gives ``file:line`` of a row that stands in a file."""
    found: dict[tuple[str, str | None], list[int]] = {}
    deadline = time.monotonic() + CHECK_SECONDS
    tried = 0
    for idx in order:
        if time.monotonic() > deadline:
            break
        tried += 1
        try:
            attempt(idx)
        except ConfigError as error:
            found.setdefault((error.what, error.hint), []).append(idx)
    if not found:
        return
    errors = [
        ConfigError(what, where=f"{where}, {_rows(rows, tried, line_of)}", hint=hint)
        for (what, hint), rows in sorted(found.items(), key=lambda item: -len(item[1]))
    ]
    if len(errors) == 1:
        raise errors[0]
    lines = "\n".join(f"  {error}" for error in errors[:SHOWN])
    more = f"\n  and {len(errors) - SHOWN} other faults" if len(errors) > SHOWN else ""
    raise ConfigError(f"{len(errors)} faults in the rows:\n{lines}{more}", where=where)


def left_over(texts: Iterable[str], row: Mapping[str, Any]) -> str | None:
    """A placeholder of a field of the row that a text still holds, and that no cell brought in."""
    for text in texts:
        for match in PLACEHOLDER.finditer(text):
            brought = any(match[0] in value for value in row.values() if isinstance(value, str))
            if match[1] in row and not brought:
                return match[0]
    return None


def _rows(rows: list[int], tried: int, line_of: Callable[[int], str | None]) -> str:
    """``row 7 (faq.csv:9)``, ``rows 3, 7 and 12``, ``all 120 rows``."""
    if len(rows) == tried > 1:
        return f"all {tried} rows"
    lines = {row: line_of(row) for row in sorted(rows)[:SHOWN]}
    named = [f"{row} ({line})" if line else str(row) for row, line in lines.items()]
    if len(rows) == 1:
        return f"row {named[0]}"
    if len(rows) > SHOWN:
        return f"rows {', '.join(named)} and {len(rows) - SHOWN} more"
    return f"rows {', '.join(named[:-1])} and {named[-1]}"

"""The child process of ``patterns``: searches texts, one JSON line each.

It ends with its parent (end of input), imports nothing but ``re``, and is killed by its parent
when a pattern takes too long.
"""

from __future__ import annotations

import json
import re
import sys


def main() -> None:
    """Answer ``[pattern, text]`` lines with the span and groups of the last match, or ``null``."""
    print("ready", flush=True)
    for line in sys.stdin:
        pattern, text = json.loads(line)
        found = None
        for found in re.finditer(pattern, text):  # noqa: B007
            pass
        answer = None if found is None else [list(found.span()), _group(found)]
        print(json.dumps(answer), flush=True)


def _group(match: re.Match[str]) -> list[int]:
    """Span of the first group that took part, else of the whole match."""
    for number in range(1, match.re.groups + 1):
        if match[number] is not None:
            return list(match.span(number))
    return list(match.span())


if __name__ == "__main__":
    main()

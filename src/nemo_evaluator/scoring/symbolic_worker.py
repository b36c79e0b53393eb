"""The child process of ``symbolic``: compares pairs with math-verify, one JSON line each.

It ends with its parent (end of input) and never takes more memory than its limit.
"""

from __future__ import annotations

import json
import logging
import resource
import sys

MEMORY_BYTES = 2 << 30
DIGITS = 60
SMALL, LARGE = 1e-3, 1e12
CLOSE = 1e-9
"""Share by which two very small or very large values may differ and still be equal."""


def main() -> None:
    """Answer ``[answer, target]`` lines with ``true`` or ``false`` until input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    logging.disable(logging.CRITICAL)
    from math_verify import parse, verify

    out = sys.stdout
    sys.stdout = sys.stderr  # nothing a library prints may look like an answer
    print("ready", file=out, flush=True)
    for line in sys.stdin:
        answer, target = json.loads(line)
        try:
            gold = parse(_wrapped(target), parsing_timeout=None)
            said = parse(_wrapped(answer), parsing_timeout=None)
            equal = bool(verify(gold, said, timeout_seconds=None)) and not _refuted(gold, said)
        except Exception:  # whatever it cannot read is not shown to be equal
            equal = False
        print(json.dumps(equal), file=out, flush=True)


def _refuted(gold: list[object], said: list[object]) -> bool:
    """Whether the values say otherwise. math-verify compares six decimal places, which tell
    nothing of very small values, and floats, which tell nothing of very large ones."""
    from sympy import Expr, N

    refuted = False
    for one in (value for value in gold if isinstance(value, Expr) and not value.free_symbols):
        for other in (v for v in said if isinstance(v, Expr) and not v.free_symbols):
            x, y = N(one, DIGITS), N(other, DIGITS)
            size = max(abs(x), abs(y))
            if not (size < SMALL or size > LARGE) or abs(x - y) <= size * CLOSE:
                return False
            refuted = True
    return refuted


def _wrapped(text: str) -> str:
    """In math delimiters, unless it brings its own."""
    return (
        text if "$" in text or "\\boxed" in text or "\\(" in text or "\\[" in text else f"${text}$"
    )


if __name__ == "__main__":
    main()

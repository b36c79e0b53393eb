"""The child process of ``symbolic``: compares pairs with math-verify, one JSON line each.

It ends with its parent (end of input) and never takes more memory than its limit.
"""

from __future__ import annotations

import json
import logging
import resource
import sys

MEMORY_BYTES = 2 << 30


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
            equal = bool(verify(gold, said, timeout_seconds=None))
        except Exception:  # whatever it cannot read is not shown to be equal
            equal = False
        print(json.dumps(equal), file=out, flush=True)


def _wrapped(text: str) -> str:
    """In math delimiters, unless it brings its own."""
    return (
        text if "$" in text or "\\boxed" in text or "\\(" in text or "\\[" in text else f"${text}$"
    )


if __name__ == "__main__":
    main()

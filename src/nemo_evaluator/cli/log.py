"""The log of a command, on stderr, so that stdout stays the result."""

from __future__ import annotations

import logging
import sys


class _Stderr(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to what is ``sys.stderr`` at the moment: a live display may have put itself there."""

    def emit(self, record: logging.LogRecord) -> None:
        self.setStream(sys.stderr)
        super().emit(record)


def show_log(*, verbose: bool = False) -> None:
    """Show what interceptors log; with ``verbose`` everything, of libraries too."""
    handler = _Stderr()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger() if verbose else logging.getLogger("nemo_evaluator")
    root.setLevel(logging.DEBUG if verbose else logging.INFO)
    root.handlers = [handler]

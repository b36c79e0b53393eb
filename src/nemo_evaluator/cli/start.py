"""The entry point of `nel`: signals are answered before the rest of the program is imported."""

from __future__ import annotations

import sys

from .signals import Signals


def main() -> None:
    """Run the command of this process."""
    signals = Signals()
    signals.install()
    try:
        from .main import run

        code = run(signals)
    except KeyboardInterrupt:
        code = signals.code()
    sys.exit(code)

"""The entry point of `nel`: signals are answered before the rest of the program is imported."""

from __future__ import annotations

import gc
import sys

from .signals import Signals

ALLOCATIONS = 1_000_000
"""Modules are no garbage: the collector need not look for any while they are imported."""


def main() -> None:
    """Run the command of this process."""
    signals = Signals()
    signals.install()
    gc.set_threshold(ALLOCATIONS, *gc.get_threshold()[1:])
    try:
        from ..executors.handed_environment import take_environment

        take_environment()
        from .main import run

        code = run(signals)
    except KeyboardInterrupt:
        code = signals.code()
    gc.freeze()  # the process ends: nobody needs its garbage found
    sys.exit(code)

"""Runs a coroutine to its end from synchronous code, on uvloop where it is installed."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_blocking(main: Coroutine[Any, Any, T]) -> T:
    """Run to completion in a fresh event loop."""
    # Records are acyclic and freed by reference counting; the collector would walk the dataset and
    # every library again and again. Set here, for a process that is ours, and undone after.
    thresholds = gc.get_threshold()
    gc.set_threshold(50_000, 50, 100)
    try:
        return _run(main)
    finally:
        gc.set_threshold(*thresholds)


def _run(main: Coroutine[Any, Any, T]) -> T:
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)

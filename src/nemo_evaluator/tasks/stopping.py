"""How a server of ours is told to stop."""

from __future__ import annotations

import asyncio
import signal


def stop_signal() -> asyncio.Event:
    """Set by SIGINT or SIGTERM from now on. A second one cancels the current task: it does not wait
    for what is in flight."""
    stop, main = asyncio.Event(), asyncio.current_task()
    assert main is not None

    def stopped() -> None:
        if stop.is_set():
            main.cancel()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped)
    return stop

"""Around code of the user (solvers, scorers): it can fail a rollout, but not end the program.

Invariant: a ``sys.exit()``, or an unrequested cancellation, is an error of that code like
any other; only a real cancellation and Ctrl-C pass.
"""

from __future__ import annotations

import asyncio

PASS = (Exception, KeyboardInterrupt, GeneratorExit)


class contained:
    """Raise RuntimeError for what would leave the program; ``what`` names the code."""

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is None or isinstance(error, PASS):
            return
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            return
        failure = RuntimeError(f"{self._what} raised {error!r}")
        raise failure.with_traceback(error.__traceback__) from error

"""Around code of the user (solvers, scorers): it can fail a rollout, but not end the program.

Invariant: a ``sys.exit()``, or an unrequested cancellation, is an error of that code like
any other; only a real cancellation and Ctrl-C pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def contained(what: str) -> Iterator[None]:
    """Raise RuntimeError for what would leave the program; ``what`` names the code."""
    try:
        yield
    except (Exception, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise
        told = RuntimeError(f"{what} raised {error!r}")
        raise told.with_traceback(error.__traceback__) from error

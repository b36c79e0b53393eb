"""Runs a coroutine to its end from synchronous code, on uvloop where it is installed."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
import threading
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

from .errors import ConfigError

LOOP_DESCRIPTORS = 32
"""Files, sockets and pipes that the program and an event loop need by themselves."""

THRESHOLDS = (50_000, 50, 100)
BLAS_THREADS = "OPENBLAS_NUM_THREADS"

T = TypeVar("T")


def need_descriptors(count: int) -> None:
    """Make room for this many open files: up to the hard limit by itself. Raises ConfigError."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= count:
        return
    if hard != resource.RLIM_INFINITY and hard < count:
        raise ConfigError(
            f"the process may have {hard} open files, this needs {count}",
            hint=f"raise the limit (ulimit -n {max(1024, count)}) or lower max_concurrent",
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def run_blocking(main: Coroutine[Any, Any, T]) -> T:
    """Run to completion in a fresh event loop. Raises ConfigError where the system's limits do not
    allow one, and inside another loop."""
    try:
        _need_no_loop()
        need_descriptors(LOOP_DESCRIPTORS)
    except ConfigError:
        main.close()
        raise
    with _rare_collections():
        return _run(main)


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """Records are acyclic and freed by reference counting; the collector would walk the dataset and
    every library again and again. What is loaded is frozen first: else a lower threshold than the
    one of the start makes the collector walk all of it, at once. Whoever has frozen something
    already steers the collector by himself."""
    if gc.get_freeze_count():
        yield
        return
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def begin_work() -> None:
    """Call where everything that a run needs is loaded. The collector leaves that alone until
    ``run_blocking`` returns, and numpy, which only results need, is imported meanwhile: it takes
    less time than the first answers of most endpoints."""
    if gc.get_threshold() == THRESHOLDS:
        gc.freeze()
    threading.Thread(target=_import_numpy, name="numpy", daemon=True).start()


def _import_numpy() -> None:
    """Import numpy with one thread for its linear algebra, which has nothing to do here: a pool of
    them costs as much as the import. What the user has set stays, and child processes are not
    told."""
    if "numpy" in sys.modules or BLAS_THREADS in os.environ:
        return
    os.environ[BLAS_THREADS] = "1"
    try:
        with contextlib.suppress(ImportError):  # whoever needs it will say so
            importlib.import_module("numpy")
    finally:
        os.environ.pop(BLAS_THREADS, None)


def _need_no_loop() -> None:
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise ConfigError(
        "an event loop is running here (a notebook has one), so nothing can wait for another",
        hint="await evaluate_async(...) in the place of evaluate(...)",
    )


def _run(main: Coroutine[Any, Any, T]) -> T:
    import asyncio

    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)

"""Retries of transient failures of the hub. The hub's own client retries only some of them."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

TRIES = 5
TRIES_UNREACHED = 2
"""Tries at a hub that cannot be reached at all: the cache is there for that."""

T = TypeVar("T")


def retried(call: Callable[[], T], tries: int = TRIES) -> T:
    """Call, again after transient failures (5xx, 429, broken connections)."""
    for attempt in range(1, tries + 1):
        try:
            return call()
        except Exception as error:
            last = min(tries, TRIES_UNREACHED) if unreached(error) else tries
            if attempt >= last or not _passing(error):
                raise
            time.sleep(min(8.0, 0.25 * 2**attempt) * random.uniform(0.5, 1.5))
    raise AssertionError("unreachable")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what led to it, outermost first."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def unreached(error: BaseException) -> bool:
    """Whether no connection came about: refused, no such host, or switched off."""
    names = {"ConnectError", "NameResolutionError", "OfflineModeIsEnabled"}
    return any(
        isinstance(cause, ConnectionRefusedError | socket.gaierror) or type(cause).__name__ in names
        for cause in _causes(error)
    )


def _passing(error: BaseException) -> bool:
    """Whether waiting may help."""
    for cause in _causes(error):
        status = getattr(getattr(cause, "response", None), "status_code", None)
        if status is not None:
            return status in (408, 425, 429) or status >= 500
        if type(cause).__name__ in {"DatasetNotFoundError", "RepositoryNotFoundError"}:
            return False
        if any(base.__name__ == "TransportError" for base in type(cause).__mro__):  # of httpx
            return True
    return not isinstance(error, ValueError) and isinstance(error, OSError | RuntimeError)

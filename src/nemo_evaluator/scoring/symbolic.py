"""math-verify in worker processes that can be killed (see ``workers``)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from importlib.util import find_spec

from .workers import WORKERS, Pool


@lru_cache(maxsize=1)
def available() -> bool:
    """Whether math-verify is installed."""
    return find_spec("math_verify") is not None


_pool = Pool("nemo_evaluator.scoring.symbolic_worker")


@lru_cache(maxsize=1)
def executor() -> ThreadPoolExecutor:
    """Threads that wait for workers, so that the event loop need not."""
    return ThreadPoolExecutor(WORKERS, thread_name_prefix="math")


def compare(a: str, b: str, timeout: float) -> tuple[bool, str]:
    """Verdict on answer ``a`` and target ``b``, and who decided.

    ``math-verify``; ``timeout`` (not equal); ``undecided`` (not equal) where it is not installed.
    """
    if not available():
        return False, "undecided"
    verdict = _pool.ask([a, b], timeout)
    return (False, "timeout") if verdict is None else (bool(verdict[0]), "math-verify")


def close() -> None:
    """End all workers; the next comparison starts new ones."""
    _pool.close()

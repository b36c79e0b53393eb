"""math-verify in worker processes that can be killed (see ``workers``)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from importlib.util import find_spec

from ..errors import InfraError
from ..types import Failure, Phase
from .workers import WORKERS, Pool, WorkerFailed


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
    """Grade on answer ``a`` and target ``b``, and how it was decided: ``math-verify``, or
    ``timeout`` (not equal). Raises InfraError if math-verify cannot be used."""
    if not available():
        raise _undecided(a, b, "is not installed")
    try:
        grade = _pool.ask([a, b], timeout)
    except WorkerFailed:
        raise _undecided(a, b, "cannot be imported") from None
    return (False, "timeout") if grade is None else (bool(grade[0]), "math-verify")


def _undecided(a: str, b: str, why: str) -> InfraError:
    return InfraError(
        f"whether {a:.60} equals {b:.60} is undecided: math-verify {why} "
        "(pip install 'math-verify>=0.8' sympy)",
        kind=Failure.VERIFIER,
        phase=Phase.VERIFY,
        peer="math-verify",
    )


def close() -> None:
    """End all workers; the next comparison starts new ones."""
    _pool.close()

"""What an exception is recorded as: a typed, attributed error of the journal, or a ConfigError."""

from __future__ import annotations

import traceback

import msgspec

from ..environments.grades import raised_at
from ..errors import ConfigError, NelError
from ..types import BenchmarkPlan, ErrorInfo, Failure, Phase, Solution

PATIENCE = 3
"""After this number of failures of a user's solver or scorer without a success, the benchmark is
given up."""
TRACEBACK_LINES = 8


class NeverAskedError(Exception):
    """The rollout was dropped before anything was sent; it stays open for a later run."""


class CalledBackError(NeverAskedError):
    """The rollout waited, and was told not to send its request; this run may ask it later."""


class SolverBugs:
    """Counts the failures that a solver itself has caused: a few, without an answer before them,
    end the benchmark."""

    def __init__(self, plan: BenchmarkPlan, *, harmless: bool) -> None:
        self._plan, self._count = plan, 0
        self.harmless = harmless
        """The solver has worked: what fails now is particular to a problem."""

    def note(self, error: Exception) -> ConfigError | None:
        """One failed attempt; what the benchmark is given up with, where it is to be."""
        if isinstance(error, NelError) and not isinstance(error, ConfigError):
            return None
        self._count += 1
        if self.harmless:
            return None
        if isinstance(error, ConfigError):  # it says by itself what is to be done
            return error if self._count >= min(PATIENCE, self._plan.n_rollouts) else None
        if self._count < PATIENCE:
            return None
        return ConfigError(
            f"the solver fails on every problem: {described(error)}",
            where=self._plan.name,
            hint="fix the solver first; --resume without that would fail the same way",
        )


def info_of(error: Exception, phase: Phase) -> ErrorInfo:
    """The record of an error: its own where it has one, else that of a bug with its traceback."""
    info: ErrorInfo | None = getattr(error, "info", None)
    if info is not None and isinstance(error, NelError):
        return msgspec.structs.replace(info, phase=phase)
    return ErrorInfo(
        kind=Failure.BUG,
        message=described(error),
        phase=phase,
        traceback="".join(traceback.format_exception(error)[-TRACEBACK_LINES:]),
    )


class ReturnedError(TypeError):
    """What a plug-in returned is not what its contract says: there is no line of it to name."""


def described(error: Exception) -> str:
    """The last line of a traceback, with the place: ``TypeError: no (agent.py:12)``."""
    if isinstance(error, ReturnedError):
        return str(error)
    if isinstance(error, ConfigError):
        return f"{error.where}: {error.what}" if error.where else error.what
    detail = f": {error}" if str(error) else ""
    return f"{type(error).__name__}{detail}{raised_at(error)}"


def interrupted() -> ErrorInfo:
    """The record of an attempt that was stopped after some of its calls were paid for."""
    return ErrorInfo(
        kind=Failure.INFRA_ERROR, message="the run was stopped before the attempt was over"
    )


def seed_error(error: Exception, where: str) -> ConfigError:
    """What a benchmark that cannot seed a problem is given up with."""
    if isinstance(error, ConfigError):
        return error
    return ConfigError(
        f"a problem could not be seeded: {described(error)}",
        where=where,
        hint="fix the benchmark and add --resume; answers so far are kept",
    )


def checked(solution: object) -> Solution:
    """What a solver returned, if it can be journaled and read again. Raises ReturnedError."""
    if not isinstance(solution, Solution):
        raise ReturnedError(f"a solver returns a Solution, not {solution!r:.80}")
    try:
        msgspec.convert(msgspec.to_builtins(solution, enc_hook=str), Solution)
    except ValueError as error:
        raise ReturnedError(f"the solver returned a wrong Solution: {error}") from None
    return solution

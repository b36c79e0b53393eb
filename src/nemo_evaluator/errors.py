"""The error taxonomy.

::

    NelError
    ├── ConfigError       the user can fix it; raised before anything runs; exit 2
    ├── ModelError        belongs to the model; scored by the benchmark's rule and counted
    ├── InfraError        never a score; retried, then recorded as errored
    │   ├── NoVerdict         a verifier gave no verdict: unscored
    │   └── PermanentError    no retry can help (401, 403, 404, quota): stops the run
    │       └── EndpointDown  no answer for longer than a run waits
    └── BudgetExceeded    a graceful end of a rollout
        └── RunBudgetExceeded and of the run

Anything else that escapes a plug-in is a bug: the rollout is errored, the others go on.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Self

from .types import EndedBy, ErrorInfo, Failure, Json, Phase


class ExitCode(enum.IntEnum):
    """How a command ended. 1 is a verdict and nothing else: no crash shares it."""

    DONE = 0
    FAILED_CHECK = 1
    """BLOCK, NO-GO, coverage below ``min_coverage``."""
    USER_ERROR = 2
    """The user must fix something; the message says what."""
    INCOMPLETE = 3
    """Results are missing; ``--resume`` continues the run."""
    BUG = 70
    """An unexpected error; the message names a file with the traceback."""
    INTERRUPTED = 130
    """By Ctrl-C (SIGINT)."""
    TERMINATED = 143
    """By SIGTERM."""


class NelError(Exception):
    """Base of all errors raised on purpose."""


class ConfigError(NelError, ValueError):
    """What the user wrote cannot be run. Says where, what, and how to fix it."""

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.what, self.where, self.hint = what, where, hint
        super().__init__(str(self))

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text} — {self.hint}" if self.hint else text


class _Attributed(NelError):
    """An error that carries its journal record."""

    default_kind = Failure.BUG

    def __init__(
        self,
        message: str,
        *,
        kind: Failure | None = None,
        phase: Phase = Phase.SOLVE,
        peer: str | None = None,
        status: int | None = None,
        upstream: object = None,
        details: Mapping[str, Json] | None = None,
    ) -> None:
        super().__init__(message)
        self.upstream = upstream
        """The upstream's response, if there was one, so that a proxy can relay it."""
        self.info = ErrorInfo(
            kind=kind or self.default_kind,
            message=message,
            phase=phase,
            peer=peer,
            status=status,
            details=details or {},
        )


class ModelError(_Attributed):
    """The model could not or would not answer (4xx, context overflow, content filter)."""

    default_kind = Failure.BAD_REQUEST


class InfraError(_Attributed):
    """Endpoint, sandbox, judge or verifier failed; nothing is known about the answer."""

    default_kind = Failure.INFRA_ERROR


class NoVerdict(InfraError):
    """There is an answer, and its verifier worked but gave no verdict on it: it is unscored."""

    default_kind = Failure.NO_VERDICT


class PermanentError(InfraError):
    """The same request will fail for every rollout (credentials, model name, quota)."""

    default_kind = Failure.AUTH


class EndpointDown(PermanentError):
    """The endpoint gave no answer for longer than a run waits; the rollouts stay open for
    ``--resume``."""

    default_kind = Failure.CONNECTION


class BudgetExceeded(_Attributed):
    """A limit on turns, tokens, cost or time was reached."""

    default_kind = Failure.BUDGET
    limit: EndedBy | None = None
    """Which limit; None where that is not known."""

    def of(self, limit: EndedBy) -> Self:
        """The same, with the limit that it is about."""
        self.limit = limit
        return self


class RunBudgetExceeded(BudgetExceeded):
    """The budget of the whole run is used up: no further call will be admitted."""


def suggest(name: str, known: Iterable[str]) -> str:
    """``did you mean 'x'?`` where a known name is close, else the known names: the hint of an
    error about a name."""
    names = sorted(set(known))
    folded = {known_name.lower(): known_name for known_name in names}
    close = get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
    if close:
        return f"did you mean {folded[close[0]]!r}?"
    return f"known: {', '.join(names)}" if names else "none is defined"

"""What it means how an agent ended: an answer to be verified, or an error that says nothing.

In this order:
1. A model was needed and never answered, or the endpoint, the door or the sandbox failed: an error,
   tried again.
2. The time was over: what the agent left is verified, and the solution says that time ended it.
3. The agent raised. A limit (of turns, tokens, money or the context) is named as what ended it, and
   what it left is verified. Else that is so where it changed its workspace, and the solution says
   what was raised; where it changed nothing, an error.
4. It ended by itself: its workspace is verified. Where it changed and said nothing after calls that
   failed for reasons that are not the model's, an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import InfraError
from ...types import EndedBy, Failure, Json
from ..contract import SolveTools
from ..programs import judge_session
from ..time_limits import TimeLimit

UNREACHABLE = frozenset(
    (
        *("ServiceUnavailableError", "ConnectionError", "ConnectError", "ReadTimeout"),
        *("APIConnectionError", "NetworkConnectionError", "ApiConnectionClosedError"),
        *("InternalServerError", "BadGatewayError"),
    )
)
"""Errors of clients of a model that did not answer."""
LOST = frozenset({"SandboxLost"})
LIMITS = {
    "ContextLengthExceededError": EndedBy.CONTEXT,
    "ContextWindowExceededError": EndedBy.CONTEXT,
    "OutputLengthExceededError": EndedBy.TOKENS,
    "OutputTokenExceededError": EndedBy.TOKENS,
}
"""Errors that say which limit was reached."""
SHOWN = 500
"""Characters of an error that are shown."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How the agent's run ended, as the script tells it."""

    timed_out: bool
    kinds: Sequence[str] = ()
    """Names of the class of what it raised, and of the bases; empty: it raised nothing."""
    message: str = ""
    metadata: Mapping[str, Json] | None = None
    version: str | None = None

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Ended:
        """From what ``run`` of the script returns."""
        error, context = told.get("error") or {}, told.get("context") or {}
        return cls(
            timed_out=bool(told.get("timed_out")),
            kinds=tuple(error.get("kinds") or ()),
            message=str(error.get("message") or ""),
            metadata=context.get("metadata") or {},
            version=context.get("version"),
        )

    @property
    def error(self) -> str | None:
        """What the agent raised."""
        if not self.kinds:
            return None
        text = " ".join(self.message.split())[:SHOWN]
        return f"{self.kinds[0]}: {text}" if text else self.kinds[0]


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known beside what the agent says."""

    limit: TimeLimit
    asks: bool
    """Its kind cannot work without a model."""
    changed: bool
    """Something in its workspace is newer than its start."""
    said: bool = True
    """It gave an answer in words."""
    before: int = 0
    """Calls of its session that were answered before it began."""


def answers_of(tools: SolveTools) -> int:
    """Calls of the session that were answered so far."""
    return 0 if tools.model is None else tools.model.session(tools.context).answers


def judged(ended: Ended, tools: SolveTools, known: Circumstances) -> EndedBy | None:
    """The limit that ended the agent, or None. Raises InfraError (and what `judge_session` raises)
    where nothing is known about its answer."""
    what = _end_text(ended, known)
    if LOST & set(ended.kinds):
        raise InfraError(what, kind=Failure.SANDBOX)
    answers = answers_of(tools) - known.before
    limit = None if tools.model is None else tools.model.session(tools.context).ended_by
    if ended.error is not None or (known.asks and not answers) or _gave_up(tools, known):
        limit = judge_session(tools, what)
    if ended.timed_out:
        if not answers and not known.changed:
            raise InfraError(f"{what}, and it had done nothing", kind=Failure.SOLVE_TIMEOUT)
        return EndedBy.TIME
    if ended.error is None or limit is not None:
        return limit
    if UNREACHABLE & set(ended.kinds):
        raise InfraError(what, kind=Failure.CONNECTION)
    limit = next((LIMITS[kind] for kind in ended.kinds if kind in LIMITS), None)
    if limit is None and not known.changed:
        raise InfraError(what)
    return limit


def _gave_up(tools: SolveTools, known: Circumstances) -> bool:
    """Whether it has nothing to show after calls that failed: it may have passed over that."""
    if tools.model is None or known.changed or known.said:
        return False
    return bool(tools.model.session(tools.context).errors)


def _end_text(ended: Ended, known: Circumstances) -> str:
    if ended.timed_out:
        return f"the agent's time was over ({known.limit.why}: {known.limit.seconds:g} s)"
    return f"the agent raised {ended.error}" if ended.error else "the agent ended by itself"

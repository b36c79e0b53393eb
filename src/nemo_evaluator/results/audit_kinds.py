"""The kinds of doubt about a score: what each means, of what it is a share, and when it matters."""

from __future__ import annotations

import enum
from typing import NamedTuple

FLAGGED = 0.1
"""Share of scored rollouts without an answer from which a run is flagged: its score may say more
about formatting than about the model."""
LIMITED = 0.1
"""Share of rollouts that a limit ended from which a run is flagged: its score may say more about
the limit than about the agent."""


ABSENT = 0.1
"""Share of the planned rollouts of which nothing is known from which a run is flagged, as in nel
compare and nel gate."""


class Area(enum.StrEnum):
    """What a doubt is about."""

    ANSWERS = "answers"
    PROBLEMS = "problems"
    AGENTS = "agents"
    VERIFIER = "verifier"


class Whole(enum.Enum):
    """What a doubt is a part of."""

    SCORED = enum.auto()
    ROLLOUTS = enum.auto()
    PROBLEMS = enum.auto()
    PLANNED = enum.auto()
    """Rollouts that the bundle says there were to be."""


class DoubtKind(NamedTuple):
    """One kind."""

    meaning: str
    area: Area
    whole: Whole
    limit: float | None = None
    """Share above which it is to be checked before the score is trusted; None: no share is."""


def _answers(meaning: str, *, whole: Whole = Whole.SCORED, limit: float | None = None) -> DoubtKind:
    return DoubtKind(meaning, Area.ANSWERS, whole, limit)


def _problems(meaning: str) -> DoubtKind:
    return DoubtKind(meaning, Area.PROBLEMS, Whole.PROBLEMS)


def _agents(meaning: str, limit: float | None = LIMITED) -> DoubtKind:
    return DoubtKind(meaning, Area.AGENTS, Whole.ROLLOUTS, limit)


KINDS = {
    "no_answer": _answers("no answer was found in the response", limit=FLAGGED),
    "strict_differs": _answers(
        "right only if the requested format is ignored (or the reverse)", limit=FLAGGED
    ),
    "truncated": _answers("cut off by a token limit"),
    "empty": _answers("the response is empty"),
    "refusal": _answers("the model declined"),
    "judge_disagrees": _answers("a judge contradicts itself or another"),
    "unscored": _answers("no verdict", whole=Whole.ROLLOUTS),
    "absent": _answers("planned, and in no file of results", whole=Whole.PLANNED, limit=ABSENT),
    "duplicate": _problems("the same problem more than once"),
    "contradiction": _problems("the same problem with different expected answers"),
    "no_target": _problems("no answer is expected"),
    "turn_limit": _agents("ended by the limit of turns"),
    "budget": _agents("ended by a limit of tokens or money"),
    "time_limit": _agents("ended by the limit of time"),
    "context_limit": _agents("ended because the context window was full"),
    "loop": _agents("made the same call three times in a row, or was ended for it"),
    "no_command": _agents("never called a tool"),
    "last_step_failed": _agents("the last tool call failed", limit=None),
    "no_steps": _agents("no step of the agent was recorded"),
    "no_usage": _agents("a turn of the model tells no tokens", limit=None),
    "reward_before": DoubtKind(
        "a reward was there before the verifier ran", Area.VERIFIER, Whole.ROLLOUTS, 0.0
    ),
}
"""By name, in the order in which they are told."""

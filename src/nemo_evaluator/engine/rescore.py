"""What a rescoring puts in the place of asking: answers come from an earlier journal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..files.writing import replacing
from ..results.journal import Began, Header, ProblemSeeded, Solved, encode, events, scan
from ..results.stopping import Decided, Watched
from ..solvers.contract import SolveTools
from ..types import Json, Problem, RolloutKey, Solution
from .failures import NeverAskedError


class Unasked:
    """A solver that calls no model: rollouts without an answer stay open."""

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        """Raises always: a rescoring has no rollout to solve."""
        raise NeverAskedError

    def identity(self) -> Mapping[str, Json]:
        """A rescoring adds nothing to the identity."""
        return {}

    async def close(self) -> None:
        """Nothing to release."""


def copy_answers(old: Path, new: Path, header: Header) -> int:
    """A journal with the problems and the last answers of another, without its verdicts; how many
    answers it holds."""
    index = scan(old)
    last = {key: state.attempts for key, state in index.rollouts.items() if state.solved_at >= 0}
    count = 0
    with replacing(new, durable=True) as file:
        file.write(encode(header))
        for event in events(old):
            if isinstance(event, Solved):
                if last.get(RolloutKey(event.problem_idx, event.repeat)) != event.attempt:
                    continue
                count += 1
            elif not isinstance(event, ProblemSeeded | Began | Watched | Decided):
                continue
            file.write(encode(event))
    return count

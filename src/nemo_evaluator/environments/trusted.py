"""An environment whose answers come with their reward, from a program that is trusted: a gym, or
harbor.

Invariant: a reward that is missing, no number, or outside of what was declared is no verdict.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ..errors import InfraError
from ..services.gym_wire import GYM_SESSION
from ..types import Failure, Json, Phase, Problem, Score, Solution
from .contract import Aggregates, Environment, Needs, VerifyTools
from .decorated import Decorated


class TrustedReward(Decorated):
    """The benchmark's problems, with the rewards of the program that solved them."""

    def __init__(self, inner: Environment, within: tuple[float, float], who: str) -> None:
        """``who``: the program that is trusted, as messages call it."""
        super().__init__(inner)
        self._within, self._who = within, who
        self._scorer = f"trusted:{who.removeprefix('the ')}"

    @property
    def needs(self) -> Needs:
        """Nothing for verification: that was done."""
        return msgspec.structs.replace(
            self.inner.needs, sandbox=None, judge=False, own_rubric=False, inline=True
        )

    @property
    def aggregates(self) -> Aggregates | None:
        """None: the benchmark sums up what its own scorer says."""
        return None

    async def verify(self, problem: Problem, solution: Solution, tools: VerifyTools) -> Score:
        """The reward in the solution. Raises InfraError where it is none."""
        if solution.error is not None:
            return Score(reward=max(0.0, self._within[0]), correct=False)
        reward, (least, most) = solution.reward, self._within
        if reward is None or not least <= reward <= most:
            what = "gave no reward" if reward is None else f"gave the reward {reward:g}"
            hint = "" if reward is None else f", which lies outside of {least:g} to {most:g}"
            raise InfraError(
                f"problem {problem.idx}: {self._who} {what}{hint}",
                kind=Failure.VERIFIER,
                phase=Phase.VERIFY,
                peer=self._scorer,
            )
        details = {name: value for name, value in solution.details.items() if name != GYM_SESSION}
        extracted, own = details.pop("extracted_answer", None), details.pop("scoring_details", {})
        details |= own if isinstance(own, dict) else {"scoring_details": own}
        return Score(reward=reward, extracted=extracted, details=details)

    def identity(self) -> Mapping[str, Json]:
        """The identity of the benchmark, with another scorer."""
        identity = {name: v for name, v in self.inner.identity().items() if name != "packages"}
        within: dict[str, Json] = {}
        if self._within != (0.0, 1.0):
            within = {"reward_range": list(self._within)}
        return {**identity, "scorer": self._scorer, **within}

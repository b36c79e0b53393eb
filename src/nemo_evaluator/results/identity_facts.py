"""What an identity says, in types: the one place that reads an identity as data.

An identity exists to be compared and digested (``results/identity.py``). Files of every version
hold it, so what results, reports and decisions need of it is read from there, once, into
``Facts``. What is missing, or has another shape than ours, is None or empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from ..types import BenchmarkPlan, Json, Record
from .identity import DIGEST

T = TypeVar("T")
Range = tuple[float, float]
GENERATION = ("solver.generation", "model.generation", "model.extra_body")
"""Where a parameter of generation may be set, the one that wins first."""


class Facts(Record, frozen=True, kw_only=True):
    """What an identity says of a benchmark and of how it was run."""

    n_problems: int | None = None
    """Problems of the whole run, of which a shard does a part."""
    problem_range: tuple[int, int] | None = None
    """Start and end of the part of the dataset that is evaluated, in its order."""
    problems: tuple[int, ...] = ()
    """The problems that another tool did, where they are no range."""
    dataset: str | None = None
    dataset_revision: str | None = None
    dataset_digest: str | None = None
    num_fewshot: int | None = None
    mode: str | None = None
    """How choices were asked for, where a benchmark can ask in several ways."""
    scorer: str | None = None
    """The function that verifies, with the digest of its code."""
    scorers: tuple[Json, ...] = ()
    """Metrics beside the reward: names, or name and configuration."""
    mean_range: Range | None = None
    """What means are clipped to."""
    reward_range: Range | None = None
    metric_ranges: Mapping[str, Range] = {}
    system_prompt: str | None = None
    model_generation: Mapping[str, Json] = {}
    generation: Mapping[str, Json] = {}
    """The parameters that every request carries; the solver's before the service's."""

    @property
    def verifier(self) -> str | None:
        """What verifies, without the digest of its code."""
        return self.scorer.partition(":")[0] or None if self.scorer else None

    def named(self, metric: str | None) -> str:
        """A metric as it is shown beside its value: ``pass@1 (first_token)``."""
        return " ".join(([metric] if metric else []) + ([f"({self.mode})"] if self.mode else []))

    @property
    def ranges(self) -> dict[str, Range]:
        """Declared ranges by metric; the reward's is ``mean_reward``'s."""
        own = {"mean_reward": self.reward_range} if self.reward_range is not None else {}
        return {**self.metric_ranges, **own}


def facts_of(identity: Mapping[str, Json]) -> Facts:
    """What an identity says; nothing raises."""
    environment = "environment."
    generation: dict[str, Json] = {}
    for place in reversed(GENERATION):
        generation |= _converted(dict[str, Json], identity.get(place)) or {}
    return Facts(
        n_problems=_converted(int, identity.get("n_problems")),
        problem_range=_converted(tuple[int, int], identity.get("problem_range")),
        problems=_converted(tuple[int, ...], identity.get("problems")) or (),
        dataset=_converted(str, identity.get(environment + "dataset")),
        dataset_revision=_converted(str, identity.get(environment + "dataset_revision")),
        dataset_digest=_converted(str, identity.get(DIGEST)),
        mode=_converted(str, identity.get(environment + "mode")),
        num_fewshot=_converted(int, identity.get(environment + "num_fewshot")),
        scorer=_converted(str, identity.get(environment + "scorer")),
        scorers=tuple(_converted(list[Json], identity.get("scorers")) or ()),
        mean_range=_range(identity.get(environment + "mean_range")),
        reward_range=_range(identity.get(environment + "reward_range")),
        metric_ranges={
            name: ends
            for name, value in (
                _converted(dict[str, Json], identity.get(environment + "metric_ranges")) or {}
            ).items()
            if (ends := _range(value)) is not None
        },
        system_prompt=_converted(str, identity.get("solver.system_prompt")),
        model_generation=_converted(dict[str, Json], identity.get("model.generation")) or {},
        generation=generation,
    )


def plan_facts(plan: BenchmarkPlan) -> Facts:
    """What a plan's identity says."""
    return facts_of(plan.identity)


def whole_size(plan: BenchmarkPlan) -> int:
    """Problems of the whole run that a plan is of, or is a shard of."""
    found = plan_facts(plan).n_problems
    return plan.n_problems if found is None else found


def _range(value: Json) -> Range | None:
    found = _converted(tuple[float, float], value)
    return found if found is not None and found[0] < found[1] else None


def _converted(kind: type[T], value: Json) -> T | None:
    if value is None:
        return None
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError):
        return None

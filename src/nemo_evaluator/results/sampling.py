"""How answers are sampled, as a plan says it: what is sent, and what that means for repeats.

One rule for flags, files and Python: nothing is sent unless the user says so; the rest is the
endpoint's own default.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..types import BenchmarkPlan, Json
from .identity_facts import facts_of


def sent(identity: Mapping[str, Json]) -> dict[str, Json]:
    """The generation parameters that every request of a benchmark carries."""
    return dict(facts_of(identity).generation)


def temperature(plan: BenchmarkPlan) -> str:
    """For people: ``0.7``, or that none is sent."""
    value = sent(plan.identity).get("temperature")
    return "not sent, so the endpoint's default" if value is None else f"{value:g}"


def doubtful_repeats(plan: BenchmarkPlan) -> str | None:
    """Why repeats may say nothing, before they are paid for."""
    value = sent(plan.identity).get("temperature")
    if plan.repeats < 2 or value is None or value != 0:
        return None
    return (
        f"{plan.slug}: {plan.repeats} repeats at temperature 0 mostly give the same answers again;"
        " set a temperature, or repeats: 1"
    )

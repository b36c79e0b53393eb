"""How far a run is that is done in shards: the states of its parts as one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from ..results.progress_file import BenchmarkState, ScoreSoFar
from . import progress_text as say

Parts = Sequence[Mapping[str, BenchmarkState]]


def combined(parts: Parts, shards: int) -> dict[str, BenchmarkState]:
    """Every benchmark, by slug. ``parts``: of the shards that have begun, of this many."""
    slugs = list(dict.fromkeys(slug for part in parts for slug in part))
    return {
        slug: _combined_state([part[slug] for part in parts if slug in part], len(parts), shards)
        for slug in slugs
    }


def _combined_state(states: Sequence[BenchmarkState], begun: int, shards: int) -> BenchmarkState:
    failed: Counter[str] = Counter()
    for state in states:
        failed.update(state.failed)
    per_s = sum(state.rollouts_per_s or 0.0 for state in states)
    done, total = sum(state.done for state in states), sum(state.total for state in states)
    costs = [state.cost_usd for state in states if state.cost_usd is not None]
    starts = [state.started for state in states if state.started is not None]
    limits = [state.limit for state in states if state.limit is not None]
    left = max((state.eta_s or 0.0 for state in states), default=0.0)
    whole = begun == shards
    result = BenchmarkState(
        name=states[0].name,
        total=total,
        done=done,
        restored=sum(state.restored for state in states),
        failed=dict(failed),
        finished=whole and all(state.finished for state in states),
        started=min(starts, default=None),
        score=_score(states),
        in_flight=sum(state.in_flight for state in states),
        limit=sum(limits) if limits else None,
        retries=sum(state.retries for state in states),
        output_tokens=sum(state.output_tokens for state in states),
        cost_usd=sum(costs) if costs else None,
        rollouts_per_s=per_s or None,
        tokens_per_s=sum(state.tokens_per_s or 0.0 for state in states) or None,
        eta_s=left if whole and left else None,
        status="; ".join(dict.fromkeys(state.status for state in states if state.status)),
    )
    return msgspec.structs.replace(result, line=_line(result, begun, shards))


def _score(states: Sequence[BenchmarkState]) -> ScoreSoFar | None:
    """The mean of the shards' scores, each as heavy as its verdicts; so is the interval, for the
    shards are of different problems."""
    scored = [(state.done, state.score) for state in states if state.score and state.done]
    count = sum(done for done, _ in scored)
    if not count:
        return None
    value = sum(done * score.value for done, score in scored) / count
    lower = math.hypot(*(done * (score.value - score.lower) for done, score in scored)) / count
    upper = math.hypot(*(done * (score.upper - score.value) for done, score in scored)) / count
    measures = {score.measure for _, score in scored}
    return ScoreSoFar(
        measure=measures.pop() if len(measures) == 1 else "mean reward",
        value=value,
        lower=value - lower,
        upper=value + upper,
    )


def _line(state: BenchmarkState, begun: int, shards: int) -> str:
    """Example: ``gsm8k 640/1319 (48.5 %) pass@1 0.642 [0.604, 0.678] in 4 shards eta 2m10s``."""
    share = f" ({min(99.9, 100 * state.done / state.total):.1f} %)" if state.total else ""
    if state.total and state.done == state.total:
        share = " (100.0 %)"
    parts = [f"{state.name} {state.done}/{state.total}{share}"]
    if (score := state.score) is not None:
        parts.append(f"{score.measure} {score.value:.3f} [{score.lower:.3f}, {score.upper:.3f}]")
    parts.append(f"in {shards} shards" if begun == shards else f"in {begun} of {shards} shards")
    if state.tokens_per_s:
        parts.append(f"{state.tokens_per_s:.0f} output tok/s")
    if state.in_flight:
        parts.append(f"{state.in_flight}/{state.limit} in flight")
    if state.failed:
        parts.append(f"failed: {sum(state.failed.values())}")
    if state.cost_usd is not None:
        parts.append(say.cost(state.cost_usd))
    if state.eta_s is not None:
        parts.append(f"eta {say.duration(state.eta_s)}")
    return " ".join([*parts, *([state.status] if state.status else [])])

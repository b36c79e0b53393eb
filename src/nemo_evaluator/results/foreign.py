"""Results of other tools, summed up by our rules: an error there is an error here, never a zero.

A bundle of another tool counts rows without a verdict as wrong, and does not say how many there
are. Where its ``results.jsonl`` stands beside it, scores, intervals and coverage follow from the
rows; what the rows lack (tokens, times, metrics of its own) is taken from the bundle.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypedDict

import msgspec

from ..errors import ConfigError
from ..files.reading import open_regular, read_lines
from ..types import (
    BenchmarkPlan,
    ErrorInfo,
    Failure,
    Outcome,
    RolloutKey,
    Score,
    Solution,
)
from .collect import Collector
from .journal import Errored, ProblemSeeded, Scored, Solved
from .layout import JOURNAL, RESULTS, UNSCORED
from .published import Measure, Published
from .read_bundle import published
from .result_row import ResultRow, decode_row, read_key
from .rows import RolloutRecord
from .summary import BenchmarkSummary, Estimate

OWN_METRICS = ("pass@1", "mean_reward")
"""Headlines that the rows give; any other is the bundle's own."""
MOST_REPEATS = 10_000
"""More repeats than this in a bundle of another tool are taken for an error."""
SAME = 5e-4
"""Scores that differ by less are the same, rounded."""


def is_foreign(folder: Path) -> bool:
    """Whether a folder holds rows that no journal of ours stands behind."""
    return (folder / RESULTS).is_file() and not (folder / JOURNAL).exists()


def recounted(data: Published, folder: Path) -> Published:
    """A bundle with what the rows in its folder tell; as it is where they tell nothing."""
    offsets = last_lines(folder / RESULTS)
    if not offsets:
        return data
    plan = plan_of(data, offsets)
    summary = summed_up((row for row, _ in rows_at(folder / RESULTS, offsets)), plan)
    unjudged = summary.n_scored < len(offsets)
    own = data.headline if data.headline not in (None, *OWN_METRICS) else None
    own_score = data.score.value if data.score is not None and own is None else None
    given = summary.score.value if summary.score is not None else None
    kept = {name: value for name, value in data.metrics.items() if name not in OWN_METRICS}
    found = {name: _measure(value) for name, value in summary.metrics.items()}
    return msgspec.structs.replace(
        data,
        n_problems=data.n_problems or plan.n_problems,
        repeats=plan.repeats,
        n_rollouts=plan.n_rollouts,
        n_scored=summary.n_scored,
        coverage=summary.coverage,
        score_if_rest_wrong=summary.bound_if_rest_wrong,
        score_if_rest_right=summary.bound_if_rest_right,
        headline=own or summary.headline,
        # Without a verdict there is no score, whatever the bundle says.
        metrics={**kept, **found} if summary.n_scored else {},
        told=own_score
        if own_score is not None and (given is None or abs(own_score - given) > SAME)
        else None,
        categories=_categories(summary) or data.categories,
        outcomes=summary.outcomes,
        failures={name: kind.count for name, kind in summary.failures.items()}
        if unjudged
        else data.failures,
        examples=summary.examples if unjudged else data.examples,
        agreement=summary.agreement,
        distributions=data.distributions or summary.distributions,
    )


def published_rows(folder: Path) -> Published:
    """Rows that have no bundle: the folder's name is all that is known besides."""
    document = {"run_id": folder.name, "benchmark": {"name": folder.name}}
    return recounted(published(document, where=str(folder / RESULTS)), folder)


def plan_of(data: Published, keys: Iterable[RolloutKey]) -> BenchmarkPlan:
    """What was to be done, as far as the bundle and the rows tell."""
    done = Counter(key.problem_idx for key in keys)
    most = max(done.values(), default=1)
    # A bundle may say anything; room is made for what could have been done.
    n_repeats = min(data.repeats or most, MOST_REPEATS)
    repeats = max(n_repeats, most)
    planned = (data.n_rollouts or 0) // (data.repeats or 1)
    n_problems = max(planned, len(done))
    shuffle = data.config.get("shuffle")
    size = shuffle.get("ds_full_size") if isinstance(shuffle, Mapping) else None
    return BenchmarkPlan(
        name=data.name,
        slug=data.slug,
        service=data.service,
        model=data.model,
        simulated=data.simulated,
        solver=data.solver or "",
        dataset_size=size if isinstance(size, int) else n_problems,
        n_problems=n_problems,
        repeats=repeats,
        identity={},
        digest=data.digest or "",
    )


def summed_up(rows: Iterable[ResultRow], plan: BenchmarkPlan) -> BenchmarkSummary:
    """The summary of rows in (problem_idx, repeat) order."""
    collector = Collector(plan)
    for row in rows:
        collector.add(_record(row))
    return collector.finish()


def last_lines(path: Path) -> dict[RolloutKey, int]:
    """Where the last line of each rollout starts, in (problem_idx, repeat) order: other tools
    write in the order of completion, and append a rollout again after a resume."""
    found: dict[RolloutKey, int] = {}
    with open_regular(path) as file:
        for offset, line in read_lines(file):
            if (key := read_key(line)) is not None:
                found[key] = offset
    return dict(sorted(found.items()))


def rows_at(path: Path, offsets: Mapping[RolloutKey, int]) -> Iterator[tuple[ResultRow, bytes]]:
    """The rows at some offsets, each with its line as it is written. Raises ConfigError."""
    with path.open("rb") as file:
        for offset in offsets.values():
            file.seek(offset)
            line = file.readline()
            if (row := decode_row(line)) is None:
                raise ConfigError(f"cannot be read at byte {offset}", where=str(path))
            yield row, line


def rows_in(folder: Path) -> Iterator[ResultRow]:
    """The rows of a folder that another tool wrote, the last of each rollout, in order."""
    parts = [folder / name for name in (RESULTS, UNSCORED) if (folder / name).is_file()]
    found = [(row for row, _ in rows_at(part, last_lines(part))) for part in parts]
    return heapq.merge(*found, key=lambda row: row.key)


class _Where(TypedDict):
    problem_idx: int
    repeat: int
    attempt: int
    at: float


def _record(row: ResultRow) -> RolloutRecord:
    """A row as the events that a run of ours would have journaled."""
    where = _Where(problem_idx=row.problem_idx, repeat=row.repeat, attempt=1, at=0.0)
    problem = ProblemSeeded(
        problem_idx=row.problem_idx,
        digest="",
        prompt=row.prompt or "",
        target=row.expected_answer,
        metadata=_category(row),
        cluster=row.cluster,
    )
    solution = Solution(
        response=row.model_response or "",
        finish_reason=row.finish_reason,
        latency_ms=row.latency_ms or 0.0,
    )
    answered = row.model_response is not None or row.reward is not None
    scored = _scored(row, where) if row.reward is not None else None
    return RolloutRecord(
        key=row.key,
        attempts=1,
        problem=problem,
        solved=Solved(**where, solution=solution) if answered else None,
        ended=scored or _errored(row, where),
        scored=scored,
    )


def _scored(row: ResultRow, where: _Where) -> Scored:
    assert row.reward is not None
    correct = row.scoring_details.get("correct")
    binary = row.reward in (0.0, 1.0)
    score = Score(
        reward=row.reward,
        correct=(correct if isinstance(correct, bool) else row.reward > 0) if binary else None,
        extracted=row.extracted_answer,
        details={name: {"reward": reward} for name, reward in _scorers(row).items()},
        failure=row.failure,
    )
    return Scored(**where, outcome=Outcome.SCORED, score=score)


def _scorers(row: ResultRow) -> dict[str, float]:
    """Rewards of extra scorers, wherever the row tells them."""
    nested = {
        name: found.get("reward")
        for name, found in row.scoring_details.items()
        if name.startswith("scorer:") and isinstance(found, Mapping)
    }
    rewards = {**nested, **row.scorer_rewards}
    return {name: float(x) for name, x in rewards.items() if isinstance(x, int | float)}


def _category(row: ResultRow) -> dict[str, str]:
    for part in (row.metadata, row.scoring_details):
        if (found := part.get("category")) is not None:
            return {"category": str(found)}
    return {}


def _errored(row: ResultRow, where: _Where) -> Errored:
    kind = row.failure or Failure.INFRA_ERROR
    outcome = row.outcome if not row.outcome.has_reward else Outcome.UNSCORED
    error = ErrorInfo(kind=kind, message=row.error or "")
    return Errored(**where, outcome=outcome, error=error)


def _measure(estimate: Estimate) -> Measure:
    return msgspec.convert(msgspec.to_builtins(estimate), Measure)


def _categories(summary: BenchmarkSummary) -> dict[str, dict[str, Measure]]:
    return {
        name: {group: _measure(value) for group, value in groups.items()}
        for name, groups in summary.categories.items()
    }

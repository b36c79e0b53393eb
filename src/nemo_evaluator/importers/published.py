"""Results in the published format (``eval-*.json`` with ``results.jsonl``), or of another run of
ours, as benchmarks of a new run.

What the rows do not tell (metrics of the tool's own) is taken from the bundle.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from ..errors import ConfigError
from ..measured import Measure, metrics_in
from ..results.foreign import OWN_METRICS
from ..results.identity_facts import facts_of
from ..results.layout import RESULTS, UNSCORED
from ..results.published import Published
from ..results.read_bundle import BUNDLES, published, read_bundle
from ..results.result_row import ResultRow
from ..results.trajectory_row import TrajectoryRow
from ..results.view import BenchmarkView
from ..types import (
    BenchmarkPlan,
    ErrorInfo,
    Failure,
    Json,
    Outcome,
    PlanSettings,
    Problem,
    Score,
    Solution,
    Usage,
)
from .contract import Imported, Rollout
from .writing import unix_time

ROWS = (RESULTS, UNSCORED)
TOLD_AGAIN = ("correct", "failure", "error", "error_category", "phase", "metrics")
"""Details that are written of the verdict itself."""


class PublishedResults:
    """See the module."""

    def takes(self, path: Path) -> bool:
        """See ``Importer.takes``."""
        return bool(_folders(path))

    def read(self, path: Path) -> Sequence[Imported]:
        """See ``Importer.read``."""
        folders = _folders(path)
        if not folders:
            raise ConfigError(f"holds no bundle and no {RESULTS}", where=str(path))
        return [_imported(folder) for folder in folders]


def _folders(path: Path) -> list[Path]:
    if path.is_file():
        known = path.name in ROWS or (path.match(BUNDLES) and _has_rows(path.parent))
        return [path.parent] if known else []
    children = sorted(child for child in path.iterdir() if child.is_dir())
    return [folder for folder in (path, *children) if _has_rows(folder)]


def _has_rows(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ROWS)


def _imported(folder: Path) -> Imported:
    bundles = sorted(folder.glob(BUNDLES))
    if len(bundles) > 1:
        hint = "leave one of them in the folder"
        raise ConfigError(f"holds {len(bundles)} bundles", where=str(folder), hint=hint)
    if bundles:
        data = read_bundle(bundles[0], strict=False)
    else:
        document = {"run_id": folder.name, "benchmark": {"name": folder.resolve().name}}
        data = published(document, where=str(folder))
    view = BenchmarkView(folder, bundles[0] if bundles else folder / RESULTS)
    keys = [row.key for row in view.rows()]
    places = sorted({key.problem_idx for key in keys})
    if not places or places[0] < 0:
        raise ConfigError("holds no rows of problems", where=str(folder))
    whole = places[-1] == len(places) - 1
    planned = data.planned_problems or 0
    return Imported(
        name=data.name,
        model=data.model,
        source=str(bundles[0] if bundles else folder / RESULTS),
        tool=f"nemo_evaluator {data.version or ''}".strip(),
        size=max(places[-1] + 1, planned) if whole else places[-1] + 1,
        problems=None if whole else tuple(places),
        rollouts=partial(_rollouts, view),
        repeats=max(max(key.repeat for key in keys) + 1, _repeats(data)),
        identity=_identity(data),
        measures=tuple(_measures(data)),
        solver=data.solver or "imported",
        created=data.created,
        plan=_plan(data),
    )


def _plan(data: Published) -> BenchmarkPlan | None:
    """The plan of a run of ours, as its bundle tells it."""
    if not data.identity or not data.n_problems or not data.dataset_size:
        return None
    seed = data.config.get("shuffle_seed")
    return BenchmarkPlan(
        name=data.name,
        slug=data.slug,
        service=data.service,
        model=data.model,
        simulated=data.simulated,
        solver=data.solver or "imported",
        dataset_size=data.dataset_size,
        n_problems=data.n_problems,
        repeats=data.repeats or 1,
        identity=data.identity,
        settings=PlanSettings(
            shuffle_seed=seed if isinstance(seed, int) else None, min_coverage=data.coverage_floor
        ),
        digest=data.digest or "",
    )


def _repeats(data: Published) -> int:
    return min(data.repeats or 1, 10_000)


def _identity(data: Published) -> dict[str, Json]:
    identity: dict[str, Json] = {
        "environment.harness": "published",
        "environment.scorer": facts_of(data.identity).scorer,
        "solver.system_prompt": data.config.get("system_prompt"),
    }
    return {name: value for name, value in identity.items() if value is not None}


def _measures(data: Published) -> Iterator[Measure]:
    """Metrics that do not follow from the rows."""
    for name, measure in data.metrics.items():
        if name in OWN_METRICS or name.startswith(("pass@", "pass^", "scorer:", "strict")):
            continue
        yield Measure(
            name=name,
            value=measure.value,
            stderr=measure.stderr,
            n=measure.n or 0,
            higher_is_better=measure.higher_is_better,
        )


def _rollouts(view: BenchmarkView) -> Iterator[Rollout]:
    for row, trajectory in view.rollouts():
        yield _rollout(row, trajectory)


def _rollout(row: ResultRow, trajectory: TrajectoryRow | None) -> Rollout:
    stamp = trajectory.timestamp if trajectory is not None else None
    found = Rollout(
        problem=Problem(
            idx=row.problem_idx,
            prompt=row.prompt or "",
            target=row.expected_answer,
            metadata=row.metadata,
            cluster=row.cluster,
        ),
        repeat=row.repeat,
        at=unix_time(stamp) if isinstance(stamp, str) else stamp or 0.0,
        solution=_solution(row, trajectory) if row.model_response is not None else None,
        score=_score(row) if row.judged else None,
        outcome=row.outcome,
        error=None if row.judged else _error(row),
    )
    return found


def _score(row: ResultRow) -> Score:
    correct = row.scoring_details.get("correct")
    details: dict[str, Json] = _details(row)
    for name, reward in row.scorer_rewards.items():
        details.setdefault(name, {"reward": reward})
    binary = row.reward in (0.0, 1.0)
    return Score(
        reward=row.reward or 0.0,
        rated=row.reward is not None,
        correct=correct if isinstance(correct, bool) else row.reward == 1.0 if binary else None,
        extracted=row.extracted_answer,
        details=details,
        failure=row.failure,
        metrics=metrics_in(row.scoring_details.get("metrics")),
    )


def _error(row: ResultRow) -> ErrorInfo:
    kind = row.failure or (
        Failure.NO_VERDICT if row.outcome is Outcome.UNSCORED else Failure.INFRA_ERROR
    )
    return ErrorInfo(kind=kind, message=row.error or "", details=_details(row))


def _details(row: ResultRow) -> dict[str, Json]:
    return {k: v for k, v in row.scoring_details.items() if k not in TOLD_AGAIN}


def _solution(row: ResultRow, trajectory: TrajectoryRow | None) -> Solution:
    tokens = trajectory.model.tokens if trajectory is not None and trajectory.model else None
    usage = Usage(completion_tokens=row.tokens)
    if tokens is not None and tokens.total is not None:
        usage = Usage(
            prompt_tokens=tokens.prompt,
            completion_tokens=tokens.completion,
            reasoning_tokens=tokens.reasoning,
        )
    steps = trajectory.steps if trajectory is not None else ()
    return Solution(
        response=row.model_response or "",
        reasoning=row.reasoning,
        finish_reason=row.finish_reason,
        usage=usage,
        latency_ms=row.latency_ms or 0.0,
        ttft_ms=row.ttft_ms,
        wall_ms=row.wall_ms,
        cost_usd=row.cost_usd,
        calls=row.calls,
        steps=steps if len(steps) > 2 else (),
        ended_by=row.ended_by,
        details=row.solver_details,
    )

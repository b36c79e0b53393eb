"""One rollout, put together from its events, and its line of ``results.jsonl``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..measured import Metric, metrics_in
from ..types import (
    GYM_SESSION,
    BenchmarkPlan,
    Failure,
    Json,
    Outcome,
    RolloutKey,
    Solution,
)
from .identity_facts import plan_facts
from .journal import Errored, JournalIndex, ProblemSeeded, Scored, Solved
from .journal_reader import JournalReader
from .result_row import WORKSPACE, ResultRow

PREVIEW = 200


@dataclass(frozen=True, slots=True)
class RolloutRecord:
    """The last attempt of a rollout, put together from its events."""

    key: RolloutKey
    attempts: int
    problem: ProblemSeeded | None
    solved: Solved | None
    ended: Scored | Errored | None
    scored: Scored | None
    """The verdict, if there is one."""

    @property
    def outcome(self) -> Outcome:
        """How the rollout ended; what was solved and never verified counts as unscored."""
        return self.ended.outcome if self.ended is not None else Outcome.UNSCORED

    @property
    def truncated(self) -> bool:
        """Cut off by a token limit, by finish reason or by an unclosed reasoning block."""
        if self.solved is not None and self.solved.solution.truncated:
            return True
        return self.scored is not None and bool(self.scored.score.details.get("truncated"))

    @property
    def failure(self) -> Failure | None:
        """Why there is no good answer, if there is none."""
        if isinstance(self.ended, Errored):
            return self.ended.error.kind
        if self.solved is not None and self.solved.solution.error is not None:
            return self.solved.solution.error.kind
        if self.scored is not None and self.scored.score.failure is not None:
            return self.scored.score.failure
        return Failure.TRUNCATED if self.truncated else None


def read_rollouts(path: Path, index: JournalIndex) -> Iterator[RolloutRecord]:
    """Every rollout of a journal that was attempted, in (problem_idx, repeat) order."""
    with JournalReader(path, index.content) as reader:
        yield from rollouts_in(reader, index)


def rollouts_in(reader: JournalReader, index: JournalIndex) -> Iterator[RolloutRecord]:
    """The same, of an open journal."""
    problem: ProblemSeeded | None = None
    for key in sorted(index.rollouts):
        state = index.rollouts[key]
        if problem is None or problem.problem_idx != key.problem_idx:
            found = (
                reader.at(index.problems[key.problem_idx])
                if (key.problem_idx in index.problems)
                else None
            )
            problem = found if isinstance(found, ProblemSeeded) else None
        solved = reader.at(state.solved_at) if state.solved_at >= 0 else None
        ended = reader.at(state.ended_at) if state.ended_at >= 0 else None
        yield RolloutRecord(
            key=key,
            attempts=state.attempts,
            problem=problem,
            solved=solved if isinstance(solved, Solved) else None,
            ended=ended if isinstance(ended, (Scored, Errored)) else None,
            scored=ended if isinstance(ended, Scored) and ended.outcome.has_reward else None,
        )


def result_row(record: RolloutRecord, method: str) -> ResultRow:
    """The line of ``results.jsonl``. ``method``: what verifies, by name."""
    problem, solved, scored = record.problem, record.solved, record.scored
    solution = solved.solution if solved else None
    source = _source(solution) if solution else None
    details = _details(record, method)
    return ResultRow(
        problem_idx=record.key.problem_idx,
        repeat=record.key.repeat,
        outcome=record.outcome,
        reward=scored.score.reward if scored and scored.score.rated else None,
        prompt=_prompt_text(problem),
        model_response=solution.response if solution else None,
        extracted_answer=scored.score.extracted if scored else None,
        expected_answer=problem.target if problem else None,
        scoring_details=details,
        metadata=_metadata(record),
        tokens=solution.usage.total_tokens if solution else None,
        latency_ms=solution.latency_ms if solution else None,
        finish_reason=solution.finish_reason if solution else None,
        truncated=record.truncated,
        ttft_ms=solution.ttft_ms if solution else None,
        wall_ms=solution.wall_ms if solution else None,
        cost_usd=solution.cost_usd if solution else None,
        calls=solution.calls if solution else 1,
        reasoning=(solution.reasoning or None) if solution else None,
        response_source=source if source != "content" else None,
        cluster=problem.cluster if problem else None,
        scorer_rewards=scorer_rewards(scored) if scored else {},
        solver_details=_unsaid(solution.details, details) if solution else {},
        ended_by=solution.ended_by if solution else None,
    )


def _source(solution: Solution) -> str:
    """Where the answer is: an agent need not say anything about what it left in its workspace."""
    in_workspace = solution.workspace and not solution.response.strip()
    return WORKSPACE if in_workspace else solution.response_source


def verifier_name(plan: BenchmarkPlan) -> str:
    """What verifies a benchmark, without its digest; the benchmark's own name where unknown."""
    return plan_facts(plan).verifier or plan.name


def extra_metrics(scored: Scored) -> dict[str, Metric]:
    """Further numbers of a verdict: ``strict`` (whether it is right with only the format that was
    asked for), its metrics, and extra scorers."""
    details = scored.score.details
    # Journals of earlier versions, and files of other tools, hold metrics among the details.
    own = scored.score.metrics or metrics_in(details.get("metrics"))
    strict = details.get("strict_correct")
    return {
        **({"strict": float(strict)} if isinstance(strict, bool) else {}),
        **own,
        **scorer_rewards(scored),
    }


def scorer_rewards(scored: Scored) -> dict[str, float]:
    """Rewards of the extra scorers by ``scorer:<name>``."""
    return {
        name: float(value.get("reward", 0.0))
        for name, value in scored.score.details.items()
        if name.startswith("scorer:") and isinstance(value, dict)
    }


def preview(text: str | None) -> str:
    """A text shortened to one line."""
    line = " ".join((text or "").split())
    return line if len(line) <= PREVIEW else line[: PREVIEW - 1] + "…"


def _prompt_text(problem: ProblemSeeded | None) -> str | None:
    if problem is None:
        return None
    if not problem.messages:
        return problem.prompt
    return "\n\n".join(_content_text(message.get("content")) for message in problem.messages)


def _content_text(content: Json) -> str:
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _details(record: RolloutRecord, method: str) -> dict[str, Any]:
    if isinstance(record.ended, Errored):
        error = record.ended.error
        return {
            **error.details,
            "error_category": error.kind.value,
            "error": error.message,
            "phase": error.phase.value,
            "method": record.outcome.value,
        }
    details: dict[str, Any] = record.scored.score.published if record.scored else {}
    details.setdefault("method", method)
    if record.scored is not None:
        score = record.scored.score
        if score.correct is not None:
            details["correct"] = score.correct
        if score.failure is not None:
            details["failure"] = score.failure.value
    if record.solved is not None and (error_ := record.solved.solution.error) is not None:
        details |= {"error_category": error_.kind.value, "error": error_.message}
    return details


def _unsaid(told: Mapping[str, Json], details: Mapping[str, Json]) -> Mapping[str, Json]:
    """What a solver told, less what a scorer has passed on as its own and what only a gym reads."""
    if not told:
        return told
    return {
        name: value for name, value in told.items() if name not in details and name != GYM_SESSION
    }


def _metadata(record: RolloutRecord) -> dict[str, Any]:
    metadata = dict(record.problem.metadata) if record.problem else {}
    if record.scored is not None:
        metadata.update(record.scored.score.metadata)
    return metadata

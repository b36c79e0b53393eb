"""One rollout as it is published: the line of ``results.jsonl`` and of ``trajectories.jsonl``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..types import Failure, Json, Outcome, RolloutKey
from .journal import Errored, JournalIndex, JournalReader, ProblemSeeded, Scored, Solved

TRUNCATING = ("length", "max_tokens")
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
        """How it ended; what was solved and never verified counts as unscored."""
        return self.ended.outcome if self.ended is not None else Outcome.UNSCORED

    @property
    def truncated(self) -> bool:
        """Cut off by a token limit, by finish reason or by an unclosed reasoning block."""
        if self.solved is not None and self.solved.solution.finish_reason in TRUNCATING:
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
    problem: ProblemSeeded | None = None
    with JournalReader(path) as reader:
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
            verdict = isinstance(ended, Scored) and ended.outcome.has_reward
            yield RolloutRecord(
                key=key,
                attempts=state.attempts,
                problem=problem,
                solved=solved if isinstance(solved, Solved) else None,
                ended=ended if isinstance(ended, (Scored, Errored)) else None,
                scored=ended if verdict else None,  # type: ignore[arg-type]
            )


def result_row(record: RolloutRecord) -> dict[str, Any]:
    """The line of ``results.jsonl``. Times are in ``latency_ms`` and ``ttft_ms`` only."""
    problem, solved, scored = record.problem, record.solved, record.scored
    solution = solved.solution if solved else None
    row: dict[str, Any] = {
        "problem_idx": record.key.problem_idx,
        "repeat": record.key.repeat,
        "outcome": record.outcome.value,
        "reward": scored.score.reward if scored else None,
        "prompt": _prompt_text(problem),
        "model_response": solution.response if solution else None,
        "extracted_answer": scored.score.extracted if scored else None,
        "expected_answer": problem.target if problem else None,
        "scoring_details": _details(record),
        "metadata": _metadata(record),
        "tokens": solution.usage.total_tokens if solution else None,
        "latency_ms": solution.latency_ms if solution else None,
        "finish_reason": solution.finish_reason if solution else None,
        "truncated": record.truncated,
    }
    if solution is not None:
        if solution.ttft_ms is not None:
            row["ttft_ms"] = solution.ttft_ms
        if solution.reasoning:
            row["reasoning"] = solution.reasoning
        if solution.response_source != "content":
            row["response_source"] = solution.response_source
    if problem is not None and problem.cluster is not None:
        row["cluster"] = problem.cluster
    if scored and (extra := scorer_rewards(scored)):
        row["scorer_rewards"] = extra
    return row


def trajectory_row(record: RolloutRecord) -> dict[str, Any]:
    """The line of ``trajectories.jsonl``.

    An agent's steps stand here in full. A single turn has no steps of its own: its texts are those
    of the same rollout in ``results.jsonl``, which the steps refer to instead of repeating them.
    """
    solution = record.solved.solution if record.solved else None
    steps: list[Any] = list(solution.trajectory) if solution else []
    if solution is not None and not steps:
        usage = solution.usage
        steps = [
            {"step_id": 1, "source": "user", "ref": "prompt"},
            {
                "step_id": 2,
                "source": "agent",
                "ref": "model_response",
                "model_name": solution.model,
                "metrics": {
                    "prompt_tokens": usage.prompt_tokens,
                    "completion_tokens": usage.completion_tokens,
                    "reasoning_tokens": usage.reasoning_tokens,
                    "cached_tokens": usage.cached_tokens,
                    "cost_usd": solution.cost_usd,
                },
            },
        ]
    return {
        "problem_idx": record.key.problem_idx,
        "repeat": record.key.repeat,
        "attempts": record.attempts,
        "requests": solution.tries if solution else None,
        "outcome": record.outcome.value,
        "reward": record.scored.score.reward if record.scored else None,
        "failure_category": record.failure.value if record.failure else None,
        "timing": {
            "model_ms": solution.latency_ms if solution else None,
            "verify_ms": record.scored.verify_ms if record.scored else None,
        },
        "steps": steps,
    }


def extra_metrics(scored: Scored) -> dict[str, float | list[float]]:
    """Further numbers of a verdict: ``strict`` (whether it is right with only the format that was
    asked for), what its scorer put under ``metrics``, and extra scorers.

    A pair ``[numerator, denominator]`` is a share in a rate: the metric is the sum of the
    numerators over that of the denominators, so ``[0, 0]`` is a rollout that does not bear on it.
    """
    details = scored.score.details
    own, strict = details.get("metrics"), details.get("strict_correct")
    return {
        **({"strict": float(strict)} if isinstance(strict, bool) else {}),
        **(own if isinstance(own, dict) else {}),
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


def _details(record: RolloutRecord) -> dict[str, Any]:
    if isinstance(record.ended, Errored):
        error = record.ended.error
        return {
            "error_category": error.kind.value,
            "error": error.message,
            "phase": error.phase.value,
        }
    details: dict[str, Any] = dict(record.scored.score.details) if record.scored else {}
    if record.scored is not None:
        score = record.scored.score
        if score.correct is not None:
            details["correct"] = score.correct
        if score.failure is not None:
            details["failure"] = score.failure.value
    if record.solved is not None and (error_ := record.solved.solution.error) is not None:
        details |= {"error_category": error_.kind.value, "error": error_.message}
    return details


def _metadata(record: RolloutRecord) -> dict[str, Any]:
    metadata = dict(record.problem.metadata) if record.problem else {}
    if record.scored is not None:
        metadata.update(record.scored.score.metadata)
    return metadata

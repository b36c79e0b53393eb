"""Journals that tests write event by event, and what is derived from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nemo_evaluator.results.derive import publish
from nemo_evaluator.results.journal import Errored, Event, ProblemSeeded, Scored, Solved, encode
from nemo_evaluator.results.run_info import RunInfo, RunStatus
from nemo_evaluator.results.summary import BenchmarkSummary
from nemo_evaluator.types import BenchmarkPlan, ErrorInfo, Failure, Outcome, Score, Solution, Usage

RUN = RunInfo(
    run_id="20300101_000000_abcdef01",
    created="2030-01-01T00:00:00+00:00",
    version="0",
    python="3",
    host="h",
    status=RunStatus.DONE,
)


def plan(problems: int, repeats: int = 1, **more: Any) -> BenchmarkPlan:
    fields: dict[str, Any] = {
        "name": "b",
        "slug": "b",
        "service": "model",
        "model": "m",
        "simulated": False,
        "solver": "simple",
        "dataset_size": problems,
        "n_problems": problems,
        "repeats": repeats,
        "identity": {"model": "m"},
        "digest": "sha256:x",
    }
    return BenchmarkPlan(**{**fields, **more})


def problem(idx: int, prompt: str = "What?", **more: Any) -> ProblemSeeded:
    return ProblemSeeded(problem_idx=idx, digest="d", prompt=prompt, target="t", **more)


def solved(idx: int, repeat: int = 0, attempt: int = 1, **more: Any) -> Solved:
    fields = {"response": f"r{idx}", "usage": Usage(prompt_tokens=3, completion_tokens=2)}
    solution = Solution(**{**fields, "finish_reason": "stop", "latency_ms": 10.0, **more})
    return Solved(
        problem_idx=idx, repeat=repeat, attempt=attempt, at=100.0 + idx, solution=solution
    )


def scored(idx: int, right: bool, repeat: int = 0, attempt: int = 1, **more: Any) -> Scored:
    score = Score(**{"reward": float(right), "correct": right, "extracted": "x", **more})
    return Scored(
        problem_idx=idx,
        repeat=repeat,
        attempt=attempt,
        at=101.0 + idx,
        outcome=Outcome.SCORED,
        score=score,
    )


def errored(idx: int, repeat: int = 0, attempt: int = 1) -> Errored:
    return Errored(
        problem_idx=idx,
        repeat=repeat,
        attempt=attempt,
        at=101.0,
        outcome=Outcome.INFRA_ERROR,
        error=ErrorInfo(kind=Failure.CONNECTION, message="reset by peer"),
    )


def write(folder: Path, events: list[Event], the_plan: BenchmarkPlan) -> BenchmarkSummary:
    folder.mkdir(exist_ok=True)
    (folder / "journal.jsonl").write_bytes(b"".join(map(encode, events)))
    return publish(folder, the_plan, RUN)

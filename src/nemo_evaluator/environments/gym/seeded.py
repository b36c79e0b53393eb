"""A problem as JSON, and back: what a served benchmark gives its clients.

The first names are those of the published protocol; the others are added, so that a client of ours
asks and scores exactly what the benchmark would.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from ...asked import Answer, Request
from ...measured import metrics_in
from ...traffic.images import image_url
from ...types import ErrorInfo, Failure, Generation, Image, Json, Problem, Score, Solution
from ..grades import to_reward

PLAIN_SOLUTION = Solution(response="")
UUID = "uuid"
"""The name of a problem, in rows and in metadata."""


def plain(value: Any) -> Any:
    """A value as JSON has it: what JSON lacks, by its text."""
    return msgspec.json.decode(msgspec.json.encode(value, enc_hook=str))


def to_seed(problem: Problem, *, hidden: str | None = None) -> dict[str, Json]:
    """What a client is given. ``hidden``: the name by which it may refer to the problem, in the
    place of what is expected and of a row that may hold it. Reads image files: call it off the
    event loop where there are images."""
    seed: dict[str, Json] = {
        "prompt": problem.prompt,
        "expected_answer": None if hidden else plain(problem.target),
        "metadata": told_metadata(problem, hidden),
        "messages": plain(problem.messages) if problem.messages else None,
        "system": problem.system,
        "sandbox_spec": None if problem.workspace is None else _spec(problem),
        "idx": problem.idx,
    }
    if problem.images:
        seed["images"] = [image_url(image) for image in problem.images]
    if problem.requests:
        seed["requests"] = plain(problem.requests)
    if problem.cluster is not None:
        seed["cluster"] = problem.cluster
    return seed


def told_metadata(problem: Problem, hidden: str | None) -> Json:
    """The metadata of a problem as clients are told them."""
    if hidden is None:
        metadata: Json = plain(problem.metadata)
        return metadata
    category = problem.category
    return {UUID: hidden, **({} if category is None else {"category": category})}


def from_seed_body(body: Mapping[str, Any], idx: int) -> Problem:
    """The problem that a server poses. Raises msgspec.ValidationError for what is none."""
    seed = msgspec.convert(body, _Seed)
    return Problem(
        idx=idx,
        prompt=seed.prompt or "",
        messages=seed.messages or (),
        system=seed.system,
        target=seed.expected_answer,
        metadata=seed.metadata or {},
        images=tuple(Image(url=url) for url in seed.images or ()),
        requests=seed.requests or (),
        cluster=seed.cluster,
    )


class _Seed(msgspec.Struct, frozen=True):
    prompt: str | None = None
    expected_answer: Any = None
    metadata: dict[str, Any] | None = None
    messages: tuple[dict[str, Any], ...] | None = None
    system: str | None = None
    images: tuple[str, ...] | None = None
    requests: tuple[Request, ...] | None = None
    cluster: str | None = None


def _spec(problem: Problem) -> Json:
    """What a workspace needs, its files by name only: they may be large, and may hold the tests."""
    assert problem.workspace is not None
    spec: Any = plain(msgspec.structs.replace(problem.workspace, files={}))
    return {**spec, "files": sorted(problem.workspace.files)}


def to_answered(solution: Solution) -> dict[str, Json]:
    """What beside its text decides an answer's verdict."""
    answered: dict[str, Json] = {}
    for name in ("reasoning", "finish_reason", "response_source"):
        if (value := getattr(solution, name)) != getattr(PLAIN_SOLUTION, name):
            answered[name] = value
    if solution.answers:
        answered["answers"] = plain(solution.answers)
    if solution.error is not None:
        answered["error"] = plain(solution.error)
    return answered


def from_answered(answer: Generation, answered: Mapping[str, Any]) -> Solution:
    """The solution of an answer, with what else is told of it. Raises msgspec.ValidationError."""
    parsed = msgspec.convert(answered, _Answered)
    return Solution.of(
        answer,
        reasoning=parsed.reasoning or answer.reasoning,
        finish_reason=parsed.finish_reason or answer.finish_reason,
        response_source=parsed.response_source or "content",
        answers=parsed.answers,
        error=parsed.error,
    )


class _Answered(msgspec.Struct, frozen=True):
    error: ErrorInfo | None = None
    reasoning: str | None = None
    finish_reason: str | None = None
    response_source: str | None = None
    answers: tuple[Answer, ...] = ()


def to_verdict(score: Score, *, hidden: bool = False) -> dict[str, Json]:
    """What a client is told of a verdict. ``hidden``: none of the details, which may say what was
    expected."""
    verdict: dict[str, Json] = {
        "reward": score.reward,
        "extracted_answer": plain(score.extracted),
        "scoring_details": {} if hidden else plain(score.details),
        "metadata": {} if hidden else plain(score.metadata),
        "correct": score.correct,
    }
    if score.failure is not None:
        verdict["failure"] = score.failure.value
    if score.metrics:
        verdict["metrics"] = plain(score.metrics)
    return verdict


def from_verdict(body: Mapping[str, Any]) -> Score:
    """The score in a server's verdict. Raises ValueError or TypeError where there is none."""
    if "reward" not in body:
        fields = json.dumps(sorted(body))
        raise ValueError(f"the verdict has no reward; it has {fields:.200}")
    correct, failure = body.get("correct"), body.get("failure")
    details, metadata = body.get("scoring_details"), body.get("metadata")
    metrics = body.get("metrics")
    return Score(
        reward=to_reward(body["reward"]),
        correct=correct if isinstance(correct, bool) else None,
        extracted=body.get("extracted_answer"),
        details=details if isinstance(details, dict) else {},
        metadata=metadata if isinstance(metadata, dict) else {},
        failure=Failure(failure) if failure in list(Failure) else None,
        metrics=metrics_in(metrics) if isinstance(metrics, dict) else {},
    )

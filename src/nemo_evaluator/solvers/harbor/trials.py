"""Trials that harbor runs from beginning to end, in an environment of its own.

The reward is the one of harbor's verifier. Invariant: a trial without a reward is an error, never
a reward.
"""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

from ...errors import ConfigError, InfraError
from ...foreign import ForeignError
from ...steps import steps_from
from ...types import Failure, Json, Problem, Solution
from ..contract import SolveTools
from ..time_limits import TimeLimit
from .agent import Given
from .logs import Document, last_words, plain_steps, trajectory, with_costs
from .outcome import Circumstances, Ended, answers_of, judged
from .worker import HarborWorker


async def tried(
    worker: HarborWorker,
    given: Given,
    problem: Problem,
    tools: SolveTools,
    limit: TimeLimit,
    asks: bool,
) -> Solution:
    """The outcome of one trial; ``asks``: the agent can do nothing without a model."""
    found, document = await _run(worker, given, problem, limit)
    response = last_words(document, {})
    for step in steps_from(document) if document else plain_steps(problem.prompt, response):
        tools.steps.add(step)
    ended, rewards = Ended.of(found), found.get("rewards")
    reward = reward_of(rewards)
    limited = judged(ended, tools, Circumstances(limit, asks, changed=reward is not None))
    if reward is None:
        what = "gave no reward" if rewards is None else f"gave several rewards: {sorted(rewards)}"
        raise InfraError(f"harbor's verifier {what}", kind=Failure.VERIFIER)
    calls = answers_of(tools)
    details: dict[str, Json] = {"rewards": rewards, "agent_version": ended.version}
    return Solution(
        response=response,
        model=None if tools.model is None else tools.model.name,
        calls=calls,
        tries=calls,
        reward=reward,
        ended_by=limited,
        trajectory=() if document is None else (with_costs(document, tools.steps.taken()),),
        details=details | ({"agent_error": ended.error} if ended.error else {}),
    )


async def _run(
    worker: HarborWorker, given: Given, problem: Problem, limit: TimeLimit
) -> tuple[Given, Document | None]:
    """What harbor says of the trial, and the agent's trajectory. Raises InfraError."""
    task = problem.metadata.get("task_dir")
    if not isinstance(task, str):
        raise ConfigError(
            "an environment of harbor runs task folders, and this benchmark has none",
            hint="name a benchmark such as harbor:///path/to/tasks",
        )
    folder = await worker.folder(f"trial-{uuid.uuid4().hex[:12]}")
    try:
        found: Given = await worker.call(
            "trial", given=given, task=task, folder=str(folder), seconds=limit.seconds
        )
        return found, await asyncio.to_thread(trajectory, Path(found["logs"]))
    except ForeignError as error:
        raise InfraError(f"harbor's trial failed: {error}") from None
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def reward_of(rewards: Mapping[str, float] | None) -> float | None:
    """The one that counts: ``reward``, or the only one.

    >>> reward_of({"reward": 0.5, "style": 1.0}), reward_of({"style": 1.0}), reward_of({})
    (0.5, 1.0, None)
    """
    if not rewards:
        return None
    if "reward" in rewards or len(rewards) == 1:
        return float(rewards.get("reward", next(iter(rewards.values()))))
    return None

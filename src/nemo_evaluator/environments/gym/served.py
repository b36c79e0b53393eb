"""A benchmark as a server offers it: problems, verdicts, and whole rollouts where it has a solver.

It knows no HTTP: what it is given and what it returns are JSON objects. Invariants: an answer is
graded as a run grades it; where no verdict can be had there is an error, never a reward; where a
row of the benchmark is meant, its own target decides, whatever the client says is expected.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import msgspec

from ...errors import ConfigError, ModelError, NelError
from ...services.gym_wire import (
    NoAnswer,
    answer_object,
    input_of,
    messages_of,
    read_answer,
)
from ...types import Generation, Json, Problem, Solution
from ..contract import Environment, Sandboxes, VerifyTools
from .seeded import UUID, from_answered, plain, to_seed, to_verdict, told_metadata

Solve = Callable[[Problem, str], Awaitable[Solution]]
"""Solves a problem, in a session of a name."""
INDEX_FIELDS = ("idx", "problem_idx")
OWN_FIELDS = ("response", "responses_create_params", "expected_answer", "metadata", "uuid")


class RefusedError(NelError):
    """A request that cannot be answered: its status, and why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Served:
    """One benchmark. Prepare its environment first."""

    def __init__(
        self,
        environment: Environment,
        size: int,
        *,
        sandboxes: Sandboxes | None = None,
        solve: Solve | None = None,
        hidden: bool = False,
        most: int = 32,
    ) -> None:
        """``hidden``: clients are not told what is expected; ``most``: verifications, and rollouts,
        at the same time."""
        self.name, self.size, self.hidden = environment.name, size, hidden
        self.solves = solve is not None
        self._environment, self._solve = environment, solve
        self._sandboxes = sandboxes
        self._verifying, self._solving = asyncio.Semaphore(most), asyncio.Semaphore(most)
        self._foreign = size
        """Index of the next problem that is not of the benchmark: files of judges name it."""
        self._by_content: dict[str, int] | None = None
        self._indexing = asyncio.Lock()

    def identity(self) -> Mapping[str, Json]:
        """What the benchmark's scores mean."""
        found: dict[str, Json] = plain(self._environment.identity())
        return found

    # -- problems ---------------------------------------------------------------------------------

    async def seed(self, idx: Json) -> dict[str, Json]:
        """The problem at an index."""
        return await asyncio.to_thread(self._seed_body, await self.problem(idx))

    def _seed_body(self, problem: Problem) -> dict[str, Json]:
        return to_seed(problem, hidden=self._hidden_as(problem.idx))

    def _hidden_as(self, idx: int) -> str | None:
        """The name that stands for the row of a problem, where rows are not told."""
        return self.uuid(idx) if self.hidden else None

    async def problem(self, idx: Json) -> Problem:
        """The benchmark's own. Raises RefusedError for an index it has not."""
        if isinstance(idx, bool) or not isinstance(idx, int):
            raise RefusedError(400, f"idx must be a whole number, not {idx!r:.40}")
        if not 0 <= idx < self.size:
            raise RefusedError(400, f"idx {idx} is out of range: 0 to {self.size - 1}")
        return await self._environment.seed(idx)

    async def row(self, idx: int) -> dict[str, Json]:
        """A problem as a line of a file of NeMo Gym."""
        problem = await self.problem(idx)
        row: dict[str, Json] = {
            "responses_create_params": {"input": await asyncio.to_thread(input_of, problem)},
            UUID: self.uuid(idx),
            "metadata": told_metadata(problem, self._hidden_as(idx)),
        }
        if not self.hidden:
            row["expected_answer"] = plain(problem.target)
        return row

    def uuid(self, idx: int) -> str:
        """The name of a problem in such a file."""
        return f"{self.name}-{idx}"

    def named(self, body: Mapping[str, Any]) -> int | None:
        """The index of the problem that a request names; None where it names none."""
        for field in INDEX_FIELDS:
            index: int | None = body.get(field)
            if index is not None:
                return index
        metadata = body.get("metadata")
        uuids = [body.get(UUID), metadata.get(UUID) if isinstance(metadata, dict) else None]
        prefix = f"{self.name}-"
        for uuid in uuids:
            if isinstance(uuid, str) and uuid.startswith(prefix):
                number = uuid[len(prefix) :]
                return int(number) if number.isdecimal() else None
        return None

    # -- verdicts ---------------------------------------------------------------------------------

    async def verify(self, body: Mapping[str, Any], seeded: int | None = None) -> dict[str, Json]:
        """The verdict on an answer, in the words in which it was asked for. ``seeded``: the problem
        of the client's session, where it has one."""
        if "response" not in body:
            raise RefusedError(400, "the request has no response")
        problem = await self._problem_of(body, seeded)
        try:
            answer = read_answer(body["response"])
            answered = body.get("answered")
            solution = from_answered(answer, answered if isinstance(answered, dict) else {})
        except (NoAnswer, msgspec.ValidationError) as error:
            raise RefusedError(400, str(error)) from None
        verdict = await self._verdict(problem, solution)
        of_nemo_gym = "responses_create_params" in body or "expected_answer" in body
        if "expected" in body or not of_nemo_gym:
            return verdict
        return {**_echo(body, hidden=self.hidden), **verdict}

    async def _verdict(self, problem: Problem, solution: Solution) -> dict[str, Json]:
        if problem.workspace is not None:
            what = "is verified in the sandbox it was solved in; use nel eval run"
            raise RefusedError(422, f"problem {problem.idx} {what}")
        async with self._verifying:
            tools = VerifyTools(repeat=0, sandboxes=self._sandboxes)
            score = await self._environment.verify(problem, solution, tools)
            return to_verdict(score, hidden=self.hidden)

    async def _problem_of(self, body: Mapping[str, Any], seeded: int | None) -> Problem:
        """The problem an answer is to: named, of the session, the row that the client sends back,
        or one of the client's own."""
        named = self.named(body)
        idx = named if named is not None else seeded
        expected = body.get("expected", body.get("expected_answer"))
        metadata = body.get("metadata")
        if not isinstance(metadata, dict):  # agents send the fields of a row beside the question
            metadata = {name: value for name, value in body.items() if _is_of_row(name)}
        if idx is None and not self.hidden:
            idx = (await self._indexed()).get(_key(expected, metadata))
        if idx is not None:
            return await self.problem(idx)
        if self.hidden:
            raise RefusedError(400, "the request names no problem: send idx, uuid or the session")
        if "expected" not in body and "expected_answer" not in body:
            raise RefusedError(400, "the request names no problem and expects nothing: send idx")
        self._foreign += 1
        try:
            messages = messages_of(body.get("responses_create_params") or {})
        except (NoAnswer, AttributeError):
            messages = ()
        return Problem(idx=self._foreign, messages=messages, target=expected, metadata=metadata)

    async def _indexed(self) -> Mapping[str, int]:
        """Rows by what clients are told of them. Of two equal ones either will do."""
        async with self._indexing:
            if self._by_content is None:
                found: dict[str, int] = {}
                for idx in range(self.size):
                    problem = await self._environment.seed(idx)
                    found[_key(plain(problem.target), plain(problem.metadata))] = idx
                    if idx % 100 == 0:
                        await asyncio.sleep(0)
                self._by_content = found
            return self._by_content

    # -- whole rollouts ---------------------------------------------------------------------------

    async def run(self, body: Mapping[str, Any]) -> dict[str, Json]:
        """A rollout by the server's own solver: its answer, and the verdict."""
        if self._solve is None:
            what = "this server has no model: give it --model-url, or a configuration"
            raise RefusedError(501, what)
        problem = await self._problem_of(body, None)
        async with self._solving:
            try:
                solution = await self._solve(problem, uuid4().hex)
            except ModelError as error:
                solution = Solution(response="", error=error.info)
        answer: Generation = solution.generation
        verdict = await self._verdict(problem, solution)
        return {**_echo(body, hidden=self.hidden), "response": answer_object(answer), **verdict}

    # -- several at once --------------------------------------------------------------------------

    async def each(
        self, bodies: Sequence[Any], answer: Callable[[Any], Awaitable[dict[str, Json]]]
    ) -> AsyncGenerator[dict[str, Any]]:
        """The answers to several requests, each with its ``index``, as they come. One that fails
        has an ``error`` in the place of an answer, and the others go on."""
        async with _answers_of(bodies, answer) as done:
            for _ in bodies:
                yield await done.get()


@asynccontextmanager
async def _answers_of(
    bodies: Sequence[Any], answer: Callable[[Any], Awaitable[dict[str, Json]]]
) -> AsyncIterator[asyncio.Queue[dict[str, Json]]]:
    """Where the answers come; none is worked on any more when the block ends."""
    done: asyncio.Queue[dict[str, Json]] = asyncio.Queue()

    async def one(index: int, body: Any) -> None:
        try:
            reply = await answer(body)
        except Exception as error:
            status, message = refusal(error)
            reply = {"error": {"message": message, "status": status}}
        done.put_nowait({"index": index, **reply})

    tasks = [asyncio.create_task(one(index, body)) for index, body in enumerate(bodies)]
    try:
        yield done
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def refusal(error: Exception) -> tuple[int, str]:
    """The status and the text of what went wrong."""
    match error:
        case RefusedError():
            return error.status, str(error)
        case ConfigError():
            return 422, str(error)
        case NelError():
            return 503, str(error)
        case _:
            return 500, f"{type(error).__name__}: {error}"


def aggregated(responses: Sequence[Mapping[str, Any]]) -> dict[str, Json]:
    """What NeMo Gym asks of all verdicts: mean, least and greatest reward, of each task and of all
    (the mean of the tasks' means)."""
    tasks: dict[int, list[float]] = {}
    for response in responses:
        reward = response.get("reward")
        if isinstance(reward, bool) or not isinstance(reward, int | float):
            raise RefusedError(400, f"a verdict has the reward {reward!r:.40}, no number")
        tasks.setdefault(int(response.get(TASK) or 0), []).append(float(reward))
    means = {task: sum(rewards) / len(rewards) for task, rewards in sorted(tasks.items())}
    groups: list[Json] = [
        {
            TASK: task,
            "mean/reward": mean,
            "min/reward": min(tasks[task]),
            "max/reward": max(tasks[task]),
            "n": len(tasks[task]),
        }
        for task, mean in means.items()
    ]
    overall: dict[str, Json] = {}
    if means:
        overall = {"mean/reward": sum(means.values()) / len(means)}
    every = [reward for rewards in tasks.values() for reward in rewards]
    counted: dict[str, Json] = {"n_tasks": len(means), "n_rollouts": len(every)}
    return {
        "group_level_metrics": groups,
        "agent_metrics": {**overall, **counted},
        "key_metrics": overall,
    }


TASK = "_ng_task_index"
"""NeMo Gym's name for the number of a task."""


def _key(expected: Json, metadata: Mapping[str, Json]) -> str:
    """What tells a row from others, of what clients are told of it."""
    return hashlib.sha256(msgspec.json.encode([expected, metadata], order="sorted")).hexdigest()


def _is_of_row(name: str) -> bool:
    """Whether a field of a request is the row's own, and not one of the protocols'."""
    return name not in (*OWN_FIELDS, *INDEX_FIELDS, "expected", "answered") and not name.startswith(
        "_ng_"
    )


def _echo(body: Mapping[str, Any], *, hidden: bool) -> dict[str, Json]:
    """What of a request of NeMo Gym stands in its answer."""
    echoed = {name: body[name] for name in OWN_FIELDS if name in body and name != "metadata"}
    if hidden:
        echoed.pop("expected_answer", None)
    return echoed

"""A server of NeMo Gym as an environment: problems from a file of its rows, verdicts from it.

A resources server grades an answer in the session that it was given in: the cookies that a solver's
tools were called with, where it kept them, or a session of its own. An agent server grades nothing
but what it has solved itself: there the reward stands in the solution, or there is no verdict.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import ConfigError, InfraError
from ...services.gym_wire import GYM_SESSION, NoAnswer, answer_object, messages_of
from ...services.json_server import JsonServer, Session
from ...types import Failure, Json, Phase, Problem, Score, Solution
from ..grades import to_reward
from ..rows import Dataset, load

SECONDS = 600.0
PARAMS = "responses_create_params"
TARGETS = ("expected_answer", "expected", "answer", "target")
"""Fields of a row that may hold what is expected; for people to read, the server decides."""
ECHOED = (PARAMS, "response", "reward")


class NativeRows:
    """The rows of a file, and the server that grades answers to them."""

    is_known = False
    """Such a server does not say what its scores mean."""

    def __init__(self, name: str, calls: JsonServer, data: Path) -> None:
        self._name, self._calls, self._data = name, calls, data
        self._dataset: Dataset | None = None
        self._verifies = True

    async def prepare(self) -> None:
        """Read the rows, and see what the server can do. Raises ConfigError and InfraError."""
        self._dataset = dataset = await asyncio.to_thread(load, self._data)
        if not dataset.rows:
            raise ConfigError("holds no rows", where=str(self._data))
        for idx in range(len(dataset.rows)):
            self._problem(idx)
        paths = await paths_of(self._calls)
        self._verifies = not paths or "/verify" in paths
        if not self._verifies and "/run" not in paths:
            known = ", ".join(sorted(paths)[:8])
            raise ConfigError(
                "is neither a resources server (/verify) nor an agent server (/run)",
                where=self._calls.peer,
                hint=f"its OpenAPI document has {known}",
            )

    @property
    def _rows(self) -> Dataset:
        assert self._dataset is not None
        return self._dataset

    @property
    def size(self) -> int:
        """Number of rows."""
        return len(self._rows.rows)

    async def seed(self, idx: int) -> Problem:
        """The problem of a row; the whole row is its metadata."""
        return self._problem(idx)

    def _problem(self, idx: int) -> Problem:
        row = self._rows.rows[idx]
        params = row.get(PARAMS)
        where = self._rows.line_of(idx) if not isinstance(params, dict) else str(self._data)
        if not isinstance(params, dict):
            hint = f"fields of the row: {', '.join(map(str, row))}"
            raise ConfigError(f"the row has no {PARAMS}", where=where, hint=hint)
        try:
            messages = messages_of(params)
        except NoAnswer as error:
            raise ConfigError(str(error), where=self._rows.line_of(idx) or where) from None
        target = next((row[name] for name in TARGETS if name in row), None)
        return Problem(idx=idx, messages=messages, target=target, metadata=dict(row))

    async def verify(self, problem: Problem, solution: Solution) -> Score:
        """The server's verdict. Raises InfraError where there is none."""
        if not self._verifies:
            raise ConfigError(
                "is an agent server, which grades nothing but what it solves itself",
                where=self._calls.peer,
                hint="solver: {type: gym_delegation, trust_reward: true}, or the address of its"
                " resources server",
            )
        row = {name: value for name, value in problem.metadata.items() if name != PARAMS}
        params = problem.metadata.get(PARAMS)
        return await native_verdict(self._calls, row, params, solution)

    def identity(self) -> Mapping[str, Json]:
        """The rows. What the server does with them is not known here."""
        rows = self._rows
        return {
            "gym": "native" if self._verifies else "agent",
            "dataset": rows.name,
            "dataset_rows": len(rows.rows),
            "dataset_digest": rows.digest,
        }


async def native_verdict(
    calls: JsonServer, row: Mapping[str, Json], params: Json, solution: Solution
) -> Score:
    """The verdict of a resources server on an answer to a row, in the session that the answer was
    given in, or one of its own. Raises InfraError."""
    session, output = await _session(calls, row, params, solution)
    response = answer_object(solution.generation)
    if output:
        response["output"] = output
    body: dict[str, Json] = {**row, PARAMS: params, "response": response}
    return _score(calls, await session.post("/verify", body, seconds=SECONDS), row)


async def _session(
    calls: JsonServer, row: Mapping[str, Json], params: Json, solution: Solution
) -> tuple[Session, Json]:
    """The session that the answer was given in, and what the agent did in it."""
    session = calls.session()
    details = solution.details.get(GYM_SESSION)
    kept: dict[str, Any] = dict(details) if isinstance(details, Mapping) else {}
    if kept.get("server") == calls.url and kept.get("cookies"):
        session.cookies.update(kept["cookies"])
    else:
        await session.post("/seed_session", {**row, PARAMS: params}, again=True)
    return session, kept.get("output")


def _score(calls: JsonServer, verdict: Any, row: Mapping[str, Json]) -> Score:
    try:
        if not isinstance(verdict, dict) or "reward" not in verdict:
            raise ValueError("the answer of /verify has no reward")
        reward = to_reward(verdict["reward"])
    except (TypeError, ValueError) as error:
        raise no_verdict(calls, error) from None
    extracted = verdict.get("extracted_sql") or verdict.get("extracted_answer")
    return Score(reward=reward, extracted=extracted, details=own_details(verdict, row))


def no_verdict(calls: JsonServer, error: Exception) -> InfraError:
    """The answer of a verifier cannot be read as a verdict."""
    return InfraError(
        f"{calls.peer}: no verdict: {error}",
        kind=Failure.VERIFIER,
        phase=Phase.VERIFY,
        peer=calls.peer,
    )


def own_details(verdict: Mapping[str, Any], row: Mapping[str, Json]) -> dict[str, Json]:
    """What a gym says of its verdict, without what it was sent."""
    return {
        str(name): value
        for name, value in verdict.items()
        if name not in ECHOED and name not in row and not str(name).startswith("_ng_")
    }


async def paths_of(calls: JsonServer) -> frozenset[str]:
    """The paths of a server's OpenAPI document; none where it has none. Raises InfraError where the
    server cannot be reached."""
    try:
        document = await calls.session().get("/openapi.json")
    except InfraError as error:
        if error.info.kind in (Failure.NOT_FOUND, Failure.INVALID_RESPONSE):
            return frozenset()
        raise
    paths = document.get("paths") if isinstance(document, dict) else None
    return frozenset(paths) if isinstance(paths, dict) else frozenset()

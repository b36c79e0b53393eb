"""``gym://``: a benchmark whose problems and verdicts come from a server.

Invariants: a server that cannot be reached, or says what is no verdict, is an error and never a
reward; what identifies the problems is known before one is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ...config.endpoints import ModelFields
from ...errors import ConfigError, InfraError
from ...services.contract import Place
from ...services.gym import Gym
from ...services.json_server import JsonServer
from ...types import Failure, Json, Problem, Score, Solution
from ..contract import Grading, Needs, VerifyTools
from ..fingerprint import digest
from .address import TOKEN, Address, Protocol, read_address
from .native import NativeRows, no_verdict
from .seeded import from_seed_body, from_verdict, plain, to_answered

BLOCK = 100
"""Problems that are fetched by one request."""
AT_ONCE = 16
"""Requests for problems at a time."""
SECONDS = 600.0
"""For one answer of the server; a run has its own limit on a verification."""


def open_gym(uri: str, params: Mapping[str, Any]) -> list[GymEnvironment]:
    """The environment of a ``gym://`` address. Raises ConfigError."""
    return [GymEnvironment(read_address(uri, params))]


class GymEnvironment:
    """A benchmark of a gym."""

    aggregates = None
    harness = None
    needs = Needs()

    def __init__(self, address: Address) -> None:
        self.name = address.name
        self.grading = Grading(self.name)
        self._address = address
        self._server = Gym().open(self.name, address.service, Place(ModelFields()))
        self._told: Told | NativeRows | None = None
        self._health: Mapping[str, Any] | None = None

    async def reach(self) -> None:
        """Reach the server; its benchmark's name is the name here. Raises ConfigError."""
        if self._health is not None:
            return
        try:
            await self._server.ready()
            self._health = await health_of(self._server.calls)
        except ConfigError as error:
            hint = None if self._address.is_started else "start it, or check the address"
            if (served := self._address.service.benchmark) is not None:
                words = f"nel serve -b {served} --judge-url URL --port $PORT"
                hint = f"options of its server are given so: 'gym://cmd:{words}'"
            raise ConfigError(error.what, where=self._address.uri, hint=hint) from error
        except InfraError as error:
            raise ConfigError(str(error), where=self._address.uri) from error
        named = self._health.get("benchmark")
        if self._address.data is None and isinstance(named, str) and named:
            self.name = named
            self.grading = Grading(named)

    async def prepare(self) -> None:
        """Learn how the server is spoken to, and what it poses. Raises ConfigError."""
        await self.reach()
        try:
            self._told = self._source_of_rows(self._server.calls)
            await self._told.prepare()
        except InfraError as error:
            refused = error.info.kind is Failure.AUTH
            hint = f"set {TOKEN}, or the variable that token_env names" if refused else None
            raise ConfigError(str(error), where=self._address.uri, hint=hint) from error

    def _source_of_rows(self, calls: JsonServer) -> Told | NativeRows:
        address, protocol, health = self._address, self._address.protocol, self._health or {}
        if protocol is Protocol.EVALUATOR or address.data is None:
            if protocol is not Protocol.NATIVE and "dataset_size" in health:
                return Told(self.name, calls, health)
            if protocol is Protocol.EVALUATOR:
                what = "does not speak the protocol of `nel serve`: its /health has no dataset_size"
                raise ConfigError(what, where=calls.peer, hint="protocol=native and data=FILE")
        if address.data is None:
            raise ConfigError(
                "is a gym that has no problems of its own to give",
                where=calls.peer,
                hint="name a file with them: gym://HOST:PORT?data=FILE.jsonl",
            )
        return NativeRows(self.name, calls, address.data)

    @property
    def _source(self) -> Told | NativeRows:
        assert self._told is not None, "call prepare() first"
        return self._told

    async def size(self) -> int:
        """Number of problems."""
        return self._source.size

    async def seed(self, idx: int) -> Problem:
        """The problem at an index."""
        return await self._source.seed(idx)

    async def verify(self, problem: Problem, solution: Solution, tools: VerifyTools) -> Score:
        """The server's verdict. Raises InfraError where there is none."""
        return await self._source.verify(problem, solution)

    def identity(self) -> Mapping[str, Json]:
        """What the server says its scores depend on, or what its problems are."""
        server = dict(self._server.identity)
        more = {} if self._source.is_known else {"server": server}
        return {**self._source.identity(), **more}

    async def close(self) -> None:
        """Close the connections; end a server that was started."""
        if isinstance(self._told, Told):
            await self._told.close()
        await self._server.close()


class Told:
    """Problems and verdicts of a server that speaks the protocol of ``nel serve``."""

    def __init__(self, name: str, calls: JsonServer, health: Mapping[str, Any]) -> None:
        self._name, self._calls, self._health = name, calls, health
        self.is_known = isinstance(health.get("identity"), dict)
        """Whether the server says what its scores mean: they are those of the benchmark itself."""
        self._blocks: dict[int, asyncio.Task[list[Problem]]] = {}
        self._digest = ""
        self.size = 0

    async def prepare(self) -> None:
        """Ask how many problems there are; and for all of them, where the server does not say what
        identifies them. Raises InfraError and ConfigError."""
        size_reply: Any = await self._calls.session().get("/dataset_size")
        size = size_reply.get("size") if isinstance(size_reply, dict) else None
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ConfigError(f"says that it has {size!r:.40} problems", where=self._calls.peer)
        self.size = size
        if not self.is_known:
            blocks = [await self._block(number) for number in range(-(-size // BLOCK))]
            rows = [
                [p.prompt, p.messages, p.system, p.target, p.metadata] for b in blocks for p in b
            ]
            self._digest = digest(msgspec.json.encode(rows, enc_hook=str, order="sorted"))

    async def seed(self, idx: int) -> Problem:
        """The problem at an index: those around it come with it."""
        problems = await self._block(idx // BLOCK)
        return problems[idx % BLOCK]

    async def verify(self, problem: Problem, solution: Solution) -> Score:
        """The server's verdict on an answer to a problem of its own."""
        return await verdict_on(self._calls, problem, solution, is_known=self.is_known, is_own=True)

    def identity(self) -> Mapping[str, Json]:
        """What the server says, or a digest of its problems."""
        if self.is_known:
            return dict(self._health["identity"])
        return {
            "gym": "evaluator",
            "benchmark": str(self._health.get("benchmark", "")),
            "dataset_rows": self.size,
            "dataset_digest": self._digest,
        }

    async def close(self) -> None:
        """Fetch nothing more."""
        for task in self._blocks.values():
            task.cancel()
        await asyncio.gather(*self._blocks.values(), return_exceptions=True)

    async def _block(self, number: int) -> list[Problem]:
        task = self._blocks.get(number)
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            task = self._blocks[number] = asyncio.ensure_future(self._fetched(number))
        return await asyncio.shield(task)

    async def _fetched(self, number: int) -> list[Problem]:
        wanted = range(number * BLOCK, min((number + 1) * BLOCK, self.size))
        if self.is_known:
            seed_reply: Any = await self._calls.session().post(
                "/seed_batch", {"idx": [*wanted]}, seconds=SECONDS, again=True
            )
            seeds = seed_reply.get("problems", ()) if isinstance(seed_reply, dict) else ()
        else:
            places = asyncio.Semaphore(AT_ONCE)

            async def one(idx: int) -> Json:
                async with places:
                    return await self._calls.session().post(
                        "/seed_session", {"idx": idx}, again=True
                    )

            seeds = await asyncio.gather(*map(one, wanted))
        return self._problems(seeds, wanted)

    def _problems(self, seeds: Sequence[Any], wanted: range) -> list[Problem]:
        if len(seeds) != len(wanted):
            raise self._wrong(f"has {len(seeds)} problems, not {len(wanted)}")
        problems = []
        for idx, seed in zip(wanted, seeds, strict=True):
            if isinstance(seed, dict) and isinstance(error := seed.get("error"), dict):
                raise ConfigError(str(error.get("message")), where=f"{self._name}, problem {idx}")
            if isinstance(seed, dict) and seed.get("sandbox_spec"):
                raise ConfigError(
                    "is solved in a sandbox that is verified, which a gym cannot lend",
                    where=f"{self._name}, problem {idx}",
                    hint="run the benchmark itself, by its name",
                )
            try:
                problems.append(from_seed_body(seed, idx))
            except (msgspec.ValidationError, TypeError) as error:
                raise self._wrong(f"of problem {idx} is no problem: {error}") from None
        return problems

    def _wrong(self, why: str) -> InfraError:
        return self._calls.unreadable("/seed_session", why)


async def verdict_on(
    calls: JsonServer,
    problem: Problem,
    solution: Solution,
    *,
    is_known: bool,
    is_own: bool = False,
) -> Score:
    """The verdict of a server that speaks the protocol of ``nel serve``. ``is_known``: it is one,
    and is told what else decides; ``is_own``: the problem is its own. Raises InfraError."""
    body: dict[str, Json] = {
        "response": solution.response,
        "expected": plain(problem.target),
        "metadata": plain(problem.metadata),
    }
    if is_known:
        body |= {"answered": to_answered(solution), **({"idx": problem.idx} if is_own else {})}
    elif solution.answers:
        raise ConfigError("cannot grade several questions of a problem", where=calls.peer)
    verdict = await calls.session().post("/verify", body, seconds=SECONDS, again=True)
    return read_verdict(calls, verdict)


def read_verdict(calls: JsonServer, verdict: Json) -> Score:
    """The score in the answer of a server. Raises InfraError where it is none."""
    try:
        return from_verdict(msgspec.convert(verdict, dict[str, Any]))
    except (msgspec.ValidationError, ValueError, TypeError) as error:
        raise no_verdict(calls, error) from None


async def health_of(calls: JsonServer) -> Mapping[str, Any]:
    """What ``/health`` says; nothing where there is no such thing."""
    try:
        health = await calls.session().get("/health")
    except InfraError as error:
        if error.info.kind in (Failure.NOT_FOUND, Failure.INVALID_RESPONSE):
            return {}
        raise
    return health if isinstance(health, dict) else {}

"""``inspect://MODULE@TASK``: Inspect runs its task with its own solvers, scorers, limits and
sandboxes; every model call comes through our door, and every sample becomes a rollout of ours.

Invariant: a sample that Inspect could not finish or score has no verdict here either.
"""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ...asked import Answer
from ...errors import ConfigError
from ...finish import FinishReason
from ...foreign import ForeignError, Wanted, Worker, WorkerLost, find_interpreter
from ...measured import Measure
from ...records import Json, Record
from ...steps import steps_from
from ...types import ErrorInfo, Failure, Phase, Problem, RolloutKey, Score, Solution
from ..fingerprint import digest
from ..harness import Finished, HarnessTools, Meeting
from ..params import options_of
from ..scored import ScoredProblem

SCHEME = "inspect"
SCRIPT = Path(__file__).with_name("worker.py")
WANTED = Wanted(
    package="inspect_ai",
    version=(0, 3, 260),
    below=(0, 4),
    python=(3, 10),
    variable="NEL_INSPECT_PYTHON",
    where="params.python",
    also=("openai",),
    harness="inspect",
)
FILES = "files"
"""Under which detail of a verdict kept samples of Inspect are named, in the harness's folder."""
OVER = {"chat_completions": False, "responses": True}
"""Protocols that Inspect's client speaks → whether that is the Responses API."""


class Options(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``params`` of a task."""

    task_args: Mapping[str, Json] = {}
    """Arguments of the task function."""
    limit: int | None = None
    """The first N samples of the dataset."""
    message_limit: int | None = None
    token_limit: int | None = None
    time_limit: int | None = None
    working_limit: int | None = None
    python: str | None = None
    """An interpreter that has inspect_ai; None: this one."""

    @property
    def limits(self) -> dict[str, Json]:
        """Limits of a sample that replace the task's own."""
        names = ("message_limit", "token_limit", "time_limit", "working_limit")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


class Loaded(Record, frozen=True, kw_only=True):
    """A task as the worker tells it."""

    version: str
    name: str
    task_version: str
    epochs: int
    ids: tuple[str, ...]


class Scored(Record, frozen=True, kw_only=True):
    """What one scorer said."""

    value: Json
    number: Json
    answer: str | None = None
    explanation: str | None = None


class Sample(Record, frozen=True, kw_only=True):
    """One sample that ended, at one epoch."""

    id: str
    epoch: int
    prompt: str
    target: Json
    response: str
    stop_reason: str | None
    scores: Mapping[str, Scored]
    error: str | None
    limit: str | None
    steps: Json
    seconds: float
    file: str


class Measured(Record, frozen=True, kw_only=True):
    """One metric of Inspect."""

    scorer: str
    name: str
    reducer: str | None
    value: float
    stderr: float | None
    n: int


def open_inspect(uri: str, params: Mapping[str, Json]) -> list[Inspect]:
    """The task of a URI. Raises ConfigError."""
    named, options = options_of(uri, params, Options)
    if not named:
        raise ConfigError("names no task", where=uri, hint="inspect://my_tasks.py@my_task")
    if options.limit is not None and options.limit < 1:
        raise ConfigError(f"limit: {options.limit} samples are none", where=uri, hint="limit: 100")
    return [Inspect(named, options)]


class Inspect:
    """One task of Inspect."""

    def __init__(self, named: str, options: Options) -> None:
        self.name = named.rpartition("@")[2].rpartition("/")[2].removesuffix(".py")
        self.where = f"{SCHEME}://{named}"
        self._named, self._options = named, options
        self._meeting = Meeting()
        self._worker: Worker | None = None
        self._loaded: Loaded | None = None
        self._ended: asyncio.Queue[Sample | None] = asyncio.Queue()

    def meet(self, meeting: Meeting) -> None:
        """Inspect's client must speak the endpoint's protocol."""
        self._meeting = meeting

    async def prepare(self) -> None:
        """Make the task. Raises ConfigError."""
        if self._loaded is not None:
            return
        if self._meeting.protocol not in (None, *OVER):
            raise ConfigError(
                f"cannot be asked over {self._meeting.protocol}",
                where=self.where,
                hint="use a service with protocol: chat_completions",
            )
        interpreter = await find_interpreter(WANTED, self._options.python)
        env = {**os.environ, "INSPECT_DISPLAY": "none"}
        try:
            self._worker = await Worker.start(
                SCRIPT,
                python=interpreter.python,
                name="inspect_ai",
                env=env,
                handlers={"sample": self._took},
            )
            described = await self._call(
                "load",
                task=self._named,
                args=dict(self._options.task_args),
                limit=self._options.limit,
            )
        except ForeignError as error:
            message = error.message if error.kind == "UserError" else str(error)
            raise ConfigError(f"cannot be loaded: {message}", where=self.where) from None
        self._loaded = msgspec.convert(described, Loaded)

    def identity(self) -> Mapping[str, Json]:
        """Versions of Inspect and of the task, its arguments and limits."""
        loaded, options = self._loaded_tasks(), self._options
        path = Path(self._named.rpartition("@")[0] or self._named)
        code = {"code": digest(path.read_bytes())} if path.is_file() else {}
        return {
            "harness": f"inspect_ai {loaded.version}",
            "task": f"{loaded.name}:{loaded.task_version}",
            "epochs": loaded.epochs,
            "task_args": dict(options.task_args),
            **options.limits,
            **code,
        }

    async def plan(self) -> Sequence[str]:
        """The ids of its samples, sorted."""
        return sorted(self._loaded_tasks().ids)

    async def run(self, todo: Sequence[RolloutKey], tools: HarnessTools) -> AsyncIterator[Finished]:
        """Let Inspect run samples, one repeat after the other; each is handed back as it ends."""
        ids = await self.plan()
        endpoint = await tools.endpoint()
        model: dict[str, Json] = {
            "name": tools.model,
            "url": endpoint.openai_url,
            "key": endpoint.token or "none",
            "responses": OVER.get(self._meeting.protocol or "", False),
        }
        for repeat in sorted({key.repeat for key in todo}):
            keys = {ids[key.problem_idx]: key for key in todo if key.repeat == repeat}
            work = asyncio.create_task(self._run(repeat, keys, model, tools))
            try:
                async for finished in self._collected(keys):
                    yield finished
                await work
            finally:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
            if tools.stopping.is_set():
                return

    async def _run(
        self,
        repeat: int,
        keys: Mapping[str, RolloutKey],
        model: dict[str, Json],
        tools: HarnessTools,
    ) -> None:
        """One repeat. Ended early where the run is stopping."""
        sessions = {name: (await tools.endpoint(key)).token for name, key in keys.items()}
        call = asyncio.create_task(
            self._call(
                "run",
                ids=list(keys),
                sessions=sessions,
                folder=str((tools.folder / str(repeat)).absolute()),
                model=model,
                options=self._options.limits,
                connections=tools.concurrency,
            )
        )
        stopping = asyncio.create_task(tools.stopping.wait())
        try:
            await asyncio.wait({call, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not call.done():
                return
            end_of_run = call.result()
            if end_of_run["status"] == "error":
                raise ConfigError(f"Inspect failed: {end_of_run['error']}", where=self.where)
        except (ForeignError, WorkerLost) as error:
            raise ConfigError(f"Inspect failed: {error}", where=self.where) from None
        finally:
            for task in (call, stopping):
                task.cancel()
            await asyncio.gather(call, stopping, return_exceptions=True)
            await self._ended.put(None)

    async def _collected(self, keys: Mapping[str, RolloutKey]) -> AsyncIterator[Finished]:
        """Rollouts whose epochs have all ended."""
        epochs: dict[str, list[Sample]] = defaultdict(list)
        while (sample := await self._ended.get()) is not None:
            epochs[sample.id].append(sample)
            if len(epochs[sample.id]) == self._loaded_tasks().epochs and sample.id in keys:
                yield await self._finished(keys[sample.id], epochs.pop(sample.id))

    async def _finished(self, key: RolloutKey, samples: Sequence[Sample]) -> Finished:
        samples = sorted(samples, key=lambda sample: sample.epoch)
        last = samples[-1]
        problem = Problem(
            idx=key.problem_idx,
            prompt=last.prompt,
            target=last.target,
            metadata={"id": last.id},
        )
        stopped = FinishReason.LENGTH.value if last.stop_reason == "max_tokens" else None
        solution = Solution(
            response=last.response,
            answers=tuple(Answer(text=sample.response) for sample in samples),
            steps=steps_from(last.steps),
            finish_reason=stopped or "stop",
            latency_ms=round(1000 * sum(sample.seconds for sample in samples), 3),
        )
        finished = Finished(key=key, solution=solution, problem=problem)
        failed = next((sample.error for sample in samples if sample.error), None)
        if failed is not None:
            info = ErrorInfo(kind=Failure.INFRA_ERROR, message=failed)
            return msgspec.structs.replace(finished, error=info)
        numbers: dict[str, Json] = {name: one.number for name, one in last.scores.items()}
        if len(samples) > 1:
            numbers = await self._call("reduced", files=self._paths(s.file for s in samples))
        score = _score(samples, numbers)
        if score is None:
            info = ErrorInfo(
                kind=Failure.VERIFIER, message="no scorer gave a number", phase=Phase.VERIFY
            )
            return msgspec.structs.replace(finished, error=info)
        return msgspec.structs.replace(finished, score=score)

    async def aggregate(self, finished: Sequence[ScoredProblem]) -> Sequence[Measure]:
        """Inspect's own metrics. With several repeats, the mean over them."""
        by_repeat: dict[int, list[Json]] = defaultdict(list)
        for row in finished:
            files = row.score.details.get(FILES)
            by_repeat[row.repeat] += self._paths(files if isinstance(files, list) else [])
        samples = [
            msgspec.convert(await self._call("aggregate", files=files), list[Measured])
            for files in by_repeat.values()
        ]
        values: dict[tuple[str, str, str | None], list[float]] = defaultdict(list)
        for one in (one for repeat in samples for one in repeat):
            values[one.scorer, one.name, one.reducer].append(one.value)
        return [
            Measure(
                name=f"{one.scorer}/{one.name}",
                value=sum(found := values[one.scorer, one.name, one.reducer]) / len(found),
                stderr=one.stderr if len(samples) == 1 else None,
                n=one.n,
                filter=one.reducer or "none",
            )
            for one in (samples[0] if samples else ())
        ]

    def _paths(self, files: Iterable[Json]) -> list[Json]:
        """Where kept samples are now: here, or in the shards that were merged here. Runs of an
        earlier version named them by their whole path."""
        own = self._meeting.folder.absolute()
        shards = own.parent.parent.glob(f"shard_*/{own.parent.name}/{own.name}")
        places = [own, *sorted(shards)]
        found = [[place / str(file) for place in places] for file in files]
        return [str(next((path for path in paths if path.is_file()), paths[0])) for paths in found]

    async def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            await self._worker.close()

    async def _took(self, told: Json) -> Json:
        await self._ended.put(msgspec.convert(told, Sample))
        return None

    async def _call(self, method: str, **params: Json) -> Any:
        assert self._worker is not None, "prepare was not called"
        return await self._worker.call(method, **params)

    def _loaded_tasks(self) -> Loaded:
        assert self._loaded is not None, "prepare was not called"
        return self._loaded


def _score(samples: Sequence[Sample], numbers: Mapping[str, Json]) -> Score | None:
    """The first scorer's number is the reward, and never another's in its place: where only others
    gave numbers there is none. None where no scorer gave one."""
    last = samples[-1]
    metrics = {
        name if key is None else f"{name}/{key}": float(number)
        for name, value in numbers.items()
        for key, number in (value.items() if isinstance(value, dict) else [(None, value)])
        if isinstance(number, int | float)
    }
    if not metrics:
        return None
    name = next(iter(last.scores), "")
    first = last.scores.get(name)
    own = [value for key, value in metrics.items() if f"{key}/".startswith(f"{name}/")]
    rated = bool(own) or name not in numbers
    reward = next(iter(own or metrics.values())) if rated else 0.0
    binary = first is not None and (first.value in ("C", "I") or isinstance(first.value, bool))
    details: dict[str, Json] = {
        FILES: [sample.file for sample in samples],
        "explanation": None if first is None else first.explanation,
        **({} if last.limit is None else {"limit": last.limit}),
    }
    return Score(
        reward=reward,
        rated=rated,
        correct=reward == 1.0 if rated and binary and len(samples) == 1 else None,
        extracted=None if first is None else first.answer,
        metrics=metrics if len(metrics) > 1 or not rated else {},
        details=details,
    )

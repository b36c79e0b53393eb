"""``lm-eval://TASK``: each document is a rollout, each question of it a journaled request.

lm_eval makes the prompts and scores the answers (``worker.py``, in a process of its own); asking,
resuming, budgets and accounts are ours. Invariant: what is scored is what lm_eval would score if it
had got the same answers.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from ...asked import Answer, Request
from ...errors import ConfigError, InfraError, ModelError, RunBudgetExceeded
from ...foreign import ForeignError, Wanted, Worker, find_interpreter
from ...measured import Measure
from ...records import Json, Record
from ...types import ErrorInfo, Failure, Phase, Problem, RolloutKey, Solution
from ..harness import Finished, HarnessTools, Meeting
from ..scored import ScoredProblem
from .modes import as_replies, choice_request, chosen, mode_for
from .options import SCHEME, Mode, Options, parse
from .replies import Doc, replies_of, requests_of
from .scores import Graded, Measured, finish_of, measures_of, response_of, score_of

SCRIPT = Path(__file__).with_name("worker.py")
WANTED = Wanted(
    package="lm_eval",
    version=(0, 4),
    python=(3, 10),
    variable="NEL_LM_EVAL_PYTHON",
    where="params.python",
    extras="[api]",
)
MOST_UNSCORED = 4096
"""Answers that wait to be scored, at most."""
BATCH = 256
"""Documents fetched from the worker at once."""
BATCHES = 8
"""Batches kept: prompts and token ids of a whole benchmark may be gigabytes."""
OURS = ("python", "include_path", "bootstrap_iters", "limit", "mode")
"""Options that do not change what a score means, or are told apart from them."""


class Task(Record, frozen=True, kw_only=True):
    """A task as the worker tells it."""

    name: str
    version: str
    config: str
    """Digest of its configuration."""
    output_type: str
    num_fewshot: int | None


class Loaded(Record, frozen=True, kw_only=True):
    """What was loaded."""

    version: str
    tasks: tuple[Task, ...]
    problems: tuple[tuple[str, int], ...]
    """Task and number of each document."""
    digest: str
    """Of everything that is asked."""


class _Answered(NamedTuple):
    """A rollout that is to be scored."""

    key: RolloutKey
    doc: Doc
    problem: Problem
    answers: tuple[Answer, ...]


def open_lm_eval(uri: str, params: Mapping[str, Json]) -> list[LmEval]:
    """The tasks of a URI. Raises ConfigError."""
    names, options = parse(uri, params)
    return [LmEval(names, options)]


async def search(text: str) -> list[str]:
    """Names of tasks, groups and tags that hold a text. Raises ConfigError without lm_eval."""
    interpreter = await find_interpreter(WANTED)
    worker = await Worker.start(SCRIPT, python=interpreter.python, name="lm_eval", env=os.environ)
    try:
        found: list[str] = await worker.call("search", text=text)
    finally:
        await worker.close()
    return found


class LmEval:
    """Tasks or a group of lm_eval, as one benchmark."""

    def __init__(self, names: Sequence[str], options: Options) -> None:
        self.name = "+".join(Path(name).stem for name in names)
        self.where = f"{SCHEME}://{','.join(names)}"
        self._names, self._options = list(names), options
        self._meeting = Meeting()
        self._worker: Worker | None = None
        self._loaded: Loaded | None = None
        self._mode: Mode | None = None
        """How choices are asked for; None where the tasks have none."""
        self._docs: dict[int, asyncio.Task[Sequence[Doc]]] = {}

    def meet(self, meeting: Meeting) -> None:
        """Over chat there are messages; a tokenizer tells a context from its continuation."""
        self._meeting = meeting

    @property
    def _messages(self) -> bool:
        """Asked over chat."""
        return self._meeting.protocol == "chat_completions"

    @property
    def _chat(self) -> bool:
        """Whether a chat template is applied."""
        asked = self._options.apply_chat_template
        return self._messages if asked is None else asked

    async def prepare(self) -> None:
        """Load the tasks, make their prompts, try what the endpoint can do. Raises ConfigError."""
        if self._loaded is not None:
            return
        if self._messages and not self._chat:
            raise ConfigError(
                "apply_chat_template: false cannot be asked over chat_completions",
                where=self.where,
                hint="use a service with protocol: completions",
            )
        interpreter = await find_interpreter(WANTED, self._options.python)
        try:
            self._worker = await Worker.start(
                SCRIPT, python=interpreter.python, name="lm_eval", env=os.environ
            )
            told = await self._worker.call("load", names=self._names, options=self._given())
        except ForeignError as error:
            said = error.message if error.kind == "UserError" else str(error)
            raise ConfigError(f"cannot be loaded: {said}", where=self.where) from None
        self._loaded = msgspec.convert(told, Loaded)
        if self._meeting.max_problems is not None and len(self._loaded.tasks) > 1:
            raise ConfigError(
                "max_problems would take the first documents of its first task only",
                where=self.where,
                hint="params: {limit: N} takes the first N of each task",
            )
        await self._choose_mode(self._loaded)

    def _given(self) -> dict[str, Json]:
        options = {name: getattr(self._options, name) for name in Options.__struct_fields__}
        address = urlsplit(self._meeting.address)
        return {
            **options,
            "chat": self._chat,
            "messages": self._messages,
            "tokenizer": self._meeting.tokenizer,
            "tokenizer_url": f"{address.scheme}://{address.netloc}",
        }

    async def _choose_mode(self, loaded: Loaded) -> None:
        kinds = {task.output_type for task in loaded.tasks}
        if kinds <= {"generate_until"}:
            if self._options.mode is not Mode.AUTO:
                raise ConfigError("mode has no effect: nothing is chosen", where=self.where)
            return
        wanted = self._options.mode
        if others := sorted(kinds - {"generate_until", "multiple_choice"}):
            if wanted not in (Mode.AUTO, Mode.LOGLIKELIHOOD):
                raise ConfigError(
                    f"mode {wanted} cannot ask for {', '.join(others)}", where=self.where
                )
            wanted = Mode.LOGLIKELIHOOD
        self._mode = wanted
        if self._meeting.context is not None:
            self._mode = await mode_for(self._meeting, wanted, self.where)

    def identity(self) -> Mapping[str, Json]:
        """Versions of lm_eval and of the tasks, and what was set."""
        loaded, defaults = self._of(), Options()
        told: dict[str, Json] = msgspec.to_builtins(self._options)
        changed = {
            name: value
            for name, value in told.items()
            if name not in OURS and getattr(self._options, name) != getattr(defaults, name)
        }
        return {
            "harness": f"lm_eval {loaded.version}",
            "tasks": {task.name: f"{task.version}:{task.config}" for task in loaded.tasks},
            "num_fewshot": max((task.num_fewshot or 0 for task in loaded.tasks), default=0),
            "chat": self._chat,
            "options": changed,
            "requests_digest": loaded.digest,
            **({} if self._mode is None else {"mode": self._mode.value}),
        }

    async def plan(self) -> Sequence[str]:
        """Its documents: ``TASK/DOC_ID``, in lm_eval's order."""
        return [f"{task}/{doc_id}" for task, doc_id in self._of().problems]

    async def run(self, todo: Sequence[RolloutKey], tools: HarnessTools) -> AsyncIterator[Finished]:
        """Ask rollouts, as many side by side as are wanted; score what was answered meanwhile."""
        keys, answered = iter(todo), asyncio.Queue[_Answered | Finished | None](MOST_UNSCORED)
        work = [
            asyncio.create_task(self._work(keys, tools, answered)) for _ in range(tools.concurrency)
        ]
        ended = asyncio.create_task(_all(work, answered))
        try:
            over = False
            while not over:
                found = [await answered.get()]
                while not answered.empty():
                    found.append(answered.get_nowait())
                over = None in found
                for finished in await self._scored([one for one in found if one is not None]):
                    yield finished
            await ended
        finally:
            for task in (*work, ended):
                task.cancel()
            await asyncio.gather(*work, ended, return_exceptions=True)

    async def _work(
        self,
        keys: Iterator[RolloutKey],
        tools: HarnessTools,
        answered: asyncio.Queue[_Answered | Finished | None],
    ) -> None:
        for key in keys:
            if tools.stopping.is_set():
                return
            try:
                await answered.put(await self._rollout(key, tools))
            except RunBudgetExceeded:
                return

    async def _rollout(self, key: RolloutKey, tools: HarnessTools) -> _Answered | Finished:
        doc = await self._doc(key.problem_idx)
        requests = self._requests(doc)
        problem = Problem(
            idx=key.problem_idx,
            prompt=requests[0].prompt,
            messages=requests[0].messages,
            target=doc.target,
            metadata={
                "task": doc.task,
                "doc_id": doc.doc_id,
                **({"category": doc.task} if len(self._of().tasks) > 1 else {}),
                "doc": doc.doc,
            },
        )
        try:
            if len(requests) == 1:
                return _Answered(key, doc, problem, (await tools.call(key, requests[0]),))
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(tools.call(key, request)) for request in requests]
            return _Answered(key, doc, problem, tuple(task.result() for task in asked))
        except (InfraError, ModelError) as error:
            return _failed(key, problem, error)
        except BaseExceptionGroup as failures:
            first = failures.exceptions[0]
            if not isinstance(first, InfraError | ModelError):
                raise first from None
            return _failed(key, problem, first)

    def _requests(self, doc: Doc) -> list[Request]:
        seed = self._options.seed
        if (mode := self._choosing(doc)) is not None:
            return [choice_request(doc, mode, messages=self._messages, seed=seed)]
        return requests_of(doc, messages=self._messages, seed=seed)

    def _choosing(self, doc: Doc) -> Mode | None:
        """The mode in which a document's options are asked for, where lm_eval asks otherwise."""
        loglikelihood = self._mode in (None, Mode.LOGLIKELIHOOD)
        return None if loglikelihood or doc.choices is None else self._mode

    def _replies(self, doc: Doc, answers: Sequence[Answer]) -> list[list[Json]]:
        mode = self._choosing(doc)
        if mode is None:
            return replies_of(doc, answers)
        return as_replies(doc, chosen(doc, mode, answers[0]))

    async def _scored(self, found: Sequence[_Answered | Finished]) -> list[Finished]:
        """What failed as it is, and what was answered with its score."""
        finished = [one for one in found if isinstance(one, Finished)]
        answered = [one for one in found if not isinstance(one, Finished)]
        if not answered:
            return finished
        rows: list[Json] = [
            [one.key.problem_idx, self._replies(one.doc, one.answers)] for one in answered
        ]
        graded = msgspec.convert(await self._call("grade", rows=rows), list[Graded])
        pairs = zip(answered, graded, strict=True)
        return [*finished, *(self._finished(one, grade) for one, grade in pairs)]

    def _finished(self, one: _Answered, graded: Graded) -> Finished:
        doc, answers = one.doc, one.answers
        solution = Solution(
            response=response_of(doc, answers), answers=answers, finish_reason=finish_of(answers)
        )
        finished = Finished(key=one.key, solution=solution, problem=one.problem)
        if graded.error is not None:
            info = ErrorInfo(kind=Failure.VERIFIER, message=graded.error, phase=Phase.VERIFY)
            return msgspec.structs.replace(finished, error=info)
        score = score_of(graded.filters, doc, answers, self._choosing(doc))
        return msgspec.structs.replace(finished, score=score)

    async def aggregate(self, finished: Sequence[ScoredProblem]) -> Sequence[Measure]:
        """lm_eval's own results. With several repeats, the mean over them; its error is unknown."""
        by_repeat: dict[int, list[Json]] = {}
        docs: dict[int, Sequence[Doc]] = {}
        for row in finished:
            start = row.problem.idx // BATCH * BATCH
            if start not in docs:
                docs[start] = await self._fetch(start, brief=True)
            doc = docs[start][row.problem.idx - start]
            replies: list[Json] = [*self._replies(doc, row.solution.answers)]
            by_repeat.setdefault(row.repeat, []).append([row.problem.idx, replies])
        told = [
            msgspec.convert(await self._call("aggregate", rows=rows), list[Measured])
            for rows in by_repeat.values()
        ]
        whole = self._names[0] if len(self._names) == 1 else None
        return measures_of(told, whole, self._mode)

    async def close(self) -> None:
        """End the worker."""
        for task in self._docs.values():
            task.cancel()
        if self._worker is not None:
            await self._worker.close()

    async def _doc(self, index: int) -> Doc:
        start = index // BATCH * BATCH
        if start not in self._docs:
            while len(self._docs) >= BATCHES:
                del self._docs[next(iter(self._docs))]
            self._docs[start] = asyncio.create_task(self._fetch(start))
        return (await asyncio.shield(self._docs[start]))[index - start]

    async def _fetch(self, start: int, *, brief: bool = False) -> Sequence[Doc]:
        told = await self._call("problems", start=start, count=BATCH, brief=brief)
        return msgspec.convert(told, list[Doc])

    async def _call(self, method: str, **params: Json) -> Any:
        assert self._worker is not None, "prepare was not called"
        return await self._worker.call(method, **params)

    def _of(self) -> Loaded:
        assert self._loaded is not None, "prepare was not called"
        return self._loaded


async def _all(
    work: Sequence[asyncio.Task[None]], answered: asyncio.Queue[_Answered | Finished | None]
) -> None:
    """Wait for all work; then say that nothing more comes. Raises what the first of it raised."""
    try:
        await asyncio.gather(*work)
    finally:
        await answered.put(None)


def _failed(key: RolloutKey, problem: Problem, error: InfraError | ModelError) -> Finished:
    return Finished(key=key, solution=Solution(response=""), error=error.info, problem=problem)

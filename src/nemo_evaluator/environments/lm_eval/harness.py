"""``lm-eval://TASK``: each document is a rollout, each question of it a journaled request.

lm_eval makes the prompts and scores the answers (``worker.py``, in a process of its own); asking,
resuming, budgets and accounts are ours. Invariant: what is scored is what lm_eval would score if it
had got the same answers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from ...errors import ConfigError
from ...foreign import ForeignError
from ...measured import Measures
from ...records import Json
from ...traffic.likelihood import HINT
from ...types import RolloutKey
from ..harness import Finished, HarnessTools, Meeting
from ..scored import ScoredProblem
from .asking import FETCHED, Asking
from .manner import Manner, asked_by
from .modes import mode_for
from .options import SCHEME, Mode, Options, parse
from .remote import Loaded, Remote, Replies
from .scores import measures_of

GATED = "ask for access on the dataset's page, then set HF_TOKEN"
OURS = ("python", "include_path", "bootstrap_iters", "limit", "mode")
"""Options that do not change what a score means, or are told apart from them."""


def open_lm_eval(uri: str, params: Mapping[str, Json]) -> list[LmEval]:
    """The tasks of a URI. Raises ConfigError."""
    names, options = parse(uri, params)
    return [LmEval(names, options)]


async def search(text: str) -> list[str]:
    """Names of tasks, groups and tags that hold a text. Raises ConfigError without lm_eval."""
    remote = await Remote.start()
    try:
        return await remote.search(text)
    finally:
        await remote.close()


class LmEval:
    """Tasks or a group of lm_eval, as one benchmark."""

    in_order = True

    def __init__(self, names: Sequence[str], options: Options) -> None:
        self.name = "+".join(Path(name).stem for name in names)
        self.where = f"{SCHEME}://{','.join(names)}"
        self._names, self._options = list(names), options
        self._meeting = Meeting()
        self._remote: Remote | None = None
        self._loaded: Loaded | None = None
        self._mode: Mode | None = None
        """How choices are asked for; None where the tasks have none."""

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
        try:
            self._remote = await Remote.start(self._options.python)
            self._loaded = await self._remote.load(self._names, self._worker_options())
        except ForeignError as error:
            message = error.message if error.kind == "UserError" else str(error)
            hint = GATED if "gated" in message else None
            raise ConfigError(f"cannot be loaded: {message}", where=self.where, hint=hint) from None
        if self._meeting.max_problems is not None and len(self._loaded.tasks) > 1:
            raise ConfigError(
                "max_problems would take the first documents of its first task only",
                where=self.where,
                hint="params: {limit: N} takes the first N of each task",
            )
        await self._choose_mode(self._loaded)

    def _worker_options(self) -> dict[str, Json]:
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
            greedy = "loglikelihood" in kinds
            self._mode = await mode_for(self._meeting, wanted, self.where, greedy=greedy)
        if self._mode in (Mode.FIRST_TOKEN, Mode.GENERATE):
            self._check_letters(loaded, self._mode)

    def _check_letters(self, loaded: Loaded, mode: Mode) -> None:
        without = [
            task.name
            for task in loaded.tasks
            if task.output_type == "multiple_choice" and not task.letters
        ]
        if without:
            raise ConfigError(
                f"mode {mode}: {', '.join(without)} has more than one question to a document, or "
                "more than 26 options",
                where=self.where,
                hint=HINT,
            )

    def identity(self) -> Mapping[str, Json]:
        """Versions of lm_eval and of the tasks, and what was set."""
        loaded, defaults = self._loaded_tasks(), Options()
        options: dict[str, Json] = msgspec.to_builtins(self._options)
        changed = {
            name: value
            for name, value in options.items()
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
        """The documents of the tasks: ``TASK/DOC_ID``, in lm_eval's order."""
        return [f"{task}/{doc_id}" for task, doc_id in self._loaded_tasks().problems]

    def run(self, todo: Sequence[RolloutKey], tools: HarnessTools) -> AsyncIterator[Finished]:
        """Ask rollouts, as many questions side by side as are wanted; score them meanwhile."""
        several = len(self._loaded_tasks().tasks) > 1
        return Asking(self._lm_eval, self._manner, todo, tools, several=several).finished()

    @property
    def _manner(self) -> Manner:
        options = self._options
        return Manner(self._mode, self._messages, options.seed, options.gen_kwargs or {})

    async def aggregate(self, finished: Sequence[ScoredProblem]) -> Measures:
        """lm_eval's own results. With several repeats, the mean over them; its error is unknown."""
        by_repeat: dict[int, list[Replies]] = {}
        asked = None if self._mode is None else asked_by(finished)  # a merge asks no endpoint
        manner = replace(self._manner, mode=asked)
        for start in range(0, len(finished), FETCHED):
            rows = finished[start : start + FETCHED]
            docs = await self._lm_eval.docs([row.problem.idx for row in rows], brief=True)
            for row, doc in zip(rows, docs, strict=True):
                replies = manner.replies(doc, row.solution.answers)
                by_repeat.setdefault(row.repeat, []).append((row.problem.idx, replies))
        by_metric = [await self._lm_eval.aggregate(rows) for rows in by_repeat.values()]
        whole = self._names[0] if len(self._names) == 1 else None
        return measures_of(by_metric, whole, asked)

    async def close(self) -> None:
        """End the worker."""
        if self._remote is not None:
            await self._remote.close()

    @property
    def _lm_eval(self) -> Remote:
        assert self._remote is not None, "prepare was not called"
        return self._remote

    def _loaded_tasks(self) -> Loaded:
        assert self._loaded is not None, "prepare was not called"
        return self._loaded

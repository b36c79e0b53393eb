"""lm_eval in its own interpreter, with the types of what it tells."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...foreign import Wanted, Worker, find_interpreter
from ...records import Json, Record
from .replies import Doc
from .scores import Graded, Measured

SCRIPT = Path(__file__).with_name("worker.py")
WANTED = Wanted(
    package="lm_eval",
    version=(0, 4, 12),
    below=(0, 5),
    python=(3, 10),
    variable="NEL_LM_EVAL_PYTHON",
    where="params.python",
    extras="[api]",
    harness="lm-eval",
)

Replies = tuple[int, Sequence[Sequence[Json]]]
"""The place of a document, and for each of its questions the samples, as lm_eval has them."""


class Task(Record, frozen=True, kw_only=True):
    """A task as the worker tells it."""

    name: str
    version: str
    config: str
    """Digest of its configuration."""
    output_type: str
    num_fewshot: int | None
    letters: bool
    """Each document is one question whose options can be letters."""


class Loaded(Record, frozen=True, kw_only=True):
    """What was loaded."""

    version: str
    tasks: tuple[Task, ...]
    problems: tuple[tuple[str, int], ...]
    """Task and number of each document."""
    digest: str
    """Of everything that is asked."""


class Remote:
    """The worker. ``start`` it, and ``close`` it."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    @classmethod
    async def start(cls, python: str | None = None) -> Remote:
        """In the interpreter that has lm_eval. Raises ConfigError, and what a Worker raises."""
        interpreter = await find_interpreter(WANTED, python)
        worker = await Worker.start(
            SCRIPT, python=interpreter.python, name="lm_eval", env=os.environ
        )
        return cls(worker)

    async def load(self, names: Sequence[str], options: Mapping[str, Json]) -> Loaded:
        """Load tasks and make their requests."""
        return await self._worker.call_as(Loaded, "load", names=names, options=options)

    async def docs(self, places: Sequence[int], *, brief: bool = False) -> list[Doc]:
        """Some documents. ``brief``: only how many answers of what kind belong to each."""
        return await self._worker.call_as(list[Doc], "problems", places=places, brief=brief)

    async def grade(self, rows: Sequence[Replies]) -> list[Graded]:
        """The metrics of documents that were answered."""
        return await self._worker.call_as(list[Graded], "grade", rows=rows)

    async def aggregate(self, rows: Sequence[Replies]) -> list[Measured]:
        """lm_eval's results over documents that were answered."""
        return await self._worker.call_as(list[Measured], "aggregate", rows=rows)

    async def search(self, text: str) -> list[str]:
        """Names of tasks, groups and tags that hold a text."""
        return await self._worker.call_as(list[str], "search", text=text)

    async def close(self) -> None:
        """End the worker."""
        await self._worker.close()

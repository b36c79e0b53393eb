"""A harness behind the contract of environments, and harnesses that are classes of the user's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import ConfigError
from ..plugins import loading, object_at
from ..types import Json, Problem, Score, Solution
from .contract import Aggregates, Grading, Needs, VerifyTools
from .fingerprint import digest
from .harness import Harness, KeepsOrder, Meeting, MeetsModel
from .params import check_params

SAMPLE_ID = "sample_id"
"""Where the id of a sample stands in the metadata of its problem."""


def open_python(uri: str, params: Mapping[str, Json]) -> list[Harness]:
    """``python://module:Class`` or ``python://file.py:Class``, called with ``params``. Raises
    ConfigError."""
    path = uri.partition("://")[2]
    where = f"python://{path}"
    if ":" not in path:
        raise ConfigError("names no class", where=where, hint="python://module:Class")
    with loading(where, path):
        found = object_at(path)
    if not callable(found):
        raise ConfigError("is no class and no function", where=where)
    check_params(found, params, where=where)
    harness: object = found(**params)
    if not isinstance(harness, Harness):
        missing = [name for name in _METHODS if not hasattr(harness, name)]
        raise ConfigError("is no Harness", where=where, hint=f"it lacks {', '.join(missing)}")
    return [harness]


_METHODS = ("name", "prepare", "identity", "plan", "run", "aggregate", "close")


class HarnessEnvironment:
    """A harness as the engine plans, names and closes it. Its problems are posed by the harness."""

    def __init__(self, harness: Harness) -> None:
        self.needs = Needs(in_order=isinstance(harness, KeepsOrder) and harness.in_order)
        self.harness: Harness | None = harness
        self._harness, self.name = harness, harness.name
        self.grading = Grading(self.name)
        self._ids: Sequence[str] = ()

    def meet(self, meeting: Meeting) -> None:
        """Introduce the harness to its model, where it wants to know."""
        if isinstance(self._harness, MeetsModel):
            self._harness.meet(meeting)

    async def prepare(self) -> None:
        """Let the harness load, and ask it for its samples."""
        await self._harness.prepare()
        ids = [str(one) for one in await self._harness.plan()]
        if len(set(ids)) < len(ids):
            twice = sorted(one for one in set(ids) if ids.count(one) > 1)[:3]
            raise ConfigError(f"has several samples called {', '.join(twice)}", where=self.name)
        self._ids = ids

    async def size(self) -> int:
        """Number of samples."""
        return len(self._ids)

    async def seed(self, idx: int) -> Problem:
        """What is known of a sample before it is done: its id."""
        return Problem(idx=idx, metadata={SAMPLE_ID: self._ids[idx]})

    async def verify(self, problem: Problem, solution: Solution, tools: VerifyTools) -> Score:
        """Raises ConfigError: a harness grades by itself."""
        raise ConfigError("grades its answers itself", where=self.name, hint="run it again")

    @property
    def aggregates(self) -> Aggregates | None:
        """The measures of the harness, if it makes any."""
        return self._harness.aggregate

    def identity(self) -> Mapping[str, Json]:
        """The harness's own, with its samples."""
        return {
            **self._harness.identity(),
            "dataset_rows": len(self._ids),
            "dataset_digest": digest(*self._ids),
        }

    async def close(self) -> None:
        """Let the harness release what it has."""
        await self._harness.close()

"""``imported://FOLDER``: the problems of results that were imported, as their journal holds them.

Nothing is asked: it exists so that the answers can be graded again (`nel eval rescore`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..errors import ConfigError
from ..records import Json, Record
from ..results.journal import JournalIndex, ProblemSeeded, scan
from ..results.journal_reader import JournalReader
from ..results.layout import JOURNAL
from ..scoring.primitives import find_scorer
from ..types import Problem, Score, Solution
from .contract import Environment, Grading, Needs, VerifyTools
from .other_scorer import OtherScorer
from .params import options_of

HINT = "nel eval rescore DIR --scorer file.py:function, or -O benchmarks.0.params.scorer=NAME"


class Options(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``params`` of an imported benchmark."""

    scorer: str | None = None
    """What grades the answers, by name."""


def open_imported(uri: str, params: Mapping[str, Json]) -> list[Environment]:
    """The benchmark in a folder of an imported run. Raises ConfigError."""
    folder, options = options_of(uri, params, Options)
    recorded = Recorded(Path(folder))
    if options.scorer is None:
        return [recorded]
    return [OtherScorer(recorded, find_scorer(options.scorer))]


class Recorded(Environment):
    """Problems from a journal."""

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        self._path = folder / JOURNAL
        self._index: JournalIndex | None = None
        self._reader: JournalReader | None = None

    @property
    def needs(self) -> Needs:
        """Nothing."""
        return Needs()

    @property
    def grading(self) -> Grading:
        """What any scorer of its answers is given."""
        return Grading(self.name)

    async def prepare(self) -> None:
        """Open the journal. Raises ConfigError."""
        if self._reader is not None:
            return
        if not self._path.is_file():
            raise ConfigError(
                "there is no journal of imported results",
                where=str(self._path),
                hint="the run was moved: -O benchmarks.0.name=imported://FOLDER",
            )
        self._index = scan(self._path, keep=True)
        self._reader = JournalReader(self._path, self._index.content)

    async def size(self) -> int:
        """Problems of the dataset."""
        header = self._loaded_index().header
        plan = header.plan if header is not None else None
        return (
            plan.dataset_size
            if plan is not None
            else max(self._loaded_index().problems, default=-1) + 1
        )

    async def seed(self, idx: int) -> Problem:
        """The problem as it was recorded; an empty one where nothing of it was."""
        offset = self._loaded_index().problems.get(idx)
        assert self._reader is not None
        event = self._reader.at(offset) if offset is not None else None
        return event.problem() if isinstance(event, ProblemSeeded) else Problem(idx=idx)

    async def verify(self, problem: Problem, solution: Solution, tools: VerifyTools) -> Score:
        """Raises ConfigError: what graded the answers is another tool."""
        raise ConfigError("its own scorer is another tool's", where=self.name, hint=HINT)

    def identity(self) -> Mapping[str, Json]:
        """What the plan of the imported run says."""
        header = self._loaded_index().header
        identity = header.plan.identity if header is not None and header.plan is not None else {}
        start = "environment."
        return {k.removeprefix(start): v for k, v in identity.items() if k.startswith(start)}

    async def close(self) -> None:
        """Close the journal."""
        if self._reader is not None and self._index is not None:
            self._reader.close()
            self._index.close()
            self._reader = None

    def _loaded_index(self) -> JournalIndex:
        assert self._index is not None, "prepare was not called"
        return self._index

"""A table with a line per rollout (CSV, TSV, JSON lines or Parquet) as benchmarks.

Columns are known by their usual names, or named by ``columns``. A line needs a reward and something
that says which problem it is: ``problem_idx``, or an ``id``, whose sorted order gives the index. An
empty reward is a rollout without a verdict.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from ..config.base import ConfigRecord
from ..environments.row_files import ENDINGS, Row, line_of, read_file
from ..errors import ConfigError, suggest
from ..results.layout import RESULTS, UNSCORED
from ..types import ErrorInfo, Failure, Json, Outcome, Problem, Score, Solution, Usage
from .contract import Imported, Rollout
from .writing import numbered

USUAL: Mapping[str, tuple[str, ...]] = {
    "problem_idx": ("problem_idx", "doc_id", "index", "idx"),
    "id": ("id", "sample_id", "task_id", "problem_id"),
    "repeat": ("repeat", "epoch", "attempt", "trial"),
    "reward": ("reward", "score", "correct", "passed", "accuracy"),
    "prompt": ("prompt", "question", "input"),
    "response": ("response", "model_response", "output", "completion", "prediction"),
    "expected": ("expected", "expected_answer", "target", "answer", "label"),
    "extracted": ("extracted", "extracted_answer", "parsed"),
    "category": ("category", "subject", "topic"),
    "error": ("error",),
    "tokens": ("tokens", "total_tokens"),
    "latency_ms": ("latency_ms",),
    "cost_usd": ("cost_usd", "cost"),
    "benchmark": ("benchmark", "task"),
    "model": ("model",),
}
"""What a column may be → names that it is known by, the best first."""
RIGHT = {"true": 1.0, "yes": 1.0, "c": 1.0, "false": 0.0, "no": 0.0, "i": 0.0}
EMPTY = ("", "nan", "null", "none")


class TableFile:
    """See the module."""

    class Options(ConfigRecord):
        """Which column is what."""

        columns: dict[str, str] = Field(default_factory=dict)
        """What it is → name of the column (`{problem_idx: row, reward: is_right}`)."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def takes(self, path: Path) -> bool:
        """See ``Importer.takes``."""
        ours = path.name in (RESULTS, UNSCORED) or path.name.startswith("samples_")
        return (
            path.is_file()
            and path.suffix.lower() in ENDINGS
            and path.suffix != ".json"
            and not ours
        )

    def read(self, path: Path) -> Sequence[Imported]:
        """See ``Importer.read``."""
        rows = read_file(path)
        if not rows:
            raise ConfigError("holds no rows", where=str(path))
        table = _Table(path, rows, self._columns(path, rows))
        return [table.imported(name) for name in table.benchmarks]

    def _columns(self, path: Path, rows: Sequence[Row]) -> dict[str, str]:
        there = list(dict.fromkeys(str(name) for row in rows[:100] for name in row))
        found = {}
        for what, name in self._options.columns.items():
            if what not in USUAL:
                hint = suggest(what, list(USUAL))
                raise ConfigError(f"there is nothing called {what!r}", where="columns", hint=hint)
            if name not in there:
                hint = f"the columns are {', '.join(there)}"
                raise ConfigError(f"has no column {name!r}", where=str(path), hint=hint)
            found[what] = name
        free = {name.strip().lower(): name for name in there if name not in found.values()}
        for what, names in USUAL.items():
            usual = next((free[name] for name in names if name in free), None)
            if what not in found and usual is not None:
                found[what] = usual
        for needed in (("reward",), ("problem_idx", "id")):
            if not any(what in found for what in needed):
                raise ConfigError(
                    f"cannot tell which column is the {' or the '.join(needed)}; the columns are "
                    + ", ".join(there),
                    where=str(path),
                    hint=f"name it: --columns {needed[0]}=COLUMN",
                )
        return found


class _Table:
    """The rows of a file, by benchmark."""

    def __init__(self, path: Path, rows: Sequence[Row], columns: Mapping[str, str]) -> None:
        self._path, self._columns = path, columns
        self.benchmarks: dict[str, list[tuple[int, Row]]] = defaultdict(list)
        for place, row in enumerate(rows):
            name = _text(self._cell(row, "benchmark")) or path.stem
            self.benchmarks[name].append((place, row))

    def imported(self, name: str) -> Imported:
        """One benchmark of the table."""
        rows = self.benchmarks[name]
        models = {_text(self._cell(row, "model")) for _, row in rows}
        if len(models) > 1:
            models_text = ", ".join(sorted(str(model) for model in models))
            hint = "split the file, a run each"
            raise ConfigError(
                f"{name} has several models: {models_text}", where=str(self._path), hint=hint
            )
        numbers = self._numbers(rows)
        places = sorted(set(numbers))
        whole = places[-1] == len(places) - 1
        repeats = self._repeats(rows, numbers)
        return Imported(
            name=name,
            model=models.pop(),
            source=str(self._path),
            tool="table",
            size=places[-1] + 1,
            problems=None if whole else tuple(places),
            rollouts=partial(self._rollouts, rows, numbers, repeats),
            repeats=max(repeats) + 1,
            identity={
                "environment.harness": "table",
                "environment.scorer": self._columns["reward"],
            },
        )

    def _numbers(self, rows: Sequence[tuple[int, Row]]) -> list[int]:
        if "problem_idx" in self._columns:
            return [self._index(place, row, "problem_idx") for place, row in rows]
        ids = [_text(self._cell(row, "id")) or "" for _, row in rows]
        if "" in ids:
            raise ConfigError("has no id", where=self._line_text(rows[ids.index("")][0]))
        places = numbered(ids)
        return [places[one] for one in ids]

    def _repeats(self, rows: Sequence[tuple[int, Row]], numbers: Sequence[int]) -> list[int]:
        """The repeat of each row; where no column tells, the n-th row of a problem is its n-th
        repeat."""
        if "repeat" in self._columns:
            indexes = [self._index(place, row, "repeat") for place, row in rows]
            return [repeat - min(indexes) for repeat in indexes]
        seen: dict[int, int] = defaultdict(int)
        found = []
        for number in numbers:
            found.append(seen[number])
            seen[number] += 1
        return found

    def _rollouts(
        self, rows: Sequence[tuple[int, Row]], numbers: Sequence[int], repeats: Sequence[int]
    ) -> Iterator[Rollout]:
        for (place, row), number, repeat in zip(rows, numbers, repeats, strict=True):
            yield self._rollout(place, row, number, repeat)

    def _rollout(self, place: int, row: Row, number: int, repeat: int) -> Rollout:
        reward = self._reward(place, row)
        error = _text(self._cell(row, "error"))
        category, named = _text(self._cell(row, "category")), _text(self._cell(row, "id"))
        used = set(self._columns.values())
        metadata: dict[str, Json] = {str(k): v for k, v in row.items() if k not in used}
        metadata |= {} if category is None else {"category": category}
        metadata |= {} if named is None else {"id": named}
        problem = Problem(
            idx=number,
            prompt=_text(self._cell(row, "prompt")) or "",
            target=self._cell(row, "expected"),
            metadata=metadata,
        )
        response = _text(self._cell(row, "response"))
        tokens = self._number(place, row, "tokens")
        solution = Solution(
            response=response or "",
            usage=Usage(completion_tokens=None if tokens is None else int(tokens)),
            latency_ms=self._number(place, row, "latency_ms") or 0.0,
            cost_usd=self._number(place, row, "cost_usd"),
        )
        if reward is None:
            kind = Failure.INFRA_ERROR if error else Failure.NO_VERDICT
            return Rollout(
                problem=problem,
                repeat=repeat,
                solution=solution if response is not None else None,
                outcome=Outcome.INFRA_ERROR if error else Outcome.UNSCORED,
                error=ErrorInfo(kind=kind, message=error or "the table gives no reward"),
            )
        details: dict[str, Json] = {"method": self._columns["reward"]}
        return Rollout(
            problem=problem,
            repeat=repeat,
            solution=solution,
            score=Score(
                reward=reward,
                correct=reward == 1.0 if reward in (0.0, 1.0) else None,
                extracted=self._cell(row, "extracted"),
                details={**details, **({} if error is None else {"note": error})},
            ),
        )

    def _reward(self, place: int, row: Row) -> float | None:
        value = self._cell(row, "reward")
        if isinstance(value, str) and (reward := RIGHT.get(value.strip().lower())) is not None:
            return reward
        return self._number(place, row, "reward")

    def _index(self, place: int, row: Row, what: str) -> int:
        number = self._number(place, row, what)
        if number is None or number != int(number) or not 0 <= number < 20_000_000:
            value = self._cell(row, what)
            raise ConfigError(f"{what} is {value!r}, no whole number", where=self._line_text(place))
        return int(number)

    def _number(self, place: int, row: Row, what: str) -> float | None:
        value = self._cell(row, what)
        if value is None or (isinstance(value, str) and value.strip().lower() in EMPTY):
            return None
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise ConfigError(
                f"{what} is {value!r}, no number", where=self._line_text(place)
            ) from None
        return number if math.isfinite(number) else None

    def _cell(self, row: Row, what: str) -> Any:
        name = self._columns.get(what)
        return None if name is None else row.get(name)

    def _line_text(self, place: int) -> str:
        return line_of(self._path, place) or f"{self._path}: row {place + 1}"


def _text(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return str(value) if value != "" else None

"""The view model of a report: results with their labels, the runs they are of, and what a reader
must know before believing them. Every format is made of it; none looks at anything else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ..errors import ConfigError
from ..results.flips import Flips
from ..results.published import Measure, Published
from ..results.result_row import ResultRow, read_rows
from ..results.run_info import RunInfo
from ..results.samples import Samples
from ..types import Record
from . import figures as show
from .notices import Notice, notices
from .sources import Found

if TYPE_CHECKING:
    from ..decisions.leaderboard import Board

REPORT_VERSION = 2


class Result(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One benchmark of one run."""

    label: str
    """Unique in the report."""
    benchmark: str
    """Name of the benchmark; two of the same name in one run get different names."""
    column: str
    """Model, with what distinguishes it if the same model appears more than once."""
    path: str
    data: Published
    run: RunInfo | None
    flips: Flips | None
    samples: Samples = Samples()
    rows: tuple[ResultRow, ...] | None = None
    """Every rollout, where they are asked for."""

    @property
    def score(self) -> Measure | None:
        """The headline metric."""
        return self.data.score

    @property
    def problems(self) -> int | None:
        """Problems the score is a mean over; those evaluated where it does not say."""
        known = self.score.n if self.score is not None else None
        return self.data.n_problems if known is None else known


class Report(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Everything a report shows."""

    title: str
    models: tuple[str, ...]
    benchmarks: tuple[str, ...]
    """Names, in order of appearance."""
    columns: tuple[str, ...]
    results: tuple[Result, ...]
    runs: tuple[RunInfo, ...]
    """The runs that are known; a bundle alone does not name its run."""
    notices: tuple[Notice, ...]
    boards: tuple[Board, ...] = ()
    """Models in order, where several were asked the same."""

    @property
    def simulated(self) -> bool:
        """Whether any score says nothing about a real model."""
        return any(result.data.simulated for result in self.results)

    @property
    def heads(self) -> tuple[str, ...]:
        """The columns as they are shown."""
        fake = {result.column for result in self.results if result.data.simulated}
        return tuple(f"{name} (simulated)" if name in fake else name for name in self.columns)

    def at(self, benchmark: str, column: str) -> list[Result]:
        """The results in one cell of the table of benchmarks and models."""
        return [
            result
            for result in self.results
            if result.benchmark == benchmark and result.column == column
        ]


def build_report(found: Sequence[Found]) -> Report:
    """The report on some results, in their order. Raises ConfigError if there are none."""
    runs = {item.run.run_id: item.run for item in found if item.run is not None}
    missing = {item.run.run_id: item.missing for item in found if item.run and item.missing}
    kept = [(item, item.result) for item in found if item.result is not None]
    if not kept:
        where = str(found[0].path) if found else None
        hint = "it was stopped before its first answer; resume it: nel eval run --resume"
        raise ConfigError("holds a run without results", where=where, hint=hint)
    data = [result for _, result in kept]
    names = _names(data)
    columns = _columns(data, names, [str(item.path) for item, _ in kept])
    results = tuple(
        Result(
            label=f"{name} · {column}" if names.count(name) > 1 else name,
            benchmark=name,
            column=column,
            path=str(item.path),
            data=result,
            run=item.run,
            flips=item.flips,
            samples=item.samples,
        )
        for (item, result), name, column in zip(kept, names, columns, strict=True)
    )
    models = tuple(dict.fromkeys(result.data.model or "unknown model" for result in results))
    benchmarks = tuple(dict.fromkeys(names))
    return Report(
        title=_title(models, benchmarks),
        models=models,
        benchmarks=benchmarks,
        columns=tuple(dict.fromkeys(columns)),
        results=results,
        runs=tuple(runs.values()),
        notices=tuple(notices([(r.label, r.data) for r in results], runs, missing)),
        boards=_boards([item for item, _ in kept]),
    )


def _boards(found: Sequence[Found]) -> tuple[Board, ...]:
    """The leaderboards; nothing is read, nor imported, where there are no several models."""
    models = {(item.result.model, item.result.service) for item in found if item.result is not None}
    if len(models) < 2:
        return ()
    from ..decisions.leaderboard import boards
    from ..decisions.sources import find

    there = (item.path for item in found if item.path.is_file())
    return boards([source for path in there for source in find(path).values()])


def with_rows(report: Report) -> Report:
    """The report with every rollout, from the folders of its bundles."""
    results = tuple(
        msgspec.structs.replace(result, rows=tuple(read_rows(Path(result.path).parent)))
        for result in report.results
    )
    return msgspec.structs.replace(report, results=results)


def metrics(data: Published) -> list[tuple[str, Measure]]:
    """The headline first; mean_reward left out where it only repeats pass@1."""
    first = data.metrics.get("pass@1")
    found: Mapping[str, Measure] = data.metrics
    items = [
        (name, value)
        for name, value in found.items()
        if not (name == "mean_reward" and first is not None and first.value == value.value)
    ]
    return sorted(items, key=lambda item: item[0] != data.headline)


def score_cell(results: Sequence[Result]) -> str:
    """The headlines in one cell of a table: ``0.819 [0.778, 0.855] (200 of 1,319)``."""
    texts = []
    for result in results:
        measure = result.score
        if measure is None:
            texts.append("no score")
            continue
        bounds = "" if measure.ci_lower is None else f" {show.interval(measure)}"
        part = show.problems(result.problems, result.data.dataset_size)
        texts.append(f"{show.value(measure)}{bounds}" + (f" ({part})" if " of " in part else ""))
    return "; ".join(texts) or show.UNKNOWN


def _names(results: Sequence[Published]) -> list[str]:
    """The benchmarks' names; their folders' where a run has one twice for the same model."""
    keys = [(result.name, result.model, result.run_id) for result in results]
    counts = Counter(keys)
    return [
        result.slug if counts[key] > 1 else result.name
        for result, key in zip(results, keys, strict=True)
    ]


def _columns(results: Sequence[Published], names: Sequence[str], paths: Sequence[str]) -> list[str]:
    """Models; where one has several results of a benchmark, each with its run, or its file."""
    models = [result.model or "unknown model" for result in results]
    chosen = models
    for more in ([result.run_id for result in results], paths):
        counts = Counter(zip(chosen, names, strict=True))
        repeated = {column for (column, _), count in counts.items() if count > 1}
        chosen = [
            f"{model} ({detail})" if column in repeated else column
            for column, model, detail in zip(chosen, models, more, strict=True)
        ]
    return chosen


def _title(models: Sequence[str], benchmarks: Sequence[str]) -> str:
    if len(models) == 1:
        return f"Evaluation report: {models[0]}"
    on = benchmarks[0] if len(benchmarks) == 1 else f"{len(benchmarks)} benchmarks"
    return f"Evaluation report: {len(models)} models on {on}"

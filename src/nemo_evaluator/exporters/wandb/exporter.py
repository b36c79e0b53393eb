"""A run in Weights & Biases: one run there, with a summary, tables of scores and rollouts, and the
files of the results as an artifact.

The run's id there is the run's id, so that exporting again replaces it: online it is resumed,
offline the folder that was written before is removed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from ...foreign import Worker
from ...results.layout import EXPORTS, RESULTS, UNSCORED
from ...results.tables import ROWS, SCORES, TEXTS, Column, Rollout, Table
from ...results.view import BenchmarkView, RunView
from ...types import Json
from ..rollout_timeline import shortened
from ..tracking import BATCH, TrackerOptions, facts, numbers, tracker, wanted

WANTED = wanted("wandb", (0, 17))
SCRIPT = Path(__file__).with_name("nel_wandb.py")
ENV = {"WANDB_SILENT": "true", "WANDB_CONSOLE": "off"}
TEXT_CHARS = 10_000
"""Characters of a text in a table of rollouts."""


class Wandb:
    """See the module."""

    class Options(TrackerOptions):
        """Where the run goes, and what is told of it."""

        project: str = "nemo-evaluator"
        entity: str | None = None
        mode: Literal["online", "offline"] | None = None
        """null: `WANDB_MODE`, or else online."""
        dir: str | None = None
        """Folder of its files; null: the folder `exports` of the run."""
        name: str | None = None
        """Name of the run there; null: the run's id."""
        group: str | None = None
        tags: tuple[str, ...] = ()
        config: dict[str, Any] = Field(default_factory=dict)
        """Further parameters."""
        rows: int = Field(default=10_000, ge=0)
        """Rollouts of a benchmark in its table, at most."""
        texts: bool = True
        """Prompts, responses and reasoning texts in the tables of rollouts, too."""
        artifacts: bool = True
        """The files of bundle and results as an artifact."""

    def __init__(self, options: Options) -> None:
        self._options = options

    async def export(self, run: RunView) -> Sequence[str]:
        """See ``Exporter.export``."""
        options = self._options
        folder = run.directory / EXPORTS if options.dir is None else Path(options.dir)
        folder.mkdir(parents=True, exist_ok=True)
        async with tracker(WANTED, SCRIPT, options.python, ENV) as worker:
            await worker.call("begin", settings=self._settings(run, folder))
            summary: dict[str, Json] = {}
            for view in run.benchmarks():
                found = numbers(view.bundle)
                summary |= {f"{view.bundle.slug}/{name}": value for name, value in found.items()}
            await worker.call("summary", values=summary)
            await self._table(worker, "scores", SCORES, SCORES.columns, run, None)
            left_out = frozenset() if options.texts else TEXTS
            columns = tuple(column for column in ROWS.columns if column.name not in left_out)
            for view in run.benchmarks() if options.rows else ():
                name = f"rows/{view.bundle.slug}"
                await self._table(worker, name, ROWS, columns, run, view)
            if options.artifacts:
                await worker.call("artifact", name=f"results-{_id(run)}", files=_files(run))
            return [str(await worker.call("finish"))]

    def _settings(self, run: RunView, folder: Path) -> dict[str, Json]:
        options = self._options
        benchmarks = {view.bundle.slug: facts(view.bundle, run.run_id) for view in run.benchmarks()}
        settings: Mapping[str, Json] = {
            "id": _id(run),
            "project": options.project,
            "entity": options.entity,
            "mode": options.mode,
            "dir": str(folder.absolute()),
            "name": options.name or run.run_id,
            "group": options.group,
            "job_type": "evaluation",
            "tags": list(options.tags),
            "config": {"run_id": run.run_id, "benchmarks": benchmarks, **options.config},
        }
        return {name: value for name, value in settings.items() if value is not None}

    async def _table(
        self,
        worker: Worker,
        name: str,
        table: Table[Any],
        columns: Sequence[Column[Any]],
        run: RunView,
        view: BenchmarkView | None,
    ) -> None:
        await worker.call("table", name=name, columns=[column.name for column in columns])
        batch: list[Json] = []
        for number, one in enumerate(table.records(run, None if view is None else [view])):
            if isinstance(one, Rollout) and number == self._options.rows:
                break
            batch.append([_cell(column, one) for column in columns])
            if len(batch) == BATCH:
                await worker.call("add", lines=batch)
                batch = []
        await worker.call("add", lines=batch, last=True)


def _cell(column: Column[Any], record: object) -> Json:
    value = column.cell(record)
    return shortened(value, TEXT_CHARS) if isinstance(value, str) else value


def _id(run: RunView) -> str:
    """An id of the characters that W&B allows."""
    return re.sub(r"[^\w-]+", "-", run.run_id, flags=re.ASCII)[:64]


def _files(run: RunView) -> list[Json]:
    """Bundles and results, each with its name in the artifact."""
    return [
        [str(path.absolute()), f"{view.folder.name}/{path.name}"]
        for view in run.benchmarks()
        for path in (view.bundle_path, view.folder / RESULTS, view.folder / UNSCORED)
        if path.is_file()
    ]

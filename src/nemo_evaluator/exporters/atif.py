"""Every trajectory of a run as a line with an ATIF document, for harbor, viewers and training.

A document is what `trajectories.jsonl` holds of one rollout; run, benchmark, rollout and reward are
beside it in ``extra``. A run has one file, which is replaced as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ..files.writing import replacing
from ..results.trajectory_row import TrajectoryRow
from ..results.view import BenchmarkView, RunView
from ..types import Json
from .options import FileOptions


class Atif:
    """One document per rollout that has steps, in ``<output_dir>/<run id>.atif.jsonl``."""

    class Options(FileOptions):
        """Where documents are written, and of which rollouts."""

        least_reward: float | None = None
        """Only rollouts with this reward at least; null: all."""

    def __init__(self, options: Options) -> None:
        self._options = options

    async def export(self, run: RunView) -> Sequence[str]:
        """See ``Exporter.export``."""
        path = self._options.folder(run) / f"{run.run_id}.atif.jsonl"
        encode = msgspec.json.Encoder().encode
        with replacing(path) as file:
            for benchmark in run.benchmarks():
                for row in benchmark.trajectories():
                    if row.steps and self._wanted(row):
                        file.write(encode(_document(run, benchmark, row)) + b"\n")
        return [str(path)]

    def _wanted(self, row: TrajectoryRow) -> bool:
        least = self._options.least_reward
        return least is None or (row.reward is not None and row.reward >= least)


def _document(run: RunView, benchmark: BenchmarkView, row: TrajectoryRow) -> dict[str, Json]:
    document = row.document
    extra = document.get("extra")
    about: dict[str, Json] = {
        "run_id": run.run_id,
        "benchmark": benchmark.name,
        "problem_idx": row.problem_idx,
        "repeat": row.repeat,
        "reward": row.reward,
    }
    return {**document, "extra": {**(extra if isinstance(extra, dict) else {}), **about}}

"""Every rollout of a run as a line of JSON, for pandas, DuckDB or a data warehouse.

A line is a row of ``results.jsonl`` or ``unscored.jsonl`` with the run, the benchmark and the model
beside it. A run has one file, which is replaced as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ..files.writing import replacing
from ..results.result_row import ResultRow
from ..results.view import BenchmarkView, RunView
from ..types import Json
from .options import FileOptions

TEXTS = ("prompt", "model_response", "reasoning")


class Jsonl:
    """One line per rollout, in ``<output_dir>/<run id>.jsonl``."""

    class Options(FileOptions):
        """What is written, and where."""

        texts: bool = True
        """Write prompts, responses and reasoning texts."""

    def __init__(self, options: Options) -> None:
        self._options = options

    async def export(self, run: RunView) -> Sequence[str]:
        """See ``Exporter.export``."""
        path = self._options.folder(run) / f"{run.run_id}.jsonl"
        encode = msgspec.json.Encoder().encode
        with replacing(path) as file:
            for benchmark in run.benchmarks():
                for row in benchmark.rows():
                    file.write(encode(self._line(run, benchmark, row)) + b"\n")
        return [str(path)]

    def _line(self, run: RunView, benchmark: BenchmarkView, row: ResultRow) -> dict[str, Json]:
        fields: dict[str, Json] = msgspec.to_builtins(row)
        if not self._options.texts:
            fields = {name: value for name, value in fields.items() if name not in TEXTS}
        failure = None if row.failure is None else str(row.failure)
        return {
            "run_id": run.run_id,
            "benchmark": benchmark.name,
            "model": benchmark.bundle.model,
            **fields,
            "failure": failure,
            "error": row.error,
        }

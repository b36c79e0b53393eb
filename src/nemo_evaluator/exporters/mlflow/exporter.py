"""A run in MLflow: one MLflow run per benchmark, with parameters, metrics, artifacts and traces.

An MLflow run is found again by its tags ``job_id`` (the run's id) and ``benchmark``: exporting
again refreshes metrics, tags and artifacts, and completes traces. Parameters stay, since MLflow
cannot change them.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from ...config.secrecy import hidden_urls
from ...errors import ConfigError
from ...foreign import Worker
from ...results.layout import LOG, RESULTS, UNSCORED
from ...results.tables import plain_text
from ...results.view import BenchmarkView, RunView
from ...types import Json
from ..names import plain_names
from ..times import created
from ..tracking import BATCH, TrackerOptions, facts, flattened, numbers, tracker, wanted
from .traces import trace

WANTED = wanted("mlflow", (3, 5))
SCRIPT = Path(__file__).with_name("nel_mlflow.py")
URI = "MLFLOW_TRACKING_URI"
PARAM_CHARS, TAG_CHARS = 250, 5000
EXCLUDED = ("*cache*", "*.db", "*.lock", "synthetic", "debug.json")
ENV = {
    "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "true",
    "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE": str(50 << 20),
    "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": str(100 << 20),
    # A server that is gone shall be told within seconds, not after four minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}


class Mlflow:
    """See the module."""

    class Options(TrackerOptions):
        """Where the tracking server or store is, and what it is told."""

        tracking_uri: str | None = None
        """`http://HOST:PORT`, `sqlite:///FILE`, a folder, or the name of a variable that holds one;
        null: `MLFLOW_TRACKING_URI`."""
        experiment_name: str = "nemo-evaluator"
        run_name: str | None = None
        """Name of the MLflow run; null: `eval-<run id>`."""
        description: str | None = None
        tags: dict[str, str] = Field(default_factory=dict)
        extra_metadata: dict[str, Any] = Field(default_factory=dict)
        """Further parameters."""
        log_config_params: bool = False
        """Log the run's configuration as parameters `config.*`."""
        log_config_params_max_depth: int = 10
        skip_existing: bool = False
        """Leave MLflow runs alone that are there."""
        copy_artifacts: bool = True
        only_required: bool = True
        """Only bundle and results as artifacts, not every file of the benchmark."""
        copy_logs: bool = False
        """The run's log as an artifact, too."""
        exclude_patterns: tuple[str, ...] = ()
        """Names of files that are no artifacts (`*.tmp`)."""
        emit_traces: bool = True
        """A trace per rollout."""
        emit_traces_max_samples: int | None = None
        """The first this many rollouts only."""
        emit_traces_content_max: int = 4000
        """Characters of a text in a trace."""

    def __init__(self, options: Options) -> None:
        self._options = options

    async def export(self, run: RunView) -> Sequence[str]:
        """See ``Exporter.export``."""
        uri = self._uri()
        places = []
        async with tracker(WANTED, SCRIPT, self._options.python, ENV) as worker:
            await worker.call("open", uri=uri, experiment=self._options.experiment_name)
            for benchmark in run.benchmarks():
                begun_run = await worker.call("begin", **self._begin(run, benchmark))
                if begun_run["new"] or not self._options.skip_existing:
                    await self._fill(worker, run, benchmark, new=begun_run["new"])
                where = f"#/experiments/{begun_run['experiment']}/runs/{begun_run['run']}"
                places.append(hidden_urls(uri) + where)
        return places

    def _uri(self) -> str:
        configured = self._options.tracking_uri
        if configured is not None and "://" not in configured:
            configured = os.environ.get(configured, configured)
        if not (uri := configured or os.environ.get(URI)):
            hint = f"-o tracking_uri=http://HOST:5000, or sqlite:///mlflow.db; or set {URI}"
            raise ConfigError("the tracking server is not known", where="tracking_uri", hint=hint)
        return uri

    def _begin(self, run: RunView, benchmark: BenchmarkView) -> dict[str, Json]:
        bundle, options = benchmark.bundle, self._options
        started = created(benchmark).timestamp()
        tags: dict[str, Json] = {
            "job_id": run.run_id,
            "benchmark": bundle.slug,
            "config_hash": bundle.digest,
            "sdk_version": bundle.version,
            "mlflow.note.content": options.description,
            **options.tags,
        }
        return {
            "name": options.run_name or f"eval-{run.run_id}",
            "started_ms": int(started * 1000),
            "ended_ms": int((started + (bundle.runtime.elapsed_seconds or 0.0)) * 1000),
            "tags": {
                name: _one_line(str(value), TAG_CHARS)
                for name, value in tags.items()
                if value is not None
            },
        }

    async def _fill(
        self, worker: Worker, run: RunView, benchmark: BenchmarkView, *, new: bool
    ) -> None:
        metrics = numbers(benchmark.bundle)
        names = plain_names(metrics)
        params = self._params(run, benchmark) if new else {}
        await worker.call(
            "log",
            metrics={names[name]: value for name, value in metrics.items()},
            params=params,
        )
        if self._options.copy_artifacts:
            for path, place in self._artifacts(run, benchmark):
                await worker.call("artifact", path=str(path.absolute()), place=place)
        if self._options.emit_traces and await worker.call("wants_traces"):
            batch: list[Json] = []
            for number, (row, trajectory) in enumerate(benchmark.rollouts()):
                if number == self._options.emit_traces_max_samples:
                    break
                most = self._options.emit_traces_content_max
                batch.append(trace(benchmark, row, trajectory, most))
                if len(batch) == BATCH:
                    await worker.call("traces", traces=batch)
                    batch = []
            await worker.call("traces", traces=batch, last=True)
        await worker.call("end")

    def _params(self, run: RunView, benchmark: BenchmarkView) -> dict[str, Json]:
        params = {
            **facts(benchmark.bundle, run.run_id),
            "results_dir": str(benchmark.folder),
            **self._options.extra_metadata,
        }
        if self._options.log_config_params:
            params |= flattened(
                {"config": dict(run.config)}, self._options.log_config_params_max_depth + 1
            )
        names = plain_names(params)
        return {
            names[name]: _one_line(plain_text(value) or "null", PARAM_CHARS)
            for name, value in params.items()
        }

    def _artifacts(self, run: RunView, benchmark: BenchmarkView) -> Iterator[tuple[Path, str]]:
        """Files, each with the folder it is put into."""
        slug = benchmark.folder.name
        for path in benchmark.artifacts():
            required = path == benchmark.bundle_path or path.name in (RESULTS, UNSCORED)
            if (required or not self._options.only_required) and not self._excluded(path):
                inner = path.relative_to(benchmark.folder).parent
                yield path, (Path(slug) / inner).as_posix()
        log = run.directory / LOG
        if self._options.copy_logs and log.is_file():
            yield log, f"{slug}/logs"

    def _excluded(self, path: Path) -> bool:
        name = path.name.lower()
        patterns = (*EXCLUDED, *self._options.exclude_patterns)
        return any(fnmatch.fnmatchcase(name, pattern.lower()) for pattern in patterns)


def _one_line(text: str, most: int) -> str:
    return " ".join(text.split())[:most]

"""How long a run is going to take, by a past run of the same benchmarks: a pilot, or the last one.

Nothing is asked and no dataset is loaded: how many problems there are stands in the plan of the
past run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..config.benchmark import BenchmarkConfig
from ..config.cluster import SlurmCluster
from ..config.load import Loaded
from ..config.root import EvalConfig
from ..config.walltime import walltime_seconds
from ..errors import ConfigError
from ..executors.forecast.advice import Forecast, Limits, forecast, words
from ..executors.forecast.expected import Work
from ..executors.forecast.past import Past, Timed, past_of
from ..results.run_directory import plan_of
from .find_run import known_runs

LOOKED_AT = 50
"""Past runs that are looked at, the latest first."""
PILOT = "a pilot makes one: the same file with --max-problems 20 -o DIR, then --forecast-from DIR"


def forecast_of(loaded: Loaded, directory: Path | None = None) -> Forecast | None:
    """The forecast from the run in a directory, or else from the last run of these benchmarks and
    models; None where there is none. Raises ConfigError for a directory that says nothing."""
    if directory is None:
        directory = _last_run(loaded.config)
        if directory is None:
            return None
    past = past_of(directory)
    work = [item for entry in loaded.config.benchmarks for item in _work(entry, past)]
    if not work:
        names = ", ".join(entry.name for entry in loaded.config.benchmarks)
        hint = "name a run of the same benchmarks"
        raise ConfigError(f"has no times of {names}", where=str(directory), hint=hint)
    return forecast(past, work, limits_of(loaded.config))


def forecast_lines(loaded: Loaded, directory: Path | None = None) -> list[str]:
    """A forecast in words; where there is none, how to get one, if a job has to end in time. Raises
    ConfigError for a directory that says nothing."""
    found = forecast_of(loaded, directory)
    if found is None and not isinstance(loaded.config.cluster, SlurmCluster):
        return []  # no walltime depends on it
    if found is None:
        return [f"no forecast: no past run of these benchmarks and models is known; {PILOT}"]
    return [*words(found), *_doubts(loaded.config, found.past)]


def limits_of(config: EvalConfig) -> Limits:
    """What the cluster of a configuration grants."""
    cluster = config.cluster
    servers = config.managed_services().values()
    starting = max((server.startup_timeout for server in servers), default=0.0)
    shards = getattr(cluster, "shards", None) or 1
    if not isinstance(cluster, SlurmCluster):
        return Limits(shards=shards, starting=starting, own_endpoint=bool(servers))
    return Limits(
        walltime=walltime_seconds(cluster.walltime),
        jobs=1 + (cluster.max_retries if cluster.auto_resume else 0),
        all_jobs=None if cluster.max_walltime is None else walltime_seconds(cluster.max_walltime),
        shards=shards,
        at_once=cluster.max_parallel_shards,
        starting=starting,
        own_endpoint=bool(servers),
    )


def _last_run(config: EvalConfig) -> Path | None:
    """The last run that asked the same models about all of the benchmarks."""
    wanted = {(entry.name, _model(config, entry)) for entry in config.benchmarks}
    runs = sorted(known_runs().items(), key=lambda item: item[1], reverse=True)
    for directory, _ in runs[:LOOKED_AT]:
        try:
            lock = plan_of(directory)
            plans = () if lock is None else lock.benchmarks
            known = {(plan.identity.get("benchmark"), plan.model) for plan in plans}
            if wanted <= known and past_of(directory).benchmarks:
                return directory
        except (ConfigError, OSError):
            continue  # what cannot be read says nothing
    return None


def _work(entry: BenchmarkConfig, past: Past) -> Iterator[Work]:
    """What an entry of a configuration is going to do, where the past says how long it takes."""
    for timed in past.named(entry.name, entry.label):
        problems = timed.plan.dataset_size
        if entry.max_problems is not None:
            problems = min(problems, entry.max_problems)
        yield Work(
            name=timed.plan.name,
            service=timed.plan.service,
            rollouts=problems * entry.repeats,
            places=entry.max_concurrent,
            timeout=entry.timeout,
            durations=timed.durations,
        )


def _model(config: EvalConfig, entry: BenchmarkConfig) -> str | None:
    service = getattr(entry.solver, "service", None)
    try:
        return None if service is None else config.model_id(service)
    except KeyError:
        return None


def _doubts(config: EvalConfig, past: Past) -> Iterator[str]:
    """In what the run differs from the past one."""
    for entry in config.benchmarks:
        found: Sequence[Timed] = past.named(entry.name, entry.label)
        if not found:
            yield f"  {entry.name}: no times of it: it comes on top"
        model = _model(config, entry)
        others = {timed.plan.model for timed in found if timed.plan.model != model}
        if others and model is not None:
            yield f"  {entry.name}: the past run asked {', '.join(map(str, others))}, not {model}"

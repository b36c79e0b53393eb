"""What this version can run. The schema declares more; what it cannot run it refuses, before
anything starts: no field is accepted and ignored."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import ConfigError
from .base import ConfigRecord
from .benchmark import BenchmarkConfig
from .load import Loaded
from .problems import locate
from .services import ApiService, SimulatedService
from .yaml_file import KeyPath

Problem = tuple[KeyPath, str]

INERT_SERVICE = ("max_input_tokens", "max_output_tokens", "tokenizer", "health_path")
INERT_PROXY = ("verbose", "model_traffic", "finish_reason_fixup")
INERT_BENCHMARK = ("context_window", "verifier", "instruction_template")
INTERCEPTORS = ("endpoint",)


def check_runnable(loaded: Loaded) -> None:
    """Raise ConfigError naming everything that this version cannot run, with file and line."""
    lines = []
    for path, text in _problems(loaded):
        where = locate(path, loaded.document.marks)
        dotted = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".")
        lines.append(f"{where + ': ' if where else ''}{dotted}: {text}")
    if lines:
        raise ConfigError("\n".join(lines))


def _problems(loaded: Loaded) -> Iterator[Problem]:
    config = loaded.config
    used = {getattr(benchmark.solver, "service", None) for benchmark in config.benchmarks}
    for name, service in config.services.items():
        if isinstance(service, ApiService | SimulatedService):
            yield from _service_problems(("services", name), service)
        elif name in used:
            yield (
                ("services", name, "type"),
                f"{service.type!r} cannot be run by this version (api, simulated)",
            )
    for index, benchmark in enumerate(config.benchmarks):
        yield from _benchmark_problems(("benchmarks", index), benchmark)
    if config.cluster.type != "local":
        yield ("cluster", "type"), f"{config.cluster.type!r} cannot be run by this version (local)"
    else:
        yield from _inert(("cluster",), config.cluster, ("gpus", "max_memory", "container_env"))
    yield from _inert(("output",), config.output, ("export", "export_config", "trajectories"))


def _service_problems(path: KeyPath, service: ApiService | SimulatedService) -> Iterator[Problem]:
    yield from _inert(path, service, INERT_SERVICE)
    if service.proxy is None:
        return
    yield from _inert((*path, "proxy"), service.proxy, INERT_PROXY)
    for index, interceptor in enumerate(service.proxy.interceptors):
        if interceptor.name not in INTERCEPTORS:
            where = (*path, "proxy", "interceptors", index)
            yield where, f"interceptor {interceptor.name!r} is not available ({INTERCEPTORS[0]})"
        elif interceptor.config:
            where = (*path, "proxy", "interceptors", index, "config")
            yield where, "endpoint takes no config here: use the fields of proxy"


def _benchmark_problems(path: KeyPath, benchmark: BenchmarkConfig) -> Iterator[Problem]:
    yield from _inert(path, benchmark, INERT_BENCHMARK)
    if benchmark.solver is not None and benchmark.solver.type != "simple":
        where = (*path, "solver", "type")
        yield where, f"{benchmark.solver.type!r} cannot be run by this version (simple)"
    if benchmark.sandbox.type != "none":
        where = (*path, "sandbox")
        yield where, f"{benchmark.sandbox.type!r} cannot be run by this version (none)"
    else:
        fields = ("capture_cmd", "verify_timeout", "stateful", "scrub_git_history")
        yield from _inert((*path, "sandbox"), benchmark.sandbox, fields)
    yield from _inert((*path, "scoring"), benchmark.scoring, ("include_defaults", "primary"))
    for index, metric in enumerate(benchmark.scoring.metrics):
        if metric.type != "scorer":
            where = (*path, "scoring", "metrics", index)
            yield where, f"{metric.type!r} cannot be run by this version (scorer)"


def _inert(path: KeyPath, record: ConfigRecord, names: tuple[str, ...]) -> Iterator[Problem]:
    for name in sorted(record.changed() & set(names)):
        yield (*path, name), "has no effect in this version; remove it"

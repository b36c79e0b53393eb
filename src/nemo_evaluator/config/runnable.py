"""What this version can run. The schema declares more; what it cannot run it refuses, before
anything starts. The few fields that are accepted without an effect are in ``inert``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import get_args

from ..kinds import EXECUTORS, EXPORTERS, SANDBOXES, SOLVERS
from ..plugins import Kind
from .base import ConfigRecord
from .benchmark import BenchmarkConfig
from .load import Loaded
from .local_servers import machine_problems
from .mistakes import Mistake, as_error, format_path
from .output import OutputConfig
from .plugins import plugin_problems, tag_of
from .root import EvalConfig
from .sandboxes import AnySandbox, NoSandbox
from .scoring import (
    CustomMetric,
    Metric,
    PairwiseJudgeMetric,
    RewardModelMetric,
    SandboxMetric,
    ScoringConfig,
)
from .services import ModelFields
from .tree import KeyPath

NO_TEMPLATE = ("off", "none", "")
NOT_YET = (SandboxMetric, CustomMetric)
"""Metrics that are declared and not computed."""
LATER = "not supported by this version"
REMOVE = "remove it"


def check_runnable(loaded: Loaded) -> None:
    """Raise ConfigError naming everything that this version cannot run, with file and line."""
    failure = as_error(problems(loaded.config), loaded.locate)
    if failure is not None:
        raise failure


def unsupported(config: EvalConfig) -> list[str]:
    """``path: what`` for everything that this version cannot run."""
    return [f"{format_path(problem.path)}: {problem.what}" for problem in problems(config)]


def problems(config: EvalConfig) -> Iterator[Mistake]:
    """Everything that this version cannot run."""
    for name, service in config.services.items():
        path: KeyPath = ("services", name)
        if isinstance(service, ModelFields) and service.proxy is not None:
            yield from _inert((*path, "proxy"), service.proxy, *service.refused_in_proxy)
    for name, sandbox in config.sandboxes.items():
        if config.uses_sandbox(name):
            yield from _sandbox(("sandboxes", name), sandbox)
    if config.scoring is not None:
        yield from _scoring(("scoring",), config.scoring)
    for index, benchmark in enumerate(config.benchmarks):
        yield from _benchmark(("benchmarks", index), benchmark, config)
    yield from _unknown(("cluster",), config.cluster.type, EXECUTORS)
    yield from machine_problems(config)
    yield from _output(("output",), config.output)


def _benchmark(path: KeyPath, benchmark: BenchmarkConfig, config: EvalConfig) -> Iterator[Mistake]:
    if (benchmark.instruction_template or "") not in NO_TEMPLATE:
        yield Mistake((*path, "instruction_template"), LATER, REMOVE)
    if benchmark.solver is not None:
        inherited = benchmark.solver is config.solver
        where: KeyPath = ("solver",) if inherited else (*path, "solver")
        yield from _unknown(where, benchmark.solver.type, SOLVERS)
    if not any(benchmark.sandbox is named for named in config.sandboxes.values()):
        yield from _sandbox((*path, "sandbox"), benchmark.sandbox)
    if benchmark.scoring is not config.scoring:
        yield from _scoring((*path, "scoring"), benchmark.scoring)


def _sandbox(path: KeyPath, sandbox: AnySandbox | str) -> Iterator[Mistake]:
    if not isinstance(sandbox, NoSandbox | str):
        yield from _unknown(path, sandbox.type, SANDBOXES)


def _scoring(path: KeyPath, scoring: ScoringConfig) -> Iterator[Mistake]:
    for index, metric in enumerate(scoring.metrics):
        where: KeyPath = (*path, "metrics", index)
        if isinstance(metric, NOT_YET):
            yield Mistake(
                (*where, "type"), f"{metric.type!r} is {LATER}", f"runnable now: {_metrics()}"
            )
        elif isinstance(metric, PairwiseJudgeMetric):
            if "max_score" in metric.changed():
                what = "has no effect on a comparison"
                yield Mistake((*where, "max_score"), what, REMOVE)
        elif isinstance(metric, RewardModelMetric):
            yield from _reward_mode(where, metric)


def _metrics() -> str:
    """The types of metrics that are computed."""
    records = get_args(get_args(Metric)[0])
    return ", ".join(tag_of(record) for record in records if record not in NOT_YET)


def _reward_mode(path: KeyPath, metric: RewardModelMetric) -> Iterator[Mistake]:
    if metric.mode == "pairwise":
        what = f"'pairwise' is {LATER}"
        yield Mistake((*path, "mode"), what, "single, multi_aspect, or a pairwise_judge")
    elif metric.mode == "multi_aspect" and not metric.aspect:
        yield Mistake(path, "multi_aspect needs an aspect", "aspect: helpfulness")
    elif metric.mode == "single" and metric.aspect:
        yield Mistake((*path, "aspect"), "has no effect in mode single", "mode: multi_aspect")


def _output(path: KeyPath, output: OutputConfig) -> Iterator[Mistake]:
    for name in output.export:
        where = (*path, "export_config", name)
        if not EXPORTERS.has(name):
            yield Mistake((*path, "export"), LATER, EXPORTERS.unknown(name).what)
            continue
        config = output.export_config.get(name, {})
        if not isinstance(config, dict):
            yield Mistake(where, "must be a mapping")
        else:
            for problem in plugin_problems(EXPORTERS, name, config):
                yield replace(problem, path=(*where, *problem.path[1:]))


def _unknown(path: KeyPath, name: str, kind: Kind) -> Iterator[Mistake]:
    """A type that is declared, and that nothing here or installed can run."""
    if not kind.has(name):
        hint = f"runnable now: {', '.join(kind.names())}"
        yield Mistake((*path, "type"), f"{name!r} is {LATER}", hint)


def _inert(path: KeyPath, record: ConfigRecord, *names: str) -> Iterator[Mistake]:
    changed = record.changed()
    for name in names:
        if name in changed:
            yield Mistake((*path, name), LATER, REMOVE)

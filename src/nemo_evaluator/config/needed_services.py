"""Which services a run needs: those that its benchmarks ask, and what these depend on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .agents import ServerFields
from .benchmark import BenchmarkConfig
from .document import Document
from .scoring import (
    EnsembleJudgeMetric,
    JudgeMetric,
    PairwiseJudgeMetric,
    RewardModelMetric,
    ScoringConfig,
)
from .services import Service


def services_of(scoring: ScoringConfig) -> frozenset[str]:
    """Names of the services a benchmark's metrics ask."""
    names: set[str] = set()
    for metric in scoring.metrics:
        if isinstance(metric, JudgeMetric | RewardModelMetric):
            names.add(metric.service)
        elif isinstance(metric, PairwiseJudgeMetric):
            names |= {metric.judge_service, metric.baseline_service}
        elif isinstance(metric, EnsembleJudgeMetric):
            names.update(metric.services)
    return frozenset(names)


def asked_by(benchmark: BenchmarkConfig) -> frozenset[str]:
    """The services that solve, verify or judge a benchmark."""
    solver = benchmark.solver
    names = {*services_of(benchmark.scoring)}
    if solver is not None:
        names |= {*solver.servers.values(), *(getattr(solver, "services", None) or {}).values()}
        names.add(getattr(solver, "service", None) or "")
    names.add(benchmark.verifier or "")
    return frozenset(names - {""})


def needed_services(config: Document) -> list[str]:
    """All services that a run opens, each after what it needs."""
    asked = dict.fromkeys(name for b in config.benchmarks for name in sorted(asked_by(b)))
    return in_order(config.services, [name for name in config.services if name in asked])


def depends_on(service: Service) -> tuple[str, ...]:
    """The services that must be ready before one."""
    if isinstance(service, ServerFields):
        return service.requires
    return tuple(getattr(service, "depends_on", ()))


def in_order(services: Mapping[str, Service], wanted: Iterable[str]) -> list[str]:
    """The names of the wanted services and of what they depend on, each after what it needs. The
    configuration was checked: there are no circles."""
    order: dict[str, None] = {}

    def add(name: str) -> None:
        for other in depends_on(services[name]):
            add(other)
        order.setdefault(name)

    for name in wanted:
        add(name)
    return list(order)

"""The configuration document, and the checks that span its parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field, model_validator

from .base import ConfigRecord
from .benchmark import BenchmarkConfig
from .cluster import Cluster, LocalCluster
from .output import OutputConfig
from .sandboxes import Sandbox
from .scoring import EnsembleJudgeMetric, JudgeMetric, PairwiseJudgeMetric, RewardModelMetric
from .services import GymResourceService, ModelService, NatAgentService, Service
from .solvers import GymDelegationSolverConfig, NatSolverConfig, ToolCallingSolverConfig

RESERVED = {"default", "none", ""}
NEEDS_SANDBOX = {"harbor", "agent", "openclaw"}


class EvalConfig(ConfigRecord):
    """The whole document."""

    services: dict[str, Service]
    sandboxes: dict[str, Sandbox] = Field(default_factory=dict)
    benchmarks: list[BenchmarkConfig] = Field(min_length=1)
    cluster: Cluster = Field(default_factory=LocalCluster)
    output: OutputConfig = Field(default_factory=OutputConfig)

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        """Top-level ``solver`` and ``scoring``, named sandboxes, and the only model service."""
        if not isinstance(data, dict) or not isinstance(data.get("benchmarks"), list):
            return data
        data = dict(data)
        shared = {key: data.pop(key) for key in ("solver", "scoring") if key in data}
        models = _model_names(data.get("services"))
        if len(models) == 1:
            shared.setdefault("solver", {"type": "simple", "service": models[0]})
        sandboxes = data.get("sandboxes")
        data["benchmarks"] = [
            _filled(entry, shared, sandboxes if isinstance(sandboxes, dict) else {})
            for entry in data["benchmarks"]
        ]
        return data

    @model_validator(mode="after")
    def _cross_checks(self) -> EvalConfig:
        problems = [f"services.{name}: Reserved name" for name in self.services if name in RESERVED]
        for index, benchmark in enumerate(self.benchmarks):
            where = f"benchmarks[{index}]"
            problems += [f"{where}.{text}" for text in self._benchmark_problems(benchmark)]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _benchmark_problems(self, benchmark: BenchmarkConfig) -> Iterator[str]:
        solver = benchmark.solver
        if solver is None:
            yield "solver: is needed, as there is not exactly one model service"
            return
        service = getattr(solver, "service", None)
        if service is not None:
            wanted = NatAgentService if isinstance(solver, NatSolverConfig) else ModelService
            yield from self._check(service, "solver.service", wanted)
        if solver.type in NEEDS_SANDBOX and benchmark.sandbox.type == "none":
            yield f"sandbox: solver {solver.type} requires a sandbox"
        if isinstance(solver, ToolCallingSolverConfig):
            if solver.resource_service is None and not solver.sandbox_tools:
                yield "solver: tool_calling needs resource_service or sandbox_tools"
            if solver.sandbox_tools and benchmark.sandbox.type == "none":
                yield "sandbox: sandbox_tools requires a sandbox"
            if solver.resource_service is not None:
                resource = solver.resource_service
                yield from self._check(resource, "solver.resource_service", GymResourceService)
        if isinstance(solver, GymDelegationSolverConfig):
            yield from self._check(solver.gym_service, "solver.gym_service", GymResourceService)
        if benchmark.verifier is not None and benchmark.verifier not in self.services:
            yield f"verifier: there is no service {benchmark.verifier!r}"
        yield from self._metric_problems(benchmark, service)

    def _metric_problems(self, benchmark: BenchmarkConfig, service: str | None) -> Iterator[str]:
        for metric in benchmark.scoring.metrics:
            where = f"scoring.metrics[{metric.name}]"
            judges: list[str] = []
            if isinstance(metric, JudgeMetric | RewardModelMetric):
                judges = [metric.service]
            elif isinstance(metric, PairwiseJudgeMetric):
                judges = [metric.judge_service, metric.baseline_service]
            elif isinstance(metric, EnsembleJudgeMetric):
                judges = metric.services
            for name in judges:
                yield from self._check(name, where, ModelService)
            if isinstance(metric, JudgeMetric) and metric.service == service:
                if not metric.allow_self_judge:
                    yield f"{where}: the judge is the same as the solver (allow_self_judge: true)"

    def _check(self, name: str, where: str, wanted: Any) -> Iterator[str]:
        if name not in self.services:
            known = ", ".join(self.services) or "none"
            yield f"{where}: there is no service {name!r} (services: {known})"
        elif not isinstance(self.services[name], wanted):
            yield f"{where}: service {name!r} of type {self.services[name].type} cannot serve here"


def _model_names(services: Any) -> list[str]:
    if not isinstance(services, dict):
        return []
    other = {"gym", "nat", "custom"}
    return [
        name
        for name, body in services.items()
        if isinstance(body, dict) and body.get("type") not in other
    ]


def _filled(entry: Any, shared: dict[str, Any], sandboxes: dict[str, Any]) -> Any:
    if not isinstance(entry, dict):
        return entry
    entry = {**shared, **entry}
    name = entry.get("sandbox")
    if isinstance(name, str):
        if name not in sandboxes and name != "none":
            known = ", ".join(sandboxes) or "none are defined"
            raise ValueError(f"there is no sandbox {name!r} (sandboxes: {known})")
        entry["sandbox"] = sandboxes.get(name, {"type": "none"})
    return entry

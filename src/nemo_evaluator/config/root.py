"""The configuration document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from ..errors import suggest
from .base import ConfigRecord
from .benchmark import BenchmarkConfig
from .budget import BudgetConfig
from .checks import cross_checks
from .cluster import Cluster, LocalCluster
from .gate import GateConfig
from .output import OutputConfig
from .problems import Problem, format_path
from .sandboxes import AnySandbox, NoSandbox, Sandbox
from .scoring import ScoringConfig
from .services import ApiService, ManagedModelFields, ModelFields, Service, SimulatedService
from .slurm_checks import slurm_checks
from .solvers import SimpleSolver, Solver


class EvalConfig(ConfigRecord):
    """The whole document."""

    services: dict[str, Service]
    """Models and servers, by name."""
    sandboxes: dict[str, Sandbox] = Field(default_factory=dict)
    """Sandboxes benchmarks can refer to by name."""
    solver: Solver | None = None
    """Solver of every benchmark that does not set its own."""
    scoring: ScoringConfig | None = None
    """Scoring of every benchmark that does not set its own."""
    benchmarks: list[BenchmarkConfig] = Field(min_length=1)
    """Benchmarks to run, in order."""
    budget: BudgetConfig = Field(default_factory=BudgetConfig)
    """Limits on the cost, tokens and time of the run."""
    gate: GateConfig | None = None
    """The gate that the results are judged by, and whether the run ends when it is decided."""
    cluster: Cluster = Field(default_factory=LocalCluster)
    """Where the run is executed."""
    output: OutputConfig = Field(default_factory=OutputConfig)
    """Where results go."""

    @model_validator(mode="after")
    def _fill_in_and_check(self) -> EvalConfig:
        problems = list(_unknown_sandboxes(self))
        filled = [self._filled(benchmark) for benchmark in self.benchmarks]
        # The record is frozen for its readers; it has not been handed out yet.
        object.__setattr__(self, "benchmarks", filled)
        problems += [*cross_checks(self), *slurm_checks(self)]
        if problems:
            text = "; ".join(f"{format_path(p.path)}: {p.what}" for p in problems)
            raise PydanticCustomError("cross_check", "{text}", {"text": text, "problems": problems})
        return self

    def _filled(self, benchmark: BenchmarkConfig) -> BenchmarkConfig:
        """With the top-level solver and scoring, the only model, and its sandbox by name."""
        update: dict[str, Any] = {}
        if benchmark.solver is None:
            update["solver"] = self.solver or self._only_model()
        if self.scoring is not None and "scoring" not in benchmark.model_fields_set:
            update["scoring"] = self.scoring
        sandbox = benchmark.sandbox
        if isinstance(sandbox, str):
            update["sandbox"] = sandbox = self._sandbox(sandbox)
        if "verify_timeout" in sandbox.model_fields_set - benchmark.model_fields_set:
            update["verify_timeout"] = getattr(sandbox, "verify_timeout", None)
        return benchmark.model_copy(update=update) if update else benchmark

    def _only_model(self) -> SimpleSolver | None:
        models = [name for name, s in self.services.items() if isinstance(s, ModelFields)]
        return SimpleSolver(service=models[0]) if len(models) == 1 else None

    def _sandbox(self, name: str) -> AnySandbox:
        return self.sandboxes.get(name) or NoSandbox()

    def uses_sandbox(self, name: str) -> bool:
        """Whether a benchmark refers to this one of ``sandboxes``."""
        return any(benchmark.sandbox is self.sandboxes[name] for benchmark in self.benchmarks)

    def managed_services(self) -> dict[str, ManagedModelFields]:
        """The model servers that this tool would start."""
        found: Mapping[str, Any] = self.services
        return {name: s for name, s in found.items() if isinstance(s, ManagedModelFields)}

    def model_url(self, name: str) -> str:
        """Address of a model service; ``simulated:`` for one inside the process."""
        service = self._model(name)
        if isinstance(service, ApiService):
            return service.url
        if isinstance(service, SimulatedService):
            return "simulated:"
        return f"http://localhost:{getattr(service, 'port', 8000)}/v1"

    def model_id(self, name: str) -> str:
        """Model id sent in requests: the served name, the ``model`` of an endpoint, or the key."""
        service = self._model(name)
        if isinstance(service, ManagedModelFields):
            return service.served_model_name or name
        return getattr(service, "model", None) or name

    def _model(self, name: str) -> ModelFields:
        service = self.services[name]
        if not isinstance(service, ModelFields):
            raise KeyError(f"{name} is not a model service")
        return service


def _unknown_sandboxes(config: EvalConfig) -> Iterator[Problem]:
    for index, benchmark in enumerate(config.benchmarks):
        name = benchmark.sandbox
        if isinstance(name, str) and name != "none" and name not in config.sandboxes:
            path = ("benchmarks", index, "sandbox")
            yield Problem(path, f"there is no sandbox {name!r}", suggest(name, config.sandboxes))

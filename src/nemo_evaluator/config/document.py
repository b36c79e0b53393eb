"""The configuration document as data: what each part is, and what may be asked of it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from .base import ConfigRecord
from .benchmark import BenchmarkConfig
from .budget import BudgetConfig
from .cluster import Cluster, LocalCluster
from .gate import GateConfig
from .output import OutputConfig
from .sandboxes import Sandbox
from .scoring import ScoringConfig
from .services import ManagedModelFields, ModelFields, Service
from .solvers import Solver


class Document(ConfigRecord):
    """The whole document, its parts valid one by one."""

    services: dict[str, Service] = Field(default_factory=dict)
    """Models and servers, by name; none where no solver asks a model (`oracle`, `nop`)."""
    sandboxes: dict[str, Sandbox] = Field(default_factory=dict)
    """Sandboxes benchmarks can refer to by name."""
    models: list[str] = Field(default_factory=list)
    """Services that each benchmark is asked of, where its solver names none: an entry for each,
    labelled ``BENCHMARK@SERVICE``."""
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

    def uses_sandbox(self, name: str) -> bool:
        """Whether a benchmark refers to this one of ``sandboxes``."""
        return any(benchmark.sandbox is self.sandboxes[name] for benchmark in self.benchmarks)

    def managed_services(self) -> dict[str, ManagedModelFields]:
        """The model servers that this tool would start."""
        found: Mapping[str, object] = self.services
        return {name: s for name, s in found.items() if isinstance(s, ManagedModelFields)}

    def model_url(self, name: str) -> str:
        """Address of a model service; ``simulated:`` for one inside the process."""
        return self._model(name).address

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

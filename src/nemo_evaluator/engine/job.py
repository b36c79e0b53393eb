"""One benchmark as it is handed to the engine: everything is opened, loaded and planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..environments.contract import Environment
from ..judging.verification import JudgeFile
from ..services.contract import OpenServer
from ..solvers.contract import Solver
from ..traffic.client import ModelClient
from ..types import BenchmarkPlan
from .early_end import Watch
from .sandboxing import Lender
from .workspaces import Workspaces


@dataclass(frozen=True, slots=True)
class Job:
    """What is needed to run one benchmark."""

    plan: BenchmarkPlan
    environment: Environment
    solver: Solver
    model: ModelClient | None
    order: Sequence[int]
    folder: Path
    max_concurrent: int
    timeout: float
    verify_timeout: float
    longer_verification: bool
    """A problem may say that its verification takes longer."""
    max_system_retries: int
    models: Mapping[str, ModelClient] = field(default_factory=dict)
    """What the solver may ask, by role."""
    servers: Mapping[str, OpenServer] = field(default_factory=dict)
    """Servers that are no models, by role."""
    asks: frozenset[str] = frozenset()
    """Names of the services that it asks, whatever for."""
    sandboxes: Lender | None = None
    workspaces: Workspaces | None = None
    """Where the solver works, if it needs a sandbox."""
    judge_file: JudgeFile | None = None
    """Where judges are asked, if the benchmark has any."""
    judges: Sequence[ModelClient] = ()
    """What verification asks."""
    watch: Watch | None = None
    """What may end the benchmark before its last problem."""

    @property
    def decided(self) -> bool:
        """Whether the benchmark is to end before its last problem."""
        return self.watch is not None and self.watch.done

    @property
    def window(self) -> int:
        """Rollouts under way at most."""
        return self.window_of(self.max_concurrent)

    def share_of_models(self, most: int) -> None:
        """Have at most this many requests of this benchmark in flight from now on."""
        for model in self.models.values():
            model.limiter.resize_share(self.plan.slug, most)

    def window_of(self, most: int) -> int:
        """Rollouts under way where ``most`` may be in flight. Where calls wait for the service's
        limit, twice as many, so that a call is there whenever one ends. No more than there are
        workspaces for: who waits for one would keep others from the service."""
        if self.workspaces is not None:
            return min(most, self.workspaces.limit)
        return most if self.model is None else 2 * most

"""One entry of `benchmarks`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from .base import ConfigRecord
from .sandboxes import NoSandbox, SandboxOrName
from .scoring import ScoringConfig
from .solvers import Solver


class BenchmarkConfig(ConfigRecord):
    """A benchmark, the solver that answers it, and how it is run."""

    name: str = Field(min_length=1)
    """A built-in name, ``FILE.py[:NAME]``, ``module:attribute`` or a URI such as ``lm-eval://x``."""
    playbook: str | None = None
    """File with defaults for this entry (``FILE.yaml``); what the entry sets wins."""
    label: str | None = Field(None, min_length=1)
    """Name of its folder and in reports; tells two entries of one benchmark apart."""
    solver: Solver | None = None
    """Produces the answers; null: the top-level ``solver``, or the only model service directly."""
    repeats: int = Field(1, ge=1)
    """Rollouts per problem."""
    max_problems: int | None = Field(None, ge=1)
    """Maximum number of problems, cut after the shuffle; null: all."""
    max_concurrent: int = Field(32, ge=1)
    """Cap of the adaptive number of rollouts in flight."""
    fewshot: int | None = Field(None, ge=0)
    """Solved examples in the prompt; null: the benchmark's own number."""
    template: Literal["format", "jinja"] | None = None
    """How the benchmark's prompt is written; null: as the benchmark says."""
    context_window: int | None = Field(None, ge=1)
    """Context of the model in tokens."""
    timeout: float = Field(1800.0, gt=0)
    """Seconds for one rollout, from its first request."""
    verify_timeout: float = Field(600.0, gt=0)
    """Seconds for one verification."""
    skip_failed: bool = False
    """Accept rollouts without a verdict instead of ending as incomplete."""
    max_system_retries: int = Field(3, ge=0)
    """Attempts at a rollout whose failure was not the model's; 0 and 1 both mean one."""
    min_coverage: float | None = Field(None, ge=0, le=1)
    """Share of rollouts that must have a verdict; below it the run exits with 1."""
    instruction_template: str | None = None
    """Template that rewrites the prompt; ``off``, ``none`` and null mean none."""
    verifier: str | None = None
    """Gym service that verifies instead of the benchmark."""
    shuffle_seed: int | None = 42
    """Order of execution, and which problems ``max_problems`` keeps; null: the dataset's order."""
    sandbox: SandboxOrName = Field(default_factory=NoSandbox)
    """Where untrusted code runs: a sandbox, or the name of one of ``sandboxes``."""
    scoring: ScoringConfig = Field(default_factory=ScoringConfig)
    """Further metrics; not set: the top-level ``scoring``."""
    params: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the benchmark."""

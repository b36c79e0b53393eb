"""A task as it was read from its folder: where it runs, what is asked, how it is verified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..types import Json
from .settings import Healthcheck, Internet, StepPart, User

TESTS = "/tests"
SOLUTION = "/solution"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The environment of an agent, or of a verifier: an image, or a folder to build one of."""

    image: str | None
    context: Path | None
    """The folder to build of where there is no ready image."""
    dockerfile: str = "Dockerfile"
    build_args: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    build_timeout: float = 600.0
    cwd: str | None = None
    """Working directory; None: the image's."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables, with ``${NAME}`` and ``${NAME:-default}`` for those of this machine."""
    internet: Internet = Internet.PUBLIC
    cpus: float | None = None
    memory_mb: int | None = None
    storage_mb: int | None = None
    healthcheck: Healthcheck | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """How what an agent left is verified: a script of the task, and what comes with it."""

    sources: tuple[Path, ...]
    """Folders and files that are copied to ``/tests``, in this order; none where the verifier's
    image brings them."""
    script: str
    """Name of the script in ``/tests``."""
    timeout: float
    env: Mapping[str, str] = field(default_factory=dict)
    user: User = None
    by_exit_code: bool = False
    """The exit code is the verdict (Terminal-Bench 1); else a reward file is."""
    place: Place | None = None
    """Where it runs; None: where the agent worked."""
    artifacts: tuple[str, ...] = ()
    """What is carried from the agent's place to the verifier's: absolute paths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """The gold solution of a task or of a step."""

    sources: tuple[Path, ...]
    """Folders and files that are copied to ``/solution``."""
    script: str
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One thing that is asked, and how it is verified: a task has one, or one for each step."""

    name: str
    """Of the step; empty where the task has none."""
    instruction: str
    check: Check
    solution: Solution | None
    user: User = None
    """Who the agent is; None: the image's user."""
    agent_timeout: float | None = None
    files: Path | None = None
    """Folder whose content is put into the working directory first; ``setup.sh`` in it is run."""
    step: StepPart | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task folder. Everything that can be known without running it has been checked."""

    folder: Path
    name: str
    metadata: Mapping[str, Json]
    place: Place
    stages: tuple[Stage, ...]
    reward_of: str = "mean"
    """How the rewards of several steps become one: ``mean`` or ``final``."""

    @property
    def instruction(self) -> str:
        """What is asked first."""
        return self.stages[0].instruction

"""Output: where results go and what is written besides them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from ..kinds import REPORTS
from .base import ConfigRecord


class TrajectoriesConfig(ConfigRecord):
    """Further content of trajectories."""

    enrich: bool = True
    """Add what the model traffic tells about each step."""


KeepWorkspaces = Literal["none", "failed", "all"]


class OutputConfig(ConfigRecord):
    """The run directory and what is written besides the results."""

    dir: str = Field("./eval_results", min_length=1)
    """The run directory."""
    timestamped: bool | None = None
    """Write into a subdirectory per run; null: on Slurm only. Local runs never do."""
    progress_interval: float = Field(60.0, gt=0)
    """Seconds between progress lines where the output is not a terminal."""
    report: list[str] = Field(default_factory=lambda: ["markdown"])
    """Formats of the report written at the end."""
    export: list[str] = Field(default_factory=list)
    """Exporters that finished runs are handed to; `nel list exporters` shows them."""
    export_config: dict[str, Any] = Field(default_factory=dict)
    """Options of the exporters, by name."""
    trajectories: TrajectoriesConfig = Field(default_factory=TrajectoriesConfig)
    """Further content of trajectories."""

    keep_workspaces: KeepWorkspaces = "none"
    """Workspaces to keep for a look into them: those of rollouts that failed, or all."""

    @field_validator("report")
    @classmethod
    def _are_formats(cls, names: list[str]) -> list[str]:
        for name in names:
            if not REPORTS.has(name):
                raise ValueError(
                    f"there is no format {name!r} (formats: {', '.join(REPORTS.names())})"
                )
        return names

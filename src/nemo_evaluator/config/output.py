"""Output: where results go."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from .base import ConfigRecord


class TrajectoriesConfig(ConfigRecord):
    """What is added to trajectories."""

    enrich: bool = True


class OutputConfig(ConfigRecord):
    """The run directory and what is written besides the results."""

    dir: str = "./eval_results"
    timestamped: bool = True
    """Only of use on a cluster; a local run writes into ``dir`` itself."""
    progress_interval: float = Field(60.0, gt=0)
    """Seconds between progress lines where the output is not a terminal."""
    report: list[str] = Field(default_factory=lambda: ["markdown"])
    """Formats of the report written at the end."""
    export: list[str] = Field(default_factory=list)
    export_config: dict[str, Any] = Field(default_factory=dict)
    trajectories: TrajectoriesConfig = Field(default_factory=TrajectoriesConfig)

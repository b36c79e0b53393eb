"""Hands a run on when it has ended (``output.export``). What fails there changes nothing of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..config.load import Loaded, load
from ..errors import ConfigError
from ..exporters.registry import export_run, exporter_options
from ..results.layout import CONFIG
from ..results.run_info import RunStatus
from ..results.view import RunView

COMPLETE = (RunStatus.DONE, RunStatus.DECIDED)
"""Endings after which nothing more comes."""


async def hand_on_merged(directory: Path, status: RunStatus) -> tuple[str, ...]:
    """Export a run that was put together of shards, which were not exported."""
    try:
        output = RunView(directory).config.get("output")
        if not isinstance(output, Mapping) or not output.get("export"):
            return ()
        loaded = load(directory / CONFIG)
    except ConfigError as error:  # a variable that was set where the shards were run
        return (f"warning: not exported: {error}; again: nel export {directory} --dest NAME",)
    return await hand_on(loaded, directory, status)


async def hand_on(loaded: Loaded, directory: Path, status: RunStatus) -> tuple[str, ...]:
    """Export a run as its configuration says: what was written where, and what failed."""
    names = loaded.config.output.export
    if not names:
        return ()
    again = f"nel export {directory} --dest"
    if status not in COMPLETE:
        return (
            f"not exported, since the run is {status}: {again} {names[0]} exports what is there",
        )
    settings = loaded.config.output.export_config
    options = {
        name: exporter_options(name, settings.get(name, {}), loaded.secrets) for name in names
    }
    done, failed = await export_run(RunView(directory), options, loaded.secrets)
    return (*done, *(f"warning: {text}; again: {again} NAME" for text in failed))

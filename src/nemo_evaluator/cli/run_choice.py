"""Which run a command is about: by its directory, by its id, or the one in ./eval_results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from ..executors.contract import RunHandle

F = TypeVar("F", bound=Callable[..., object])
SHARD = "shard_{}"


def run_options(command: F) -> F:
    """The options that name a run."""
    options = (
        click.argument("directory", required=False, type=click.Path(path_type=Path)),
        click.option("-r", "--run-id", help="Find the run by its id, not its directory."),
        click.option(
            "-o", "--output-dir", type=click.Path(path_type=Path), help="The same as DIRECTORY."
        ),
        click.option("-s", "--shard", type=click.IntRange(0), help="Only this shard of the run."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def chosen_run(
    directory: Path | None, run_id: str | None, output_dir: Path | None, shard: int | None
) -> Path:
    """The directory of the run. Raises UsageError and ConfigError."""
    from .eval_report import chosen_directory

    if directory is not None and output_dir is not None:
        raise click.UsageError("give DIRECTORY or --output-dir")
    found = chosen_directory(directory or output_dir, run_id)
    return found if shard is None else found / SHARD.format(shard)


def shards_of(directory: Path) -> list[Path]:
    """The shards in a directory that is not a run itself."""
    from ..results.layout import PLAN_LOCK

    if (directory / PLAN_LOCK).exists():
        return []
    shards = [path for path in directory.glob(SHARD.format("*")) if path.is_dir()]
    return sorted(shards, key=lambda path: (len(path.name), path.name))


def handle(directory: Path) -> RunHandle:
    """The run in a directory. Raises ConfigError where there is none."""
    from ..errors import ConfigError
    from ..executors.registry import attach

    found = attach(directory)
    if found is None:
        shards = shards_of(directory)
        hint = f"choose one of its {len(shards)} shards with --shard" if shards else None
        raise ConfigError("holds no run", where=str(directory), hint=hint)
    return found

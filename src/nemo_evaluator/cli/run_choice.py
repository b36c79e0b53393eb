"""Which run a command is about: by its directory, its id or a job's, or the one in
./eval_results."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..executors.contract import RunHandle

SHARD = "shard_{}"
OPTIONS = (
    click.argument("directory", required=False, type=click.Path(path_type=Path)),
    click.option("-r", "--run-id", help="Find the run by its id, not its directory."),
    click.option(
        "-o", "--output-dir", type=click.Path(path_type=Path), help="The same as DIRECTORY."
    ),
    click.option("--job-id", help="Find the run by the id of a job it was submitted as."),
    click.option("--host", help="Only with --job-id: the job was submitted on this host."),
    click.option("-s", "--shard", type=click.IntRange(0), help="Only this shard of the run."),
)


def run_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that name a run; the command gets its directory as ``chosen``."""

    @wraps(command)
    def choosing(
        directory: Path | None,
        run_id: str | None,
        output_dir: Path | None,
        job_id: str | None,
        host: str | None,
        shard: int | None,
        **others: Any,
    ) -> None:
        if sum(given is not None for given in (directory, output_dir, run_id, job_id)) > 1:
            raise click.UsageError("give one of DIRECTORY, --output-dir, --run-id and --job-id")
        if host is not None and job_id is None:
            raise click.UsageError("--host goes with --job-id")
        chosen = _chosen(directory or output_dir, run_id, job_id, host)
        command(chosen if shard is None else chosen / SHARD.format(shard), **others)

    wrapped: Callable[..., None] = choosing
    for option in reversed(OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def _chosen(
    directory: Path | None, run_id: str | None, job_id: str | None, host: str | None
) -> Path:
    """The directory of the run. Raises ConfigError."""
    from ..tasks.find_run import job_directory, latest_submission
    from .eval_report import chosen_directory

    if job_id is not None:
        return job_directory(job_id, host)
    found = chosen_directory(directory, run_id)
    return latest_submission(found) or found


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

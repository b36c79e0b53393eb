"""`nel eval merge`: the shards of a run become one run."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command()
@click.argument("directory", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.option("-r", "--run-id", help="Find the run by the id of one of its shards.")
@click.option(
    "-n", "--repeats", type=click.IntRange(1), help="Refuse shards with another number of repeats."
)
@click.option("--partial", is_flag=True, help="Merge even if shards are missing.")
def command(directory: Path | None, run_id: str | None, repeats: int | None, partial: bool) -> None:
    """Merge the shards in DIRECTORY (shard_0, shard_1, ...; ./eval_results unless given) into it.

    The result is what the unsharded run would have written. The shards are not changed.
    """
    from ..config.snapshot import safe_command
    from ..executors.exporting import hand_on_merged
    from ..reports.console import print_summary
    from ..runtime import run_blocking
    from ..tasks.merge import merge
    from .eval_report import chosen_directory

    directory = chosen_directory(directory, run_id)
    if run_id is not None and directory.name.startswith("shard_"):
        directory = directory.parent
    done = merge(
        directory, partial=partial, repeats=repeats, command=safe_command(["nel", *sys.argv[1:]])
    )
    for benchmark in done.summary.benchmarks:
        click.echo(f"Merging {benchmark.slug}: {done.shards} shards -> {directory}")
    print_summary(done.summary)
    exported = run_blocking(hand_on_merged(directory, done.summary.run.status))
    for message in (*done.messages, *exported):
        click.echo(message, err=True)
    sys.exit(done.exit_code)

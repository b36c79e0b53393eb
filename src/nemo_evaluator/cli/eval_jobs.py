"""`nel eval jobs` and `nel eval clean`: the list of runs, and what is not to be listed any more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..tasks.run_list import Listed


@click.command()
@click.option("--offline", is_flag=True, help="Ask no scheduler and no other host.")
def jobs(offline: bool) -> None:
    """List the runs of this user, and those below the working directory, the latest first."""
    from ..runtime import run_blocking
    from ..tasks.find_run import shown
    from ..tasks.run_list import list_runs

    runs = run_blocking(list_runs(offline=offline))
    if not runs:
        click.echo("No runs.")
        return
    rows = [("RUN", "EXECUTOR", "STATE", "DONE", "BENCHMARKS", "DIRECTORY")]
    for run in runs:
        states = run.state.benchmarks.values() if run.state is not None else ()
        done, total = sum(s.done for s in states), sum(s.total for s in states)
        names = ", ".join(s.name for s in states)
        rows.append(
            (
                run.run_id,
                run.executor,
                str(run.state.state) if run.state is not None else _unseen(run),
                f"{done}/{total}" if total else "",
                names if len(names) <= 40 else f"{names[:37]}...",
                str(shown(run.directory)),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        line = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())


def _unseen(run: Listed) -> str:
    """The state of a run that nothing here tells of."""
    return "gone" if run.executor == "local" else "unknown"


@click.command()
@click.option("--older-than", help="Only runs older than this: 24h, 7d, 4w or 3m (months).")
@click.option("--executor", help="Only runs of this executor.")
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--images",
    is_flag=True,
    help="Instead: remove the Docker images that were built for tasks, or kept of workspaces.",
)
def clean(
    older_than: str | None, executor: str | None, dry_run: bool, yes: bool, images: bool
) -> None:
    """Remove runs from the list of nel eval jobs, and their containers or jobs where they have
    ended. Their results stay where they are; runs that are running stay on the list."""
    if images:
        _clean_images(dry_run=dry_run, yes=yes)
        return
    from ..runtime import run_blocking
    from ..tasks.find_run import shown
    from ..tasks.run_list import days, forget, old_notes

    notes = run_blocking(old_notes(days(older_than) if older_than else None, executor))
    for _, note in notes:
        click.echo(f"{note.run_id}  {shown(Path(note.output_dir))}")
    if not notes:
        click.echo("Nothing to remove.")
        return
    if dry_run:
        return
    question = f"Remove {len(notes)} runs from the list (their results stay)?"
    if not yes and not click.confirm(question):
        click.echo("nothing was removed")
        return
    kept = [why for path, note in notes if (why := run_blocking(forget(path, note))) is not None]
    for why in kept:
        click.echo(f"warning: {why}", err=True)
    click.echo(f"removed from the list: {len(notes) - len(kept)}")


def _clean_images(*, dry_run: bool, yes: bool) -> None:
    from ..runtime import run_blocking
    from ..tasks.images import found_images, remove_images

    names = run_blocking(found_images())
    for name in names:
        click.echo(name)
    if not names:
        click.echo("Nothing to remove.")
    elif not dry_run and (yes or click.confirm(f"Remove {len(names)} images?")):
        click.echo(f"removed: {len(run_blocking(remove_images(names)))}")

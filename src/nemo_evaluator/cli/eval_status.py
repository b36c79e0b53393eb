"""`nel eval status`: what a run is doing, or how it ended."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .run_choice import chosen_run, run_options, shards_of

if TYPE_CHECKING:
    from ..results.status import RunState

WATCH_SECONDS = 2.0


@click.command()
@run_options
@click.option("-w", "--watch", is_flag=True, help="Show it again until the run has ended.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
def command(
    directory: Path | None,
    run_id: str | None,
    output_dir: Path | None,
    shard: int | None,
    watch: bool,
    as_json: bool,
) -> None:
    """Show what the run in DIRECTORY (./eval_results unless given) is doing, or how it ended.

    With --watch the exit code is that of the run.
    """
    from ..results.status import status_of

    chosen = chosen_run(directory, run_id, output_dir, shard)
    while True:
        states = [status_of(path) for path in shards_of(chosen) or [chosen]]
        if watch and sys.stdout.isatty():
            click.clear()
        click.echo(_json(states) if as_json else "\n\n".join(map(_text, states)))
        if not watch or not any(state.state.active for state in states):
            break
        time.sleep(WATCH_SECONDS)
    if watch:
        sys.exit(max((state.exit_code or 0 for state in states), default=0))


def _text(state: RunState) -> str:
    from ..executors.progress_text import duration
    from ..tasks.find_run import shown

    lines = [
        f"run        {state.run_id or '(not begun)'}",
        f"directory  {shown(state.directory.resolve())}",
        f"state      {_told(state)}",
    ]
    if state.started is not None:
        end = time.time() if state.ended is None else state.ended
        began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(state.started))
        lines.append(f"started    {began}, {duration(max(0.0, end - state.started))} long")
    lines += [f"  {benchmark.line}" for benchmark in state.benchmarks.values()]
    return "\n".join([*lines, *state.messages])


def _told(state: RunState) -> str:
    from ..executors.progress_text import duration
    from ..results.lock import FRESH_SECONDS
    from ..results.status import State

    text = str(state.state)
    if state.owner is not None:
        text += f" ({state.owner})"
        if state.owner.seen > FRESH_SECONDS:
            text += f", without a sign of life for {duration(state.owner.seen)}"
    elif state.state is State.KILLED:
        text += f"; nel eval resume {state.directory} goes on with it"
    elif state.exit_code is not None:
        text += f", exit code {state.exit_code}"
    return text


def _json(states: list[RunState]) -> str:
    import msgspec

    document = [
        {
            "directory": str(state.directory),
            "run_id": state.run_id,
            "state": str(state.state),
            "pid": state.owner.pid if state.owner else None,
            "host": state.owner.host if state.owner else None,
            "started": state.started,
            "ended": state.ended,
            "exit_code": state.exit_code,
            "messages": state.messages,
            "benchmarks": msgspec.to_builtins(dict(state.benchmarks)),
        }
        for state in states
    ]
    encoded = msgspec.json.encode(document[0] if len(document) == 1 else document)
    return msgspec.json.format(encoded, indent=2).decode()

"""`nel eval status`: what a run is doing, or how it ended."""

from __future__ import annotations

import re
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import ExitCode
from .run_choice import handle, run_options, shards_of

if TYPE_CHECKING:
    from ..results.status import RunState

FEW_SHARDS = 8
"""So many are shown one by one."""
WATCH_SECONDS = 2.0
ASK_SECONDS = 10.0
"""The same where a scheduler is asked, which serves many users."""
MEANING: dict[int, str] = {
    ExitCode.DONE: "complete",
    ExitCode.FAILED_CHECK: "complete, and a check failed",
    ExitCode.USER_ERROR: "failed: something is for you to fix",
    ExitCode.INCOMPLETE: "results are missing; nel eval resume goes on",
    ExitCode.BUG: "failed by a bug of nel",
    ExitCode.INTERRUPTED: "interrupted; nel eval resume goes on",
    ExitCode.TERMINATED: "terminated; nel eval resume goes on",
}
"""What the exit code of a run that has ended says."""


@click.command()
@run_options
@click.option("-w", "--watch", is_flag=True, help="Show it again until the run has ended.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
def command(chosen: Path, watch: bool, as_json: bool) -> None:
    """Show what the run in DIRECTORY (./eval_results unless given) is doing, or how it ended.

    With --watch the exit code is that of the run.
    """
    from ..runtime import run_blocking

    while True:
        states = run_blocking(_states(chosen))
        if watch and sys.stdout.isatty():
            click.clear()
        click.echo(_json(states) if as_json else "\n\n".join(map(_text, states)))
        if not watch or not any(state.state.active for state in states):
            break
        local = all(state.executor == "local" for state in states)
        time.sleep(WATCH_SECONDS if local else ASK_SECONDS)
    if watch:
        sys.exit(max((state.exit_code or 0 for state in states), default=0))


async def _states(chosen: Path) -> list[RunState]:
    """The run; of shards that were started one by one, each."""
    from ..executors.submission import find_submission
    from ..results.status import PATIENCE, status_of

    if find_submission(chosen) is not None:
        return [await handle(chosen).status()]
    return [status_of(path, patience=PATIENCE) for path in shards_of(chosen) or [chosen]]


def _text(state: RunState) -> str:
    from ..executors.progress_text import duration
    from ..tasks.find_run import shown

    lines = [
        f"run        {state.run_id or '(not begun)'}",
        f"directory  {shown(state.directory)}",
        f"state      {_state_line(state)}",
    ]
    if state.reason:
        lines.append(f"reason     {state.reason}")
    lines += [f"submitted  {job}" for job in state.jobs]
    if (first := state.first_started or state.started) is not None:
        end = time.time() if state.ended is None else state.ended
        began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(first))
        lines.append(f"started    {began}, {duration(max(0.0, end - first))} long")
    lines += [f"  {benchmark.line}" for benchmark in state.benchmarks.values()]
    return "\n".join([*lines, *_shard_lines(state), *state.messages])


def _shard_lines(state: RunState) -> Iterator[str]:
    """What is said of each shard; where there are many, once of all that are alike."""
    from ..engine.shards import ranges
    from ..results.status import State

    few = len(state.shards) <= FEW_SHARDS
    alike: dict[tuple[str, ...], list[int]] = {}
    for index, shard in state.shards.items():
        done = shard.state is State.DONE
        own = [] if done else [text for text in shard.messages if text not in state.messages]
        text = _shard_text(shard)
        if not few:  # the number of a job's task is that of the shard
            text = re.sub(rf"(job \d+)_{index}\b", r"\1", text)
        alike.setdefault((str(index) if few else "", text, *own), []).append(index)
    for (_, text, *own), indices in alike.items():
        yield f"  shard{'s' if len(indices) > 1 else ''} {ranges(indices)}: {text}"
        yield from (f"    {line}" for line in own)


def _shard_text(state: RunState) -> str:
    done = sum(benchmark.done for benchmark in state.benchmarks.values())
    total = sum(benchmark.total for benchmark in state.benchmarks.values())
    rates = [b.rollouts_per_s for b in state.benchmarks.values() if b.rollouts_per_s is not None]
    text = str(state.state) + (f" {done}/{total}" if total else "")
    if rates and state.state.active:
        text += f" {sum(rates):.3g}/s"
    return text + (f" ({state.reason})" if state.reason else "")


def _state_line(state: RunState) -> str:
    from ..executors.progress_text import duration
    from ..results.lock import FRESH_SECONDS
    from ..results.status import State

    text = str(state.state)
    if state.executor != "local":
        text += f" on {state.executor}"
    if state.owner is not None:
        text += f" ({state.owner})"
        if state.owner.seen > FRESH_SECONDS:
            text += f", without a sign of life for {duration(state.owner.seen)}"
    elif state.state is State.KILLED:
        text += f"; nel eval resume {shlex.quote(str(state.directory))} goes on with it"
    elif state.exit_code is not None:
        meaning = MEANING.get(state.exit_code, "failed")
        text += f", exit code {state.exit_code} ({meaning})"
    return text


def _json(states: list[RunState]) -> str:
    import msgspec

    document = [_document(state) for state in states]
    encoded = msgspec.json.encode(document[0] if len(document) == 1 else document)
    return msgspec.json.format(encoded, indent=2).decode()


def _document(state: RunState) -> dict[str, object]:
    import msgspec

    return {
        "directory": str(state.directory),
        "run_id": state.run_id,
        "executor": state.executor,
        "state": str(state.state),
        "reason": state.reason,
        "pid": state.owner.pid if state.owner else None,
        "host": state.owner.host if state.owner else None,
        "started": state.started,
        "first_started": state.first_started,
        "ended": state.ended,
        "exit_code": state.exit_code,
        "messages": state.messages,
        "jobs": state.jobs,
        "benchmarks": msgspec.to_builtins(dict(state.benchmarks)),
        "shards": {str(index): _document(shard) for index, shard in state.shards.items()},
    }

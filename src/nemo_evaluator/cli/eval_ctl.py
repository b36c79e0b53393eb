"""`nel eval ctl`: changes a run while it goes on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import ExitCode
from .numbers import FloatRange
from .run_choice import run_options

if TYPE_CHECKING:
    from ..results.requests import ControlRequest
    from ..tasks.steer import Steered

SHOW = "show"
ACTIONS = (SHOW, "pause", "resume", "requeue-errored", "finish")
SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


class Limit(click.ParamType[tuple[str, int]]):
    """``SERVICE=N``."""

    name = "limit"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """Name and number, or a usage error."""
        name, _, number = str(value).rpartition("=")
        if not name or not number.isdecimal() or not 0 < int(number) <= MOST:
            self.fail(f"{value!r} is not SERVICE=N, with N from 1 to {MOST:,}", param, ctx)
        return name, int(number)


class Seconds(click.ParamType[float]):
    """``90``, ``90s``, ``15m``, ``2h``."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds, or a usage error."""
        text = str(value).strip()
        unit = SECONDS.get(text[-1:])
        number = FloatRange(0, 1e9).convert(text if unit is None else text[:-1], param, ctx)
        return number * (unit or 1.0)


MOST = 1_000_000


class _ActionAnywhere(click.Command):
    """The action may stand before the directory, or without one."""

    def invoke(self, ctx: click.Context) -> Any:
        given = ctx.params
        first, second = given["directory"], given["action"]
        if first is not None and str(first) in ACTIONS and second not in ACTIONS:
            given["directory"] = Path(second) if second is not None else None
            given["action"] = str(first)
        elif second is not None and second not in ACTIONS:
            raise click.UsageError(f"{second!r} is none of {', '.join(ACTIONS)}", ctx)
        return super().invoke(ctx)


@click.command(cls=_ActionAnywhere)
@run_options
@click.argument("action", required=False, metavar="[ACTION]")
@click.option(
    "--max-concurrent",
    type=click.IntRange(1, MOST),
    help="Rollouts in flight at most, of each benchmark or of --benchmark.",
)
@click.option("-b", "--benchmark", help="The benchmark that --max-concurrent is for.")
@click.option(
    "--limit",
    "limits",
    type=Limit(),
    multiple=True,
    help="SERVICE=N: requests in flight at most; repeatable.",
)
@click.option(
    "--older-than",
    type=Seconds(),
    help="With finish: what is in flight may take this long in all (90, 15m, 2h). Without"
    " --older-than everything in flight is given up now.",
)
@click.option(
    "--wait",
    type=FloatRange(0),
    default=30.0,
    show_default=True,
    help="Seconds to wait until the run took note.",
)
def command(
    chosen: Path,
    action: str | None,
    max_concurrent: int | None,
    benchmark: str | None,
    limits: tuple[tuple[str, int], ...],
    older_than: float | None,
    wait: float,
) -> None:
    """Change the run in DIRECTORY (./eval_results unless given) while it goes on, wherever it runs:
    on this machine, in a container, in jobs of a cluster. If it has shards, all that are at work
    are changed. ACTION is one of

    \b
    show             what can be changed, and what it is now
    pause            start nothing new; what is in flight is finished
    resume           end a pause
    requeue-errored  try rollouts that ended without a verdict again, in this run
    finish           end with what there is: what is in flight is given up

    Without an action or an option it shows what can be changed. Else it waits until the run took
    note, and prints what changed.
    """
    from ..results.requests import Action, ControlRequest

    if benchmark is not None and max_concurrent is None:
        raise click.UsageError("--benchmark goes with --max-concurrent")
    if older_than is not None and action != "finish":
        raise click.UsageError("--older-than goes with finish")
    request = ControlRequest(
        action=None if action in (None, SHOW) else Action(action),
        older_than=older_than or 0.0,
        max_concurrent=max_concurrent,
        benchmark=benchmark,
        limits=dict(limits),
    )
    if request == ControlRequest():
        _show(chosen)
        return
    sys.exit(_ask(chosen, request, wait))


def _ask(chosen: Path, request: ControlRequest, wait: float) -> int:
    from ..errors import ConfigError
    from ..runtime import run_blocking
    from ..tasks.steer import runs_in, steer

    answers = run_blocking(steer(runs_in(chosen), request, wait=wait))
    refused = [answer.reply.refused for answer in answers if answer.reply and answer.reply.refused]
    if len(refused) == len(answers):
        raise ConfigError("; ".join(dict.fromkeys(refused)), where=str(chosen))
    for answer in answers:
        for line in _reply_lines(answer):
            click.echo(line if len(answers) == 1 else f"{answer.directory.name}: {line}")
    if refused:
        return ExitCode.USER_ERROR
    nobody = all(answer.reply is None for answer in answers)
    late = any(answer.late for answer in answers)
    return ExitCode.INCOMPLETE if nobody or late else ExitCode.DONE


def _reply_lines(answer: Steered) -> list[str]:
    if answer.reply is None:
        return [answer.note]
    if answer.reply.refused is not None:
        return [f"refused: {answer.reply.refused}"]
    return [*answer.reply.said]


def _show(chosen: Path) -> None:
    from ..results.progress_file import read_progress
    from ..results.status import status_of
    from ..tasks.steer import runs_in

    for directory in runs_in(chosen):
        state = status_of(directory)
        click.echo(f"{directory}: {state.state}")
        progress = read_progress(directory)
        for slug, benchmark in state.benchmarks.items():
            most = "" if benchmark.limit is None else f", at most {benchmark.limit} now"
            counts = f"{benchmark.done}/{benchmark.total} done, {benchmark.in_flight} in flight"
            failed = sum(benchmark.failed.values())
            click.echo(f"  {slug}: {counts}{most}, {failed} errored")
        for message in state.messages:
            click.echo(f"  {message}")
        for reply in progress.replies if progress is not None else ():
            lines = reply.said if reply.refused is None else (f"refused: {reply.refused}",)
            for line in lines:
                click.echo(f"  asked before: {line}")

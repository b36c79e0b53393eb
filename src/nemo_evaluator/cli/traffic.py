"""`nel traffic`: what was said between a run and its models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..types import RolloutKey


@click.command()
@click.argument("directory", type=click.Path(exists=True, path_type=Path))
@click.option(
    "-r",
    "--rollout",
    metavar="IDX/REPEAT",
    help="Print this rollout, e.g. 12/0: steps of an agent, and calls.",
)
@click.option("-s", "--session", metavar="NAME", help="Print this session of a proxy.")
@click.option("-b", "--bench", help="Show only this benchmark of the run.")
@click.option("--attempt", type=click.IntRange(1), help="Only this attempt.  [all]")
@click.option("--calls", "calls_only", is_flag=True, help="Print the calls without the steps.")
@click.option("--full", is_flag=True, help="Cut no text of a step.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1), help="Sessions to list."
)
def command(
    directory: Path,
    rollout: str | None,
    session: str | None,
    bench: str | None,
    attempt: int | None,
    calls_only: bool,
    full: bool,
    as_json: bool,
    limit: int,
) -> None:
    """Show the model traffic of a run DIRECTORY or of a proxy's log file.

    Lists the sessions. With --rollout, prints the rollout of an agent step by step: each turn with
    its calls, tokens and cost, its tool calls and what they gave back. With --session, or of a
    rollout that is one question, prints the conversation."""
    from ..reports.rollout_steps import talk_json, talk_lines
    from ..reports.traffic import session_json, session_lines
    from ..results.traffic import sessions, traffic_files
    from ..tasks.traffic import of_rollout, of_session

    if rollout is not None and session is not None:
        raise click.UsageError("give --rollout or --session, not both")
    if rollout is not None:
        talks = of_rollout(
            directory, _key(rollout), benchmark=bench, attempt=attempt, steps=not calls_only
        )
    elif session is not None:
        talks = of_session(directory, session, benchmark=bench, attempt=attempt)
    else:
        for path in traffic_files(directory, bench):
            if as_json:
                click.echo("\n".join(session_json(sessions(path))))
                continue
            click.echo(f"{path.parent.name or path.name}: ", nl=False)
            click.echo("\n".join(session_lines(sessions(path), limit)))
        return
    texts = [talk_json(talk) if as_json else talk_lines(talk, full=full) for talk in talks]
    click.echo(("\n" if as_json else "\n\n").join("\n".join(lines) for lines in texts))


def _key(text: str) -> RolloutKey:
    from ..types import RolloutKey

    idx, _, repeat = text.partition("/")
    if not idx.isdecimal() or not (repeat or "0").isdecimal():
        raise click.BadParameter(f"{text!r} is not IDX/REPEAT", param_hint="--rollout")
    return RolloutKey(int(idx), int(repeat or 0))

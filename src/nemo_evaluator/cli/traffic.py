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
    help="Print the conversation of this rollout, e.g. 12/0.",
)
@click.option("-s", "--session", metavar="NAME", help="Print this session of a proxy.")
@click.option("-b", "--bench", help="Show only this benchmark of the run.")
@click.option("--attempt", type=click.IntRange(1), help="Only this attempt.  [all]")
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1), help="Sessions to list."
)
def command(
    directory: Path,
    rollout: str | None,
    session: str | None,
    bench: str | None,
    attempt: int | None,
    limit: int,
) -> None:
    """Show the model traffic of a run DIRECTORY or of a proxy's log file.

    Lists the sessions; with --rollout or --session, prints one conversation."""
    from ..errors import ConfigError
    from ..reports.traffic import conversation_lines, session_lines
    from ..results.traffic import conversations, session_conversations, sessions, traffic_files

    files = traffic_files(directory, bench)
    if rollout is None and session is None:
        for path in files:
            click.echo(f"{path.parent.name or path.name}: ", nl=False)
            click.echo("\n".join(session_lines(sessions(path), limit)))
        return
    if rollout is not None and session is not None:
        raise click.UsageError("give --rollout or --session, not both")
    if session is not None:
        wanted = f"session {session}"
        found = [talk for path in files for talk in session_conversations(path, session)]
    else:
        wanted, key = f"rollout {rollout}", _key(str(rollout))
        found = [talk for path in files for talk in conversations(path, key)]
    shown = [talk for talk in found if attempt in (None, talk.attempt)]
    if not shown:
        attempts = ", ".join(str(talk.attempt) for talk in found)
        hint = (
            f"its attempts: {attempts}" if found else "`nel traffic DIRECTORY` lists the sessions"
        )
        raise ConfigError(f"no call of {wanted}", where=str(directory), hint=hint)
    click.echo("\n\n".join("\n".join(conversation_lines(talk)) for talk in shown))


def _key(text: str) -> RolloutKey:
    from ..types import RolloutKey

    idx, _, repeat = text.partition("/")
    if not idx.isdecimal() or not (repeat or "0").isdecimal():
        raise click.BadParameter(f"{text!r} is not IDX/REPEAT", param_hint="--rollout")
    return RolloutKey(int(idx), int(repeat or 0))

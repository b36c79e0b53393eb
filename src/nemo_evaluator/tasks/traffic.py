"""What was said in a rollout: its steps and calls where an agent worked, else its calls."""

from __future__ import annotations

from pathlib import Path

from ..errors import ConfigError
from ..results.rollout_steps import RolloutSteps, rollout_steps
from ..results.traffic import Conversation, conversations, session_conversations, traffic_files
from ..types import RolloutKey
from .reporting import result_folders


def of_rollout(
    directory: Path, key: RolloutKey, *, benchmark: str | None, attempt: int | None, steps: bool
) -> list[RolloutSteps | Conversation]:
    """Every attempt at a rollout, the first one first; the last with its steps, if they are wanted
    and there are some. Raises ConfigError where there is nothing of it."""
    found: list[RolloutSteps | Conversation] = []
    worked = _steps(directory, key, benchmark) if steps and directory.is_dir() else []
    known = {(one.benchmark, one.attempt) for one in worked}
    try:
        files = traffic_files(directory, benchmark)
    except ConfigError:
        if not worked:
            raise
        files = []
    for path in files:
        talks = conversations(path, key)
        found += [talk for talk in talks if (talk.benchmark, talk.attempt) not in known]
    found += worked
    return _of_attempt(found, attempt, f"rollout {key}", directory)


def of_session(
    directory: Path, name: str, *, benchmark: str | None, attempt: int | None
) -> list[RolloutSteps | Conversation]:
    """What was said in a session of a proxy. Raises ConfigError where there is nothing of it."""
    files = traffic_files(directory, benchmark)
    found: list[RolloutSteps | Conversation] = []
    for path in files:
        found += session_conversations(path, name)
    return _of_attempt(found, attempt, f"session {name}", directory)


def _steps(directory: Path, key: RolloutKey, benchmark: str | None) -> list[RolloutSteps]:
    try:
        folders = result_folders(directory, benchmark)
    except ConfigError:
        return []  # a proxy's log has no results
    found = (rollout_steps(folder, key) for folder in folders)
    return [one for one in found if one is not None and one.of_an_agent]


def _of_attempt(
    found: list[RolloutSteps | Conversation], attempt: int | None, wanted: str, directory: Path
) -> list[RolloutSteps | Conversation]:
    shown = [talk for talk in found if attempt in (None, talk.attempt)]
    if not shown:
        attempts = ", ".join(str(talk.attempt) for talk in found)
        hint = (
            f"its attempts: {attempts}" if found else "`nel traffic DIRECTORY` lists the sessions"
        )
        raise ConfigError(f"no call of {wanted}", where=str(directory), hint=hint)
    return shown

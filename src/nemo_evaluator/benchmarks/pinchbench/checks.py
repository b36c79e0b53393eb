"""The automated checks of a task: its own Python, run in a sandbox on what the agent left.

Invariant: checks that fail, or that give something else than numbers from 0 to 1, say nothing
about the agent: an InfraError, never a 0.
"""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Mapping, Sequence

import msgspec

from ...errors import InfraError
from ...sandboxes.contract import Sandbox
from ...types import Failure, Json, Phase

SECONDS = 120.0
RUNNER = """\
import json, sys
given = json.load(sys.stdin)
scope = {"__name__": "checks"}
exec(compile(given["code"], "checks.py", "exec"), scope)
scores = scope["grade"](given["transcript"], given["workspace"])
print("\\n" + given["word"] + json.dumps(dict(scores)))
"""


async def run_checks(
    sandbox: Sandbox, code: str, transcript: Sequence[Mapping[str, Json]], task: str
) -> dict[str, float]:
    """The score of every criterion. Raises InfraError where the checks fail."""
    word = secrets.token_hex(16)
    given = {
        "code": code,
        "transcript": transcript,
        "workspace": sandbox.spec.cwd or ".",
        "word": word,
    }
    done = await sandbox.exec(
        ["python3", "-I", "-c", RUNNER], stdin=msgspec.json.encode(given), timeout=SECONDS
    )
    line = next((x for x in reversed(done.stdout.splitlines()) if x.startswith(word)), None)
    if not done.ok or line is None:
        why = done.killed_by or (done.stderr.strip().splitlines() or ["they said nothing"])[-1]
        raise _failed(task, f"failed: {why[:300]}")
    return checked(json.loads(line.removeprefix(word)), task)


def checked(scores: object, task: str) -> dict[str, float]:
    """Scores that are numbers from 0 to 1. Raises InfraError."""
    if not isinstance(scores, dict) or not scores:
        raise _failed(task, f"gave {scores!r:.100}, not a score for each criterion")
    for name, value in scores.items():
        if not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= 1:
            raise _failed(task, f"gave {value!r:.50} for {name!r}, not a number from 0 to 1")
    return {str(name): float(value) for name, value in scores.items()}


def _failed(task: str, what: str) -> InfraError:
    return InfraError(
        f"the checks of {task} {what}", kind=Failure.VERIFIER, phase=Phase.VERIFY, peer=task
    )

"""One program against one set of tests: what is sent into the sandbox, and what comes back.

A program passes only if the tests ran to their end in a process it cannot reach (``runner.py``).
Everything else is a failure of the program; a sandbox that fails is an InfraError of its own.
"""

from __future__ import annotations

import secrets
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from ...sandboxes.contract import ExecResult, Sandbox
from ...types import Record

GRACE_SECONDS = 5.0
"""What a sandbox gets beyond the tests' own limit, to start two interpreters and to report."""


class CodeProblem(Record, frozen=True, kw_only=True):
    """A program and what it must do."""

    source: str
    """The program; defines ``entry_point``."""
    entry_point: str
    test: str
    """Defines ``check(candidate)``, which raises where the program is wrong."""
    prelude: str = ""
    """What the tests may use besides: imports and helpers of the problem."""
    timeout: float = 3.0
    """Seconds for all tests together, as in the official harness of HumanEval."""


class CheckResult(Record, frozen=True, kw_only=True):
    """The verdict."""

    passed: bool
    reason: str = ""
    """Why not: ``timeout``, ``wrong: ...``, ``error: ...``, ``killed: ...``."""
    seconds: float = 0.0


async def check_code(sandbox: Sandbox, problem: CodeProblem) -> CheckResult:
    """Check a program. Raises SandboxLost (an InfraError) if the sandbox fails."""
    word = secrets.token_hex(16)
    task = {
        "word": word,
        "runner": _runner(),
        "source": problem.source,
        "entry_point": problem.entry_point,
        "test": problem.test,
        "prelude": problem.prelude,
        "timeout": problem.timeout,
    }
    result = await sandbox.exec(
        ["python3", "-I", "-c", _runner()],
        stdin=msgspec.json.encode(task),
        timeout=problem.timeout + GRACE_SECONDS,
    )
    return verdict(result, word)


def verdict(result: ExecResult, word: str) -> CheckResult:
    """What the tests said, known by the word that only they knew."""
    for line in reversed(result.stdout.splitlines()):
        said, _, reason = line.partition(" ")
        if said == word:
            why: Any = msgspec.json.decode(reason.encode())
            return CheckResult(
                passed=why is None, reason=str(why or ""), seconds=round(result.duration, 3)
            )
    killed = result.killed_by or f"exit code {result.exit_code}"
    last = result.stderr.strip().splitlines()[-1:] or [""]
    return CheckResult(
        passed=False, reason=f"killed: {killed} {last[0]}".strip()[:500], seconds=result.duration
    )


@cache
def _runner() -> str:
    return files(__package__).joinpath("runner.py").read_text(encoding="utf-8")

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

from ...errors import ConfigError
from ...sandboxes.contract import ExecResult, Sandbox
from ...scoring.code import complete, extract_code, prelude
from ...scoring.input import ScorerInput
from ...types import Failure, Record

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


async def code_sandbox(sample: ScorerInput) -> dict[str, Any]:
    """A scorer for benchmarks whose answers are Python: passes where the tests pass.

    ``sample.target`` (or ``metadata["test"]``) holds the tests, which define ``check(candidate)``;
    ``metadata["entry_point"]`` the name of the function; ``metadata["code_prompt"]``, if there is
    one, what stands before a body that is answered alone. ``config["timeout"]``: seconds for all
    tests (3). The benchmark must ask for a sandbox: ``@benchmark(..., sandbox=SandboxSpec())``.
    Raises ConfigError where it did not, SandboxLost where the sandbox fails.
    """
    if sample.sandbox is None:
        raise ConfigError(
            "code_sandbox needs a sandbox", hint="@benchmark(..., sandbox=SandboxSpec())"
        )
    metadata = sample.metadata
    prompt, entry_point = str(metadata.get("code_prompt") or ""), str(metadata["entry_point"])
    code = extract_code(sample.response, entry_point)
    if code is None:
        return {"correct": False, "extracted": None, "failure": Failure.FORMAT.value}
    problem = CodeProblem(
        source=complete(prompt, code.source, entry_point),
        entry_point=entry_point,
        test=str(metadata.get("test") or sample.target),
        prelude=prelude(prompt, entry_point),
        timeout=float(sample.config.get("timeout", 3.0)),
    )
    result = await check_code(sample.sandbox, problem)
    return {
        "correct": result.passed,
        "extracted": code.source,
        "rule": code.rule,
        "reason": result.reason,
    }


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

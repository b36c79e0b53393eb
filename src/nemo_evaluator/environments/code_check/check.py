"""One program against one set of tests: what is sent into the sandbox, and what comes back.

A program passes only if the tests ran to their end in a process it cannot reach (``runner.py``;
``border.py``, ``sides.py`` and ``values.py`` say what crosses between the two).
Everything else is a failure of the program; a sandbox that fails is an InfraError of its own.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from ...errors import ConfigError
from ...sandboxes.contract import ExecResult, Sandbox, SandboxLost
from ...scoring.code import complete, extract_code, prelude
from ...scoring.input import ScorerInput
from ...types import Failure, Record

GRACE_SECONDS = 5.0
"""What a sandbox gets beyond the tests' own limit, to start and to report."""
CANNOT_HIDE = 70
"""Exit code of the tests' process where the kernel does not keep others out of it."""
MODULES = ("values", "errors", "border", "sides", "runner")
"""What runs inside, in the order of their imports."""
BOOT = """\
import sys, types
package = sys.modules["inside"] = types.ModuleType("inside")
package.__path__ = []
for name, source in zip(sys.argv[1::2], sys.argv[2::2]):
    module = sys.modules["inside." + name] = types.ModuleType("inside." + name)
    module.__package__ = "inside"
    exec(compile(source, name + ".py", "exec"), module.__dict__)
module.main()
"""


class CodeProblem(Record, frozen=True, kw_only=True):
    """A program and what it must do."""

    source: str
    """The program; defines ``entry_point``."""
    answered: str = ""
    """What of it stands in the answer."""
    entry_point: str
    test: str
    """Defines ``check(candidate)``, which raises where the program is wrong; or asserts at its top
    level, as in MBPP; or defines functions ``test_…`` or unittest cases."""
    prelude: str = ""
    """What the tests may use besides: imports and helpers of the problem."""
    timeout: float = 3.0
    """Seconds for all tests together, as in the official harness of HumanEval."""
    operators: bool = False
    """The tests judge objects of the program by their own operators (``==``, ``+``, ``in``) even
    against plain data, because a class is what is asked for."""


class CheckResult(Record, frozen=True, kw_only=True):
    """The verdict."""

    passed: bool
    reason: str = ""
    """Why not: ``timeout``, ``wrong: ...``, ``error: ...``, ``killed: ...``."""
    seconds: float = 0.0


async def check_code(sandbox: Sandbox, problem: CodeProblem) -> CheckResult:
    """Check a program. Raises SandboxLost (an InfraError) if the sandbox fails, ConfigError for
    tests that cannot judge any program."""
    word = secrets.token_hex(16)
    task = {
        "word": word,
        "source": problem.source,
        "entry_point": problem.entry_point,
        "test": problem.test,
        "prelude": problem.prelude,
        "timeout": problem.timeout,
        "operators": problem.operators,
    }
    result = await sandbox.exec(
        ["python3", "-I", "-c", BOOT, *_inside()],
        stdin=msgspec.json.encode(task),
        timeout=problem.timeout + GRACE_SECONDS,
    )
    return verdict(result, word)


async def code_sandbox(sample: ScorerInput) -> dict[str, Any]:
    """A scorer for benchmarks whose answers are Python: passes where the tests pass.

    ``sample.target`` (or ``metadata["test"]``) holds the tests: a text that defines
    ``check(candidate)``, or assertions (a text or a list of them). ``metadata["entry_point"]``: the
    name of the function, which only assertions that call it by name can do without;
    ``metadata["code_prompt"]``, if there is one, what stands before a body that is answered alone.
    ``config["timeout"]``: seconds for all tests (3). The benchmark must ask for a sandbox:
    ``@benchmark(..., sandbox=SandboxSpec())``. Raises ConfigError where it did not, and for tests
    that cannot judge any program; SandboxLost where the sandbox fails.
    """
    if sample.sandbox is None:
        raise ConfigError(
            "code_sandbox needs a sandbox", hint="@benchmark(..., sandbox=SandboxSpec())"
        )
    rule, problem = await asyncio.to_thread(_problem, sample)
    if problem is None:
        return {"correct": False, "extracted": None, "failure": Failure.FORMAT.value}
    result = await check_code(sample.sandbox, problem)
    return {
        "correct": result.passed,
        "extracted": problem.answered,
        "rule": rule,
        "reason": result.reason,
    }


def _problem(sample: ScorerInput) -> tuple[str, CodeProblem | None]:
    """The rule that found the program of an answer, and what it must do; None without a program."""
    metadata = sample.metadata
    prompt = str(metadata.get("code_prompt") or "")
    entry_point = str(metadata.get("entry_point") or "")
    test = _tests(metadata.get("test") or sample.target_raw)
    code = extract_code(sample.response, entry_point)
    if code is None:
        return "", None
    return code.rule, CodeProblem(
        answered=code.source,
        source=complete(prompt, code.source, entry_point),
        entry_point=entry_point,
        test=test,
        prelude=prelude(prompt, entry_point),
        timeout=float(sample.config.get("timeout", 3.0)),
        operators=_is_class(prompt, entry_point),
    )


def _tests(given: Any) -> str:
    text = "\n".join(map(str, given)) if isinstance(given, list | tuple) else str(given or "")
    if not text.strip():
        raise ConfigError(
            "the problem has no tests", where="target", hint="a check(candidate), or assertions"
        )
    return text


def _is_class(prompt: str, entry_point: str) -> bool:
    """Whether a problem asks for a class: its prompt says so, or the name does (PEP 8)."""
    declared = re.search(rf"^class\s+{re.escape(entry_point)}\b", prompt, re.MULTILINE)
    return bool(entry_point) and (bool(declared) or entry_point[0].isupper())


def verdict(result: ExecResult, word: str) -> CheckResult:
    """What the tests said, known by the word that only they knew."""
    for line in reversed(result.stdout.splitlines()):
        secret, _, text = line.partition(" ")
        if secret == word:
            outcomes: dict[str, str] = msgspec.json.decode(text.encode())
            if "tests" in outcomes:
                raise ConfigError(
                    f"the tests of this problem cannot judge a program: {outcomes['tests']}",
                    where="target",
                    hint="correct the row, or leave it out",
                )
            why = outcomes["reason"]
            return CheckResult(passed=not why, reason=why, seconds=round(result.duration, 3))
    if result.exit_code == CANNOT_HIDE:
        raise SandboxLost(
            f"the tests cannot be protected from the program: {result.stderr.strip()[:200]}"
        )
    killed = result.killed_by or f"exit code {result.exit_code}"
    last = result.stderr.strip().splitlines()[-1:] or [""]
    return CheckResult(
        passed=False, reason=f"killed: {killed} {last[0]}".strip()[:500], seconds=result.duration
    )


@cache
def _inside() -> tuple[str, ...]:
    """Names and sources of the modules that run inside, as arguments of BOOT."""
    folder = files(__package__)
    texts = [folder.joinpath(f"{name}.py").read_text(encoding="utf-8") for name in MODULES]
    return tuple(word for pair in zip(MODULES, texts, strict=True) for word in pair)

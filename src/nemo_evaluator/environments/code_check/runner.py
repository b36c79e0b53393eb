"""Runs inside the sandbox: the benchmark's tests in one process, the model's program in another.

The program never shares memory with the tests, so it cannot change them; it does not know the word
that says "passed", and the process that does cannot be looked into. The program's process is a
fork made before anything secret is read. Standard library only.
"""

from __future__ import annotations

import builtins
import importlib
import json
import os
import signal
import sys
import types
from collections.abc import Iterator
from typing import Any, NoReturn

from .border import Border, Broken, StandIn
from .sides import Printed, ProgramBorder, TestsBorder
from .values import STDLIB

CANNOT_HIDE = 70
OPTIMIZED = 0x1
"""The flag of the code of functions (CO_OPTIMIZED), which that of classes lacks."""
ALIASES = {("np", "numpy")}
"""Modules under another name, which tests may use without importing them, as the program did."""


class OutOfTime(BaseException):
    """The tests took too long. Not an Exception, so that no test can catch it."""


class BadTests(Exception):
    """The tests cannot judge any program."""


class Solution(types.ModuleType):
    """The program as a module, for tests that import it."""

    def __init__(self, name: str, border: Border) -> None:
        super().__init__(name)
        self._border = border

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self._border.ask("name", name)
        except KeyError:
            raise AttributeError(name) from None


def fork_program() -> tuple[int, TestsBorder]:
    """Start the program's process; its pid, and the border to it."""
    (questions, ask), (answers, answer) = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ask)
        os.close(answers)
        be_program(questions, answer)
    os.close(questions)
    os.close(answer)
    return pid, TestsBorder(os.fdopen(answers, "rb"), os.fdopen(ask, "wb"), new_module("tests"))


def be_program(questions: int, answer: int) -> NoReturn:
    """The process of the model's program."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(nothing, fd)
    sys.argv, sys.stdout = ["solution.py"], Printed()
    namespace = new_module("solution")
    try:
        ProgramBorder(os.fdopen(questions, "rb"), os.fdopen(answer, "wb"), namespace).serve()
    finally:
        os._exit(0)


def new_module(name: str) -> dict[str, Any]:
    """The namespace of an empty module that code can find by its name, as dataclasses do."""
    sys.modules[name] = types.ModuleType(name)
    return sys.modules[name].__dict__


def hide() -> None:
    """Forbid other processes to look into this process (Linux prctl PR_SET_DUMPABLE). Raises
    OSError if that fails."""
    import ctypes

    if ctypes.CDLL(None).prctl(4, 0, 0, 0, 0) != 0:
        raise OSError("prctl(PR_SET_DUMPABLE) failed")


def check(task: dict[str, Any], border: TestsBorder) -> None:
    """Run the tests. Raises what says that the program is wrong, or BadTests."""
    namespace = border.shared.namespace
    try:
        prelude = compile(task["prelude"], "prelude.py", "exec", dont_inherit=True)
        tests = compile(task["test"], "tests.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise BadTests(f"they are not Python: {error}") from None
    parts = [*nested(prelude), *nested(tests)]
    classes = [code.co_name for code in parts if not code.co_flags & OPTIMIZED]
    classes = [name for name in classes if name not in ("<module>", task["entry_point"])]
    own, shared, imported = border.ask("load", task["source"], task["entry_point"], classes)
    border.shared.names = frozenset(classes) & frozenset(shared)
    try:
        exec(prelude, namespace)
    except Exception as error:
        raise BadTests(f"the code before the tests fails: {told(error)}") from None
    border.asked = 0
    lend(border, nested(tests), own, imported)
    if candidate := task["entry_point"]:
        namespace[candidate] = border.ask("name", candidate)
    loans, border.asked = dict(namespace), 0
    sys.modules["solution"] = Solution("solution", border)
    exec(tests, namespace)
    for test in found_tests(namespace, loans, namespace.get(candidate)):
        test()
    if not border.asked and isinstance(loans.get(candidate, border), (StandIn, Border)):
        raise BadTests("they never call the program")


def nested(code: types.CodeType) -> list[types.CodeType]:
    """The code of a module with that of all functions and classes in it."""
    found = [code]
    for part in found:
        found += [const for const in part.co_consts if isinstance(const, types.CodeType)]
    return found


def lend(
    border: TestsBorder, tests: list[types.CodeType], own: list[str], imported: dict[str, str]
) -> None:
    """Names of the program that the tests use and nothing of theirs has (``check`` is theirs)."""
    namespace = border.shared.namespace
    used = {name for code in tests for name in code.co_names}
    used -= {*dir(builtins), *namespace, "check"}
    for name in sorted(used):
        if name in STDLIB and (name in imported or name in own):
            namespace[name] = importlib.import_module(name)  # whatever the program means by it
        elif (name, imported.get(name)) in ALIASES:
            namespace[name] = importlib.import_module(imported[name])
        elif name in own:
            namespace[name] = border.ask("name", name)


def found_tests(namespace: dict[str, Any], loans: dict[str, Any], candidate: Any) -> Iterator[Any]:
    """What is still to be run: ``check``, else test functions and test cases, if there are any."""
    made = {n: v for n, v in namespace.items() if loans.get(n) is not v and n != "__builtins__"}
    if "check" in made:
        yield lambda: made["check"](candidate)
        return
    for name, value in made.items():
        if isinstance(value, types.FunctionType) and name.startswith("test"):
            yield lambda value=value: value(*[candidate] * value.__code__.co_argcount)
        elif isinstance(value, type) and hasattr(value, "assertEqual"):
            yield lambda value=value: run_case(value)


def run_case(case: Any) -> None:
    """Run the methods of a unittest.TestCase. AssertionError if one fails."""
    unittest = importlib.import_module("unittest")
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    for _, trace in [*result.failures, *result.errors]:
        raise AssertionError(trace.strip().splitlines()[-1])


def told(error: BaseException) -> str:
    """An exception in one line."""
    return str(error.__dict__.get("_crossed") or f"{type(error).__name__}: {error}")[:500]


def reason(task: dict[str, Any], border: TestsBorder) -> str:
    """Why the program is wrong; empty if the tests passed. Raises BadTests."""
    why, watched = "", True

    def out_of_time(*_: object) -> None:
        if watched:
            border.broken = border.broken or "timeout"
            raise OutOfTime

    signal.signal(signal.SIGALRM, out_of_time)
    # Again and again: a bare ``except`` of a test swallows the first one.
    signal.setitimer(signal.ITIMER_REAL, task["timeout"], 0.1)
    try:
        try:
            check(task, border)
        finally:
            watched = False
    except (Broken, OutOfTime):
        why = border.broken or "timeout"
    except BadTests:
        raise
    except BaseException as error:
        why = verdict_on(error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if border.broken:
        return "timeout" if border.broken == "timeout" else f"error: {border.broken}"
    return why


def verdict_on(error: BaseException) -> str:
    """What an exception of the tests says about the program. Raises BadTests if nothing."""
    if isinstance(error, AssertionError) and "_crossed" not in error.__dict__:
        return f"wrong: {error}"[:500] if str(error) else "wrong"
    lacks = isinstance(error, ImportError) and error.name == "solution"
    if isinstance(error, ImportError) and "_crossed" not in error.__dict__ and not lacks:
        raise BadTests(told(error))
    return f"error: {told(error)}"


def main() -> None:
    """Judge the program of the task that is read from stdin."""
    pid, border = fork_program()
    try:
        hide()
        task = json.loads(sys.stdin.buffer.read())
        border.open = task["operators"]
    except OSError as error:
        print(error, file=sys.stderr)
        os._exit(CANNOT_HIDE)
    said: dict[str, str] = {}
    try:
        said["reason"] = reason(task, border)
    except BadTests as error:
        said["tests"] = str(error)
    os.kill(pid, signal.SIGKILL)
    os.write(1, f"\n{task['word']} {json.dumps(said)}\n".encode())
    os._exit(0)

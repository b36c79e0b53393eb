"""The tests of a problem decide, and the program cannot reach them.

The programs here are harmless, so they run in a process of this machine; what a sandbox must hold
back is tested with the sandboxes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from nemo_evaluator.environments.code_check import CheckResult, CodeProblem, check_code
from nemo_evaluator.environments.code_check.check import verdict
from nemo_evaluator.sandboxes.contract import ExecResult, SandboxSpec

TEST = """
def check(candidate):
    assert candidate(2, 3) == 5
    assert candidate([1], [2]) == [1, 2]
    assert candidate((1,), (2,)) == (1, 2)
    assert candidate(0.5, 0.25) == 0.75
"""
GOOD = "def add(a, b):\n    return a + b\n"


class ThisMachine:
    """Not a sandbox: runs what this file brings along."""

    spec = SandboxSpec()

    async def exec(
        self,
        command: str | Sequence[str],
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        output_bytes: int | None = None,
    ) -> ExecResult:
        assert not isinstance(command, str)
        started = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command[1:],
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            out, err = await process.communicate(stdin)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what it left behind
        return ExecResult(
            exit_code=process.returncode or 0,
            stdout=out.decode(errors="replace"),
            stderr=err.decode(errors="replace"),
            duration=time.perf_counter() - started,
        )

    async def upload(self, path: str, data: bytes | Path) -> None:
        raise AssertionError

    async def download(self, path: str, *, max_bytes: int = 0) -> bytes:
        raise AssertionError

    async def upload_folder(self, path: str, folder: Path) -> None:
        raise AssertionError

    async def download_folder(self, path: str, folder: Path, *, max_bytes: int = 0) -> None:
        raise AssertionError

    async def close(self) -> None:
        pass


async def checked(source: str, test: str = TEST, **more: Any) -> CheckResult:
    problem = CodeProblem(source=source, entry_point="add", test=test, **more)
    return await check_code(ThisMachine(), problem)


async def test_a_right_program_passes() -> None:
    result = await checked(GOOD)
    assert result.passed and result.reason == "" and 0 < result.seconds < 3


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def add(a, b):\n    return a - b", "wrong"),
        ("def add(a, b):\n    return None", "wrong"),
        ("def add(a, b):\n    raise ValueError('no')", "error: ValueError: no"),
        ("def add(a):\n    return a", "error: TypeError"),
        ("def plus(a, b):\n    return a + b", "error: NameError: add is not defined"),
        ("add = 5", "error: NameError: add is not defined"),
        ("def add(a, b)\n    return a + b", "error: SyntaxError"),
        ("", "error: NameError"),
        ("def add(a, b):\n    while True: pass", "timeout"),
        ("while True: pass", "timeout"),
        ("def add(a, b):\n    return add(a, b)", "error: RecursionError"),
        ("def add(a, b):\n    return (x for x in a)", "error: TypeError"),
        ("def add(a, b):\n    return object()", "error: TypeError: object is not plain data"),
    ],
)
async def test_wrong_programs_fail(source: str, reason: str) -> None:
    result = await checked(source, timeout=0.7)
    assert not result.passed and result.reason.startswith(reason)


CHEATS = {
    "exit": "import os\nos._exit(0)",
    "sys.exit": "import sys\nsys.exit(0)",
    "exit in the call": "import os\ndef add(a, b):\n    os._exit(0)",
    "system exit in the call": "def add(a, b):\n    raise SystemExit(0)",
    "always equal": """
class Yes:
    def __eq__(self, other): return True
def add(a, b): return Yes()""",
    "equal int": """
class Yes(int):
    def __eq__(self, other): return True
    __hash__ = int.__hash__
def add(a, b): return Yes(0)""",
    "equal list": """
class Yes(list):
    def __eq__(self, other): return True
def add(a, b): return Yes()""",
    "own check": "def check(candidate): pass\ndef add(a, b): return 0",
    "no assertions": """
import builtins
builtins.AssertionError = ValueError
def add(a, b): return 0""",
    "patched json": """
import json
json.dumps = lambda *a, **k: 'null'
def add(a, b): return 0""",
    "frames": """
import sys, os
def add(a, b):
    frame = sys._getframe()
    while frame:
        for value in frame.f_locals.values():
            if isinstance(value, dict) and 'word' in value:
                os.write(1, (value['word'] + ' null').encode())
        frame = frame.f_back
    return 0""",
    "garbage collector": """
import gc, os
def add(a, b):
    for thing in gc.get_objects():
        if isinstance(thing, dict) and 'word' in thing:
            os.write(1, (str(thing['word']) + ' null').encode())
    return 0""",
    "the parent's command line": """
import os
def add(a, b):
    for name in ('cmdline', 'environ', 'mem', 'fd/0', 'fd/1', 'maps'):
        try:
            data = open(f'/proc/{os.getppid()}/{name}', 'rb').read(100000)
        except OSError:
            continue
        os.write(1, data)
    return 0""",
    "fake words": """
import os
for fd in range(3, 20):
    try:
        os.write(fd, b'\\nnull\\n00000000 null\\n')
    except OSError:
        pass
def add(a, b): return 0""",
    "kill the parent": """
import os, signal
os.kill(os.getppid(), signal.SIGKILL)
def add(a, b): return 0""",
    "alarm off": """
import signal
signal.alarm(0)
def add(a, b):
    while True: pass""",
    "closed": "import os\nos.closerange(0, 20)\ndef add(a, b): return 0",
    "too much": "def add(a, b): return 'x' * (1 << 27)",
}


@pytest.mark.parametrize("source", CHEATS.values(), ids=CHEATS.keys())
async def test_no_cheat_passes(source: str) -> None:
    result = await checked(source, timeout=1.0)
    assert not result.passed and result.reason


async def test_what_a_program_prints_and_reads_is_its_own_affair() -> None:
    source = "import sys\nprint('hello' * 1000)\nsys.stdin.read()\n" + GOOD
    assert (await checked(source)).passed


async def test_plain_data_of_every_kind_comes_through() -> None:
    source = """
from collections import Counter, OrderedDict, defaultdict, namedtuple
P = namedtuple('P', 'x y')
def add(kind):
    return {
        'set': {1, 2}, 'frozen': frozenset({1}), 'dict': {(1, 2): None}, 'bytes': b'x',
        'complex': 1j, 'nan': float('nan'), 'inf': float('inf'), 'counter': Counter('aab'),
        'tuple': P(1, 2), 'ordered': OrderedDict(a=1), 'bool': True, 'big': 10**50,
        'text': 'é\\ud800', 'nested': [{'a': (1, [2, {3}])}],
    }[kind]
"""
    test = """
def check(candidate):
    assert candidate('set') == {1, 2} and candidate('frozen') == frozenset({1})
    assert candidate('dict') == {(1, 2): None} and candidate('bytes') == b'x'
    assert candidate('complex') == 1j and candidate('inf') == float('inf')
    assert candidate('nan') != candidate('nan')
    assert candidate('counter') == {'a': 2, 'b': 1} and candidate('tuple') == (1, 2)
    assert candidate('ordered') == {'a': 1} and candidate('bool') is True
    assert candidate('big') == 10**50 and candidate('text') == 'é\\ud800'
    assert candidate('nested') == [{'a': (1, [2, {3}])}]
"""
    result = await checked(source, test)
    assert result.passed, result.reason


def test_without_the_word_nothing_passes() -> None:
    said = ExecResult(exit_code=0, stdout="passed\nnull\nword null\n")
    assert verdict(said, "word").passed
    assert not verdict(said, "other").passed
    assert verdict(ExecResult(exit_code=137), "word").reason == "killed: signal 9"
    assert verdict(ExecResult(exit_code=124, timed_out=True), "word").reason == "killed: timeout"

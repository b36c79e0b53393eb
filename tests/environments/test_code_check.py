"""The tests of a problem decide, and the program cannot reach them.

The programs here are harmless, so they run in a process of this machine; what a sandbox must hold
back is tested with the sandboxes.
"""

from __future__ import annotations

import pytest
from this_machine import ThisMachine, checked

from nemo_evaluator import ScorerInput, code_sandbox
from nemo_evaluator.environments.code_check.check import CANNOT_HIDE, verdict
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.sandboxes.contract import ExecResult, SandboxLost

TEST = """
def check(candidate):
    assert candidate(2, 3) == 5
    assert candidate([1], [2]) == [1, 2]
    assert candidate((1,), (2,)) == (1, 2)
    assert candidate(0.5, 0.25) == 0.75
"""
GOOD = "def add(a, b):\n    return a + b\n"


async def test_a_right_program_passes() -> None:
    result = await checked(GOOD, TEST)
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
        ("def add(a, b):\n    return (x for x in [a + b])", "wrong"),
        ("def add(a, b):\n    return object()", "wrong"),
    ],
)
async def test_wrong_programs_fail(source: str, reason: str) -> None:
    result = await checked(source, TEST, timeout=0.7)
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
    result = await checked(source, TEST, timeout=1.0)
    assert not result.passed and result.reason


async def test_what_a_program_prints_and_reads_is_its_own_affair() -> None:
    source = "import sys\nprint('hello' * 1000)\nsys.stdin.read()\n" + GOOD
    assert (await checked(source, TEST)).passed


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
    said = ExecResult(exit_code=0, stdout='passed\nnull\nword {"reason": ""}\n')
    assert verdict(said, "word").passed
    assert not verdict(said, "other").passed
    assert verdict(ExecResult(exit_code=137), "word").reason == "killed: signal 9"
    assert verdict(ExecResult(exit_code=124, timed_out=True), "word").reason == "killed: timeout"


def test_tests_that_cannot_be_hidden_give_no_verdict() -> None:
    with pytest.raises(SandboxLost, match="cannot be protected from the program: prctl"):
        verdict(ExecResult(exit_code=CANNOT_HIDE, stderr="prctl failed"), "word")


@pytest.mark.parametrize(
    ("test", "why"),
    [
        ("def check(candidate)\n    pass", "not Python"),
        ("def check(candidate):\n    pass", "never call"),
        (
            "import no_such_module\ndef check(candidate):\n    assert candidate(1, 2) == 3",
            "no_such",
        ),
        ("# nothing", "never call"),
    ],
)
async def test_tests_that_can_judge_no_program_give_no_verdict(test: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        await checked(GOOD, test)


async def test_a_prelude_that_fails_gives_no_verdict() -> None:
    with pytest.raises(ConfigError, match="ZeroDivisionError"):
        await checked(GOOD, TEST, prelude="1 / 0")


@pytest.mark.parametrize(
    "test",
    [
        "assert add(2, 3) == 5\nassert add(1, 1) == 2",
        "def test_small():\n    assert add(2, 3) == 5",
        "import unittest\n\n\nclass Adding(unittest.TestCase):\n"
        "    def test_small(self):\n        self.assertEqual(add(2, 3), 5)",
    ],
    ids=["assertions", "functions", "unittest"],
)
@pytest.mark.parametrize("entry_point", ["add", ""])
async def test_tests_come_in_the_usual_forms(test: str, entry_point: str) -> None:
    assert (await checked(GOOD, test, entry_point=entry_point)).passed
    wrong = "def add(a, b):\n    return a - b"
    result = await checked(wrong, test, entry_point=entry_point)
    assert not result.passed and result.reason.startswith("wrong")


async def test_the_scorer_takes_a_list_of_assertions_without_an_entry_point() -> None:
    sample = ScorerInput(
        response=f"```python\n{GOOD}```",
        target=["assert add(2, 3) == 5", "assert add(1, 1) == 2"],
        sandbox=ThisMachine(),
    )
    assert (await code_sandbox(sample))["correct"] is True


async def test_the_scorer_refuses_a_problem_without_tests() -> None:
    sample = ScorerInput(response=GOOD, target=" ", sandbox=ThisMachine())
    with pytest.raises(ConfigError, match="no tests"):
        await code_sandbox(sample)

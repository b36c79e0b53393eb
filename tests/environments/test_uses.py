"""What a scorer will need is read from its code."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
from engines import require
from loopback import Loopback, fixed_chat

from nemo_evaluator import code_sandbox, evaluate_async, ifeval, numeric_match
from nemo_evaluator.environments.uses import functions_used, reads_target, uses_sandbox
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.sandboxes import DockerBackend, LocalBackend


async def graded(sample: Any) -> Any:
    return await code_sandbox(sample)


async def helped(sample: Any) -> Any:
    return [await graded(s) for s in (sample,)]


async def own(sample: Any) -> Any:
    return await sample.sandbox.exec("true")


def plain(sample: Any) -> Any:
    return numeric_match(sample)


@functools.wraps(graded)
def wrapped(sample: Any) -> Any:
    return graded(sample)


class Scorer:
    def __call__(self, sample: Any) -> bool:
        return True


@pytest.mark.parametrize(
    ("function", "uses"),
    [
        (graded, True),
        (helped, True),
        (own, True),
        (wrapped, True),
        (plain, False),
        (Scorer(), False),
        (lambda sample: True, False),
    ],
)
def test_who_needs_a_sandbox(function: Any, uses: bool) -> None:
    assert uses_sandbox(function) is uses


def test_the_functions_of_a_scorer() -> None:
    assert functions_used(plain)[:2] == [plain, numeric_match]
    assert functions_used(len) == []


def constant(sample: Any) -> bool:
    return "because" in sample.response


def followed(sample: Any) -> Any:
    return ifeval(sample)


def both(sample: Any) -> Any:
    return ifeval(sample) if constant(sample) else own_check(sample)


def own_check(sample: Any) -> bool:
    return sample.response == sample.target_raw


@pytest.mark.parametrize(
    ("function", "reads"),
    [
        (constant, False),
        (followed, False),
        (ifeval, False),
        (plain, True),
        (both, True),
        (Scorer(), True),
        (lambda sample: len(sample.response) < 9, False),
        (lambda sample: sample.target in sample.response, True),
    ],
)
def test_who_reads_the_target(function: Any, reads: bool) -> None:
    assert reads_target(function) is reads


async def test_a_scorer_without_a_target_needs_none_in_the_rows(environment: Any) -> None:
    for rows in ([{"q": "?"}], [{"q": "?", "target": None}]):
        tried = environment(constant, dataset=rows)
        await tried.prepare()
        await tried.check([0])
        assert (await tried.seed(0)).target is None


FILE = """
from nemo_evaluator import benchmark, code_sandbox, scorer

ROWS = [{"q": "add", "target": "def check(f):\\n    assert f(1, 2) == 3\\n", "entry_point": "add"}]

@benchmark(name="adds", dataset=ROWS, prompt="Write {q}(a, b).")
@scorer
async def adds(sample):
    return await code_sandbox(sample)
"""


async def ran(folder: Path, loopback: Loopback) -> Any:
    (folder / "adds.py").write_text(FILE)
    loopback.script(fixed_chat("```python\ndef add(a, b):\n    return a + b\n```"))
    service = {"type": "api", "url": loopback.url, "protocol": "chat_completions", "model": "m"}
    config = {
        "services": {"m": service},
        "benchmarks": [{"name": str(folder / "adds.py"), "sandbox": {"type": "local"}}],
        "output": {"dir": str(folder / "out"), "report": []},
    }
    return await evaluate_async(config)


async def test_a_sandbox_in_the_configuration_is_enough(tmp_path: Path, loopback: Loopback) -> None:
    require("local")
    result = await ran(tmp_path, loopback)
    [summary] = result.summary.benchmarks
    assert (result.exit_code, summary.n_scored) == (0, 1)
    assert '"reward":1.0' in (tmp_path / "out" / "adds" / "results.jsonl").read_text()


async def test_without_any_sandbox_nothing_is_asked(
    tmp_path: Path, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def none(self: Any) -> dict[str, str]:
        raise ConfigError("cannot run here")

    for backend in (LocalBackend, DockerBackend):
        monkeypatch.setattr(backend, "preflight", none)
    with pytest.raises(ConfigError, match="cannot run here"):
        await ran(tmp_path, loopback)
    assert not loopback.calls


CLASS = """
from nemo_evaluator import EvalEnvironment, SeedResult, VerifyResult, register

@register("boxed")
class Boxed(EvalEnvironment):
    def __init__(self):
        self._dataset = [1]

    async def seed(self, idx):
        return SeedResult(prompt="?", expected_answer="4")

    async def verify(self, response, expected, sandbox=None, **metadata):
        result = await sandbox.exec(["python3", "-c", "print(2 + 2)"])
        return VerifyResult(float(result.stdout.strip() == expected), response)
"""


async def test_a_class_that_calls_its_sandbox_gets_one(tmp_path: Path, loopback: Loopback) -> None:
    require("local")
    (tmp_path / "boxed.py").write_text(CLASS)
    loopback.script(fixed_chat("4"))
    service = {"type": "api", "url": loopback.url, "protocol": "chat_completions", "model": "m"}
    config = {
        "services": {"m": service},
        "benchmarks": [{"name": str(tmp_path / "boxed.py"), "sandbox": {"type": "local"}}],
        "output": {"dir": str(tmp_path / "out"), "report": []},
    }
    result = await evaluate_async(config)
    assert result.exit_code == 0
    assert '"reward":1.0' in (tmp_path / "out" / "boxed" / "results.jsonl").read_text()

"""What is opened for a run: errors say which line of which file asked for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nemo_evaluator import evaluate
from nemo_evaluator.errors import ConfigError

MINE = """
class Silent: ...

class Broken:
    def __init__(self, **_): raise RuntimeError("no key")

class Unready:
    async def prepare(self): raise OSError("no such program")
    async def solve(self, problem, tools): ...
    def identity(self): return {}
    async def close(self): print("closed")
"""
CONFIG = """\
services:
  model: {type: SERVICE}
solver: {type: SOLVER, service: model}
cluster: {type: EXECUTOR}
benchmarks:
  - {name: sample, max_problems: 1}
  - {name: BENCHMARK, max_problems: 1}
"""


@pytest.mark.parametrize(
    ("place", "name", "line", "told"),
    [
        ("SERVICE", "{file}:Silent", 2, "is not a service"),
        ("SOLVER", "{file}:Silent", 3, "is not a solver"),
        ("SOLVER", "{file}:Broken", 3, r"RuntimeError: no key \(.*mine\.py:5\)"),
        ("SOLVER", "{file}:Unready", 3, r"OSError: no such program \(.*mine\.py:8\)"),
        ("SOLVER", "{file}:Missing", 3, "has no 'Missing'"),
        ("EXECUTOR", "{file}:Silent", 4, "is not an executor"),
        ("BENCHMARK", "smple", 7, "did you mean 'sample'"),
        ("BENCHMARK", "nosuch://x", 7, "unknown scheme"),
        ("BENCHMARK", "{file}:Silent", 7, "defines no benchmark 'Silent'"),
    ],
)
def test_the_line_that_names_it(
    tmp_path: Path, place: str, name: str, line: int, told: str
) -> None:
    file, config = tmp_path / "mine.py", tmp_path / "c.yaml"
    file.write_text(MINE)
    text = CONFIG.replace(place, f'"{name.format(file=file)}"')
    for other, good in {
        "SERVICE": "simulated",
        "SOLVER": "simple",
        "EXECUTOR": "local",
        "BENCHMARK": "sample",
    }.items():
        text = text.replace(other, good)
    config.write_text(text)
    with pytest.raises(ConfigError, match=told) as caught:
        evaluate(config, output_dir=tmp_path / "run")
    assert str(caught.value).startswith(f"{config}:{line}: ")

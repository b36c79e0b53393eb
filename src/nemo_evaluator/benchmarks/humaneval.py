"""HumanEval: complete a Python function (Chen et al. 2021, arXiv 2107.03374).

The target are the tests of a problem. Metric: pass@k by the official check, ``check(entry_point)``
in a fresh process with three seconds for all tests, here in a sandbox. The instruction is that of
simple-evals.
"""

from __future__ import annotations

from random import Random
from typing import Any

from ..environments.code_check import code_sandbox
from ..environments.define import benchmark, scorer
from ..sandboxes.contract import Limits, SandboxSpec
from ..scoring.input import ScorerInput

INSTRUCTION = (
    "Read the following function signature and docstring, and fully implement the function "
    "described. Your response should only contain the code for this function.\n"
)
SECONDS = 3.0
"""For all tests of a problem, as in the official harness."""


def prepare(row: dict[str, Any], idx: int, rng: Random) -> dict[str, Any]:
    """The tests as target; the reference solution is not kept."""
    return {
        "task_id": row["task_id"],
        "code_prompt": row["prompt"],
        "entry_point": row["entry_point"],
        "target": row["test"],
    }


@benchmark(
    name="humaneval",
    dataset="hf://openai/openai_humaneval?split=test",
    prompt=INSTRUCTION + "{code_prompt}",
    prepare_row=prepare,
    extra={"timeout": SECONDS},
    sandbox=SandboxSpec(limits=Limits(timeout=30, memory_mb=1024, pids=64)),
)
@scorer
async def humaneval(sample: ScorerInput) -> dict[str, Any]:
    """Whether the program passes the tests."""
    return await code_sandbox(sample)

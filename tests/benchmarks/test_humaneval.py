"""HumanEval by its own solutions: all pass as they are, all fail when changed, in every engine."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from engines import require

from nemo_evaluator.benchmarks.humaneval import SECONDS
from nemo_evaluator.environments.code_check import CodeProblem, check_code
from nemo_evaluator.sandboxes import (
    Backend,
    DockerBackend,
    Limits,
    LocalBackend,
    SandboxPool,
    SandboxSpec,
)
from nemo_evaluator.scoring.code import complete, extract_code, prelude

IMAGE = os.environ.get("NEL_TEST_IMAGE", "sandbox-base:latest")
SPEC = SandboxSpec(limits=Limits(timeout=30, memory_mb=1024, pids=64))


def rows(shared: Path) -> list[dict[str, Any]]:
    folder = shared / "data/hf/openai/openai_humaneval/openai_humaneval"
    [path] = folder.glob("test.jsonl*")
    data = path.read_bytes()
    text = gzip.decompress(data) if path.suffix == ".gz" else data
    return [json.loads(line) for line in text.splitlines()]


def backend(name: str) -> Backend:
    require(name)
    if name == "local":
        return LocalBackend()
    return DockerBackend(image=IMAGE)


def mutated(solution: str) -> str:
    """Returns something else wherever it returns anything."""
    changed = re.sub(r"\breturn\b(?!\s*$)(.*)", r"return [\1, 'mutated']", solution, flags=re.M)
    return changed if changed != solution else solution + "\n    return 'mutated'\n"


async def passed(pool: SandboxPool, row: dict[str, Any], solution: str) -> bool:
    response = f"```python\n{row['prompt']}{solution}\n```"
    code = extract_code(response, row["entry_point"])
    assert code is not None, row["task_id"]
    problem = CodeProblem(
        source=complete(row["prompt"], code.source, row["entry_point"]),
        entry_point=row["entry_point"],
        test=row["test"],
        prelude=prelude(row["prompt"], row["entry_point"]),
        timeout=4 * SECONDS,  # this machine may be busy
    )
    async with pool.acquire(SPEC) as sandbox:
        return (await check_code(sandbox, problem)).passed


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("engine", ["local", "docker"])
async def test_canonical_solutions_pass_and_mutated_ones_fail(
    engine: str, shared_dir: Path
) -> None:
    problems = rows(shared_dir)
    async with SandboxPool(backend(engine), limit=4) as pool:
        right = await asyncio.gather(
            *(passed(pool, row, row["canonical_solution"]) for row in problems)
        )
        wrong = await asyncio.gather(
            *(passed(pool, row, mutated(row["canonical_solution"])) for row in problems)
        )
    assert [r["task_id"] for r, ok in zip(problems, right, strict=True) if not ok] == []
    assert [r["task_id"] for r, ok in zip(problems, wrong, strict=True) if ok] == []
    assert len(problems) == 164

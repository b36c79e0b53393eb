"""Three broken functions, each in a workspace of its own, and the tests that verify the repair."""

from __future__ import annotations

from nemo_evaluator import SandboxSpec, ScorerInput, benchmark, scorer

ROWS = [
    {"name": "total", "broken": "a - b", "target": "return a + b", "test": "total(2, 3) == 5"},
    {"name": "area", "broken": "a + b", "target": "return a * b", "test": "area(2, 5) == 10"},
    {"name": "rest", "broken": "a / b", "target": "return a % b", "test": "rest(7, 4) == 3"},
]


def workspace(row: dict) -> SandboxSpec:
    """What the agent finds. The tests are not among it: the verifier brings them."""
    source = f"def {row['name']}(a, b):\n    return {row['broken']}\n"
    return SandboxSpec(files={"calc.py": source.encode()})


@benchmark(
    name="repairs",
    dataset=ROWS,
    prompt="The function {name} of calc.py must fulfil {test}. Which line is right?",
    workspace=workspace,
)
@scorer
async def repairs(sample: ScorerInput) -> dict:
    """Run the test in what the agent left; every process of the agent is dead by now."""
    row = sample.metadata
    test = f"from calc import {row['name']}\nassert {row['test']}\n"
    await sample.sandbox.upload("test_calc.py", test.encode())
    done = await sample.sandbox.exec(["python3", "-B", "test_calc.py"], timeout=30)
    return {"correct": done.ok, "extracted": (await sample.sandbox.download("calc.py")).decode()}

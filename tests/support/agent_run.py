"""A finished run with what exporters must carry over: an agent's tool calls and reasoning, repeats,
wrong answers, a rollout without a verdict, hostile texts."""

from __future__ import annotations

from pathlib import Path

import yaml
from commands import Nel

AGENT = r"""
from nemo_evaluator import ScorerInput, benchmark, exact_match, scorer
from nemo_evaluator.errors import InfraError
from nemo_evaluator.steps import (
    Observation, ObservationResult, Step, StepMetrics, StepSource, ToolCall,
)
from nemo_evaluator.types import Solution, Usage

ROWS = [
    {"q": "one", "target": "1"},
    {"q": "two <script>alert(1)</script> \u202e \x1b[31m", "target": "2"},
    {"q": "none", "target": "3"},
    {"q": "four", "target": "4"},
]


@benchmark(name="words", dataset=ROWS, prompt="Which number is {q}?")
@scorer
def words(sample: ScorerInput) -> dict:
    return {**exact_match(sample), "explanation": f"compared with {sample.target}"}


class Agent:
    async def solve(self, problem, tools):
        if problem.idx == 2:
            raise InfraError("the tool's server is gone")
        answer = {0: "1", 1: "\x00 wrong", 3: "4"}[problem.idx]
        steps = (
            Step(source=StepSource.SYSTEM, message="You look numbers up."),
            Step(source=StepSource.USER, message=problem.prompt),
            Step(
                source=StepSource.AGENT,
                message="",
                model_name="looker",
                reasoning_content="I look it up.",
                tool_calls=(
                    ToolCall(
                        tool_call_id="c1", function_name="look", arguments={"q": problem.prompt}
                    ),
                    ToolCall(tool_call_id="c2", function_name="break", arguments={}),
                ),
                observation=Observation(results=(
                    ObservationResult(source_call_id="c1", content=f"it is {answer}"),
                    ObservationResult(source_call_id="c2", content="no", extra={"exit_code": 1}),
                )),
                metrics=StepMetrics(prompt_tokens=20, completion_tokens=5, cached_tokens=8),
            ),
            Step(
                source=StepSource.AGENT,
                message=answer,
                model_name="looker",
                metrics=StepMetrics(prompt_tokens=30, completion_tokens=7),
            ),
        )
        return Solution(
            response=answer, steps=steps, finish_reason="stop", model="looker", calls=2,
            usage=Usage(prompt_tokens=50, completion_tokens=12, cached_tokens=8),
            latency_ms=12.5, cost_usd=0.25,
        )

    def identity(self):
        return {}

    async def close(self):
        pass
"""


def agent_run(nel: Nel, folder: Path, name: str = "run", **output: object) -> Path:
    """The run's directory, below the current folder."""
    (folder / "agent.py").write_text(AGENT)
    document = {
        "services": {"m": {"type": "simulated", "model": "looker"}},
        "benchmarks": [
            {
                "name": "agent.py:words",
                "repeats": 2,
                "solver": {"type": "agent.py:Agent"},
                "max_system_retries": 1,
                "skip_failed": True,
                "min_coverage": 0,
            }
        ],
        "output": {"dir": name, "report": [], **output},
    }
    (folder / "agent.yaml").write_text(yaml.safe_dump(document))
    code, _, err = nel("eval", "run", "agent.yaml")
    assert code in (0, 3), err
    return folder / name

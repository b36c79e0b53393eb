"""What a benchmark needs reaches the engine through whatever is put around it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from nemo_evaluator import ScorerInput, benchmark, evaluate, evaluate_async, scorer
from nemo_evaluator.compat.environments import BenchmarkEnvironment
from nemo_evaluator.compat.running import EngineEnvironment
from nemo_evaluator.environments.contract import Environment, Grading, Needs
from nemo_evaluator.environments.decorated import Decorated
from nemo_evaluator.environments.defined import DefinedEnvironment
from nemo_evaluator.environments.other_scorer import OtherScorer
from nemo_evaluator.environments.with_metrics import Extras, WithMetrics
from nemo_evaluator.sandboxes.contract import SandboxSpec
from nemo_evaluator.scoring.primitives import exact_match
from nemo_evaluator.tasks.rescore import rescore

SPEC = SandboxSpec(image="an/image:1")

NEEDY = """
from nemo_evaluator import ScorerInput, benchmark, scorer
from nemo_evaluator.sandboxes.contract import SandboxSpec


@benchmark(
    name="needy",
    dataset=[{"q": "Say yes", "target": "yes"}] * 4,
    prompt="{q}",
    sandbox=SandboxSpec(image="registry.invalid/there/is/none:1"),
)
@scorer
def needy(sample: ScorerInput) -> dict:
    raise AssertionError("the benchmark's own verdict is left out")
"""


@benchmark(
    name="needy",
    dataset=[{"q": "1", "target": "1"}],
    prompt="{q}",
    sandbox=SPEC,
    requirements=["judge"],
    own_rubric=True,
    endpoint_type="completion",
    extra={"tolerance": 2},
    inline=True,
)
@scorer
def needy(sample: ScorerInput) -> dict[str, bool]:
    return {"correct": sample.response == sample.target}


class OfAgents(DefinedEnvironment):
    """A benchmark whose answers are in workspaces."""

    @property
    def needs(self) -> Needs:
        return msgspec.structs.replace(super().needs, agent=True, in_order=True)


def inner() -> Environment:
    return OfAgents(needy.__nel_benchmark__)


DECORATORS: list[Callable[[Environment], Environment]] = [
    Decorated,
    lambda env: WithMetrics(env, Extras()),
    lambda env: WithMetrics(env, Extras({"exact_match": exact_match})),
    lambda env: OtherScorer(env, exact_match),
    lambda env: OtherScorer(WithMetrics(env, Extras()), exact_match),
    lambda env: EngineEnvironment(BenchmarkEnvironment(env)),
]


@pytest.mark.parametrize("decorate", DECORATORS)
def test_no_decorator_loses_a_need(decorate: Callable[[Environment], Environment]) -> None:
    plain, outer = inner(), decorate(inner())
    assert isinstance(outer, Environment)
    for field in set(Needs.__struct_fields__) - {"inline"}:
        assert getattr(outer.needs, field) == getattr(plain.needs, field) != getattr(Needs(), field)
    assert outer.grading == plain.grading != Grading("needy")
    assert outer.name == plain.name and outer.identity == outer.identity


def test_verification_stays_inline_while_all_that_verifies_is_quick() -> None:
    assert inner().needs.inline
    assert WithMetrics(inner(), Extras()).needs.inline
    slow = WithMetrics(inner(), Extras({"exact_match": exact_match}))
    assert not slow.needs.inline  # it has yet to show that it is quick
    assert WithMetrics(inner(), Extras({}, own=False)).needs.inline


def test_further_scorers_need_no_sandbox_of_the_benchmark(tmp_path: Path) -> None:
    """With ``include_defaults: false`` the benchmark's own scorer, and its sandbox, are unused."""
    (tmp_path / "needy.py").write_text(NEEDY)
    document = {
        "services": {"m": {"type": "simulated", "accuracy": 1.0}},
        "benchmarks": [
            {
                "name": str(tmp_path / "needy.py"),
                "scoring": {
                    "include_defaults": False,
                    "metrics": [{"type": "scorer", "name": "exact_match"}],
                },
            }
        ],
        "output": {"dir": str(tmp_path / "r")},
    }
    result = evaluate(document)
    assert result.exit_code == 0 and result.summary.benchmarks[0].n_scored == 4


PLAIN = """
from nemo_evaluator import ScorerInput, benchmark, scorer


@benchmark(name="plain", dataset=[{"q": "Say yes", "target": "yes"}] * 2, prompt="{q}")
@scorer
def plain(sample: ScorerInput) -> dict:
    return {"correct": False}


@scorer
async def in_a_sandbox(sample: ScorerInput) -> dict:
    ran = await sample.sandbox.exec(["echo", "yes"])
    return {"correct": ran.stdout.strip() == sample.target}
"""


async def test_a_rescoring_gets_the_sandbox_that_only_its_scorer_uses(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text(PLAIN)
    document = {
        "services": {"m": {"type": "simulated"}},
        "benchmarks": [{"name": str(tmp_path / "plain.py")}],
        "output": {"dir": str(tmp_path / "r")},
    }
    before = await evaluate_async(document)
    assert before.summary.benchmarks[0].metrics["pass@1"].value == 0.0
    done = await rescore(
        tmp_path / "r", scorer=f"{tmp_path / 'plain.py'}:in_a_sandbox", say=lambda _: None
    )
    assert done.after.benchmarks[0].metrics["pass@1"].value == 1.0

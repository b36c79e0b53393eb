"""Results to report on: bundles as a run writes them, with everything that needs escaping."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nemo_evaluator.reports.sources import Found
from nemo_evaluator.reports.view import Report, build_report
from nemo_evaluator.results.bundle import bundle
from nemo_evaluator.results.distribution import Distribution
from nemo_evaluator.results.read_bundle import published
from nemo_evaluator.results.repeats import Agreement
from nemo_evaluator.results.run_info import RunInfo, RunStatus
from nemo_evaluator.results.summary import (
    BenchmarkSummary,
    Estimate,
    FailureExample,
    FailureKind,
    RunSummary,
    Runtime,
)
from nemo_evaluator.types import BenchmarkPlan, PlanSettings

NASTY = "my|model_1 & <b>50%</b>"
RUN = RunInfo(
    run_id="20300101_000000_abcdef01",
    created="2030-01-01T00:00:00+00:00",
    version="0.0.0",
    python="3.11.0",
    host="host",
    status=RunStatus.INCOMPLETE,
    git="0123456789ab+",
    command="nel eval run config.yaml",
    benchmarks=("gsm8k", "sample", "nothing", "never_begun"),
)


def estimate(value: float, n: int = 100, method: str = "wilson") -> Estimate:
    return Estimate(
        value=value,
        ci_lower=round(value - 0.05, 4),
        ci_upper=round(value + 0.05, 4),
        n=n,
        method=method,
    )


def summary(name: str, **more: Any) -> BenchmarkSummary:
    """A benchmark of which 97 of 100 rollouts got a verdict."""
    runtime = Runtime(
        total_steps=100,
        total_tokens=12_345,
        total_prompt_tokens=10_000,
        total_completion_tokens=2_345,
        total_reasoning_tokens=0,
        elapsed_seconds=12.5,
        latency_percentiles_ms={"p50": 120.0, "p90": 200.0, "p99": 300.0},
        ttft_percentiles_ms={},
        tokens_per_second=987.6,
        steps_per_second=8.0,
        model_errors=0,
        total_retries=3,
        finish_reason_counts={"stop": 98, "length": 2},
        cost_usd=0.0421,
    )
    fields: dict[str, Any] = {
        "name": name,
        "slug": name,
        "service": "model",
        "model": NASTY,
        "simulated": False,
        "n_problems": 100,
        "repeats": 1,
        "n_rollouts": 100,
        "n_scored": 97,
        "headline": "pass@1",
        "metrics": {
            "pass@1": estimate(0.642, 97),
            "mean_reward": estimate(0.642, 97),
            "strict": estimate(0.58, 97),
        },
        "categories": {"category": {"a & b": estimate(0.5, 40), "c_d": estimate(0.7, 57)}},
        "bound_if_rest_wrong": 0.6227,
        "bound_if_rest_right": 0.6527,
        "truncated": 2,
        "no_answer": 1,
        "outcomes": {"infra_error": 3, "scored": 97},
        "failures": {"rate_limit": FailureKind(count=3, rate=0.03)},
        "examples": (
            FailureExample(
                category="rate_limit",
                problem_idx=7,
                repeat=0,
                error="HTTP 429: <slow> | `down`\n@all see [x](http://evil.example)",
            ),
        ),
        "retried": {
            "rollouts": 4,
            "mean_reward_retried": 0.25,
            "mean_reward_never_retried": 0.66,
        },
        "runtime": runtime,
        "summary": None,
        "identity": {},
        "plan_digest": "sha256:0",
        "distributions": {
            "latency_ms": Distribution(
                unit="ms", edges=(0, 100, 200, 300), counts=(40, 50, 10), log=False, n=100,
                min=12, p50=120, p90=200, p99=300, max=950,
            )
        },
    }  # fmt: skip
    return BenchmarkSummary(**{**fields, **more})


def repeated() -> BenchmarkSummary:
    """Four repeats of a simulated model, everything scored."""
    return summary(
        "sample",
        simulated=True,
        repeats=4,
        n_rollouts=400,
        n_scored=400,
        truncated=0,
        no_answer=0,
        outcomes={"scored": 400},
        failures={},
        examples=(),
        retried={},
        metrics={
            "pass@1": estimate(0.642),
            "pass@4": estimate(0.9, method="wilson, mid-p"),
            "pass^4": estimate(0.25),
        },
        agreement=Agreement(
            problems=100,
            same=35,
            always_right=25,
            always_wrong=10,
            within_std=0.42,
            right_counts=(10, 15, 20, 30, 25),
            unsteady=(3, 17, 99),
        ),
    )


def unscored() -> BenchmarkSummary:
    """All rollouts errored."""
    return summary(
        "nothing",
        n_scored=0,
        headline=None,
        metrics={},
        categories={},
        bound_if_rest_wrong=None,
        bound_if_rest_right=None,
        truncated=0,
        no_answer=0,
        outcomes={"infra_error": 100},
        failures={"auth": FailureKind(count=100, rate=1.0)},
        examples=(FailureExample(category="auth", problem_idx=7, repeat=0, error="HTTP 401"),),
        retried={},
        distributions={},
    )


def plan(item: BenchmarkSummary, **identity: Any) -> BenchmarkPlan:
    return BenchmarkPlan(
        name=item.name,
        slug=item.slug,
        service=item.service,
        model=item.model,
        simulated=item.simulated,
        solver="simple",
        dataset_size=item.n_problems,
        n_problems=item.n_problems,
        repeats=item.repeats,
        identity={
            "model": item.model,
            "model.generation": {"temperature": 0.0},
            "environment.dataset": "hf://openai/gsm8k?config=main&split=test",
            "environment.dataset_revision": "e53f048856ff4f594e959d75785d2c2d37b678ee",
            "environment.dataset_digest": "sha256:4ffd521f",
            "environment.prompt_digest": "5e1b32801d14610d",
            "environment.num_fewshot": 5,
            "environment.scorer": "gsm8k:4c6825b2",
            **identity,
        },
        settings=PlanSettings(min_coverage=0.95),
        digest="sha256:87553ab759ff",
    )


def document(item: BenchmarkSummary, run: RunInfo = RUN, **identity: Any) -> dict[str, Any]:
    """The bundle as it is on disk."""
    text = json.dumps(bundle(item, plan(item, **identity), run), default=_builtin)
    found: dict[str, Any] = json.loads(text)
    return found


def found(item: BenchmarkSummary, run: RunInfo = RUN, **more: Any) -> Found:
    """As if it stood in the run's directory."""
    path = Path("run") / item.slug / f"eval-{run.run_id}.json"
    return Found(path, published(document(item, run), where=str(path)), run, **more)


def report(*items: BenchmarkSummary, run: RunInfo = RUN) -> Report:
    """The report on a run with these benchmarks; by default three, and one never begun."""
    chosen = items or (summary("gsm8k"), repeated(), unscored())
    missing = tuple(slug for slug in run.benchmarks if slug not in {i.slug for i in chosen})
    return build_report([found(item, run, missing=missing) for item in chosen])


SUMMARY = RunSummary(
    run=RUN, benchmarks=(summary("gsm8k"), repeated(), unscored()), directory="run"
)


def _builtin(value: Any) -> Any:
    import msgspec

    return msgspec.to_builtins(value)

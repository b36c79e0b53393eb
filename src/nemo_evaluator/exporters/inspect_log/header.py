"""The head of a log: which evaluation it is, its scores, and what it used."""

from __future__ import annotations

import datetime
import math
from collections import defaultdict
from collections.abc import Callable

import msgspec

from ...results.identity_facts import facts_of
from ...results.published import Measure, Published
from ...results.view import BenchmarkView, RunView
from ...types import Json
from ...version import __version__
from ..times import created

FORMAT = 2
"""Version of the format."""
GENERATION = (
    "temperature", "top_p", "top_k", "max_tokens", "seed", "frequency_penalty", "presence_penalty",
)  # fmt: skip
"""Parameters of generation that have the same name there."""
MAIN = "nel"
"""Name of the score of a benchmark whose verifier is unknown."""
EXTRA = "scorer:"


def file_stem(run: RunView, benchmark: BenchmarkView) -> str:
    """The name of the log: Inspect's viewer reads time, task and id from it."""
    made = created(benchmark).isoformat(timespec="seconds").replace(":", "-")
    parts = (made, benchmark.folder.name, run.run_id)
    return "_".join(part.replace("_", "-").replace("/", "-") for part in parts)


def main_score(bundle: Published) -> str:
    """The name of the first score of each sample: what verified it."""
    return facts_of(bundle.identity).verifier or MAIN


def header(run: RunView, benchmark: BenchmarkView) -> dict[str, Json]:
    """An ``EvalLog`` without samples."""
    bundle = benchmark.bundle
    return {
        "version": FORMAT,
        "status": "success",
        "eval": _eval(run, benchmark),
        "plan": {
            "name": "plan",
            "steps": [{"solver": bundle.solver or MAIN, "params": {}}],
            "config": _generation(bundle),
        },
        "results": _results(bundle),
        "stats": _stats(benchmark),
        "invalidated": False,
        "tags": [],
        "metadata": _metadata(run, bundle),
    }


def _eval(run: RunView, benchmark: BenchmarkView) -> dict[str, Json]:
    bundle = benchmark.bundle
    base_url = bundle.config.get("base_url")
    return {
        "eval_id": f"{run.run_id}-{benchmark.folder.name}",
        "run_id": run.run_id,
        "created": created(benchmark).isoformat(timespec="seconds"),
        "task": bundle.name,
        "task_id": f"{run.run_id}-{benchmark.folder.name}",
        "task_version": 0,
        "solver": bundle.solver,
        "dataset": {"name": bundle.name, "samples": bundle.n_problems},
        "model": bundle.model or "none",
        "model_base_url": base_url if isinstance(base_url, str) else None,
        "model_generate_config": _generation(bundle),
        "config": {"epochs": bundle.repeats or 1, "epochs_reducer": ["mean"]},
        "packages": {"nemo_evaluator": bundle.version or __version__},
        "metadata": {**_metadata(run, bundle), **_plan(benchmark)},
        "scorers": [
            {"name": name, "options": {}, "metrics": [], "metadata": {}}
            for name in dict.fromkeys((main_score(bundle), *map(_scorer(bundle), bundle.metrics)))
        ],
    }


def _scorer(bundle: Published) -> Callable[[str], str]:
    """Which score a metric belongs to."""
    return lambda metric: metric if metric.startswith(EXTRA) else main_score(bundle)


def _metadata(run: RunView, bundle: Published) -> dict[str, Json]:
    return {
        "nel_run_id": run.run_id,
        "nel_digest": bundle.digest,
        "nel_headline": bundle.headline,
        "nel_coverage": bundle.coverage,
        "nel_simulated": bundle.simulated,
    }


def _plan(benchmark: BenchmarkView) -> dict[str, Json]:
    """The plan of the run, by which an import makes it the run that it was."""
    plan = benchmark.plan
    return {} if plan is None else {"nel_plan": msgspec.to_builtins(plan, enc_hook=str)}


def _generation(bundle: Published) -> dict[str, Json]:
    generation = facts_of(bundle.identity).generation or bundle.config
    return {
        name: value
        for name in GENERATION
        if isinstance(value := generation.get(name), int | float) and not isinstance(value, bool)
    }


def _results(bundle: Published) -> dict[str, Json]:
    groups: dict[str, dict[str, Json]] = defaultdict(dict)
    for name in sorted(bundle.metrics, key=lambda name: name != bundle.headline):
        of = _scorer(bundle)(name)
        label = "mean" if name.startswith(EXTRA) else name
        groups[of][label] = _metric(label, bundle.metrics[name])
    counted = {"scored_samples": bundle.n_scored}
    if bundle.n_rollouts is not None and bundle.n_scored is not None:
        counted["unscored_samples"] = bundle.n_rollouts - bundle.n_scored
    return {
        "total_samples": bundle.n_rollouts or bundle.n_scored or 0,
        "completed_samples": bundle.n_scored or 0,
        "scores": [
            {"name": name, "scorer": name, "params": {}, "metrics": metrics, **counted}
            for name, metrics in groups.items()
        ],
    }


def _metric(name: str, measure: Measure) -> dict[str, Json]:
    about = {
        "ci_lower": measure.ci_lower,
        "ci_upper": measure.ci_upper,
        "ci_method": measure.method,
        "stderr": measure.stderr,
        "n": measure.n,
    }
    kept = {
        key: value
        for key, value in about.items()
        if value is not None and not (isinstance(value, float) and not math.isfinite(value))
    }
    return {"name": name, "value": measure.value, "params": {}, "metadata": kept}


def _stats(benchmark: BenchmarkView) -> dict[str, Json]:
    bundle, begun = benchmark.bundle, created(benchmark)
    used = bundle.runtime
    ended = begun + datetime.timedelta(seconds=used.elapsed_seconds or 0.0)
    usage = usage_of(
        used.total_prompt_tokens,
        used.total_completion_tokens,
        used.total_cached_tokens,
        used.total_reasoning_tokens,
        used.cost_usd,
        used.total_tokens,
    )
    return {
        "started_at": begun.isoformat(timespec="seconds"),
        "completed_at": ended.isoformat(timespec="seconds"),
        "model_usage": {} if usage is None else {bundle.model or "none": usage},
    }


def usage_of(
    prompt: int | None,
    completion: int | None,
    cached: int | None,
    reasoning: int | None,
    cost: float | None,
    total: int | None = None,
) -> dict[str, Json] | None:
    """A ``ModelUsage``, whose input tokens are those that no cache had; None where all is unknown.

    >>> usage_of(10, 5, 4, None, None)["input_tokens"]
    6
    """
    if total is None and (prompt is not None or completion is not None):
        total = (prompt or 0) + (completion or 0)
    if not total:
        return None
    fields = {
        "input_tokens_cache_read": cached or None,
        "reasoning_tokens": reasoning or None,
        "total_cost": cost,
    }
    return {
        "input_tokens": max((prompt or 0) - (cached or 0), 0),
        "output_tokens": completion or 0,
        "total_tokens": total,
        **{name: value for name, value in fields.items() if value is not None},
    }

"""The bundle: ``eval-<run id>.json``, the published summary of one benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from ..types import BenchmarkPlan
from .failures import failure_analysis
from .files import write_json
from .identity_facts import plan_facts, whole_size
from .published import AGGREGATE
from .read_bundle import BUNDLES, bundle_path, is_own_bundle
from .run_info import RunInfo
from .summary import BenchmarkSummary, Estimate

DIGITS = 6


def write_bundle(
    folder: Path, summary: BenchmarkSummary, plan: BenchmarkPlan, run: RunInfo
) -> Path:
    """Write the bundle; exactly one of ours stands in a folder."""
    path = bundle_path(folder, run.run_id)
    write_json(path, bundle(summary, plan, run))
    for other in folder.glob(BUNDLES):
        if other != path and is_own_bundle(other):
            other.unlink(missing_ok=True)
    return path


def bundle(summary: BenchmarkSummary, plan: BenchmarkPlan, run: RunInfo) -> dict[str, object]:
    """The document, in the published format and with what makes it comparable."""
    runtime = msgspec.to_builtins(summary.runtime)
    scores: dict[str, Any] = {name: _entry(value) for name, value in summary.metrics.items()}
    if summary.summary is not None:
        scores["summary"] = msgspec.to_builtins(summary.summary)
    scores |= {"runtime": runtime, "failures": failure_analysis(summary)}
    return {
        "run_id": run.run_id,
        "config_hash": plan.digest,
        "sdk_version": run.version,
        "timestamp": run.created,
        "config": config_of(plan),
        "benchmark": {
            "name": summary.name,
            "slug": summary.slug,
            "samples": summary.n_problems,
            "repeats": summary.repeats,
            "headline": summary.headline,
            **({} if (mode := plan_facts(plan).mode) is None else {"mode": mode}),
            "simulated": summary.simulated,
            "coverage": {
                "planned": summary.n_rollouts,
                "scored": summary.n_scored,
                "share": round(summary.coverage, DIGITS),
                "floor": plan.settings.min_coverage,
                "score_if_rest_wrong": summary.bound_if_rest_wrong,
                "score_if_rest_right": summary.bound_if_rest_right,
            },
            "warnings": list(summary.warnings),
            **_stopping(summary),
            "truncated": summary.truncated,
            "refused": summary.refused,
            "no_answer": summary.no_answer,
            "outcomes": summary.outcomes,
            "retried": summary.retried,
            "agreement": msgspec.to_builtins(summary.agreement),
            "distributions": msgspec.to_builtins(dict(summary.distributions)),
            **({} if summary.effort is None else {"effort": msgspec.to_builtins(summary.effort)}),
            "performance": msgspec.to_builtins(summary.performance),
            "scores": scores,
            "categories": {
                group: {"mean_reward": round(value.value, DIGITS), **_entry(value)}
                for group, value in summary.categories.get("category", {}).items()
            },
            "breakdowns": {
                name: {group: _entry(value) for group, value in groups.items()}
                for name, groups in summary.categories.items()
            },
        },
        "n_results": summary.n_scored,
    }


def _stopping(summary: BenchmarkSummary) -> dict[str, object]:
    found = summary.stopping
    return {} if found is None else {"stopping": msgspec.to_builtins(found)}


def config_of(plan: BenchmarkPlan) -> dict[str, object]:
    """How the run was made, with the identity that comparisons go by."""
    facts, whole, seed = plan_facts(plan), whole_size(plan), plan.settings.shuffle_seed
    return {
        "benchmark": plan.name,
        "model": plan.model,
        "base_url": plan.settings.base_url,
        "repeats": plan.repeats,
        "max_problems": whole if whole < plan.dataset_size else None,
        "system_prompt": facts.system_prompt,
        **facts.model_generation,
        "scorers": list(facts.scorers) or None,
        "shuffle_seed": seed,
        "shuffle": {
            "seed": seed,
            "applied": seed is not None,
            "ds_full_size": plan.dataset_size,
            "ds_effective_size": whole,
        },
        "service": plan.service,
        "solver": plan.solver,
        "simulated": plan.simulated,
        "dataset_size": plan.dataset_size,
        "identity": plan.identity,
        **_shard(plan),
    }


def _shard(plan: BenchmarkPlan) -> dict[str, object]:
    found, part = plan.settings.shard, plan.settings.shard_range
    if found is None:
        return {}
    return {"shard": {"idx": found[0], "total": found[1], "range": part}, "shard_range": part}


def _rounded(value: float, digits: int | None) -> float:
    """What an environment made of all its rows is published as it is."""
    return value if digits is None else round(value, digits)


def _entry(estimate: Estimate) -> dict[str, object]:
    digits = None if estimate.method == AGGREGATE else DIGITS
    entry = {
        "value": _rounded(estimate.value, digits),
        "ci_lower": _rounded(estimate.ci_lower, digits),
        "ci_upper": _rounded(estimate.ci_upper, digits),
        "n": estimate.n,
        "method": estimate.method,
    }
    if estimate.stderr is not None:
        entry["stderr"] = _rounded(estimate.stderr, digits)
    if estimate.filter != "none":
        entry["filter"] = estimate.filter
    if not estimate.higher_is_better:
        entry["higher_is_better"] = False
    if estimate.group is not None:
        entry["group"] = estimate.group
    if estimate.total is not None:
        entry |= {"correct": estimate.correct, "total": estimate.total}
    return entry

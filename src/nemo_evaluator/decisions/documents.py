"""Comparisons and gates as the published JSON, with what is ours beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from ..config.gate_policy import Direction
from ..stats.paired import PairedDifference
from .compare import Comparison
from .flips import Flip, FlipReport
from .gate import GateReport, GateVerdict
from .gate_benchmark import BenchmarkGate
from .multiple import Field
from .paired_tests import TestResult
from .verdicts import Verdict, worst

REPORT_VERSION = 1


class Document(dict[str, Any]):
    """Published JSON whose fields are attributes too: ``report["verdict"]``, ``report.verdict``."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        super().__init__({key: _attributed(value) for key, value in data.items()})

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the report has no field {name!r}") from None


class ComparisonReport(Document):
    """The report of `nel compare` on one benchmark."""

    verdict: Verdict
    verdict_reasons: list[str]
    threshold: float
    baseline: Document
    candidate: Document
    score_deltas: Document


class GateDocument(Document):
    """The report of `nel gate`."""

    verdict: GateVerdict
    verdict_reasons: list[str]
    benchmarks: list[Document]
    missing: list[str]
    warnings: list[str]


def _attributed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return Document(value)
    return [_attributed(item) for item in value] if isinstance(value, list) else value


TEST_KEYS = {"mcnemar": "mcnemar", "sign": "sign_test", "permutation": "permutation_test"}
HYPOTHESIS = "one-sided (candidate is worse than the baseline)"


def comparison_document(c: Comparison) -> dict[str, Any]:
    """One benchmark. ``threshold`` is ``max_drop``; scores and differences are in its units."""
    document: dict[str, Any] = {
        "report_version": REPORT_VERSION,
        "benchmark": c.benchmark,
        "baseline": dict(c.baseline),
        "candidate": dict(c.candidate),
        "score_deltas": dict(c.score_deltas),
        "runtime_deltas": dict(c.runtime_deltas),
        "verdict": c.verdict.value,
        "verdict_reasons": list(c.reasons),
        "threshold": c.options.max_drop,
        "alpha": c.options.level,
        "rules": c.options.rules.value,
        "metric": c.options.metric,
        "direction": (Direction.HIGHER if c.higher_is_better else Direction.LOWER).value,
        "coverage": {
            "paired": c.n_paired,
            "share": c.coverage,
            "floor": c.coverage_floor,
            **{name: msgspec.to_builtins(side) for name, side in c.sides.items()},
        },
    }
    if c.warnings:
        document["warnings"] = list(c.warnings)
    if c.differs:
        document["differs"] = [msgspec.to_builtins(item) for item in c.differs]
    if c.uneven is not None:
        document["categories_differ_p"] = c.uneven
    if c.categories:
        document["category_deltas"] = msgspec.to_builtins(dict(c.categories))
    if c.flips is not None:
        same = c.n_paired - c.worse - c.better
        changes = {"worse": c.worse, "better": c.better, "same": same}
        document["flip_report"] = {**flip_document(c.flips), "changes": changes}
    if c.difference is not None:
        document["difference"] = _difference(c, c.difference)
    if c.shown is not None:
        document["shown"] = msgspec.to_builtins(c.shown)
        document["chance_of_larger_drop"] = c.chance_beyond
    document |= _calibrated(c)
    if c.stopped is not None:
        document["stopped"] = msgspec.to_builtins(c.stopped)
    if c.doubts:
        document["doubts"] = [msgspec.to_builtins(doubt) for doubt in c.doubts]
    if c.test is not None:
        document[TEST_KEYS[c.test.name]] = _test(c.test, c.options.level)
        document |= {"test_used": c.test.name, "test_reason": c.test.reason}
    return _finite(document)


def _difference(c: Comparison, found: PairedDifference) -> dict[str, Any]:
    return {
        "baseline": c.baseline_score,
        "candidate": c.candidate_score,
        "delta": found.delta,
        "ci_lower": found.lower,
        "ci_upper": found.upper,
        "standard_error": found.error,
        "n": found.n,
        "units": found.units,
        "method": found.method,
        "minimum_detectable_drop": c.detectable,
        "problems_needed": c.needed,
    }


def _calibrated(c: Comparison) -> dict[str, Any]:
    if c.calibrated is None:
        return {}
    damage = c.evidence
    bounds = None if damage is None else c.calibrated.bounds(damage, c.options.level)
    found = msgspec.to_builtins(c.calibrated) | {"damage": msgspec.to_builtins(bounds)}
    return {"calibrated": found}


def flip_document(flips: FlipReport) -> dict[str, Any]:
    """Contingency, flips and their summary."""
    c, n = flips.contingency, flips.n_paired
    return {
        "contingency": msgspec.to_builtins(c),
        "regressions": [_flip(flip) for flip in flips.regressions],
        "improvements": [_flip(flip) for flip in flips.improvements],
        "summary": {
            "n_paired": n,
            "n_regressions": c.baseline_only_correct,
            "n_improvements": c.candidate_only_correct,
            "n_stable_correct": c.both_correct,
            "n_stable_wrong": c.both_wrong,
            "regression_rate": round(c.baseline_only_correct / n, 4) if n else 0.0,
            "improvement_rate": round(c.candidate_only_correct / n, 4) if n else 0.0,
            "category_breakdown": dict(flips.categories) or None,
        },
    }


def comparisons_document(comparisons: Mapping[str, Comparison]) -> dict[str, Any]:
    """Several benchmarks by name."""
    return {name: comparison_document(c) for name, c in comparisons.items()}


def field_document(field: Field) -> dict[str, Any]:
    """Several candidates against one baseline."""
    document = {
        "report_version": REPORT_VERSION,
        "baseline": field.baseline,
        "correction": field.correction,
        "verdict": worst(entry.verdict for entry in field.entries).value,
        "candidates": [
            {
                "candidate": entry.candidate,
                "benchmark": entry.comparison.benchmark,
                "verdict": entry.verdict.value,
                "p_worse_adjusted": entry.p_worse,
                "p_better_adjusted": entry.p_better,
                "report": comparison_document(entry.comparison),
            }
            for entry in field.entries
        ],
        "leaderboard": {
            benchmark: [msgspec.to_builtins(place) for place in places]
            for benchmark, places in field.leaderboard.items()
        },
    }
    return _finite(document)


def gate_document(report: GateReport) -> dict[str, Any]:
    """The decision with every benchmark."""
    return _finite(
        {
            "report_version": REPORT_VERSION,
            "verdict": report.verdict.value,
            "verdict_reasons": list(report.reasons),
            "baseline": report.baseline,
            "candidate": report.candidate,
            "provenance": (
                None if report.provenance is None else msgspec.to_builtins(report.provenance)
            ),
            "policy": report.policy.model_dump(mode="json", exclude_unset=True)
            | {"version": report.policy.version},
            "benchmarks": [_gated(item) for item in report.benchmarks],
            "suite": None if report.suite is None else msgspec.to_builtins(report.suite),
            "odds": None if report.odds is None else msgspec.to_builtins(report.odds),
            "missing": list(report.missing),
            "warnings": list(report.warnings),
        }
    )


def _gated(item: BenchmarkGate) -> dict[str, Any]:
    breached = {rule.name for rule in item.applied if rule.status.value == "BREACH"}
    relative = None
    if item.delta is not None and item.baseline_score:
        relative = 100 * item.delta / item.baseline_score
    return {
        "benchmark": item.benchmark,
        "tier": item.tier.value,
        "status": item.status.value,
        "metric": item.metric,
        "baseline_score": item.baseline_score,
        "candidate_score": item.candidate_score,
        "delta": item.delta,
        "relative_drop_pct": relative,
        "delta_ci_lower": item.delta_ci_lower,
        "delta_ci_upper": item.delta_ci_upper,
        "n_paired": item.n_paired,
        "coverage": item.coverage,
        "truncation_rate": item.truncation_rate,
        "max_drop_threshold": item.rules.max_drop,
        "max_relative_drop_threshold": item.rules.max_relative_drop,
        "direction": (Direction.HIGHER if item.higher_is_better else Direction.LOWER).value,
        "absolute_breached": "max_drop" in breached,
        "relative_breached": "max_relative_drop" in breached,
        "reasons": item.reasons,
        "rules": [msgspec.to_builtins(rule) for rule in item.applied],
        "warnings": list(item.warnings),
        "regression_report": comparison_document(item.comparison) if item.comparison else None,
    }


def _test(test: TestResult, alpha: float) -> dict[str, Any]:
    return {
        "p_value": test.p_worse,
        "p_value_improvement": test.p_better,
        "significant": test.p_worse < alpha,
        "effect_size": test.effect,
        "hypothesis": HYPOTHESIS,
        **test.details,
    }


def _flip(flip: Flip) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(flip)
    return {key: value for key, value in found.items() if value is not None}


def _finite(document: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no infinity: an end that is not known is null."""
    return {key: _known(value) for key, value in document.items()}


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        return _finite(value)
    if isinstance(value, list | tuple):
        return [_known(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""Statistics under the names of NVIDIA NeMo Evaluator, computed by ``stats``.

Closed forms are the published ones. Resampled intervals agree within the error of resampling.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..decisions.paired_tests import TestResult
from ..stats.effects import cohens_dz
from ..stats.intervals import Interval, clt_interval, within_problem_interval
from ..stats.passk import pass_at_k
from ..stats.resampling import bootstrap
from ..stats.significance import mcnemar, permutation, sign_test

__all__ = [
    "ConfidenceInterval",
    "aggregate_pass_at_k",
    "bootstrap_ci",
    "clustered_ci",
    "headline_metrics",
    "mcnemar_test",
    "normal_ci",
    "pass_at_k",
    "permutation_test",
    "sample_level_ci",
    "sign_test_paired",
    "summary_stats",
]

WORSE = "one-sided: the candidate is worse"


@dataclass(frozen=True)
class ConfidenceInterval:
    """A mean with its 95 % interval."""

    mean: float
    ci_lower: float
    ci_upper: float
    method: str
    n: int


def bootstrap_ci(values: Sequence[float], confidence: float = 0.95) -> ConfidenceInterval:
    """Percentile bootstrap of the mean, 10,000 resamples. One value has no width."""
    array = np.asarray(values, np.float64)
    if len(array) < 2:
        mean = float(array[0]) if len(array) else math.nan
        return ConfidenceInterval(mean, mean, mean, "bootstrap", len(array))
    lower, upper = bootstrap(array, confidence=confidence)
    return ConfidenceInterval(float(array.mean()), lower, upper, "bootstrap", len(array))


def normal_ci(values: Sequence[float], confidence: float = 0.95) -> ConfidenceInterval:
    """mean ± z·sd/√n."""
    found = clt_interval(np.asarray(values, np.float64), confidence=confidence)
    return _confidence_interval(found, "normal")


def clustered_ci(
    values: Sequence[float], clusters: Sequence[object], confidence: float = 0.95
) -> ConfidenceInterval:
    """mean ± z·se with the clustered standard error; the normal one where there is one cluster."""
    if len(values) != len(clusters):
        raise ValueError("values and clusters must have the same length")
    if len(set(clusters)) < 2:
        return normal_ci(values, confidence)
    found = clt_interval(np.asarray(values, np.float64), clusters, confidence=confidence)
    return _confidence_interval(found, "clustered")


def sample_level_ci(problems: Sequence[tuple[int, int]]) -> ConfidenceInterval | None:
    """The interval of a re-run of the same problems, given as (attempts, right ones)."""
    attempts, right = ([pair[i] for pair in problems] for i in (0, 1))
    found = within_problem_interval(np.asarray(attempts, np.float64), np.asarray(right, np.float64))
    return None if found is None else _confidence_interval(found, "sample_binomial")


def _confidence_interval(found: Interval, method: str) -> ConfidenceInterval:
    lower, upper = found.lower, found.upper
    if not math.isfinite(lower):
        lower = upper = found.value
    return ConfidenceInterval(found.value, lower, upper, method, found.n)


def aggregate_pass_at_k(problems: Sequence[tuple[int, int]], k: int) -> float:
    """The mean of pass@k over problems with ``k`` attempts or more; 0 for none."""
    values = [pass_at_k(n, c, k) for n, c in problems if n >= k]
    return sum(values) / len(values) if values else 0.0


def headline_metrics(rewards: Mapping[int, Sequence[float]], n_repeats: int) -> dict[str, float]:
    """``pass@1`` and ``pass@n`` where all rewards are 0 or 1, else ``mean_reward``."""
    lists = [list(found) for found in rewards.values() if found]
    if any(reward not in (0, 1) for found in lists for reward in found):
        return {"mean_reward": sum(sum(f) / len(f) for f in lists) / len(lists)}
    problems = [(len(found), sum(1 for reward in found if reward > 0)) for found in lists]
    ks = dict.fromkeys((1, n_repeats))
    return {f"pass@{k}": aggregate_pass_at_k(problems, k) for k in ks}


def summary_stats(values: Sequence[float]) -> dict[str, float]:
    """Mean, standard deviation, least, greatest, median and number."""
    array = np.asarray(values, np.float64)
    if not len(array):
        return {"mean": 0.0, "std": 0.0, "min": 0.0, "max": 0.0, "median": 0.0, "n": 0}
    return {
        "mean": float(array.mean()),
        "std": float(array.std(ddof=1)) if len(array) > 1 else 0.0,
        "min": float(array.min()),
        "max": float(array.max()),
        "median": float(np.median(array)),
        "n": len(array),
    }


def mcnemar_test(regressions: int, improvements: int, n: int) -> TestResult:
    """McNemar's exact test of "the candidate is not worse"."""
    return TestResult(
        name="mcnemar",
        reason=WORSE,
        p_worse=mcnemar(regressions, improvements),
        p_better=mcnemar(improvements, regressions),
        effect=(regressions - improvements) / n if n else None,
        details={"regressions": regressions, "improvements": improvements, "n": n},
    )


def sign_test_paired(differences: Sequence[float]) -> TestResult:
    """The sign test on baseline - candidate."""
    drops = -np.asarray(differences, np.float64)
    return TestResult(
        name="sign",
        reason=WORSE,
        p_worse=sign_test(drops),
        p_better=sign_test(drops, "better"),
        effect=None,
        details={"n": len(drops)},
    )


def permutation_test(differences: Sequence[float], seed: int = 42) -> TestResult:
    """The permutation of signs on baseline - candidate, 10,000 draws."""
    drops = -np.asarray(differences, np.float64)
    return TestResult(
        name="permutation",
        reason=WORSE,
        p_worse=permutation(drops, seed=seed) if len(drops) else 1.0,
        p_better=permutation(drops, seed=seed, alternative="better") if len(drops) else 1.0,
        effect=cohens_dz(-drops) if len(drops) > 1 else None,
        details={"n": len(drops)},
    )

"""Tests of "the candidate is not worse" on paired problems.

McNemar's where every paired score is 0 or 1 and the problems are independent, else a permutation of
signs over problems (or over the clusters of problems that the benchmark declares).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from ..errors import ConfigError
from ..stats.effects import cohens_dz
from ..stats.significance import mcnemar, permutation, sign_test
from ..types import Record
from .pairing import Pairs
from .rollouts import Bools, Floats

TestName = Literal["auto", "mcnemar", "sign", "permutation"]


class TestResult(Record, frozen=True, kw_only=True):
    """One test of "the candidate is not worse"."""

    name: str
    reason: str
    """Why this one."""
    p_worse: float
    """One-sided: how likely a drop like this is if there is none."""
    p_better: float
    effect: float | None
    """McNemar and sign: (regressions - improvements) / n; permutation: mean/sd of the drops."""
    details: Mapping[str, Any]


def run_test(
    pairs: Pairs,
    test: TestName = "auto",
    *,
    right: tuple[Bools, Bools],
    resamples: int = 10_000,
    seed: int = 42,
) -> TestResult:
    """The test asked for, or the one that fits. ``right``: the problems that each side has right,
    for McNemar's test of scores that are neither 0 nor 1. Raises ConfigError if it does not fit."""
    binary = bool(np.isin(pairs.baseline, (0, 1)).all() and np.isin(pairs.candidate, (0, 1)).all())
    if test == "mcnemar" or (test == "auto" and binary and pairs.clusters is None):
        if test == "mcnemar" and pairs.clusters is not None:
            raise ConfigError(
                "McNemar's test takes every problem as independent, these are clustered",
                where="--test",
                hint="permutation",
            )
        if binary:
            reason = "every paired score is 0 or 1"
            return _mcnemar(pairs.baseline > 0, pairs.candidate > 0, reason)
        return _mcnemar(*right, "asked for")
    if test == "sign":
        return _sign(pairs.differences)
    if test == "permutation":
        reason = "asked for"
    elif pairs.clusters is not None:
        reason = "problems are clustered"
    else:
        reason = "scores are graded or averaged over repeats"
    return _permutation(pairs, resamples, seed, reason)


def _mcnemar(baseline: Bools, candidate: Bools, reason: str) -> TestResult:
    lost, won = int((baseline & ~candidate).sum()), int((~baseline & candidate).sum())
    n = len(baseline)
    effect = (lost - won) / n
    variance = (lost / n + won / n - effect**2) / n
    half = 1.96 * math.sqrt(max(0.0, variance))
    wald = (effect - half, effect + half) if n > 1 and lost + won and variance > 0 else (None, None)
    return TestResult(
        name="mcnemar",
        reason=reason,
        p_worse=mcnemar(lost, won),
        p_better=mcnemar(won, lost),
        effect=effect,
        details={
            "method": "exact_binomial" if lost + won else "exact",
            "n_discordant": lost + won,
            "ci_lower": wald[0],
            "ci_upper": wald[1],
        },
    )


def _sign(differences: Floats) -> TestResult:
    lost, won = int((differences < 0).sum()), int((differences > 0).sum())
    return TestResult(
        name="sign",
        reason="asked for",
        p_worse=sign_test(differences, alternative="worse"),
        p_better=sign_test(differences, alternative="better"),
        effect=(lost - won) / len(differences),
        details={
            "n_positive": lost,
            "n_negative": won,
            "n_ties": len(differences) - lost - won,
        },
    )


def _permutation(pairs: Pairs, resamples: int, seed: int, reason: str) -> TestResult:
    drops = -pairs.differences

    def p(alternative: Literal["worse", "better"]) -> float:
        return permutation(
            pairs.differences,
            pairs.clusters,
            resamples=resamples,
            seed=seed,
            alternative=alternative,
            # Means are compared as they come, as the published rule does: the same p-values.
            tolerance=0.0,
        )

    return TestResult(
        name="permutation",
        reason=reason,
        p_worse=p("worse"),
        # The draws cost seconds where there are many problems: only what can be significant.
        p_better=p("better") if drops.mean() < 0 else 1.0,
        effect=cohens_dz(drops),
        details={
            "observed_mean_diff": float(drops.mean()),
            "n_permutations": resamples,
            "seed": seed,
        },
    )

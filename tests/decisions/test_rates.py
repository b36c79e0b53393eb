"""How often the decisions themselves are wrong, by simulation: runs are drawn, verdicts counted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from columns import columns
from scipy.stats import binom

from nemo_evaluator.config.gate_policy import GatePolicy
from nemo_evaluator.decisions.compare import compare
from nemo_evaluator.decisions.damage import Bounds, Damage, Sides
from nemo_evaluator.decisions.gate import GateVerdict, gate
from nemo_evaluator.decisions.options import CompareOptions
from nemo_evaluator.decisions.pairing import pair
from nemo_evaluator.decisions.planning import plan_power, spread_assumed, spread_of_run
from nemo_evaluator.decisions.sources import Source
from nemo_evaluator.decisions.verdicts import Verdict

Floats = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator], tuple[Floats, Floats]]


def source(rewards: Floats, clusters: list[str] | None = None) -> Source:
    return Source("bench", Path("run"), given=columns(rewards, clusters))


def verdicts(
    draw: Draw, times: int, options: CompareOptions, clusters: list[str] | None = None
) -> Counter[Verdict]:
    generator = np.random.default_rng(11)
    counts: Counter[Verdict] = Counter()
    for _ in range(times):
        one, other = draw(generator)
        counts[compare(source(one, clusters), source(other, clusters), options).verdict] += 1
    return counts


def at_most(share: float, times: int) -> float:
    """What a share may look like in so many draws (three standard errors)."""
    return share + 3 * math.sqrt(share * (1 - share) / times)


def binary(n: int, k: int, drop: float = 0.0, clusters: int | None = None) -> Draw:
    """Problems of varying difficulty; repeats by chance. Clusters are harder for one side or the
    other, whichever."""

    def draw(generator: np.random.Generator) -> tuple[Floats, Floats]:
        p = q = generator.beta(1.4, 0.6, n)
        if clusters is not None:
            harder = p * generator.uniform(0.5, 1, clusters)[np.arange(n) % clusters]
            side = generator.integers(0, 2, clusters)[np.arange(n) % clusters] == 1
            p, q = np.where(side, harder, p), np.where(side, q, harder)
        one = generator.uniform(size=(n, k)) < p[:, None]
        other = generator.uniform(size=(n, k)) < (q - drop * q / q.mean())[:, None]
        return one.astype(float), other.astype(float)

    return draw


def exactly(n: int, lost: float, won: float, limit: float) -> tuple[float, float]:
    """Chances of a GO and of a NO-GO, summed over all numbers of flips of single verdicts."""
    go = no_go = 0.0
    for i, p in enumerate(binom.pmf(np.arange(n + 1), n, lost)):
        if p < 1e-9:
            continue
        for j, q in enumerate(binom.pmf(np.arange(n - i + 1), n - i, won / (1 - lost))):
            if p * q > 1e-9:
                bounds = flipped(n, i, j)
                go += p * q * (bounds.upper <= limit)
                no_go += p * q * (bounds.lower > limit)
    return go, no_go


@cache
def flipped(n: int, lost: int, won: int) -> Bounds:
    one, other = np.zeros(n), np.zeros(n)
    one[:lost] = other[lost : lost + won] = 1.0
    return Damage(Sides(one, other)).bounds()


@pytest.mark.parametrize("n", [10, 20, 40, 50, 100, 200])
def test_a_drop_of_the_limit_is_rarely_go_and_rarely_no_go(n: int) -> None:
    """Deterministic models, which lose and win nothing by chance, are among them."""
    for limit in (0.01, 0.02, 0.025, 0.05, 0.1):
        for won in (0.0, 0.01, 0.02, 0.04):
            go, no_go = exactly(n, limit + won, won, limit)
            assert go <= 0.025, (limit, won)
            assert no_go <= 0.025, (limit, won)


@pytest.mark.parametrize(
    ("n", "share", "noise"), [(20, 0.1, 0.02), (50, 0.1, 0.02), (300, 0.1, 0.2)]
)
def test_a_drop_of_few_large_losses_is_rarely_go(n: int, share: float, noise: float) -> None:
    """Graded answers, of which few fall far: a sample that has none of them proves nothing, and
    one that has few of them has a small spread."""
    times, limit, generator = 1500, 0.05, np.random.default_rng(20)
    go = no_go = 0
    for _ in range(times):
        one = generator.uniform(0.5, 0.9, n)
        fell = (generator.uniform(size=n) < share) * limit / share
        other = np.clip(one + generator.normal(0, noise / 2, n) - fell, 0, 1)
        bounds = Damage(Sides(one, other, span=1.0)).bounds()
        go += bounds.upper <= limit
        no_go += bounds.lower > limit
    assert go / times <= at_most(0.025, times)
    assert no_go / times <= at_most(0.025, times)


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(52, 4, 4), (192, 4, 4), (30, 20, 10)])
def test_a_drop_in_a_small_category_is_rarely_go(sizes: tuple[int, ...]) -> None:
    """Of a macro metric it is a large share, of which a sample may have seen no change at all."""
    times, limit, generator = 400, 0.1, np.random.default_rng(21)
    weights = np.concatenate([np.full(n, sum(sizes) / len(sizes) / n) for n in sizes])
    last = np.arange(sum(sizes)) >= sum(sizes) - sizes[-1]
    go = no_go = 0
    for _ in range(times):
        one = generator.uniform(size=sum(sizes)) < 0.9
        other = generator.uniform(size=sum(sizes)) < 0.9 - last * limit * len(sizes)
        bounds = Damage(Sides(one * weights, other * weights, weights=weights)).bounds()
        go += bounds.upper <= limit
        no_go += bounds.lower > limit
    assert go / times <= at_most(0.025, times)
    assert no_go / times <= at_most(0.025, times)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "k"), [(60, 4), (200, 2)])
def test_a_drop_of_the_limit_is_rarely_blocked_or_passed(n: int, k: int) -> None:
    times = 600
    counts = verdicts(binary(n, k, drop=0.05), times, CompareOptions(max_drop=0.05, resamples=1))
    assert counts[Verdict.BLOCK] / times <= at_most(0.025, times)
    assert counts[Verdict.PASS] / times <= at_most(0.025, times)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_many_relative_limits_are_rarely_breached_by_chance() -> None:
    """Twenty benchmarks, each just at its relative limit."""
    times, generator = 30, np.random.default_rng(18)
    rules = {"metric": "mean_reward", "max_drop": 1.0, "max_relative_drop": 0.05 / 0.7}
    policy = GatePolicy.model_validate({"defaults": rules})
    no_go = 0
    for _ in range(times):
        pairs = [binary(100, 1, drop=0.05)(generator) for _ in range(20)]
        one, other = ({f"b{i}": source(p[s]) for i, p in enumerate(pairs)} for s in (0, 1))
        no_go += gate(one, other, policy).verdict is GateVerdict.NO_GO
    assert no_go / times <= at_most(0.025, times)


def test_a_drop_that_times_out_is_never_go() -> None:
    """Ten points worse, and half of the wrong answers have no verdict."""
    generator = np.random.default_rng(19)
    rules = {"metric": "mean_reward", "max_drop": 0.05, "min_coverage": 0.0}
    policy = GatePolicy.model_validate({"defaults": rules})
    for _ in range(100):
        one, other = binary(500, 1, drop=0.1)(generator)
        other[(other == 0) & (generator.uniform(size=other.shape) < 0.5)] = np.nan
        assert gate({"b": source(one)}, {"b": source(other)}, policy).verdict is not GateVerdict.GO


@pytest.mark.parametrize(
    ("n", "k"), [pytest.param(60, 1, marks=pytest.mark.slow), (200, 1), (60, 4)]
)
def test_no_difference_is_rarely_blocked(n: int, k: int) -> None:
    times = 1000
    options = CompareOptions(max_drop=0.0, resamples=999)
    counts = verdicts(binary(n, k), times, options)
    assert counts[Verdict.BLOCK] / times <= at_most(0.025, times)


@pytest.mark.slow
def test_no_difference_in_clusters_is_rarely_blocked() -> None:
    times, clusters = 600, 20
    names = [f"c{i % clusters}" for i in range(200)]
    options = CompareOptions(max_drop=0.0, resamples=999)
    counts = verdicts(binary(200, 2, clusters=clusters), times, options, names)
    assert counts[Verdict.BLOCK] / times <= at_most(0.025, times)
    plain = verdicts(binary(200, 2, clusters=clusters), times, options)
    assert plain[Verdict.BLOCK] > 2 * counts[Verdict.BLOCK], "clusters matter in this draw"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("k", [1, 4])
def test_no_difference_is_rarely_no_go(k: int) -> None:
    times = 1000
    generator = np.random.default_rng(12)
    policy = GatePolicy.model_validate({"defaults": {"metric": "mean_reward", "max_drop": 0.0}})
    no_go = 0
    for _ in range(times):
        one, other = binary(120, k)(generator)
        report = gate({"bench": source(one)}, {"bench": source(other)}, policy)
        no_go += report.verdict is GateVerdict.NO_GO
    assert no_go / times <= at_most(0.025, times)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_holm_keeps_the_rate_over_many_benchmarks() -> None:
    times = 120
    generator = np.random.default_rng(13)
    rules = {"metric": "mean_reward", "max_drop": 0.0}
    policy = GatePolicy.model_validate({"defaults": rules, "correction": "holm"})
    no_go = 0
    for _ in range(times):
        one, other = {}, {}
        for i in range(10):
            a, b = binary(80, 2)(generator)
            one[f"b{i}"], other[f"b{i}"] = source(a), source(b)
        no_go += gate(one, other, policy).verdict is GateVerdict.NO_GO
    assert no_go / times <= at_most(0.025, times)


@pytest.mark.slow
def test_a_gate_rarely_passes_what_is_worse_than_allowed() -> None:
    """True damage exactly at the limit: at most one GO in forty."""
    times = 800
    generator = np.random.default_rng(14)
    policy = GatePolicy.model_validate({"defaults": {"metric": "mean_reward", "max_drop": 0.05}})
    go = 0
    for _ in range(times):
        one, other = binary(300, 2, drop=0.05)(generator)
        go += gate({"b": source(one)}, {"b": source(other)}, policy).verdict is GateVerdict.GO
    assert go / times <= at_most(0.025, times)


@pytest.mark.parametrize("k", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_power_as_promised(k: int) -> None:
    """Runs of the planned size find the drop as often as was said."""
    drop, times = 0.05, 1200
    rows = plan_power(spread_assumed(0.7, correlation=1.0), drop, repeats=[k]).rows
    needed = rows[0].problems_needed
    assert needed is not None
    generator = np.random.default_rng(15)
    options = CompareOptions(max_drop=0.0, resamples=1)
    found = 0
    for _ in range(times):
        one, other = planned(generator, needed, k, drop)
        found += compare(source(one), source(other), options).verdict is Verdict.BLOCK
    assert found / times == pytest.approx(0.8, abs=0.02 + 2 * math.sqrt(0.8 * 0.2 / times))


def planned(generator: np.random.Generator, n: int, k: int, drop: float) -> tuple[Floats, Floats]:
    """As ``spread_assumed`` has it: score 0.7, 70 % of the variance between problems, and a drop
    that every problem shares alike (by its log-odds, so that chances stay chances)."""
    icc, score = 0.7, 0.7
    scale = (1 - icc) / icc
    p = generator.beta(score * scale, (1 - score) * scale, n)
    one = generator.uniform(size=(n, k)) < p[:, None]
    # A regressed answer is a right one turned wrong, wherever it stands.
    other = generator.uniform(size=(n, k)) < p[:, None]
    lost = generator.uniform(size=(n, k)) < drop / score
    return one.astype(float), (other & ~lost).astype(float)


def test_a_run_tells_its_own_spread() -> None:
    generator = np.random.default_rng(16)
    one, _ = planned(generator, 4000, 4, 0.0)
    measured = spread_of_run(source(one), correlation=1.0)
    assumed = spread_assumed(0.7, correlation=1.0)
    assert measured.within == pytest.approx(assumed.within, rel=0.1)
    assert measured.binary and measured.problems == 4000


def test_the_unit_is_the_problem() -> None:
    """Twice the repeats with the same answers is no more evidence."""
    one, other = binary(100, 1, drop=0.1)(np.random.default_rng(17))
    single = compare(source(one), source(other), CompareOptions())
    double = compare(source(np.repeat(one, 2, 1)), source(np.repeat(other, 2, 1)), CompareOptions())
    assert single.difference is not None and double.difference is not None
    assert double.difference.delta == single.difference.delta
    assert double.n_paired == pair(columns(one), columns(other)).n
    assert double.difference.lower == pytest.approx(single.difference.lower, abs=1e-9)

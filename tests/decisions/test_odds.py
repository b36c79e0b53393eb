"""A plan keeps what it promises: the events are those of the verdicts, as often as was said."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.config.gate_policy import GatePolicy
from nemo_evaluator.decisions.compare import compare
from nemo_evaluator.decisions.damage import Damage, Sides, flips_rule_out, flips_show
from nemo_evaluator.decisions.gate import GateVerdict, gate
from nemo_evaluator.decisions.odds import Event, Truth, chance, fewest
from nemo_evaluator.decisions.options import CompareOptions
from nemo_evaluator.decisions.planning import (
    Spread,
    plan_power,
    spread_assumed,
    spread_of_pair,
    spread_of_run,
)
from nemo_evaluator.decisions.policy_odds import policy_odds
from nemo_evaluator.decisions.rollouts import Rollouts
from nemo_evaluator.decisions.sources import Source

Floats = npt.NDArray[np.float64]
POWER, TIMES, LIMIT = 0.9, 400, 0.05
MARGIN = 3 * math.sqrt(POWER * (1 - POWER) / TIMES)


def source(rewards: Floats, clusters: list[str] | None = None) -> Source:
    n, k = rewards.shape
    nothing = np.zeros(n * k, dtype=np.int64)
    names: list[str | None] = [None] * n if clusters is None else [*clusters]
    return Source(
        "bench",
        Path("run"),
        given=Rollouts(
            problems=np.repeat(np.arange(n), k),
            repeats=np.tile(np.arange(k), n),
            rewards=rewards.ravel(),
            correct=np.full(n * k, np.nan),
            truncated=np.zeros(n * k, dtype=np.bool_),
            categories=[None] * (n * k),
            clusters=[name for name in names for _ in range(k)],
            expected=nothing,
            prompts=nothing,
            rows=[{}] * (n * k),
            positions=np.arange(n * k),
            ignored={},
        ),
    )


@given(
    st.sampled_from([10, 30, 100, 400]),
    st.integers(0, 30),
    st.integers(0, 30),
    st.sampled_from([0.0, 0.01, 0.05, 0.2]),
)
def test_events_of_flips_are_those_of_the_interval(
    n: int, lost: int, won: int, limit: float
) -> None:
    lost, won = min(lost, n), min(won, n - min(lost, n))
    one, other = np.zeros(n), np.zeros(n)
    one[:lost] = other[lost : lost + won] = 1.0
    bounds = Damage(Sides(one, other)).bounds()
    assert flips_show(lost, won, n, limit) is (bounds.lower > limit)
    assert flips_rule_out(lost, won, n, limit) is (bounds.upper <= limit)
    if lost and not flips_show(lost, won, n, limit):
        assert not flips_show(lost - 1, won, n, limit), "fewer losses show no more"
    if lost and flips_rule_out(lost, won, n, limit):
        assert flips_rule_out(lost - 1, won, n, limit), "fewer losses rule out no less"


def independent(
    generator: np.random.Generator, n: int, k: int, drop: float
) -> tuple[Floats, Floats, None]:
    """As ``spread_assumed(0.7, correlation=1)`` has it."""
    p = generator.beta(0.3, 0.3 * 0.3 / 0.7, n)[:, None]
    one, other = (generator.uniform(size=(n, k)) < p for _ in range(2))
    lost = generator.uniform(size=(n, k)) < drop / 0.7
    return one.astype(float), (other & ~lost).astype(float), None


def clustered(
    generator: np.random.Generator, n: int, k: int, drop: float
) -> tuple[Floats, Floats, list[str]]:
    """Ten problems of a cluster are right or wrong together; a tenth of the clusters is redrawn."""
    at = np.arange(n) // 10
    count = int(at[-1]) + 1
    one = generator.uniform(size=count) < 0.7
    drawn = generator.uniform(size=count) < 0.1
    other = np.where(drawn, generator.uniform(size=count) < 0.7, one)
    other &= generator.uniform(size=count) >= drop / 0.7
    sides = (np.repeat(side[at][:, None], k, axis=1).astype(float) for side in (one, other))
    return *sides, [f"c{i}" for i in at]  # type: ignore[return-value]


def kept(draw, spread: Spread, k: int, drop: float) -> tuple[float, float]:  # type: ignore[no-untyped-def]
    """How often the planned problems show the drop, and rule it out where there is none."""
    row = plan_power(spread, drop, repeats=[k], power=POWER).rows[0]
    generator = np.random.default_rng(5)
    assert row.problems_needed is not None and row.problems_to_rule_out is not None
    shown = ruled_out = 0
    for _ in range(TIMES):
        one, other, clusters = draw(generator, row.problems_needed, k, drop)
        shown += Damage(Sides(one.mean(1), other.mean(1), clusters, 1.0)).bounds().lower > 0
        one, other, clusters = draw(generator, row.problems_to_rule_out, k, 0.0)
        ruled_out += Damage(Sides(one.mean(1), other.mean(1), clusters, 1.0)).bounds().upper <= drop
    return shown / TIMES, ruled_out / TIMES


@pytest.mark.parametrize(
    ("k", "drop"), [(1, 0.05), (4, 0.05), (1, 0.2), (2, 0.2), (4, 0.2), (8, 0.2)]
)
def test_a_plan_keeps_its_promise(k: int, drop: float) -> None:
    spread = spread_assumed(0.7, correlation=1.0)
    shown, ruled_out = kept(independent, spread, k, drop)
    if k == 1 or drop < 0.1:
        assert (shown, ruled_out) == pytest.approx((POWER, POWER), abs=MARGIN + 0.02)
    assert min(shown, ruled_out) >= POWER - MARGIN - 0.02, "few problems are not promised too much"


def test_a_plan_keeps_its_promise_with_clusters() -> None:
    one, other, clusters = clustered(np.random.default_rng(6), 20_000, 1, 0.0)
    pair = source(one, clusters), source(other, clusters)
    shown, ruled_out = kept(clustered, spread_of_pair(*pair), 1, 0.1)
    assert shown == pytest.approx(POWER, abs=MARGIN + 0.02)
    assert POWER - MARGIN <= ruled_out <= 0.98, "the fewest clusters are a saw"
    few, many, alone = (
        plan_power(spread, LIMIT).rows[0].problems_needed or 0
        for spread in (
            spread_of_pair(source(one), source(other)),
            spread_of_pair(*pair),
            spread_of_run(pair[0]),
        )
    )
    assert 5 * few < many < alone, "of one run nothing is known of the second's clusters"


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("clusters", [False, True])
def test_one_number_for_one_question(k: int, clusters: bool) -> None:
    """What `nel compare` calls needed, and the drop it says it would show, are what `nel power`
    plans on the same two runs."""
    generator = np.random.default_rng(7)
    one, other, _ = independent(generator, 60, k, 0.0)
    names = [f"c{i // 3}" for i in range(60)] if clusters else None
    pair = source(one, names), source(other, names)
    found = compare(*pair, CompareOptions(max_drop=0.02, resamples=1))
    row = plan_power(spread_of_pair(*pair), 0.02, repeats=[k]).rows[0]
    assert found.needed == row.problems_to_rule_out is not None
    assert found.detectable == row.detectable is not None


@pytest.mark.parametrize("score", [0.0, 1.0])
@pytest.mark.parametrize("k", [1, 4])
def test_runs_without_variance_can_be_planned_with(score: float, k: int) -> None:
    """All right, all wrong, and a pair without a flip."""
    run = source(np.full((300, k), score))
    for spread in (spread_of_run(run), spread_of_pair(run, run)):
        for row in plan_power(spread, LIMIT).rows:
            assert row.problems_to_rule_out == 83, "no flip on 82 problems rules no 0.05 out"
            assert row.power_to_rule_out == 1.0
            if score:
                assert row.problems_needed is not None and 50 < row.problems_needed < 300
                assert row.power is not None and row.power > 0.8
            else:
                assert row.problems_needed is row.power is None


def rarely(
    generator: np.random.Generator, n: int, k: int, drop: float
) -> tuple[Floats, Floats, None]:
    """Repeats agree; one problem in fifty is redrawn."""
    one, redrawn = generator.uniform(size=n) < 0.7, generator.uniform(size=n) < 0.02
    other = np.where(redrawn, generator.uniform(size=n) < 0.7, one)
    other &= generator.uniform(size=n) >= drop / 0.7
    a, b = (np.repeat(side[:, None], k, axis=1).astype(float) for side in (one, other))
    return a, b, None


def test_a_plan_keeps_its_promise_where_few_problems_flip() -> None:
    one, other, _ = rarely(np.random.default_rng(8), 20_000, 4, 0.0)
    shown, ruled_out = kept(rarely, spread_of_pair(source(one), source(other)), 4, 0.02)
    assert min(shown, ruled_out) >= POWER - MARGIN


def test_the_chance_and_the_problems_needed_agree() -> None:
    for spread in (spread_assumed(0.7), spread_assumed(0.97)):
        for row in plan_power(spread, 0.03, problems=400).rows:
            for needed, found in (
                (row.problems_needed, row.power),
                (row.problems_to_rule_out, row.power_to_rule_out),
            ):
                assert needed is not None and found is not None
                assert (needed <= 400) is (found >= 0.8)


def test_more_than_ten_million_problems_are_not_promised() -> None:
    assert fewest(Event(1e-6, ruled_out=True), Truth(0.0, 0.2, (0.1, 0.1)), 0.025, 0.8) is None
    assert chance(Event(0.05), Truth(0.5, 0.25, (0.5, 0.0)), 9, 0.025) == 0.0, "fewer than ten"


def test_a_gate_tells_the_odds_of_the_evidence_it_had() -> None:
    """Equal models on 400 problems; of one benchmark a twentieth has no verdict."""
    generator = np.random.default_rng(10)
    policy = GatePolicy.model_validate({"defaults": {"metric": "mean_reward", "max_drop": 0.04}})
    one, other = {}, {}
    for name in ("whole", "with holes"):
        a, b, _ = independent(generator, 400, 1, 0.0)
        if name == "with holes":
            b[:20] = np.nan
        one[name], other[name] = (replace(source(side), name=name) for side in (a, b))
    odds = gate(one, other, policy).odds
    assert odds is not None and odds.in_the_way == "with holes"
    whole, holes = odds.benchmarks
    assert 0.3 < whole.pass_if_equal < 0.9 and holes.pass_if_equal < 0.1
    assert whole.breach_at_limit <= 0.0125 < whole.breach_at_twice, "Holm over two"
    assert odds.go_if_equal == pytest.approx(whole.pass_if_equal * holes.pass_if_equal)
    assert odds.no_go_at_limit <= 0.025 < odds.no_go_at_twice
    planned = chance(
        Event(0.04, ruled_out=True),
        spread_of_pair(one["whole"], other["whole"]).truth(0.0, 1),
        400,
        0.025,
    )
    assert whole.pass_if_equal == planned, "as nel power has it"
    published = GatePolicy.model_validate({**policy.model_dump(), "rules": "published"})
    assert gate(one, other, published).odds is None


def test_the_cheapest_design_names_its_no_go_rate() -> None:
    past = source(independent(np.random.default_rng(11), 200, 1, 0.0)[0])
    policy = GatePolicy.model_validate({"defaults": {"metric": "mean_reward", "max_drop": 0.05}})
    odds = policy_odds({"b": past}, policy, correlation=1.0, power=0.9)
    design = odds.benchmarks[0].cheapest
    assert design is not None and design.problems > 200
    assert design.breach_at_limit <= 0.025, "an error, at most as often as stated"
    assert odds.designed_no_go_at_limit == pytest.approx(design.breach_at_limit)
    assert design.breach_at_twice > odds.benchmarks[0].breach_at_twice


@pytest.mark.slow
def test_a_policy_gives_go_as_often_as_its_odds_say() -> None:
    generator = np.random.default_rng(9)
    policy = GatePolicy.model_validate({"defaults": {"metric": "mean_reward", "max_drop": 0.06}})
    past = {name: source(independent(generator, 300, 1, 0.0)[0]) for name in ("a", "b")}
    odds = policy_odds(past, policy, correlation=1.0)
    assert 0.2 < odds.go_if_equal < 0.9
    go = 0
    for _ in range(200):
        one, other = {}, {}
        for name in past:
            a, b, _ = independent(generator, 300, 1, 0.0)
            one[name], other[name] = source(a), source(b)
        go += gate(one, other, policy).verdict is GateVerdict.GO
    assert go / 200 == pytest.approx(odds.go_if_equal, abs=0.12)

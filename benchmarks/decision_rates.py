"""How often `nel compare` and `nel gate` decide wrongly, and how often they see what is there.

    python benchmarks/decision_rates.py [--folds 10000] [--only looks]

For single verdicts of independent problems the rates are summed exactly over all numbers of flips.
Else pairs of runs are drawn (problems of varying difficulty, repeats by chance, clusters that suit
one side or the other), their damage is taken by the code of the commands, and what it shows is
counted: a drop beyond the limit is a BLOCK and a NO-GO, one within it a PASS and a GO. Runs that
may stop when their gate is decided are looked at after every problem.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nemo_evaluator.config.gate_policy import GatePolicy
from nemo_evaluator.decisions.damage import LEVEL, Damage, Sides, flips_rule_out, flips_show
from nemo_evaluator.decisions.gate import GateVerdict, gate
from nemo_evaluator.decisions.interim_looks import AT_LOOKS
from nemo_evaluator.decisions.metrics import MEAN_REWARD
from nemo_evaluator.decisions.missing import damage_of
from nemo_evaluator.decisions.pairing import pair
from nemo_evaluator.decisions.planning import plan_power, spread_assumed, spread_of_pair
from nemo_evaluator.decisions.rollouts import Rollouts
from nemo_evaluator.decisions.sources import Source
from nemo_evaluator.stats.binomial import binomial_tail
from nemo_evaluator.stats.sequential import Looks, first_shown

Floats = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator], tuple[Source, Source]]
Found = Callable[[Damage], bool]
CLUSTERS = 20
LIMITS = (0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.06, 0.075, 0.1, 0.15, 0.2)
WON = (0.0, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2)


# Summed exactly.


def exactly(n: int, limit: float, shares: Sequence[float]) -> tuple[float, float]:
    """The largest chances of a GO, and of a NO-GO, at a drop of the limit, over the shares of
    problems that flip for the better. Summed over all numbers of flips; whether so many show the
    drop, or rule it out, is monotone in the number lost."""
    most = next(w for w in range(n + 1) if w == n or _tail(n, max(shares), w) < 1e-7)
    shown = [
        _first(n - w, lambda lost, w=w: flips_show(lost, w, n, limit)) for w in range(most + 1)
    ]
    kept = [
        _first(n - w, lambda lost, w=w: not flips_rule_out(lost, w, n, limit))
        for w in range(most + 1)
    ]
    go = no_go = 0.0
    for share in shares:
        lost = (limit + share) / (1 - share)
        chances = [
            binomial_tail(w, n, share) - binomial_tail(w + 1, n, share) for w in range(most + 1)
        ]
        no = sum(p * binomial_tail(shown[w], n - w, lost) for w, p in enumerate(chances))
        yes = sum(p * (1 - binomial_tail(kept[w], n - w, lost)) for w, p in enumerate(chances))
        go, no_go = max(go, yes), max(no_go, no)
    return go, no_go


def _tail(n: int, share: float, at: int) -> float:
    return binomial_tail(at + 1, n, share)


def _first(top: int, reached: Callable[[int], bool]) -> int:
    """The fewest from 0 to ``top`` at which it is reached; ``top`` + 1 if it never is."""
    low, high = -1, top + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def exact_tables() -> None:
    """The largest rates of a false GO, and of a NO-GO, at a drop as large as the limit."""
    print("single verdicts, true drop = limit, summed exactly: the largest of")
    print(f"limits {LIMITS} and shares of problems that flip for the better {WON}")
    print(f"{'problems':>14} {'GO':>8} {'NO-GO':>8}")
    for sizes in (range(10, 20), range(20, 50), range(50, 100), range(100, 200, 7),
                  range(200, 500, 31), (500, 700, 1000, 2000)):  # fmt: skip
        rates = [exactly(n, limit, WON) for n in sizes for limit in LIMITS]
        go, no_go = (max(rate[i] for rate in rates) for i in (0, 1))
        label = f"{min(sizes):,} to {max(sizes):,}"
        print(f"{label:>14} {go * 100:>6.2f} % {no_go * 100:>6.2f} %", flush=True)


# Drawn.


def source(
    rewards: Floats,
    clusters: Sequence[str] | None = None,
    correct: Floats | None = None,
    name: str = "bench",
) -> Source:
    """Rewards of problems × repeats as a run; NaN has no verdict."""
    n, k = rewards.shape
    total = n * k
    nothing = np.zeros(total, dtype=np.int64)
    alone: list[str | None] = [None] * n
    names = [name for name in clusters or alone for _ in range(k)]
    return Source(
        name,
        Path("run"),
        given=Rollouts(
            problems=np.repeat(np.arange(n), k),
            repeats=np.tile(np.arange(k), n),
            rewards=rewards.ravel(),
            correct=np.full(total, np.nan) if correct is None else correct.ravel(),
            truncated=np.zeros(total, dtype=np.bool_),
            categories=[None] * total,
            clusters=names,
            expected=nothing,
            prompts=nothing,
            rows=[{}] * total,
            positions=np.arange(total),
            ignored={},
        ),
    )


def no_difference(n: int, k: int, *, clustered: bool = False, graded: bool = False) -> Draw:
    """Two runs of models that are equally good."""

    def draw(generator: np.random.Generator) -> tuple[Source, Source]:
        p = q = generator.beta(1.4, 0.6, n)
        if clustered:
            at = np.arange(n) % CLUSTERS
            harder = p * generator.uniform(0.5, 1, CLUSTERS)[at]
            side = generator.integers(0, 2, CLUSTERS)[at] == 1
            p, q = np.where(side, harder, p), np.where(side, q, harder)
        if graded:
            one, other = (
                generator.beta(5 * x[:, None] + 1, 6 - 5 * x[:, None], (n, k)) for x in (p, q)
            )
        else:
            one, other = (
                (generator.uniform(size=(n, k)) < x[:, None]).astype(float) for x in (p, q)
            )
        names = [f"c{i % CLUSTERS}" for i in range(n)] if clustered else None
        return source(one, names), source(other, names)

    return draw


def drop(n: int, k: int, size: float, *, unseen: float = 0.0) -> Draw:
    """A score of 0.7 of which ``size`` is lost: right answers turned wrong. ``unseen``: share of
    the candidate's wrong answers that have no verdict, as when they time out."""

    def draw(generator: np.random.Generator) -> tuple[Source, Source]:
        p = generator.beta(0.7 * 0.3 / 0.7, 0.3 * 0.3 / 0.7, n)[:, None]
        one, other = (generator.uniform(size=(n, k)) < p for _ in range(2))
        lost = generator.uniform(size=(n, k)) < size / 0.7
        found = (other & ~lost).astype(float)
        found[(found == 0) & (generator.uniform(size=(n, k)) < unseen)] = np.nan
        return source(one.astype(float)), source(found)

    return draw


def few_large(n: int, k: int, share: float, noise: float) -> Draw:
    """A drop of 0.05 made by a ``share`` of the problems: grades with a little noise, of which few
    fall far (k = 1), or verdicts of which few problems lose all repeats."""

    def draw(generator: np.random.Generator) -> tuple[Source, Source]:
        fell = generator.uniform(size=(n, 1)) < share
        if k == 1:
            one = generator.uniform(0.5, 0.9, (n, 1))
            other = np.clip(one + generator.normal(0, noise, (n, 1)) - fell * 0.05 / share, 0, 1)
            return source(one), source(other)
        sure = generator.uniform(size=(n, 1)) >= noise
        p = np.where(sure, 1.0, generator.uniform(size=(n, 1)))
        one, other = (generator.uniform(size=(n, k)) < p for _ in range(2))
        return source(one.astype(float)), source((other & ~fell).astype(float))

    return draw


def whole_clusters(n: int, k: int, size: float) -> Draw:
    """Ten problems of a cluster are right or wrong together; a tenth of the clusters is redrawn."""

    def draw(generator: np.random.Generator) -> tuple[Source, Source]:
        at = np.arange(n) // 10
        count, names = int(at[-1]) + 1, [f"c{i}" for i in at]
        one = generator.uniform(size=count) < 0.7
        redrawn = generator.uniform(size=count) < 0.1
        other = np.where(redrawn, generator.uniform(size=count) < 0.7, one)
        other &= generator.uniform(size=count) >= size / 0.7
        a, b = (np.repeat(side[at][:, None], k, axis=1).astype(float) for side in (one, other))
        return source(a, names), source(b, names)

    return draw


def rate(draw: Draw, folds: int, found: Found) -> float:
    """Share of the draws in which something is found."""
    generator = np.random.default_rng(2026)
    count = 0
    for _ in range(folds):
        one, other = draw(generator)
        assert one.rollouts is not None and other.rollouts is not None
        pairs = pair(one.rollouts, other.rollouts)
        count += found(damage_of(one, other, pairs, MEAN_REWARD))
    return count / folds


def beyond(limit: float, *, share: float = 0.0) -> Found:
    """Whether a drop beyond the limit is shown: BLOCK, NO-GO."""
    return lambda damage: damage.bounds(share=share).lower > limit


def within(limit: float, *, share: float = 0.0) -> Found:
    """Whether one is ruled out: GO, and PASS where no drop is shown."""
    return lambda damage: damage.bounds(share=share).upper <= limit


def many(draw: Draw, benchmarks: int, folds: int, **rules: float) -> float:
    """Share of the draws in which a gate over many benchmarks says NO-GO."""
    generator = np.random.default_rng(2026)
    policy = GatePolicy.model_validate({"defaults": {"metric": "mean_reward", **rules}})
    found = 0
    for _ in range(folds):
        pairs = [draw(generator) for _ in range(benchmarks)]
        sides = ({f"b{i}": pair[side] for i, pair in enumerate(pairs)} for side in (0, 1))
        found += gate(*sides, policy).verdict is GateVerdict.NO_GO
    return found / folds


def cases() -> list[tuple[str, str, Draw, Found]]:
    """What is drawn, what is counted, and what is stated."""
    found: list[tuple[str, str, Draw, Found]] = []
    for n, k in ((60, 1), (200, 1), (60, 4), (200, 4)):
        label = f"no difference, {n} × {k}: BLOCK at 0"
        found.append((label, "≤ 2.5 %", no_difference(n, k), beyond(0.0)))
    clustered, graded = no_difference(200, 2, clustered=True), no_difference(100, 2, graded=True)
    found += [
        ("no difference, 200 × 2 in 20 clusters: BLOCK at 0", "≤ 2.5 %", clustered, beyond(0.0)),
        ("no difference, graded 100 × 2: BLOCK at 0", "≤ 2.5 %", graded, beyond(0.0)),
    ]
    for n, k in ((300, 1), (100, 4), (400, 2)):
        lost = drop(n, k, 0.05)
        found += [
            (f"drop = limit = 0.05, {n} × {k}: BLOCK", "≤ 2.5 %", lost, beyond(0.05)),
            (f"drop = limit = 0.05, {n} × {k}: GO", "≤ 2.5 %", lost, within(0.05)),
        ]
    few = ((50, 1, 0.1, 0.02), (300, 1, 0.1, 0.1), (50, 8, 0.0526, 0.1), (300, 8, 0.0667, 0.5))
    for n, k, part, noise in few:
        fell = few_large(n, k, part, noise)
        kind = "graded" if k == 1 else "whole problems lost"
        found.append((f"drop = limit = 0.05, {kind}, {n} × {k}: GO", "≤ 2.5 %", fell, within(0.05)))
    lost, share, hidden = drop(400, 2, 0.05), 0.05 / 0.7, drop(500, 1, 0.10, unseen=0.5)
    found += [
        ("drop = relative limit, 400 × 2: GO", "≤ 2.5 %", lost, within(0.0, share=share)),
        ("drop = relative limit, 400 × 2: NO-GO", "≤ 2.5 %", lost, beyond(0.0, share=share)),
        ("drop 0.10, half of the wrong time out, 500 × 1: GO at 0.05", "0 %", hidden, within(0.05)),
        ("no difference, 1000 × 1: GO at 0.05", "", no_difference(1000, 1), within(0.05)),
        ("drop 0.10, 1000 × 1: NO-GO at 0.05", "", drop(1000, 1, 0.10), beyond(0.05)),
    ]
    return found


def plans(folds: int) -> None:
    """What `nel power --power 0.9` plans: how often is the drop shown, and ruled out?"""
    print("problems planned for 90 %")
    print(
        f"{'drop':>6} {'repeats':>8} {'problems':>9} {'shown':>8} {'problems':>9} {'ruled out':>10}"
    )
    past = whole_clusters(20_000, 1, 0.0)(np.random.default_rng(1))
    alike, together = spread_assumed(0.7, correlation=1.0), spread_of_pair(*past)
    designs = [(size, k, alike, drop) for size in (0.05, 0.1, 0.2) for k in (1, 2, 4, 8)]
    for size, k, spread, draws in [*designs, (0.1, 1, together, whole_clusters)]:
        row = plan_power(spread, size, repeats=[k], power=0.9).rows[0]
        many, more = row.problems_needed or 0, row.problems_to_rule_out or 0
        shown = rate(draws(many, k, size), folds, beyond(0.0))
        ruled_out = rate(draws(more, k, 0.0), folds, within(size))
        print(
            f"{size:>6} {k:>8} {many:>9,} {shown:>8.1%} {more:>9,} {ruled_out:>10.1%}", flush=True
        )


# Looked at while they run.


@dataclass(frozen=True, slots=True)
class Looked:
    """What becomes of many runs that may stop at every problem."""

    no_go: float
    """Share of the runs that are a NO-GO at some look."""
    go: float
    """Share of those that are a GO at some look, or at the end by the ordinary limit."""
    no_go_by: str
    """Units by which half of the runs are a NO-GO; a dash where they never are."""
    go_by: str
    """Units by which half of the runs are a GO."""


Damages = Callable[[np.random.Generator, int], tuple[Floats, Floats, Floats]]
"""Runs → the damage of every unit at its least, at its most, and the sizes of units."""


def flips(lost: float, won: float, n: int = 1000, unseen: float = 0.0) -> Damages:
    """Single verdicts, lost and won with these chances; ``unseen``: the share of the lost ones that
    have no verdict."""

    def draw(generator: np.random.Generator, runs: int) -> tuple[Floats, Floats, Floats]:
        u = generator.uniform(size=(runs, n))
        x = np.where(u < lost, 1.0, np.where(u < lost + won, -1.0, 0.0))
        hidden = (x == 1.0) & (generator.uniform(size=x.shape) < unseen)
        return np.where(hidden, 0.0, x), x, np.ones(n)

    return draw


def fixed_set(lost: float, won: float, n: int = 1000) -> Damages:
    """The same problems in all runs, in random order: the damage is of this set."""

    def draw(generator: np.random.Generator, runs: int) -> tuple[Floats, Floats, Floats]:
        x = np.zeros(n)
        x[: round(lost * n)], x[round(lost * n) : round((lost + won) * n)] = 1.0, -1.0
        rows = generator.permuted(np.tile(x, (runs, 1)), axis=1)
        return rows, rows, np.ones(n)

    return draw


def means(n: int, k: int, size: float) -> Damages:
    """Means of k repeats; every right answer is lost with the same chance."""

    def draw(generator: np.random.Generator, runs: int) -> tuple[Floats, Floats, Floats]:
        p = generator.beta(0.7 * 0.3 / 0.7, 0.3 * 0.3 / 0.7, (runs, n))
        one, other = generator.binomial(k, p) / k, generator.binomial(k, p * (1 - size / 0.7)) / k
        return one - other, one - other, np.ones(n)

    return draw


def together(n: int, size: float) -> Damages:
    """Clusters of one to ten problems that are lost or won together."""

    def draw(generator: np.random.Generator, runs: int) -> tuple[Floats, Floats, Floats]:
        sizes = np.arange(n) % 10 + 1.0
        u = generator.uniform(size=(runs, n))
        x = np.where(u < size + 0.03, 1.0, np.where(u < size + 0.06, -1.0, 0.0)) * sizes
        return x, x, sizes

    return draw


def looked_at(draw: Damages, limit: float, folds: int, family: int = 1) -> Looked:
    """Runs that are looked at after every unit, in hundreds."""
    generator = np.random.default_rng(2026)
    no_go, go, at_end = [], [], []
    for _ in range(max(1, folds // 100)):
        least, most, sizes = draw(generator, 100)
        looks = Looks(len(sizes), int(sizes.max()))
        no_go.append(first_shown(least, sizes, limit, looks, LEVEL / family))
        go.append(first_shown(-most, sizes, -limit, looks, LEVEL * AT_LOOKS))
        at_end.append([_holds(row, sizes, limit) for row in most])
    last = len(sizes)
    n, g = np.concatenate(no_go), np.concatenate(go)
    held = (g <= last) | np.concatenate(at_end)
    by = [f"{found:,.0f}" if found <= last else "—" for found in map(np.median, (n, g))]
    return Looked(float((n <= last).mean()), float(held.mean()), *by)


def _holds(damages: Floats, sizes: Floats, limit: float) -> bool:
    """Whether the ordinary limit at the last problem rules a larger drop out."""
    clusters = None
    if sizes.max() > 1:
        clusters = np.repeat(np.arange(len(sizes)), sizes.astype(int)).tolist()
        damages = np.repeat(damages / sizes, sizes.astype(int))
    one, other = np.maximum(damages, 0.0), np.maximum(-damages, 0.0)
    bounds = Damage(Sides(one, other, clusters)).bounds(LEVEL * (1 - AT_LOOKS))
    return bounds.upper <= limit


def looks(folds: int) -> None:
    """What `nel eval run --stop-when decided` decides, and how early."""
    print("looked at after every problem, 1,000 planned, limit 0.05: half of the runs by")
    print(f"{'':<48} {'NO-GO':>8} {'GO':>8} {'NO-GO by':>9} {'GO by':>8}")
    at, ten = 0.05, 0.10
    cases: list[tuple[str, Damages]] = [
        ("drop = limit, nothing better", flips(at, 0.0)),
        ("drop = limit, 2 % better", flips(at + 0.02, 0.02)),
        ("drop = limit, 10 % better", flips(at + ten, ten)),
        ("drop = limit, the same 1,000 in random order", fixed_set(at + 0.02, 0.02)),
        ("drop = limit, 4 repeats", means(1000, 4, at)),
        ("drop = limit, 100 clusters of 1 to 10", together(100, at)),
        ("drop 0.10, half of the lost time out", flips(ten + 0.02, 0.02, unseen=0.5)),
        ("no difference, 2 % lost and won", flips(0.02, 0.02)),
        ("no difference, 5 % lost and won", flips(0.05, 0.05)),
        ("no difference, 10 % lost and won", flips(ten, ten)),
        ("drop 0.10, 5 % better", flips(0.15, 0.05)),
        ("drop 0.15, nothing better", flips(0.15, 0.0)),
        ("drop 0.15, 2 % better", flips(0.17, 0.02)),
        ("drop 0.15, 5 % better", flips(0.20, 0.05)),
        ("drop 0.15, 4 repeats", means(1000, 4, 0.15)),
    ]
    for label, draw in cases:
        found = looked_at(draw, at, folds)
        print(
            f"{label:<48} {found.no_go:>8.2%} {found.go:>8.2%} {found.no_go_by:>9} "
            f"{found.go_by:>8}",
            flush=True,
        )


def main() -> None:
    """Print a line per case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folds", type=int, default=10_000)
    parser.add_argument("--only", default="exact,looks,drawn,many,plans")
    options = parser.parse_args()
    folds, parts = options.folds, options.only.split(",")
    if "exact" in parts:
        exact_tables()
    if "looks" in parts:
        looks(folds)
    if "drawn" in parts:
        for label, promised, draw, found in cases():
            print(f"{label:<60} {promised:>8}  {rate(draw, folds, found) * 100:6.2f} %", flush=True)
    if "many" in parts:
        relative = {"max_drop": 1.0, "max_relative_drop": 0.05 / 0.7}
        share = many(drop(200, 1, 0.05), 20, max(1, folds // 50), **relative)
        label = "20 benchmarks at their relative limit, 200 × 1: NO-GO"
        print(f"{label:<60} {'≤ 2.5 %':>8}  {share * 100:6.2f} %", flush=True)
    if "plans" in parts:
        plans(folds)


if __name__ == "__main__":
    main()

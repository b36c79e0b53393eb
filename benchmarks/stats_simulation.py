"""Whether the intervals cover what they say, the tests err as often as they say, and plans hold.

    python benchmarks/stats_simulation.py [--folds 10000] [--seed 1] [--only mean,scales,ranks]

Problems have difficulties of their own (a beta distribution), each is tried 1, 4 or 8 times, and in
the clustered rows the problems of a cluster share their difficulty in part. Every fold draws
problems and rollouts anew; the truth is the mean over the population of problems. Prints one line
per case: what was asked for, what was measured, and where misses fell. The Monte-Carlo error of a
coverage of 95 % is 0.2 points at 10,000 folds.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from nemo_evaluator.stats.intervals import mean_interval
from nemo_evaluator.stats.judge_error import prediction_powered, rogan_gladen
from nemo_evaluator.stats.paired import paired_difference
from nemo_evaluator.stats.power import paired_sd, problems_needed
from nemo_evaluator.stats.ranks import rank_intervals
from nemo_evaluator.stats.significance import mcnemar, permutation, t_p_value

Array = npt.NDArray[np.float64]
Generator = np.random.Generator


@dataclass(frozen=True)
class Population:
    """Problems a benchmark is drawn from, and two models on them."""

    p: float
    """Mean score of the baseline."""
    n: int
    repeats: int = 1
    alike: float = 1.0
    """Parameters of the beta distribution of difficulties sum to this: near 0, problems are solved
    always or never; large, all are equally hard."""
    drop: float = 0.0
    """The candidate solves each problem with (1 - drop) times the chance of the baseline."""
    clusters: int = 0
    """Clusters, of sizes between 1 and 3 times the smallest; 0: problems are independent."""
    gone: float = 0.0
    """Share of problems that the candidate never solves."""

    @property
    def delta(self) -> float:
        return self.p * (1 - self.drop) * (1 - self.gone) - self.p

    def labels(self) -> list[int] | None:
        """The cluster of each problem."""
        return _labels(self.n, self.clusters) if self.clusters else None

    def chances(self, rng: Generator) -> tuple[Array, Array]:
        """Chance of each problem, of the baseline and of the candidate."""
        a, b = self.p * self.alike, (1 - self.p) * self.alike
        if self.clusters:
            hard = rng.beta(a, b, size=self.clusters)[self.labels()]
            own = rng.beta(a, b, size=self.n)
            chance = np.where(rng.random(self.n) < 0.5, hard, own)
            lost = (rng.random(self.clusters) < self.gone)[self.labels()]
        else:
            chance = rng.beta(a, b, size=self.n)
            lost = rng.random(self.n) < self.gone
        return chance, chance * (1 - self.drop) * ~lost

    def draw(self, rng: Generator) -> tuple[Array, Array]:
        """Means over repeats of baseline and candidate."""
        one, other = self.chances(rng)
        return (
            rng.binomial(self.repeats, one) / self.repeats,
            rng.binomial(self.repeats, other) / self.repeats,
        )


@lru_cache
def _labels(n: int, clusters: int) -> list[int]:
    weights = 1 + np.arange(clusters) % 3
    edges = np.round(np.cumsum(weights) / weights.sum() * n).astype(int)
    return np.searchsorted(edges, np.arange(n), side="right").tolist()


@dataclass(frozen=True)
class Coverage:
    """Shares of folds whose interval holds the truth, lies above it and lies below it."""

    inside: float
    above: float
    below: float
    width: float


def mean_coverage(population: Population, folds: int, seed: int = 1) -> Coverage:
    rng = np.random.default_rng(seed)
    labels = population.labels()
    found = []
    for _ in range(folds):
        interval = mean_interval(population.draw(rng)[0], labels)
        found.append((interval.lower, interval.upper))
    return _coverage(found, population.p)


def paired_coverage(population: Population, folds: int, seed: int = 1) -> Coverage:
    rng = np.random.default_rng(seed)
    labels = population.labels()
    found = []
    for _ in range(folds):
        interval = paired_difference(*population.draw(rng), labels)
        found.append((interval.lower, interval.upper))
    return _coverage(found, population.delta)


def _coverage(limits: list[tuple[float, float]], truth: float) -> Coverage:
    bounds = np.array(limits)
    above = float((bounds[:, 0] > truth + 1e-9).mean())
    below = float((bounds[:, 1] < truth - 1e-9).mean())
    return Coverage(1 - above - below, above, below, float(np.diff(bounds, axis=1).mean()))


TESTS: dict[str, Callable[[Array, Array], float]] = {
    "mcnemar": lambda a, b: mcnemar(int((b < a).sum()), int((b > a).sum())),
    "mcnemar mid-p": lambda a, b: mcnemar(int((b < a).sum()), int((b > a).sum()), mid_p=True),
    "permutation": lambda a, b: permutation(b - a, resamples=1000),
    "t": lambda a, b: t_p_value(
        float((b - a).mean()), float((b - a).std(ddof=1)) / math.sqrt(len(a)), len(a) - 1
    ),
}


def rejection_rate(
    name: str, population: Population, folds: int, seed: int = 1, alpha: float = 0.05
) -> float:
    """Share of folds in which the one-sided test finds the candidate worse."""
    rng = np.random.default_rng(seed)
    test = TESTS[name]
    return sum(test(*population.draw(rng)) < alpha for _ in range(folds)) / folds


def clustered_rejection_rate(population: Population, folds: int, seed: int = 1) -> float:
    """The same of the permutation test with signs flipped by cluster."""
    rng = np.random.default_rng(seed)
    labels = population.labels()
    hits = 0
    for _ in range(folds):
        one, other = population.draw(rng)
        hits += permutation(other - one, labels, resamples=1000) < 0.05
    return hits / folds


def mean_cases() -> Iterator[Population]:
    for n in (30, 100, 1000):
        for p in (0.02, 0.05, 0.2, 0.5, 0.8, 0.95, 0.98):
            for repeats in (1, 4, 8):
                yield Population(p, n, repeats)
    for p in (0.05, 0.2, 0.5, 0.8, 0.95):
        for clusters in (6, 12, 30, 100):
            for repeats in (1, 4):
                yield Population(p, 10 * clusters, repeats, clusters=clusters)


def paired_cases() -> Iterator[Population]:
    for n in (30, 100, 1000):
        for p in (0.05, 0.5, 0.95):
            for repeats in (1, 4, 8):
                for alike in (0.1, 1.0):
                    yield Population(p, n, repeats, alike)
                    yield Population(p, n, repeats, alike, drop=0.1)
                    yield Population(p, n, repeats, alike, gone=0.05)
    for p in (0.2, 0.5, 0.9):
        for clusters in (6, 12, 30, 100):
            for repeats in (1, 4):
                yield Population(p, 10 * clusters, repeats, clusters=clusters)
                yield Population(p, 10 * clusters, repeats, clusters=clusters, drop=0.2)


def print_coverage(
    title: str,
    cases: Iterator[Population],
    measure: Callable[[Population, int, int], Coverage],
    folds: int,
    seed: int,
) -> None:
    print(f"\n{title}: coverage of 95 % intervals, {folds:,} folds")
    print("    n     p  repeats  clusters  alike   drop   gone | inside  above  below   width")
    for case in cases:
        got = measure(case, folds, seed)
        mark = "" if got.inside >= 0.94 else "  <"
        print(
            f"{case.n:5} {case.p:5} {case.repeats:8} {case.clusters or '':>9} {case.alike:6} "
            f"{case.drop:6} {case.gone:6} | {got.inside:6.3f} {got.above:6.3f} {got.below:6.3f} "
            f"{got.width:7.4f}{mark}",
            flush=True,
        )


@dataclass(frozen=True)
class Grades:
    """Rewards on a scale of their own: drawn from ``values`` with ``shares``."""

    name: str
    values: tuple[float, ...]
    shares: tuple[float, ...]
    within: tuple[float, float] | None

    def coverage(self, n: int, folds: int, seed: int = 1) -> Coverage:
        rng = np.random.default_rng(seed)
        shares = np.array(self.shares) / sum(self.shares)
        drawn = rng.choice(self.values, p=shares, size=(folds, n))
        found = [mean_interval(row, within=self.within) for row in drawn]
        truth = float(np.array(self.values) @ shares)
        return _coverage([(i.lower, i.upper) for i in found], truth)


ONE_TO_TEN = tuple(float(grade) for grade in range(1, 11))
SHARES = (5, 10, 10, 20, 25, 20, 10)
GRADES = (
    Grades("0-100, of all kinds", (0, 10, 35, 50, 70, 90, 100), SHARES, (0, 100)),
    Grades("0-100, near the end", (0, 50, 90, 100), (1, 2, 7, 90), (0, 100)),
    Grades("1-10, peaked at 8", ONE_TO_TEN, (10, 5, 5, 10, 20, 50, 100, 600, 150, 50), (1, 10)),
    Grades("1-10, 97 % are 8", (1, 8, 9), (2, 97, 1), (1, 10)),
    Grades("-1 or +1", (-1, 1), (10, 90), (-1, 1)),
    Grades("-1, 0 or +1", (-1, 0, 1), (5, 85, 10), (-1, 1)),
    Grades("0.5, and 2 % zeros", (0, 0.5), (2, 98), None),
    Grades("0.5, and 2 % ones", (1, 0.5), (2, 98), None),
)
SIZES: dict[str, list[int]] = {
    "half of 390 in one of 40": [5] * 39 + [195],
    "a third of 142 in one of 20": [5] * 19 + [47],
    "half of 210 in two of 52": [60, 50] + [2] * 50,
    "100 with a heavy tail": [round(2 + 3 * (100 / i) ** 0.8) for i in range(1, 101)],
    "30 with a heavy tail": [round(2 + 3 * (30 / i) ** 0.9) for i in range(1, 31)],
}


def uneven_coverage(
    sizes: list[int], p: float, alike: float, folds: int, seed: int = 1
) -> Coverage:
    """Single verdicts; a problem has its cluster's difficulty with the chance ``alike``."""
    rng = np.random.default_rng(seed)
    draw = _uneven(sizes, p, alike, rng)
    labels = np.repeat(np.arange(len(sizes)), sizes).tolist()
    found = [mean_interval(draw(), labels) for _ in range(folds)]
    return _coverage([(i.lower, i.upper) for i in found], p)


def wrong_places(sizes: list[int], models: int, folds: int, seed: int = 1) -> float:
    """Share of the places of equally good models that are excluded from another's."""
    rng = np.random.default_rng(seed)
    draw = _uneven(sizes, 0.5, 0.8, rng)
    labels = np.repeat(np.arange(len(sizes)), sizes).tolist()
    wrong = 0
    for _ in range(folds):
        table = np.stack([draw() for _ in range(models)], axis=1)
        places = rank_intervals(table, labels, resamples=500)
        wrong += sum(place.low > 1 or place.high < models for place in places)
    return wrong / folds / models


def _uneven(sizes: list[int], p: float, alike: float, rng: Generator) -> Callable[[], Array]:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    a, b = 0.3 * p, 0.3 * (1 - p)

    def draw() -> Array:
        common = rng.beta(a, b, size=len(sizes))[labels]
        own = rng.beta(a, b, size=len(labels))
        chance = np.where(rng.random(len(labels)) < alike, common, own)
        return (rng.random(len(labels)) < chance).astype(np.float64)

    return draw


def print_scales(folds: int, seed: int) -> None:
    print(f"\nmean_interval, other scales: coverage of 95 % intervals, {folds:,} folds")
    for grades in GRADES:
        for n in (50, 100, 200, 1000):
            got = grades.coverage(n, folds, seed)
            mark = "" if got.inside >= 0.93 else "  <"
            print(f"{grades.name:24} n={n:5} {got.inside:6.3f} width {got.width:8.4f}{mark}")
    print(f"\nmean_interval, uneven clusters, {folds:,} folds")
    for name, sizes in SIZES.items():
        for p in (0.2, 0.5, 0.9):
            for alike in (0.3, 0.6, 0.95):
                got = uneven_coverage(sizes, p, alike, folds, seed)
                mark = "" if got.inside >= 0.93 else "  <"
                print(f"{name:28} p={p} alike={alike:4}: {got.inside:.3f}{mark}", flush=True)


def print_ranks(folds: int, seed: int) -> None:
    print(f"\nPlaces of equal models that are wrongly excluded, stated 5 %, {folds:,} folds")
    for clusters in (6, 12, 30, 100):
        for models in (3, 6):
            rate = wrong_places([10] * clusters, models, folds, seed)
            print(f"{clusters:4} clusters of 10, {models} models: {rate:.3f}", flush=True)
    for name, sizes in SIZES.items():
        print(f"{name}, 4 models: {wrong_places(sizes, 4, folds, seed):.3f}", flush=True)


def judge_coverage(
    p: float, sensitivity: float, specificity: float, labelled: int, folds: int, seed: int = 1
) -> tuple[float, float, float]:
    """Coverage of the raw score of 300 problems, the prediction-powered one and Rogan-Gladen's."""
    rng = np.random.default_rng(seed)

    def draw(n: int) -> tuple[Array, Array]:
        right = rng.random(n) < p
        said = np.where(right, rng.random(n) < sensitivity, rng.random(n) > specificity)
        return said.astype(np.float64), right.astype(np.float64)

    held = np.zeros(3)
    for _ in range(folds):
        judged, sample = draw(300)[0], draw(labelled)
        found = (
            mean_interval(judged),
            prediction_powered(judged, *sample),
            rogan_gladen(judged, *sample),
        )
        held += [one is not None and one.lower <= p <= one.upper for one in found]
    raw, powered, rates = (held / folds).tolist()
    return raw, powered, rates


def print_judges(folds: int, seed: int) -> None:
    print(f"\nScores corrected for the judge's error, {folds:,} folds")
    for p in (0.1, 0.5, 0.9):
        for s, c in ((0.95, 0.9), (0.8, 0.7), (0.99, 0.99)):
            for n in (50, 200):
                raw, powered, rates = judge_coverage(p, s, c, n, folds, seed)
                text = f"raw {raw:.3f} prediction-powered {powered:.3f} Rogan-Gladen {rates:.3f}"
                print(f"p={p} right {s} wrong {c} labelled {n:3}: {text}", flush=True)


def print_tests(folds: int, seed: int) -> None:
    print(f"\nFalse alarms at a one-sided 5 %, no difference, {folds:,} folds")
    for n in (30, 100, 1000):
        for p in (0.05, 0.5, 0.95):
            for repeats in (1, 4):
                case = Population(p, n, repeats)
                names = [*TESTS] if repeats == 1 else ["permutation", "t"]
                rates = {name: rejection_rate(name, case, folds, seed) for name in names}
                text = "  ".join(f"{name} {rate:.3f}" for name, rate in rates.items())
                print(f"n={n:5} p={p:4} repeats={repeats}: {text}", flush=True)
    for clusters in (6, 12, 30):
        case = Population(0.5, 10 * clusters, clusters=clusters)
        rate = clustered_rejection_rate(case, folds, seed)
        print(f"clusters={clusters:3}: permutation {rate:.3f}", flush=True)


def print_power(folds: int, seed: int) -> None:
    print(f"\nPower promised and achieved, one-sided 5 %, {folds:,} folds")
    for case in GRADED:
        n, got = graded_power_achieved(case, folds, seed)
        text = f"repeats={case.repeats} drop={-case.delta:.2f}"
        print(f"permutation {text}: n={n} promised 0.800 achieved {got:.3f}", flush=True)


GRADED = tuple(
    Population(0.6, 0, repeats, 2.0, drop=drop) for repeats in (2, 4, 8) for drop in (0.05, 0.1)
)


def graded_power_achieved(population: Population, folds: int, seed: int = 1) -> tuple[int, float]:
    """Problems planned for 80 % from the true parts of the variance, and the power they give."""
    p, s, keep = population.p, population.alike, 1 - population.drop
    spread = p * (1 - p) / (s + 1)
    within = p - p * p - spread
    kept = keep * p - keep**2 * (p * p + spread)
    sd = paired_sd(population.drop**2 * spread, within, kept, population.repeats)
    n = problems_needed(sd, population.delta, step=1 / population.repeats)
    case = Population(p, n, population.repeats, s, drop=population.drop)
    return n, rejection_rate("permutation", case, folds, seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folds", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="mean,paired,scales,ranks,judges,tests,power")
    options = parser.parse_args()
    parts = options.only.split(",")
    start = time.perf_counter()
    if "mean" in parts:
        print_coverage("mean_interval", mean_cases(), mean_coverage, options.folds, options.seed)
    if "paired" in parts:
        print_coverage(
            "paired_difference", paired_cases(), paired_coverage, options.folds, options.seed
        )
    if "scales" in parts:
        print_scales(options.folds, options.seed)
    if "ranks" in parts:
        print_ranks(options.folds, options.seed)
    if "judges" in parts:
        print_judges(options.folds, options.seed)
    if "tests" in parts:
        print_tests(options.folds, options.seed)
    if "power" in parts:
        print_power(options.folds, options.seed)
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()

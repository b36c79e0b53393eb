"""How often `nel compare` and `nel gate` decide wrongly, and how often they see what is there.

    python benchmarks/decision_rates.py [--folds 10000]

Pairs of runs are drawn (problems of varying difficulty, repeats by chance, clusters that suit one
side or the other), put through the same code as the commands, and the verdicts are counted.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nemo_evaluator.config.gate_policy import GatePolicy
from nemo_evaluator.decisions.compare import compare
from nemo_evaluator.decisions.gate import GateVerdict, gate
from nemo_evaluator.decisions.options import CompareOptions
from nemo_evaluator.decisions.planning import plan_power, spread_assumed
from nemo_evaluator.decisions.rollouts import Rollouts
from nemo_evaluator.decisions.sources import Source
from nemo_evaluator.decisions.verdicts import Verdict

Floats = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator], tuple[Source, Source]]
CLUSTERS = 20


def source(rewards: Floats, clusters: bool = False) -> Source:
    """Rewards of problems × repeats as a run."""
    n, k = rewards.shape
    total = n * k
    nothing = np.zeros(total, dtype=np.int64)
    names = [f"c{i % CLUSTERS}" if clusters else None for i in range(n) for _ in range(k)]
    return Source(
        "bench",
        Path("run"),
        {},
        given=Rollouts(
            problems=np.repeat(np.arange(n), k),
            repeats=np.tile(np.arange(k), n),
            rewards=rewards.ravel(),
            correct=np.full(total, np.nan),
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
        return source(one, clustered), source(other, clustered)

    return draw


def drop(n: int, k: int, size: float) -> Draw:
    """As `nel power --score 0.7 --correlation 1` assumes, with right answers turned wrong."""

    def draw(generator: np.random.Generator) -> tuple[Source, Source]:
        p = generator.beta(0.7 * 0.3 / 0.7, 0.3 * 0.3 / 0.7, n)[:, None]
        one, other = (generator.uniform(size=(n, k)) < p for _ in range(2))
        lost = generator.uniform(size=(n, k)) < size / 0.7
        return source(one.astype(float)), source((other & ~lost).astype(float))

    return draw


def rate(draw: Draw, folds: int, found: Callable[[Source, Source], bool]) -> float:
    """Share of the draws in which something is found."""
    generator = np.random.default_rng(2026)
    return sum(found(*draw(generator)) for _ in range(folds)) / folds


def blocked(one: Source, other: Source) -> bool:
    """Whether `nel compare --max-drop 0` says BLOCK."""
    return compare(one, other, CompareOptions(max_drop=0.0, resamples=999)).verdict is Verdict.BLOCK


def no_go(one: Source, other: Source) -> bool:
    """Whether `nel gate` with max_drop 0 says NO-GO."""
    report = gate({"bench": one}, {"bench": other}, STRICT)
    return report.verdict is GateVerdict.NO_GO


def passed(one: Source, other: Source) -> bool:
    """Whether `nel gate` with max_drop 0.05 says GO."""
    return gate({"bench": one}, {"bench": other}, LENIENT).verdict is GateVerdict.GO


STRICT = GatePolicy.model_validate({"defaults": {"metric": "mean_reward", "max_drop": 0.0}})
LENIENT = GatePolicy.model_validate({"defaults": {"metric": "mean_reward", "max_drop": 0.05}})


def main() -> None:
    """Print a line per case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folds", type=int, default=10_000)
    folds = parser.parse_args().folds
    cases: list[tuple[str, str, Draw, Callable[[Source, Source], bool]]] = []
    for n, k in ((60, 1), (200, 1), (60, 4), (200, 4)):
        cases.append((f"no difference, {n} × {k}: BLOCK", "≤ 5 %", no_difference(n, k), blocked))
    cases += [
        ("no difference, 200 × 2 in 20 clusters: BLOCK", "≤ 5 %",
         no_difference(200, 2, clustered=True), blocked),
        ("no difference, graded 100 × 2: BLOCK", "≤ 5 %",
         no_difference(100, 2, graded=True), blocked),
        ("no difference, 120 × 1: NO-GO", "≤ 2.5 %", no_difference(120, 1), no_go),
        ("no difference, 120 × 4: NO-GO", "≤ 2.5 %", no_difference(120, 4), no_go),
        ("drop of 0.05 = max_drop, 400 × 2: GO", "≤ 2.5 %", drop(400, 2, 0.05), passed),
    ]  # fmt: skip
    for k in (1, 4):
        [row] = plan_power(spread_assumed(0.7, correlation=1.0), 0.05, repeats=[k]).rows
        needed = row.problems_needed
        assert needed is not None
        label = f"drop of 0.05 on the {needed} × {k} planned for 80 %: BLOCK"
        cases.append((label, "80 %", drop(needed, k, 0.05), blocked))
    for label, promised, draw, found in cases:
        print(f"{label:<52} {promised:>8}  {rate(draw, folds, found) * 100:6.2f} %", flush=True)


if __name__ == "__main__":
    main()

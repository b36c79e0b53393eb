"""Comparisons and gates over run directories: finds what is there, decides, writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..config.gate_policy import GatePolicy, Rules
from ..decisions.comparability import benchmark_of, between
from ..decisions.compare import Comparison, compare
from ..decisions.documents import (
    ComparisonReport,
    GateDocument,
    comparison_document,
    gate_document,
)
from ..decisions.gate import GateReport, gate
from ..decisions.history import History, history
from ..decisions.metrics import REWARD
from ..decisions.multiple import Correction, Field, compare_all
from ..decisions.options import MAX_DROP, CompareOptions
from ..decisions.paired_tests import TestName
from ..decisions.planning import Spread, spread_of_pair, spread_of_run
from ..decisions.policy import load_policy, parse_policy
from ..decisions.policy_odds import PolicyOdds, policy_odds
from ..decisions.provenance import Provenance, provenance
from ..decisions.rollouts import rollouts_of
from ..decisions.sources import Source, find
from ..errors import ConfigError
from .reporting import bring_up_to_date

Paths = str | Path
Rows = Iterable[Mapping[str, object]] | Mapping[tuple[int, int], Mapping[str, object]]


def sources(path: Path) -> dict[str, Source]:
    """Benchmark → source of a run, a benchmark or a bundle; what a run that was cut short has not
    derived yet is derived first. Raises ConfigError."""
    bring_up_to_date(path)
    return find(path)


def compare_directories(
    baseline: Path, candidate: Path, options: CompareOptions
) -> tuple[dict[str, Comparison], dict[str, str]]:
    """Every benchmark both have, and those that only one has (with the one that lacks it).

    A pair of single benchmarks is compared even if their names differ, if that is forced.
    Raises ConfigError where there is nothing to compare.
    """
    one, other = _matched(_sources_or_error(baseline), _sources_or_error(candidate))
    unmatched = {name: str(candidate) for name in one if name not in other}
    unmatched |= {name: str(baseline) for name in other if name not in one}
    shared = [name for name in one if name in other]
    if not shared and len(one) == len(other) == 1:
        (a,), (b,) = one.values(), other.values()
        return {between(a, b): compare(a, b, options)}, {}
    if not shared:
        raise ConfigError(
            f"No matching benchmarks: {', '.join(one)} there, {', '.join(other)} here",
            where=f"{baseline} and {candidate}",
        )
    return {name: compare(one[name], other[name], options) for name in shared}, unmatched


def _matched(*runs: dict[str, Source]) -> list[dict[str, Source]]:
    """Runs by names that they share: without the models where a run has none of the first one's."""
    if all(one.keys() & runs[0].keys() for one in runs[1:]):
        return list(runs)
    return [_by_benchmark(one) for one in runs]


def _by_benchmark(found: dict[str, Source]) -> dict[str, Source]:
    """The same by names without the models, where each benchmark was asked of one model."""
    named = {benchmark_of(source): source for source in found.values()}
    return named if len(named) == len(found) else found


def evidence_of(baseline: Path, candidate: Path) -> Provenance:
    """Which runs of which models a comparison is of, and who compares. Raises ConfigError."""
    return provenance(baseline, candidate, (find(baseline), find(candidate)))


def history_of(paths: Sequence[Path], options: CompareOptions) -> History:
    """Runs in time, each against the first and the one before it. Raises ConfigError."""
    return history([_sources_or_error(path) for path in paths], options)


def compare_many(
    baseline: Path, candidates: Sequence[Path], options: CompareOptions, correction: Correction
) -> Field:
    """Several candidates against one baseline. Raises ConfigError."""
    runs = [_sources_or_error(path) for path in (baseline, *candidates)]
    runs = _matched(*runs)
    labels = _labels([baseline, *candidates])
    first, *rest = zip(labels, runs, strict=True)
    for label, others in rest:
        if not set(others) & set(first[1]):
            raise ConfigError("No matching benchmarks", where=f"{baseline} and {label}")
    return compare_all(first, rest, options, correction=correction)


def gate_directories(
    baseline: Path,
    candidate: Path,
    policy: GatePolicy | Mapping[str, Any] | Path,
    *,
    rules: str | None = None,
    force: bool = False,
) -> GateReport:
    """Apply a policy, or the file of one; ``rules`` in the place of its own. Raises ConfigError for
    a policy or files that cannot be read."""
    found = policy if isinstance(policy, GatePolicy) else _policy(policy)
    if rules is not None:
        found = found.model_copy(update={"rules": _rules(rules)})
    names = (str(baseline), str(candidate))
    sides = sources(baseline), sources(candidate)
    file = policy if isinstance(policy, Path) else None
    facts = provenance(baseline, candidate, sides, file)
    one, other = _matched(*sides)
    decision = gate(one, other, found, names=names, force=force)
    return msgspec.structs.replace(decision, provenance=facts)


def compare_runs(
    baseline: Paths,
    candidate: Paths,
    *,
    reward_threshold: float = 0.0,
    alpha: float | None = None,
    min_effect: float = MAX_DROP,
    metric: str = REWARD,
    higher_is_better: bool | None = None,
    rules: str = Rules.SOUND,
    test: TestName = "auto",
    min_coverage: float | None = None,
    force: bool = False,
) -> ComparisonReport:
    """The report of `nel compare --format json` on one benchmark of two runs: a mapping whose
    fields are attributes too (``report.verdict``).

    ``min_effect`` is the largest drop of ``metric`` allowed, in units of the score; a reward above
    ``reward_threshold`` is a right answer where the run does not say which are; ``alpha`` is the
    one-sided level, by default 0.025 and by ``rules="published"`` 0.05. Raises ConfigError where
    there is nothing to compare, several benchmarks, or results that are not comparable
    (unless ``force``).
    """
    options = CompareOptions(
        max_drop=min_effect,
        alpha=alpha,
        metric=metric,
        higher_is_better=higher_is_better,
        rules=_rules(rules),
        test=test,
        correct_above=reward_threshold,
        min_coverage=min_coverage,
        force=force,
    )
    found, _ = compare_directories(Path(baseline), Path(candidate), options)
    if len(found) > 1:
        raise ConfigError(
            f"holds several benchmarks: {', '.join(found)}",
            where=str(baseline),
            hint="give the folder of one of them",
        )
    return _report(next(iter(found.values())))


def compare_results(
    baseline: Rows,
    candidate: Rows,
    *,
    reward_threshold: float = 0.0,
    alpha: float | None = None,
    min_effect: float = MAX_DROP,
    metric: str = REWARD,
    higher_is_better: bool | None = None,
    rules: str = Rules.SOUND,
    test: TestName = "auto",
    name: str = "results",
) -> ComparisonReport:
    """The report of ``compare_runs``, with the same arguments, for rows held in memory: objects as
    in ``results.jsonl``, listed or by ``(problem_idx, repeat)``. Raises ConfigError for rows that
    cannot be read."""
    options = CompareOptions(
        max_drop=min_effect,
        alpha=alpha,
        metric=metric,
        higher_is_better=higher_is_better,
        rules=_rules(rules),
        test=test,
        correct_above=reward_threshold,
    )
    one, other = (
        Source(name, Path(side), given=rollouts_of(_rows_as_list(rows)))
        for side, rows in (("baseline", baseline), ("candidate", candidate))
    )
    return _report(compare(one, other, options))


def _report(comparison: Comparison) -> ComparisonReport:
    document = comparison_document(comparison)
    return ComparisonReport({**document, "verdict": comparison.verdict})


def gate_runs(
    baseline: Paths,
    candidate: Paths,
    policy: GatePolicy | Mapping[str, Any] | Paths,
    *,
    rules: str | None = None,
    force: bool = False,
) -> GateDocument:
    """The report of `nel gate --format json`. ``policy``: a file, or the policy itself; ``rules``,
    "sound" or "published", in the place of its own. Raises ConfigError."""
    chosen = policy if isinstance(policy, GatePolicy | Mapping) else Path(policy)
    one, other = Path(baseline), Path(candidate)
    report = gate_directories(one, other, chosen, rules=rules, force=force)
    return GateDocument({**gate_document(report), "verdict": report.verdict})


def _policy(given: Mapping[str, object] | Path) -> GatePolicy:
    return parse_policy(given) if isinstance(given, Mapping) else load_policy(given)


def odds_of_policy(
    baseline: Path, policy: Path, *, power: float, correlation: float, icc: float
) -> PolicyOdds:
    """How likely the policy says GO, and NO-GO, of a candidate. Raises ConfigError."""
    return policy_odds(
        _sources_or_error(baseline),
        load_policy(policy),
        power=power,
        correlation=correlation,
        icc=icc,
    )


def spreads(
    baseline: Path, candidate: Path | None, *, correlation: float, icc: float
) -> dict[str, Spread]:
    """How scores vary, by benchmark, on one or two past runs. Raises ConfigError."""
    one = _sources_or_error(baseline)
    if candidate is None:
        return {
            name: spread_of_run(source, correlation=correlation, icc=icc)
            for name, source in one.items()
        }
    other = _sources_or_error(candidate)
    shared = [name for name in one if name in other]
    if not shared:
        raise ConfigError("No matching benchmarks", where=f"{baseline} and {candidate}")
    return {name: spread_of_pair(one[name], other[name], icc=icc) for name in shared}


def _rules(name: str) -> Rules:
    try:
        return Rules(name)
    except ValueError:
        raise ConfigError(f"no rules {name!r}", hint=f"one of {', '.join(Rules)}") from None


def _sources_or_error(path: Path) -> dict[str, Source]:
    found = sources(path)
    if not found:
        raise ConfigError(
            "holds no bundle (eval-*.json) and no results.jsonl",
            where=str(path),
            hint="give the directory of a run, one benchmark's folder, or a bundle",
        )
    return found


def _rows_as_list(rows: Rows) -> list[Mapping[str, Any]]:
    if not isinstance(rows, Mapping):
        return list(rows)
    return [{"problem_idx": p, "repeat": r, **row} for (p, r), row in rows.items()]


def _labels(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart."""
    resolved = [path.resolve() for path in paths]
    for depth in range(1, max(len(path.parts) for path in resolved) + 1):
        labels = ["/".join(path.parts[-depth:]) for path in resolved]
        if len(set(labels)) == len(labels):
            return labels
    raise ConfigError("the same results are given twice", where=", ".join(map(str, paths)))

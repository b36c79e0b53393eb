"""The plan of a run: which rollouts, in which order, and the digests that say whether two runs
mean the same.

``plan.lock`` holds it. Resume refuses when an ``identity`` differs and names the difference;
``settings`` (concurrency, timeouts) may change freely.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from ..config.benchmark import BenchmarkConfig
from ..config.scoring import Metric, ScorerMetric
from ..config.scrubber import scrubber_of
from ..config.secrecy import masked
from ..environments.contract import Environment
from ..errors import ConfigError
from ..results.extending import count_keys, counts, obstacle
from ..results.identity import AFTERWARDS, SCORER_KEYS, changes
from ..results.plan_lock import PlanLock
from ..sandbox_spec import HandoverSpec, SandboxSpec
from ..solvers.contract import Solver
from ..types import BenchmarkPlan, Json, PlanSettings, Problem

CANNOT_EXTEND = "--resume cannot change the number of rollouts like this"
SHOWN = 60
"""Characters of a value that an error shows."""


def plan_benchmark(
    benchmark: BenchmarkConfig,
    *,
    name: str,
    slug: str,
    environment: Environment,
    size: int,
    solver: Solver,
    service: str | None,
    model: str | None,
    model_identity: Mapping[str, Json],
    simulated: bool,
    base_url: str | None = None,
    secrets: Collection[str] = (),
    more: Mapping[str, Json] | None = None,
) -> BenchmarkPlan:
    """The plan of one prepared benchmark; ``more``: further parts of its identity.

    Raises ConfigError if the benchmark has no problems.
    """
    n_problems = size if benchmark.max_problems is None else min(size, benchmark.max_problems)
    if n_problems == 0:
        raise ConfigError(
            "the dataset has no problems", where=benchmark.name, hint="check its split or filter"
        )
    identity: dict[str, Json] = {
        "benchmark": benchmark.name,
        "model": model,
        **_prefixed("model", model_identity, secrets),
        **_prefixed("solver", solver.identity(), secrets),
        **_prefixed("environment", environment.identity(), secrets),
        **(more or {}),
        "repeats": benchmark.repeats,
        "n_problems": n_problems,
        # The seed decides which problems are in only where some are left out.
        "shuffle_seed": benchmark.shuffle_seed if n_problems < size else None,
        "scorers": [_metric_identity(metric) for metric in benchmark.scoring.metrics],
    }
    return BenchmarkPlan(
        name=name,
        slug=slug,
        service=service,
        model=model,
        simulated=simulated,
        solver=benchmark.solver.type if benchmark.solver else "simple",
        dataset_size=size,
        n_problems=n_problems,
        repeats=benchmark.repeats,
        identity=identity,
        settings=_settings(benchmark, base_url),
        digest=digest(identity),
    )


def _settings(benchmark: BenchmarkConfig, base_url: str | None) -> PlanSettings:
    """What may be another when the run is resumed."""
    return PlanSettings(
        max_concurrent=benchmark.max_concurrent,
        timeout=benchmark.timeout,
        verify_timeout=benchmark.verify_timeout,
        max_system_retries=benchmark.max_system_retries,
        skip_failed=benchmark.skip_failed,
        min_coverage=benchmark.min_coverage,
        shuffle_seed=benchmark.shuffle_seed,
        base_url=base_url,
    )


def _metric_identity(metric: Metric) -> Json:
    """A metric as it identifies a run: its name, with its configuration where it has one."""
    own = metric.config if isinstance(metric, ScorerMetric) else {}
    return {"name": metric.name, "config": own} if own else metric.name


def digest(value: Json) -> str:
    """``sha256:…`` over the canonical JSON of a value (keys sorted)."""
    text = msgspec.json.encode(value, order="sorted", enc_hook=str) if value else b""
    return "sha256:" + hashlib.sha256(text).hexdigest()


def problem_digest(problem: Problem) -> str:
    """Short digest of what a problem asks and expects; journaled to notice a changed dataset."""
    parts: tuple[object, ...]
    parts = (problem.prompt, problem.messages, problem.system, problem.target, problem.images)
    if problem.requests:
        parts = (*parts, problem.requests)
    if problem.workspace is not None:
        parts = (*parts, _without_place(problem.workspace))
    if problem.handover != HandoverSpec():
        parts = (*parts, problem.handover)
    return hashlib.sha256(msgspec.json.encode(parts, enc_hook=str)).hexdigest()[:16]


def _without_place(spec: SandboxSpec) -> SandboxSpec:
    """The spec, whatever folder this machine keeps the context of its image in; what is in the
    folder belongs to the revision of the dataset."""
    if spec.build is None:
        return spec
    name = spec.build.context.rstrip("/").rpartition("/")[2]
    build = msgspec.structs.replace(spec.build, context=name)
    return msgspec.structs.replace(spec, build=build)


def differences(
    old: BenchmarkPlan, new: BenchmarkPlan, *, ignored: Collection[str] = ()
) -> list[str]:
    """``key: old → new`` for every part of the identity that differs."""
    return [
        f"{found.what}: {' → '.join(_short(found.baseline, found.candidate))}"
        for found in changes(old.identity, new.identity, ignored=ignored)
    ]


def check_resumable(
    old: PlanLock,
    new: Sequence[BenchmarkPlan],
    *,
    where: Path,
    unscored: Collection[str] = (),
    fixed: Mapping[str, str] = {},
) -> dict[str, str]:
    """Raise ConfigError, listing every difference, unless the plans mean the same. What the run is
    extended by, for people, by slug.

    The scorer may be another one where nothing was scored yet (``unscored``, by slug): that is
    how a broken scorer is fixed without asking anything again. What sums up may always be another.
    More repeats and more problems extend a run, but for benchmarks that have a reason in ``fixed``.
    """
    before = {plan.slug: plan for plan in old.benchmarks}
    lines: list[str] = []
    refused: list[str] = []
    extended = {}
    parts = [{_shard(plan) for plan in p} for p in (old.benchmarks, new)]
    if parts[0] != parts[1]:
        lines.append(f"  shard: {_joined_names(parts[0])} → {_joined_names(parts[1])}")
    for plan in new:
        if (previous := before.pop(plan.slug, None)) is None:
            continue  # a benchmark added to a run changes nothing that is there
        ignored = (*AFTERWARDS, *(SCORER_KEYS if plan.slug in unscored else ()))
        ignored = (*ignored, *count_keys(previous, plan))
        lines += [f"  {plan.slug}: {x}" for x in differences(previous, plan, ignored=ignored)]
        if found := ", ".join(counts(previous, plan)):
            why = obstacle(previous, plan) or fixed.get(plan.slug)
            extended[plan.slug] = f"{plan.slug}: {found}"
            refused += [f"  {plan.slug}: {found}: {why}"] if why else []
    lines += [f"  {slug}: no longer in the configuration" for slug in before]
    if lines or refused:
        what = "--resume would mix results that do not mean the same"
        raise ConfigError(
            "\n".join([f"{what if lines else CANNOT_EXTEND}:", *lines, *refused, ""]),
            where=str(where),
            hint="choose another directory (-o), or restore what differs",
        )
    return extended


def _prefixed(prefix: str, values: Mapping[str, Json], secrets: Collection[str]) -> dict[str, Json]:
    """Plain JSON values under prefixed keys. The plan is written down, so secrets are masked."""
    plain = msgspec.json.decode(msgspec.json.encode(dict(values), enc_hook=str))
    plain = scrubber_of(frozenset(secrets)).json(masked(plain, secrets))
    return {f"{prefix}.{key}": value for key, value in plain.items()}


def _shard(plan: BenchmarkPlan) -> str:
    shard = plan.settings.shard
    return "whole" if shard is None else str(list(shard))


def _joined_names(names: Collection[str]) -> str:
    return ", ".join(sorted(names))


def _short(*values: Json) -> list[str]:
    """Two values as texts of at most about 60 characters, from shortly before they differ."""
    texts = [v if isinstance(v, str) else msgspec.json.encode(v).decode() for v in values]
    pairs = enumerate(zip(*texts, strict=False))
    same = next((place for place, (a, b) in pairs if a != b), min(map(len, texts)))
    start = max(0, same - 20) if max(map(len, texts)) > SHOWN and same > SHOWN // 2 else 0
    return [
        ("..." if start else "")
        + (text[start:] if len(text) <= start + SHOWN else text[start : start + SHOWN - 3] + "...")
        for text in texts
    ]

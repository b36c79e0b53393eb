"""From configuration to jobs: everything is opened, loaded and checked before anything is paid.

A ConfigError here costs nothing. Datasets are loaded one after the other, in the configured order.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from ..config.benchmark import BenchmarkConfig
from ..config.load import Loaded
from ..config.problems import as_error
from ..config.root import EvalConfig
from ..config.scoring import EnsembleJudgeMetric, JudgeMetric, PairwiseJudgeMetric, ScoringConfig
from ..config.secrecy import redact
from ..config.services import ModelFields
from ..environments.contract import Environment
from ..environments.registry import resolve
from ..environments.row_checks import ChecksRows
from ..environments.user_code import contained
from ..environments.with_metrics import with_metrics
from ..errors import ConfigError
from ..judging.opening import Bench, Served, open_metrics, served, services_of
from ..judging.sitting import Court, Spend, no_budget
from ..results.layout import slug
from ..results.planned import PART, problem_order
from ..services.contract import OpenService
from ..services.open import open_services
from ..solvers.contract import MODEL, Solver, SolveTools, needs_of
from ..solvers.registry import open_solver
from ..traffic.types import CallContext
from ..traffic.urls import base_url
from ..types import BenchmarkPlan, Json, JudgeCalibration, Problem, Solution
from .failures import described
from .job import Job
from .places import Places
from .plan import digest, plan_benchmark
from .sandboxing import Turn, alive_at_once
from .shards import Shard
from .workspaces import open_places, workspace_identity

log = logging.getLogger(__name__)
Around = Callable[[Environment], Environment]
"""Decorates an environment."""


@dataclass(frozen=True, slots=True)
class Given:
    """What Python code hands over instead of naming it: it stands for every benchmark's own."""

    environment: Environment
    solver: Solver | None = None
    part: tuple[int, int] | None = None
    """Only these problems of the order: start and end."""


@dataclass(frozen=True, slots=True)
class _Opening:
    """What the benchmarks of a run are opened with."""

    loaded: Loaded
    services: Mapping[str, OpenService]
    directory: Path
    jobs: list[Job]
    """Those that are open already."""
    stack: AsyncExitStack
    spend: Spend
    around: Around


@dataclass(frozen=True, slots=True)
class Prepared:
    """The jobs of a run and the open services they share."""

    jobs: list[Job]
    services: Mapping[str, OpenService]
    skip_failed: Mapping[str, bool]
    min_coverage: Mapping[str, float | None]

    @property
    def plans(self) -> list[BenchmarkPlan]:
        """What goes into ``plan.lock``."""
        return [job.plan for job in self.jobs]


async def prepare(
    loaded: Loaded,
    directory: Path,
    stack: AsyncExitStack,
    shard: Shard | None = None,
    given: Given | None = None,
    *,
    plan_only: bool = False,
    spend: Spend = no_budget,
    around: Around = lambda environment: environment,
) -> Prepared:
    """Open services, environments and solvers, and plan every benchmark.

    What is opened is closed by ``stack``; ``spend`` is told what judges use. With a ``shard`` only
    its part is planned. With ``plan_only`` nothing is made ready to run code: no image is pulled.
    ``around`` decorates every environment. Raises ConfigError.
    """
    config = loaded.config
    _check_interceptors(loaded)
    folder = None if plan_only else directory
    services = await open_services(config.services, _wanted(config), stack, folder)
    jobs: list[Job] = []
    opening = _Opening(loaded, services, directory, jobs, stack, spend, around)
    settings: dict[str, BenchmarkConfig] = {}
    alive = Places(alive_at_once(config.benchmarks))
    for benchmark in config.benchmarks:
        for posed in _posed(benchmark, given):
            job = await _open_job(benchmark, posed, opening)
            if not plan_only:
                turn = Turn(alive, len(jobs))
                sandboxes, workspaces = await open_places(benchmark, job, stack, turn)
                job = replace(job, sandboxes=sandboxes, workspaces=workspaces)
            if given is not None and given.part is not None:
                job = _only(job, *given.part)
            jobs.append(job if shard is None else _part(job, shard))
            settings[job.plan.slug] = benchmark
    return Prepared(
        jobs=jobs,
        services=services,
        skip_failed={name: b.skip_failed for name, b in settings.items()},
        min_coverage={name: b.min_coverage for name, b in settings.items()},
    )


def _posed(benchmark: BenchmarkConfig, given: Given | None) -> Iterator[tuple[Environment, Solver]]:
    """The environments that an entry stands for, each with its solver."""
    assert benchmark.solver is not None
    if given is not None:
        yield given.environment, given.solver or open_solver(benchmark.solver)
        return
    for environment in resolve(
        benchmark.name,
        params=benchmark.params,
        fewshot=benchmark.fewshot,
        template=benchmark.template,
    ):
        yield environment, open_solver(benchmark.solver)


def _only(job: Job, start: int, end: int) -> Job:
    """The same benchmark over a part of its problems, which is another benchmark."""
    end = min(end, len(job.order))
    order = job.order[start:end]
    if not order or start < 0:
        raise ConfigError(
            f"problem_range {start, end} holds none of {len(job.order)} problems",
            where=job.plan.name,
        )
    identity = {**job.plan.identity, PART: [start, end], "n_problems": len(order)}
    plan = msgspec.structs.replace(
        job.plan, n_problems=len(order), identity=identity, digest=digest(identity)
    )
    return replace(job, plan=plan, order=order)


def _part(job: Job, shard: Shard) -> Job:
    """The same benchmark, of which only a part is done."""
    order = shard.part(job.order)
    plan = msgspec.structs.replace(
        job.plan,
        n_problems=len(order),
        settings=msgspec.structs.replace(
            job.plan.settings,
            shard=(shard.index, shard.total),
            shard_range=shard.range(len(job.order)),
        ),
    )
    return replace(job, plan=plan, order=order)


def _check_interceptors(loaded: Loaded) -> None:
    """Before any model is opened: every interceptor is known and its options are right."""
    from ..traffic.interceptors.opening import check_interceptors

    problems = [
        problem
        for name, service in loaded.config.services.items()
        if isinstance(service, ModelFields) and service.proxy is not None
        for problem in check_interceptors(service.proxy.interceptors, ("services", name, "proxy"))
    ]
    if (failure := as_error(problems, loaded.locate)) is not None:
        raise failure


def _wanted(config: EvalConfig) -> dict[str, int]:
    """The services that solve or judge, and the most requests each will have in flight."""
    wanted: dict[str, int] = {}
    for benchmark in config.benchmarks:
        for name in {*services_of(benchmark.scoring), *solving_services(benchmark).values()}:
            wanted[name] = max(wanted.get(name, 1), benchmark.max_concurrent)
    return wanted


async def _open_job(
    benchmark: BenchmarkConfig,
    posed: tuple[Environment, Solver],
    opening: _Opening,
) -> Job:
    (environment, solver), loaded, services = posed, opening.loaded, opening.services
    directory, stack = opening.directory, opening.stack
    stack.push_async_callback(_close, "solver", solver.close)
    if environment.harness is not None:
        _check_harness(benchmark, environment.name)
    name = benchmark.label or environment.name
    unique = _unique(slug(name), {job.plan.slug for job in opening.jobs})
    bench = _open_bench(benchmark, environment, services, solver)
    court = Court(directory / unique, opening.spend) if bench.services else None
    environment = opening.around(with_metrics(environment, benchmark.scoring, bench, court))
    stack.push_async_callback(_close, "benchmark", environment.close)
    await environment.prepare()
    roles = solving_services(benchmark)
    service = roles.get(MODEL)
    served_by = services[service] if service is not None else None
    _check_protocol(environment, served_by)
    size = await environment.size()
    plan = plan_benchmark(
        benchmark,
        name=name,
        slug=unique,
        environment=environment,
        size=size,
        solver=solver,
        service=service,
        model=served_by.client.name if served_by else None,
        model_identity=served_by.identity if served_by else {},
        base_url=_base_url(served_by, loaded.secrets),
        simulated=served_by is not None and served_by.simulated,
        secrets=loaded.secrets,
        more={
            **workspace_identity(benchmark, solver),
            **_roles_identity(roles, services),
        },
    )
    calibrated = msgspec.structs.replace(
        plan.settings, calibrations=_calibrations(benchmark.scoring)
    )
    plan = msgspec.structs.replace(plan, settings=calibrated)
    order = problem_order(
        size, shuffle_seed=benchmark.shuffle_seed, max_problems=benchmark.max_problems
    )
    if isinstance(environment, ChecksRows):
        await environment.check(order)
    return Job(
        court=court,
        judges=tuple(services[name].client for name in sorted(bench.services)),
        plan=plan,
        environment=environment,
        solver=solver,
        model=served_by.client if served_by else None,
        models={role: services[name].client for role, name in roles.items()},
        order=order,
        folder=directory / plan.slug,
        max_concurrent=benchmark.max_concurrent,
        timeout=benchmark.timeout,
        verify_timeout=benchmark.verify_timeout,
        max_system_retries=max(1, benchmark.max_system_retries),
    )


def _check_harness(benchmark: BenchmarkConfig, name: str) -> None:
    """What steers our own loop has no effect on a harness's. Raises ConfigError."""
    idle = {
        "scoring.metrics": benchmark.scoring.metrics,
        "solver, but for its service": benchmark.solver
        and benchmark.solver.changed() - {"service", "type"},
        "fewshot": benchmark.fewshot,
        "template": benchmark.template,
    }
    if found := [what for what, value in idle.items() if value]:
        raise ConfigError(
            f"{', '.join(found)} has no effect: it asks and grades by itself",
            where=name,
            hint="remove it; generation parameters of the service are sent",
        )


def _calibrations(scoring: ScoringConfig) -> dict[str, JudgeCalibration]:
    """What judged scores are corrected by; it changes no verdict, so it is a setting."""
    from ..judging.correction import read_calibration

    found: dict[str, JudgeCalibration] = {}
    for metric in scoring.metrics:
        if isinstance(metric, JudgeMetric | EnsembleJudgeMetric) and metric.calibration is not None:
            calibration = read_calibration(Path(metric.calibration))
            found[metric.name] = JudgeCalibration(
                verdicts=calibration.kind == "verdicts", rows=tuple(calibration.judged)
            )
    return found


async def _close(what: str, close: Callable[[], Awaitable[None]]) -> None:
    """Close what the user may have written; a failure there costs no results."""
    try:
        with contained(f"the {what}"):
            await close()
    except Exception as error:
        log.warning("the %s could not be closed: %s", what, described(error))


def _open_bench(
    benchmark: BenchmarkConfig,
    environment: Environment,
    services: Mapping[str, OpenService],
    solver: Solver,
) -> Bench:
    """The judges of a benchmark. Raises ConfigError."""
    compared = any(isinstance(m, PairwiseJudgeMetric) for m in benchmark.scoring.metrics)
    if compared and needs_of(solver).sandbox and not needs_of(solver).optional:
        raise ConfigError(
            "a baseline cannot be asked by a solver that works in a sandbox",
            where=environment.name,
            hint="run the baseline on its own and compare the runs: nel compare",
        )

    def serve(name: str) -> Served:
        return served(services[name])

    async def answer(problem: Problem, service: str, context: CallContext) -> Solution:
        return await solver.solve(problem, SolveTools(services[service].client, context))

    return open_metrics(
        benchmark.scoring,
        serve,
        answer,
        name=environment.name,
        needs_judge=environment.needs.judge,
        own_rubric=environment.needs.own_rubric,
    )


def _check_protocol(environment: Environment, service: OpenService | None) -> None:
    wanted = environment.needs.protocol
    if wanted is not None and service is not None and service.protocol != wanted:
        raise ConfigError(
            f"the benchmark is made for an endpoint with protocol {wanted}",
            where=environment.name,
            hint=f"use a service with protocol: {wanted}, not {service.protocol}",
        )


def _base_url(service: OpenService | None, secrets: Collection[str]) -> str | None:
    """The endpoint's address as it may be written down: without credentials and query."""
    if service is None or not service.endpoints:
        return None
    return redact(base_url(service.endpoints[0]), secrets)


def solving_services(benchmark: BenchmarkConfig) -> dict[str, str]:
    """The services that the solver asks, by role."""
    service = getattr(benchmark.solver, "service", None)
    others = getattr(benchmark.solver, "services", None) or {}
    return {**others, **({MODEL: service} if service is not None else {})}


def _roles_identity(
    roles: Mapping[str, str], services: Mapping[str, OpenService]
) -> dict[str, Json]:
    """What changes the answers of the models beside the solver's own."""
    found: dict[str, Json] = {
        role: {"model": services[name].client.name, **services[name].identity}
        for role, name in roles.items()
        if role != MODEL
    }
    return {"roles": found} if found else {}


def _unique(name: str, taken: set[str]) -> str:
    """The same benchmark twice in one run gets ``name``, ``name-2``, …"""
    if name not in taken:
        return name
    number = 2
    while f"{name}-{number}" in taken:
        number += 1
    return f"{name}-{number}"

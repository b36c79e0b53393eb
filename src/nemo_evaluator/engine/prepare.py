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
from ..config.scoring import EnsembleJudgeMetric, JudgeMetric, ScoringConfig
from ..config.secrecy import redact
from ..config.services import ApiService, Service, SimulatedService
from ..environments.contract import Environment
from ..environments.registry import resolve
from ..environments.row_checks import ChecksRows
from ..environments.user_code import contained
from ..environments.with_metrics import with_metrics
from ..errors import ConfigError
from ..http.urls import split_credentials
from ..judging.opening import Bench, Served, open_metrics, services_of
from ..judging.sitting import Court, Spend, no_budget
from ..results.layout import slug
from ..results.planned import PART, problem_order
from ..services.open import open_model
from ..solvers.contract import MODEL, Solver, SolveTools
from ..solvers.registry import open_solver
from ..traffic.client import ModelClient
from ..traffic.types import CallContext
from ..traffic.urls import base_url, is_reward_url
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
    models: Mapping[str, ModelClient]
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
    models: Mapping[str, ModelClient]
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
    models = _open_models(config, stack)
    jobs: list[Job] = []
    opening = _Opening(loaded, models, directory, jobs, stack, spend, around)
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
        models=models,
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
        if isinstance(service, ApiService | SimulatedService) and service.proxy is not None
        for problem in check_interceptors(service.proxy.interceptors, ("services", name, "proxy"))
    ]
    if (failure := as_error(problems, loaded.locate)) is not None:
        raise failure


def _open_models(config: EvalConfig, stack: AsyncExitStack) -> dict[str, ModelClient]:
    caps: dict[str, int] = {}
    for benchmark in config.benchmarks:
        for name in {*services_of(benchmark.scoring), *solving_services(benchmark).values()}:
            caps[name] = max(caps.get(name, 1), benchmark.max_concurrent)
    models = {}
    for name, cap in caps.items():
        models[name] = open_service(name, config.services[name], max_concurrent=cap)
        stack.push_async_callback(models[name].close)
    return models


def open_service(name: str, service: Service, *, max_concurrent: int) -> ModelClient:
    """The client of a service that solves or judges. Raises ConfigError."""
    if isinstance(service, ApiService) and is_reward_url(service.url):
        service = service.model_copy(update={"protocol": "rewards"})
    return open_model(name, service, max_concurrent=max_concurrent)


async def _open_job(
    benchmark: BenchmarkConfig,
    posed: tuple[Environment, Solver],
    opening: _Opening,
) -> Job:
    (environment, solver), loaded, models = posed, opening.loaded, opening.models
    directory, stack = opening.directory, opening.stack
    stack.push_async_callback(_close, "solver", solver.close)
    name = benchmark.label or environment.name
    unique = _unique(slug(name), {job.plan.slug for job in opening.jobs})
    bench = _open_bench(benchmark, environment, loaded.config, models, solver)
    court = Court(directory / unique, opening.spend) if bench.services else None
    environment = opening.around(with_metrics(environment, benchmark.scoring, bench, court))
    stack.push_async_callback(_close, "benchmark", environment.close)
    await environment.prepare()
    roles = solving_services(benchmark)
    service = roles.get(MODEL)
    model = models[service] if service is not None else None
    served = loaded.config.services[service] if service is not None else None
    if not isinstance(served, ApiService | SimulatedService | None):
        raise ConfigError(
            f"{served.type!r} cannot be run by this version", where=f"services.{service}"
        )
    _check_protocol(environment, served)
    size = await environment.size()
    plan = plan_benchmark(
        benchmark,
        name=name,
        slug=unique,
        environment=environment,
        size=size,
        solver=solver,
        service=service,
        model=model.name if model else None,
        model_identity=_model_identity(served) if served is not None else {},
        base_url=_base_url(served, loaded.secrets),
        simulated=isinstance(served, SimulatedService),
        secrets=loaded.secrets,
        more={
            **workspace_identity(benchmark, solver),
            **_roles_identity(roles, loaded.config),
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
        judges=tuple(models[name] for name in sorted(bench.services)),
        plan=plan,
        environment=environment,
        solver=solver,
        model=model,
        models={role: models[name] for role, name in roles.items()},
        order=order,
        folder=directory / plan.slug,
        max_concurrent=benchmark.max_concurrent,
        timeout=benchmark.timeout,
        verify_timeout=benchmark.verify_timeout,
        max_system_retries=max(1, benchmark.max_system_retries),
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
    config: EvalConfig,
    models: Mapping[str, ModelClient],
    solver: Solver,
) -> Bench:
    """The judges of a benchmark. Raises ConfigError."""

    def serve(name: str) -> Served:
        return served(name, config.services[name], models[name])

    async def answer(problem: Problem, service: str, context: CallContext) -> Solution:
        return await solver.solve(problem, SolveTools(models[service], context))

    return open_metrics(
        benchmark.scoring,
        serve,
        answer,
        name=environment.name,
        needs_judge=environment.needs.judge,
        own_rubric=environment.needs.own_rubric,
    )


def served(name: str, service: Service, client: ModelClient) -> Served:
    """A service as a judge. Raises ConfigError."""
    if not isinstance(service, ApiService | SimulatedService):
        raise ConfigError(
            f"{service.type!r} cannot be run by this version", where=f"services.{name}"
        )
    url = service.url if isinstance(service, ApiService) else ""
    return Served(
        client=client,
        identity={"model": client.name, **_model_identity(service)},
        temperature=service.generation.temperature,
        pair=url.rstrip("/").endswith("/score"),
        simulated=isinstance(service, SimulatedService),
    )


def _check_protocol(
    environment: Environment, service: ApiService | SimulatedService | None
) -> None:
    wanted = environment.needs.protocol
    if wanted is not None and service is not None and service.protocol != wanted:
        raise ConfigError(
            f"the benchmark is made for an endpoint with protocol {wanted}",
            where=environment.name,
            hint=f"use a service with protocol: {wanted}, not {service.protocol}",
        )


def _base_url(
    service: ApiService | SimulatedService | None, secrets: Collection[str]
) -> str | None:
    """The endpoint's address as it may be written down: without credentials and query."""
    if not isinstance(service, ApiService):
        return None
    address, _ = split_credentials(service.url)
    return redact(base_url(address), secrets)


def _model_identity(service: ApiService | SimulatedService) -> dict[str, Json]:
    """What changes a model's answers. Its address, limits and timeouts do not."""
    from ..traffic.interceptors.opening import identity as interceptor_identity

    identity: dict[str, Json] = {
        "protocol": service.protocol,
        "generation": service.generation.model_dump(exclude_none=True),
        "extra_body": dict(service.proxy.extra_body) if service.proxy else {},
        "interceptors": interceptor_identity(service.proxy),
    }
    if isinstance(service, SimulatedService):
        faults = service.faults
        identity["simulated"] = {
            "seed": service.seed,
            "accuracy": service.accuracy,
            "reasoning": service.reasoning,
            "completion_tokens": service.completion_tokens.model_dump(),
            "tool_call_rate": service.tool_call_rate,
            "empty": faults.empty,
            "length": faults.length,
        }
    return identity


def solving_services(benchmark: BenchmarkConfig) -> dict[str, str]:
    """The services that the solver asks, by role."""
    service = getattr(benchmark.solver, "service", None)
    others = getattr(benchmark.solver, "services", None) or {}
    return {**others, **({MODEL: service} if service is not None else {})}


def _roles_identity(roles: Mapping[str, str], config: EvalConfig) -> dict[str, Json]:
    """What changes the answers of the models beside the solver's own."""
    found: dict[str, Json] = {}
    for role, name in roles.items():
        service = config.services[name]
        if role != MODEL and isinstance(service, ApiService | SimulatedService):
            found[role] = {"model": service.model or name, **_model_identity(service)}
    return {"roles": found} if found else {}


def _unique(name: str, taken: set[str]) -> str:
    """The same benchmark twice in one run gets ``name``, ``name-2``, …"""
    if name not in taken:
        return name
    number = 2
    while f"{name}-{number}" in taken:
        number += 1
    return f"{name}-{number}"

"""From configuration to jobs: everything is opened, loaded and checked before anything is paid.

A ConfigError here costs nothing. Datasets are loaded one after the other, in the configured order.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from ..config.benchmark import BenchmarkConfig
from ..config.load import Loaded
from ..config.needed_services import asked_by
from ..config.scoring import PairwiseJudgeMetric
from ..environments.contract import Environment, Reached
from ..environments.harness import Harness, MeetsModel, TakesSolver
from ..environments.image_template import with_images
from ..environments.registry import resolve
from ..environments.row_checks import ChecksRows
from ..environments.trusted import TrustedReward
from ..environments.user_code import contained
from ..environments.with_metrics import with_metrics
from ..errors import ConfigError, NelError
from ..judging.opening import JudgePanel, Served, calibrations_of, open_metrics, served
from ..judging.verification import JudgeFile, Spend, no_budget
from ..results.layout import slug
from ..results.planned import problem_order
from ..services.contract import OpenService
from ..services.gpus import gpus_of_a_shard
from ..services.open import Machine, Opened, check_services, open_services
from ..solvers.contract import Prepares, Solver, SolveTools, needs_of
from ..solvers.registry import open_solver
from ..traffic.types import CallContext
from ..types import BenchmarkPlan, Problem, Solution
from .benchmark_services import BenchmarkServices, wanted_services
from .failures import described
from .idle_services import IdleServices
from .job import Job
from .kept_workspaces import Keeper
from .partial_jobs import shard_of, with_problem_range
from .places import Places
from .plan import plan_benchmark
from .sandboxing import Turn, alive_at_once
from .shards import Shard
from .workspaces import open_workspaces, workspace_identity

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
    services: Opened
    directory: Path
    stack: AsyncExitStack
    spend: Spend
    around: Around
    plan_only: bool
    say: Callable[[str], None]
    alive: Places
    """The sandboxes that may be alive at the same time."""
    jobs: list[Job] = field(default_factory=list)
    """Those that are open already."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The jobs of a run and the open services they share."""

    jobs: list[Job]
    services: Mapping[str, OpenService]
    skip_failed: Mapping[str, bool]
    min_coverage: Mapping[str, float | None]
    idle_services: IdleServices
    """Ends services that are not needed any more."""

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
    say: Callable[[str], None] = lambda _: None,
) -> Prepared:
    """Open services, environments and solvers, and plan every benchmark.

    What is opened is closed by ``stack``; ``spend`` is told what judges use. With a ``shard`` only
    its part is planned. With ``plan_only`` nothing is made ready to run code: no image is pulled.
    ``around`` decorates every environment; ``say`` is told of servers that are started. Raises
    ConfigError.
    """
    config = loaded.config
    check_services(loaded)
    folder = None if plan_only else directory
    wanted = wanted_services(config)
    machine = Machine.of(config)
    if shard is not None and not plan_only:
        held = stack.enter_context(ExitStack())
        with loaded.at(("services",)):
            machine = replace(machine, gpus=gpus_of_a_shard(config, held))
    services = await open_services(config.services, wanted, stack, folder, say, loaded.at, machine)
    alive = Places(alive_at_once(config.benchmarks))
    opening = _Opening(loaded, services, directory, stack, spend, around, plan_only, say, alive)
    settings: dict[str, BenchmarkConfig] = {}
    for place, benchmark in enumerate(config.benchmarks):
        for environment, solver in _environments_of(loaded, place, given):
            stack.push_async_callback(_close, "solver", solver.close)
            if isinstance(solver, Prepares):
                with loaded.at(_solver_path(loaded, place)):
                    await _prepare_solver(solver)
            job = await _open_job(benchmark, environment, solver, opening)
            if not plan_only:
                job = await _with_sandboxes(job, benchmark, opening)
            if given is not None and given.part is not None:
                job = with_problem_range(job, *given.part)
            opening.jobs.append(job if shard is None else shard_of(job, shard))
            settings[job.plan.slug] = benchmark
    return Prepared(
        jobs=opening.jobs,
        services=services.models,
        skip_failed={name: b.skip_failed for name, b in settings.items()},
        min_coverage={name: b.min_coverage for name, b in settings.items()},
        idle_services=IdleServices(config.services, services),
    )


def _environments_of(
    loaded: Loaded, place: int, given: Given | None
) -> Iterator[tuple[Environment, Solver]]:
    """The environments that an entry stands for, each with its solver."""
    benchmark, path = loaded.config.benchmarks[place], ("benchmarks", place)
    assert benchmark.solver is not None
    if given is not None:
        yield given.environment, given.solver or open_solver(benchmark.solver)
        return
    with loaded.at((*path, "name")):
        environments = resolve(
            benchmark.name,
            params=benchmark.params,
            fewshot=benchmark.fewshot,
            template=benchmark.template,
        )
    for environment in environments:
        with loaded.at(_solver_path(loaded, place)):
            solver = open_solver(benchmark.solver)
        yield environment, solver


async def _prepare_solver(solver: Prepares) -> None:
    """Have a solver look for what it needs. Raises ConfigError."""
    try:
        with contained("the solver"):
            await solver.prepare()
    except NelError:
        raise
    except Exception as error:
        raise ConfigError(f"the solver cannot be used: {described(error)}") from error


def _solver_path(loaded: Loaded, place: int) -> tuple[str | int, ...]:
    """Where the solver of an entry is written."""
    own = ("benchmarks", place, "solver")
    return own if loaded.wrote(own) else ("solver",)


async def _open_job(
    benchmark: BenchmarkConfig, bare: Environment, solver: Solver, opening: _Opening
) -> Job:
    """A benchmark that is opened, checked and planned. ``bare``: the environment before anything
    is put around it. Raises ConfigError."""
    services, stack = opening.services, opening.stack
    if bare.harness is not None:
        _check_harness(benchmark, bare.name, bare.harness, solver)
    if isinstance(bare, Reached):
        stack.push_async_callback(_close, "benchmark", bare.close)
        await bare.reach()
    _check_workspace(benchmark, bare, solver)
    name = benchmark.label or bare.name
    folder = opening.directory / _unique(slug(name), {job.plan.slug for job in opening.jobs})
    environment, panel, judge_file = _decorated(benchmark, bare, solver, folder, opening)
    stack.push_async_callback(_close, "benchmark", environment.close)
    asked = BenchmarkServices.of(benchmark, services)
    if isinstance(bare, MeetsModel):
        bare.meet(asked.meeting(folder, benchmark.max_problems, ask=not opening.plan_only))
    await environment.prepare()
    asked.check_protocol(environment)
    if environment.needs.in_order and "shuffle_seed" not in benchmark.model_fields_set:
        benchmark = benchmark.model_copy(update={"shuffle_seed": None})
    plan = await _plan(benchmark, opening.loaded, (name, folder.name), environment, solver, asked)
    order = problem_order(
        plan.dataset_size, shuffle_seed=benchmark.shuffle_seed, max_problems=benchmark.max_problems
    )
    if isinstance(environment, ChecksRows):
        await environment.check(order)
    return Job(
        judge_file=judge_file,
        judges=tuple(services.models[name].client for name in sorted(panel.services)),
        plan=plan,
        environment=environment,
        solver=solver,
        model=asked.own.client if asked.own is not None else None,
        models={role: service.client for role, service in asked.by_role.items()},
        servers=asked.servers,
        asks=asked_by(benchmark),
        order=order,
        folder=folder,
        max_concurrent=benchmark.max_concurrent,
        timeout=benchmark.timeout,
        verify_timeout=benchmark.verify_timeout,
        longer_verification="verify_timeout" not in benchmark.model_fields_set,
        max_system_retries=max(1, benchmark.max_system_retries),
    )


def _decorated(
    benchmark: BenchmarkConfig,
    bare: Environment,
    solver: Solver,
    folder: Path,
    opening: _Opening,
) -> tuple[Environment, JudgePanel, JudgeFile | None]:
    """The environment with everything that the configuration puts around it, the judges that it
    asks, and where their calls are written. ``folder``: the benchmark's."""
    services, environment = opening.services, bare
    if benchmark.verifier is not None:
        from ..environments.gym.verifier import VerifiedBy

        verifier = services.servers[benchmark.verifier]
        environment = VerifiedBy(environment, benchmark.verifier, verifier)
    if (trusted := _trusted(benchmark)) is not None:
        environment = TrustedReward(environment, *trusted)
    panel = _open_panel(benchmark, environment, services.models, solver)
    judge_file = JudgeFile(folder, opening.spend) if panel.services else None
    environment = with_images(environment, benchmark.sandbox)
    environment = opening.around(with_metrics(environment, benchmark.scoring, panel, judge_file))
    return environment, panel, judge_file


async def _with_sandboxes(job: Job, benchmark: BenchmarkConfig, opening: _Opening) -> Job:
    """The job with the sandboxes that its answers are made and verified in. Raises ConfigError."""
    keep = opening.loaded.config.output.keep_workspaces
    sandboxes, workspaces = await open_workspaces(
        benchmark,
        job.environment,
        job.solver,
        job.folder,
        opening.stack,
        Turn(opening.alive, len(opening.jobs)),
        lambda folder: Keeper(keep, folder, opening.say),
    )
    return replace(job, sandboxes=sandboxes, workspaces=workspaces)


def _trusted(benchmark: BenchmarkConfig) -> tuple[tuple[float, float], str] | None:
    """The range of the rewards that the solver's answers bring along, and who gives them, where
    they are trusted."""
    return benchmark.solver.trusted if benchmark.solver is not None else None


def _check_workspace(benchmark: BenchmarkConfig, environment: Environment, solver: Solver) -> None:
    """Raise ConfigError where what is verified is a workspace, and the solver leaves none."""
    if environment.needs.agent and _trusted(benchmark) is None and not needs_of(solver).sandbox:
        raise ConfigError(
            "its answers are what an agent leaves in a workspace, and this solver works in none",
            where=environment.name,
            hint="use a solver that does, e.g. `solver: {type: tool_calling, sandbox_tools: true}`",
        )


async def _plan(
    benchmark: BenchmarkConfig,
    loaded: Loaded,
    named: tuple[str, str],
    environment: Environment,
    solver: Solver,
    asked: BenchmarkServices,
) -> BenchmarkPlan:
    """The plan of a benchmark. ``named``: its name, and its folder."""
    own = asked.own
    plan = plan_benchmark(
        benchmark,
        name=named[0],
        slug=named[1],
        environment=environment,
        size=await environment.size(),
        solver=solver,
        service=asked.name,
        model=own.client.name if own else None,
        model_identity=own.identity if own else {},
        base_url=asked.base_url(loaded.secrets),
        simulated=own is not None and own.simulated,
        secrets=loaded.secrets,
        more={**workspace_identity(benchmark, solver), **asked.roles_identity()},
    )
    calibrated = msgspec.structs.replace(
        plan.settings, calibrations=calibrations_of(benchmark.scoring)
    )
    return msgspec.structs.replace(plan, settings=calibrated)


def _check_harness(benchmark: BenchmarkConfig, name: str, harness: Harness, solver: Solver) -> None:
    """What steers our own loop has no effect on a harness's. Raises ConfigError."""
    taken = isinstance(harness, TakesSolver) and harness.take(solver)
    idle = {
        "scoring.metrics": benchmark.scoring.metrics,
        "solver, but for its service": not taken
        and benchmark.solver
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


async def _close(what: str, close: Callable[[], Awaitable[None]]) -> None:
    """Close what the user may have written; a failure there costs no results."""
    try:
        with contained(f"the {what}"):
            await close()
    except Exception as error:
        log.warning("the %s could not be closed: %s", what, described(error))


def _open_panel(
    benchmark: BenchmarkConfig,
    environment: Environment,
    services: Mapping[str, OpenService],
    solver: Solver,
) -> JudgePanel:
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


def _unique(name: str, taken: set[str]) -> str:
    """The same benchmark twice in one run gets ``name``, ``name-2``, …"""
    if name not in taken:
        return name
    number = 2
    while f"{name}-{number}" in taken:
        number += 1
    return f"{name}-{number}"

"""Checks that span the parts of a document: who refers to whom, and whether that can work."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import suggest
from .agent_solvers import ToolCallingSolverConfig
from .agents import ServerFields
from .benchmark import BenchmarkConfig
from .document import Document
from .mistakes import Mistake, format_path
from .needed_services import needed_services
from .proxy import ProxyConfig
from .sandboxes import NoSandbox
from .scoring import (
    EnsembleJudgeMetric,
    JudgeMetric,
    Metric,
    PairwiseJudgeMetric,
    RewardModelMetric,
)
from .services import GymResourceService, ModelFields, NatAgentService, TimeoutsConfig
from .solver_fields import OwnSolverFields
from .solvers import GymDelegationSolverConfig, NatSolverConfig
from .tree import KeyPath

RESERVED = {"default", "none", ""}
_KINDS: dict[type[object], str] = {
    ModelFields: "a model",
    GymResourceService: "a gym server",
    NatAgentService: "an agent server",
}


def cross_checks(config: Document) -> Iterator[Mistake]:
    """Every problem of a document whose parts are valid one by one."""
    for name, service in config.services.items():
        if name in RESERVED:
            yield Mistake(("services", name), f"Reserved service name {name!r}", "choose another")
        timeouts = getattr(service, "timeouts", None)
        if isinstance(service, ModelFields) and service.proxy and timeouts is not None:
            yield from _one_limit(timeouts, service.proxy, ("services", name, "proxy"))
    yield from _dependencies(config)
    labels: dict[str, int] = {}
    for index, benchmark in enumerate(config.benchmarks):
        path = ("benchmarks", index)
        yield from _solver(config, benchmark, path)
        yield from _sandbox(benchmark, path)
        yield from _metrics(config, benchmark, path)
        if benchmark.verifier is not None:
            yield from _refers(config, benchmark.verifier, (*path, "verifier"), GymResourceService)
        if benchmark.label is not None and labels.setdefault(benchmark.label, index) != index:
            first = labels[benchmark.label]
            what = f"the label {benchmark.label!r} is that of benchmarks[{first}] too"
            yield Mistake((*path, "label"), what, "labels name folders: choose another")


def _one_limit(timeouts: TimeoutsConfig, proxy: ProxyConfig, path: KeyPath) -> Iterator[Mistake]:
    if timeouts.total is not None and proxy.request_timeout is not None:
        what = "means the same as timeouts.total, and both are set"
        yield Mistake((*path, "request_timeout"), what, "remove one")


def _solver(config: Document, benchmark: BenchmarkConfig, path: KeyPath) -> Iterator[Mistake]:
    solver = benchmark.solver
    if solver is None:
        models = [name for name, s in config.services.items() if isinstance(s, ModelFields)]
        found = f"services: {', '.join(models)}" if models else "there is none"
        what = f"needs a solver: it can be left out only with exactly one model service ({found})"
        yield Mistake(path, what, "solver: {type: simple, service: NAME}")
        return
    service = getattr(solver, "service", None)
    path = (*path, "solver")
    if service is not None:
        wanted = NatAgentService if isinstance(solver, NatSolverConfig) else ModelFields
        yield from _refers(config, service, (*path, "service"), wanted)
    if isinstance(solver, OwnSolverFields):
        for role, name in solver.services.items():
            where = (*path, "services", role)
            if role == "model":
                yield Mistake(where, "`model` is the role of `service`", "choose another name")
            yield from _refers(config, name, where, ModelFields)
    if isinstance(solver, ToolCallingSolverConfig):
        if solver.resource_service is not None:
            gym = solver.resource_service
            yield from _refers(config, gym, (*path, "resource_service"), GymResourceService)
        elif not solver.sandbox_tools and not solver.mcp_servers:
            what = "tool_calling needs tools: sandbox_tools, resource_service or mcp_servers"
            yield Mistake(path, what)
        asked = getattr(config.services.get(solver.service), "protocol", None)
        if asked == "completions":
            what = "tool_calling needs a service that takes messages, not protocol completions"
            yield Mistake((*path, "service"), what, "protocol: chat_completions or responses")
    if isinstance(solver, GymDelegationSolverConfig):
        yield from _refers(config, solver.gym_service, (*path, "gym_service"), GymResourceService)


def _sandbox(benchmark: BenchmarkConfig, path: KeyPath) -> Iterator[Mistake]:
    solver = benchmark.solver
    if not isinstance(benchmark.sandbox, NoSandbox) or solver is None:
        return
    if solver.needs.sandbox and not solver.needs.optional:
        asks = isinstance(solver, ToolCallingSolverConfig)
        what = "sandbox_tools" if asks else f"solver {solver.type}"
        yield Mistake(path, f"{what} requires a sandbox", "set sandbox")


def _metrics(config: Document, benchmark: BenchmarkConfig, path: KeyPath) -> Iterator[Mistake]:
    asked = getattr(benchmark.solver, "service", None)
    for index, metric in enumerate(benchmark.scoring.metrics):
        where = (*path, "scoring", "metrics", index)
        if isinstance(metric, JudgeMetric | RewardModelMetric):
            yield from _refers(config, metric.service, (*where, "service"), ModelFields)
        elif isinstance(metric, PairwiseJudgeMetric):
            for name in ("judge_service", "baseline_service"):
                yield from _refers(config, getattr(metric, name), (*where, name), ModelFields)
        elif isinstance(metric, EnsembleJudgeMetric):
            for i, service in enumerate(metric.services):
                yield from _refers(config, service, (*where, "services", i), ModelFields)
        yield from _self_judging(config, metric, asked, where)


def budget_warnings(config: Document) -> list[str]:
    """Models whose cost a limit in dollars cannot see."""
    if config.budget.usd is None:
        return []
    return [
        f"services.{name} has no price: budget.usd does not count what it costs"
        for name in needed_services(config)
        if isinstance(service := config.services[name], ModelFields)
        and getattr(service, "price", None) is None
    ]


def judge_warnings(config: Document) -> list[str]:
    """Judges that are the model they judge under another name of a service."""
    return [
        f"{format_path(problem.path)}: {problem.what}; a model tends to favour its own answers"
        for index, benchmark in enumerate(config.benchmarks)
        for number, metric in enumerate(benchmark.scoring.metrics)
        for same_service, problem in _self_judges(
            config,
            metric,
            getattr(benchmark.solver, "service", None),
            ("benchmarks", index, "scoring", "metrics", number),
        )
        if not same_service
    ]


def _self_judging(
    config: Document, metric: Metric, asked: str | None, path: KeyPath
) -> Iterator[Mistake]:
    """Check that no model judges its own answers, unless that is allowed."""
    for same_service, problem in _self_judges(config, metric, asked, path):
        if same_service:
            yield problem


def _self_judges(
    config: Document, metric: Metric, asked: str | None, path: KeyPath
) -> Iterator[tuple[bool, Mistake]]:
    """Judges that are the model they judge: whether by the same service, and the problem."""
    if isinstance(metric, JudgeMetric):
        judges: list[tuple[str, KeyPath]] = [(metric.service, (*path, "service"))]
    elif isinstance(metric, PairwiseJudgeMetric):
        judges = [(metric.judge_service, (*path, "judge_service"))]
        baseline = metric.baseline_service
        if asked is not None and _same_model(config, baseline, asked):
            what = f"the baseline {baseline!r} is the same as the solver's model"
            where = (*path, "baseline_service")
            yield baseline == asked, Mistake(where, what, "compare with another")
    elif isinstance(metric, EnsembleJudgeMetric):
        judges = [(name, (*path, "services", i)) for i, name in enumerate(metric.services)]
    else:
        return
    if metric.allow_self_judge:
        return
    authors = {asked: "the solver's model"} if asked is not None else {}
    if isinstance(metric, PairwiseJudgeMetric):
        authors[metric.baseline_service] = "the baseline"
    for judge, where in judges:
        for author, whose in authors.items():
            if _same_model(config, judge, author):
                what = f"the judge {judge!r} is the same as {whose}"
                yield judge == author, Mistake(where, what, "allow_self_judge: true permits it")


def _same_model(config: Document, one: str, other: str) -> bool:
    if one == other:
        return True
    a, b = config.services.get(one), config.services.get(other)
    if not isinstance(a, ModelFields) or not isinstance(b, ModelFields):
        return False
    return a.answers is not None and a.answers == b.answers


def _dependencies(config: Document) -> Iterator[Mistake]:
    after = {
        name: [*(s.requires if isinstance(s, ServerFields) else getattr(s, "depends_on", []))]
        for name, s in config.services.items()
    }
    for name, service in config.services.items():
        if isinstance(service, ServerFields) and service.model is not None:
            yield from _refers(config, service.model, ("services", name, "model"), ModelFields)
    for name, needed in after.items():
        path = ("services", name, "depends_on")
        for index, other in enumerate(needed):
            if other == name:
                yield Mistake((*path, index), f"{name!r} depends on itself")
            elif other not in after and other in getattr(config.services[name], "depends_on", ()):
                yield _unknown(config, other, (*path, index))
        if name not in needed and (cycle := _cycle(name, after)):
            yield Mistake(path, f"circular dependency: {' → '.join(cycle)}")


def _cycle(start: str, after: dict[str, list[str]]) -> list[str] | None:
    """A way from a service back to itself; only for the first service of the cycle by name."""
    ways = [[start]]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        for other in after.get(way[-1], []):
            if other == start:
                return [*way, start] if start == min(way) else None
            if other not in seen:
                seen.add(other)
                ways.append([*way, other])
    return None


def _refers(config: Document, name: str, path: KeyPath, wanted: type[object]) -> Iterator[Mistake]:
    service = config.services.get(name)
    if service is None:
        yield _unknown(config, name, path)
    elif not isinstance(service, wanted):
        yield Mistake(path, f"service {name!r} is of type {service.type}, not {_KINDS[wanted]}")


def _unknown(config: Document, name: str, path: KeyPath) -> Mistake:
    return Mistake(path, f"there is no service {name!r}", suggest(name, config.services))

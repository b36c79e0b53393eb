"""The resolved plan as text: what a run would do and roughly cost. Calls no model."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from ..config.load import Loaded
from ..config.ray_cluster import RayCluster
from ..config.runnable import check_runnable
from ..config.secrecy import redact
from ..engine.control import Control
from ..engine.job import Job
from ..engine.prepare import Prepared, prepare
from ..executors.deciding import Gate, open_watch
from ..results.identity_facts import plan_facts
from ..results.sampling import doubtful_repeats, temperature
from ..services.launch import Launch
from ..services.open import launch_of
from ..traffic.price import Price
from ..types import BenchmarkPlan, Message, Problem

SAMPLE = 50
CHARS_PER_TOKEN = 4.0
"""A rule of thumb for English; tokenizers are the models' own and are not fetched for a plan."""


async def describe_plan(loaded: Loaded) -> str:
    """Problems, rollouts, services, and an estimate of tokens and cost. Raises ConfigError."""
    check_runnable(loaded)
    async with AsyncExitStack() as stack:
        prepared = await prepare(loaded, Path(loaded.config.output.dir), stack, plan_only=True)
        lines = ["Plan (nothing is called):", "", *_ray_lines(loaded)]
        lines += _service_lines(loaded, prepared)
        for job in prepared.jobs:
            lines += await _job_lines(job)
        lines += _gate_lines(loaded, prepared)
        total = sum(job.plan.n_rollouts for job in prepared.jobs)
        lines += ["", f"{total} rollouts in all; results go to {loaded.config.output.dir}"]
    return "\n".join(lines)


def _ray_lines(loaded: Loaded) -> list[str]:
    """Where Ray makes the run; other clusters say themselves what they would submit."""
    cluster = loaded.config.cluster
    if not isinstance(cluster, RayCluster):
        return []
    where = cluster.address or os.environ.get("RAY_ADDRESS") or "local"
    needs = [f"{cluster.num_cpus:g} CPUs", f"{cluster.num_gpus:g} GPUs"]
    needs += [f"{number:g} {name}" for name, number in cluster.resources.items()]
    return [
        f"cluster ray at {where}: {cluster.shards} shards, each a task that needs"
        f" {', '.join(needs)} and is started again up to {cluster.max_retries} times",
        "",
    ]


def _gate_lines(loaded: Loaded, prepared: Prepared) -> list[str]:
    """By what the results are judged, and how early the run may end. Raises ConfigError for what
    would keep the gate from being decided."""
    config = loaded.config.gate
    if config is None:
        return []
    lines = ["", f"gate {config.policy} against {config.baseline}"]
    watch = open_watch(config, Gate.of(config), Control(), lambda text: lines.append(f"  {text}"))
    if watch is not None:
        watch.join(prepared.jobs)
        lines[-1] += ", ends when decided"
        watch.start()
    return lines


def _service_lines(loaded: Loaded, prepared: Prepared) -> list[str]:
    lines = []
    for name, service in prepared.services.items():
        model = service.client.name
        where = ", ".join(service.endpoints)
        launch = launch_of(name, loaded.config.services[name])
        if launch is not None:
            started = redact(_started(launch), loaded.secrets)
            lines.append(f"service {name}: {model}, {service.protocol}, started here{started}")
        elif where:
            lines.append(f"service {name}: {model} at {where}, {service.protocol}")
        else:
            lines.append(f"service {name}: {model}, in this process (simulated)")
    return lines


def _started(launch: Launch) -> str:
    """Where, how often and by which commands a server is started."""
    where = f" in {launch.image}" if launch.image is not None else ""
    count = f", {launch.instances} servers" if launch.instances > 1 else ""
    commands = [
        (process.role, "; ".join(filter(None, (*process.setup, shlex.join(process.argv)))))
        for process in launch.programs
    ]
    if not launch.processes:
        return f"{where}{count}: {commands[0][1] or 'what the image starts'}"
    return f"{where}{count}:" + "".join(f"\n  {role}: {command}" for role, command in commands)


async def _job_lines(job: Job) -> list[str]:
    plan = job.plan
    lines = [
        "",
        f"benchmark {plan.name} → {job.folder}",
        f"  {plan.n_problems} of {plan.dataset_size} problems × {plan.repeats} repeats"
        f" = {plan.n_rollouts} rollouts, solver {plan.solver}, service {plan.service}",
        f"  temperature {temperature(plan)}{_other_parameters(plan)}",
    ]
    if job.environment.harness is not None:
        lines.append("  it asks by itself: how many tokens that takes is not known")
    else:
        lines += await _token_lines(job)
    facts = plan_facts(plan)
    if facts.dataset:
        revision = f" at {facts.dataset_revision}" if facts.dataset_revision else ""
        lines.append(f"  dataset {facts.dataset}{revision}")
    if (doubt := doubtful_repeats(plan)) is not None:
        lines.append(f"  warning: {doubt}")
    return [*lines, f"  identity {plan.digest[:19]}"]


async def _token_lines(job: Job) -> list[str]:
    sample = [await job.environment.seed(idx) for idx in job.order[:SAMPLE]]
    chars = sum(_prompt_chars(problem) for problem in sample) / max(1, len(sample))
    tokens = round(chars / CHARS_PER_TOKEN * job.plan.n_rollouts)
    lines = [f"  about {tokens:,} prompt tokens ({chars / CHARS_PER_TOKEN:.0f} each)"]
    if job.model is not None:
        lines += _completion_lines(job, job.model.settings.price, tokens)
    return lines


def _other_parameters(plan: BenchmarkPlan) -> str:
    """The other parameters that are sent."""
    others = plan_facts(plan).generation.items()
    return "".join(f", {name} {value}" for name, value in others if name != "temperature")


def _completion_lines(job: Job, price: Price | None, prompt_tokens: int) -> list[str]:
    max_tokens = plan_facts(job.plan).generation.get("max_tokens")
    limit = max_tokens if isinstance(max_tokens, int) else None
    lines = [
        f"  at most {limit * job.plan.n_rollouts:,} completion tokens (max_tokens {limit})"
        if limit
        else "  completion tokens: no limit set (max_tokens)"
    ]
    if price is not None:
        cost = prompt_tokens * price.prompt / 1e6
        most = (limit or 0) * job.plan.n_rollouts * price.completion / 1e6
        upper = f", at most {cost + most:.2f} USD in all" if limit else ""
        lines.append(f"  about {cost:.2f} USD for the prompts{upper}")
    else:
        lines.append("  cost unknown: set services.<name>.price")
    return lines


def _prompt_chars(problem: Problem) -> int:
    if not problem.requests:
        system = "" if problem.messages else problem.system
        return _chars_of(problem.prompt, problem.messages) + len(system or "")
    own = _chars_of(problem.prompt, problem.messages)
    return sum(
        (_chars_of(request.prompt, request.messages) or own) + len(request.continuation or "")
        for request in problem.requests
    )


def _chars_of(prompt: str, messages: Sequence[Message]) -> int:
    if not messages:
        return len(prompt)
    return sum(len(str(message.get("content") or "")) for message in messages)

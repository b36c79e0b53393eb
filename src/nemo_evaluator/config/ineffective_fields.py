"""Fields that are accepted and have no effect in this version, so that configurations of NVIDIA
NeMo Evaluator run unchanged. Each one that is set is said once."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from .agent_solvers import HarborFields
from .base import ConfigRecord
from .cluster import LocalCluster, SlurmCluster
from .mistakes import format_path
from .sandboxes import EcsFargateSandbox, MadeSandbox, NoSandbox
from .services import ModelFields
from .solvers import SimpleSolver
from .tree import KeyPath

if TYPE_CHECKING:
    from .root import EvalConfig

WINDOW = ("max_input_tokens", "max_output_tokens")
"""What agents are told of a model."""
WORKSPACE = ("capture_cmd", "stateful", "scrub_git_history")
"""What becomes of an agent's workspace; a solver that only asks the model has none."""


def inert_fields(config: EvalConfig) -> list[str]:
    """A note for every field that is set and has no effect, and every sandbox nothing uses."""
    unused = [name for name in config.sandboxes if not config.uses_sandbox(name)]
    return [
        *(f"{format_path(path)} is accepted and has no effect" for path in _paths(config)),
        *(f"sandboxes.{name} is used by no benchmark" for name in unused),
    ]


def _paths(config: EvalConfig) -> Iterator[KeyPath]:
    agents = {b.solver.service for b in config.benchmarks if isinstance(b.solver, HarborFields)}
    for name, service in config.services.items():
        if isinstance(service, ModelFields):
            fields = WINDOW if name in agents else ()
            yield from _changed_paths(
                ("services", name), service, *(f for f in service.inert if f not in fields)
            )
    for index, benchmark in enumerate(config.benchmarks):
        yield from _changed_paths(("benchmarks", index), benchmark, "context_window")
        if not any(benchmark.sandbox is named for named in config.sandboxes.values()):
            path: KeyPath = ("benchmarks", index, "sandbox")
            yield from _workspace(path, benchmark.sandbox, [benchmark.solver])
    for name, sandbox in config.sandboxes.items():
        if config.uses_sandbox(name):
            solvers = [b.solver for b in config.benchmarks if b.sandbox is sandbox]
            yield from _workspace(("sandboxes", name), sandbox, solvers)
    if isinstance(config.cluster, LocalCluster):
        yield from _changed_paths(("cluster",), config.cluster, "max_memory")
        if config.output.timestamped:
            yield ("output", "timestamped")
    if isinstance(config.cluster, SlurmCluster):
        yield from _changed_paths(("cluster",), config.cluster, "shm_size")
    for name in config.output.export_config:
        if name not in config.output.export:
            yield ("output", "export_config", name)
    yield from _changed_paths(("output", "trajectories"), config.output.trajectories, "enrich")


def _workspace(path: KeyPath, sandbox: object, solvers: Collection[object]) -> Iterator[KeyPath]:
    if not isinstance(sandbox, NoSandbox | MadeSandbox):
        return
    if isinstance(sandbox, EcsFargateSandbox):  # files go through the SSH connection
        yield from _changed_paths(path, sandbox, "s3_bucket", "s3_prefix", "dockerhub_secret_arn")
    if all(isinstance(solver, SimpleSolver) for solver in solvers):
        yield from _changed_paths(path, sandbox, *WORKSPACE)
    elif sandbox.stateful:
        yield from _changed_paths(path, sandbox, "capture_cmd")


def _changed_paths(path: KeyPath, record: ConfigRecord, *names: str) -> Iterator[KeyPath]:
    changed = record.changed()
    yield from ((*path, name) for name in names if name in changed)

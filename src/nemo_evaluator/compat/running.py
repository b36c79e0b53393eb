"""``run_evaluation(env, solver)``: one benchmark, run by this package's engine.

The result is the published bundle as a mapping, with ``_results`` (rows) and ``_artifacts`` beside
it. Answers are journaled in ``step_log_dir`` and a run there can be resumed; without it they are
kept in a temporary folder for as long as the run lasts.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..config.load import Loaded, parse
from ..engine.prepare import Given
from ..engine.shards import Shard, parse_shard
from ..environments.contract import VerifyTools
from ..environments.decorated import Decorated
from ..environments.subclass import EvalEnvironment, SubclassEnvironment
from ..errors import ConfigError
from ..executors.local import run
from ..executors.options import Options
from ..results import layout
from ..types import Problem, Score, Solution
from .client import ModelClient
from .environments import BenchmarkEnvironment
from .metrics import headline_metrics
from .notes import say_once
from .solvers import EngineSolver, ModelSolver, Solver

__all__ = ["run_evaluation"]

SERVICE, JUDGE = "model", "judge"
GIVEN = {"type": "custom", "class_path": "nemo_evaluator.compat.solvers:EngineSolver"}
"""Stands in the configuration for a solver that was handed over."""


async def run_evaluation(
    env: EvalEnvironment,
    solver: Solver,
    n_repeats: int = 1,
    max_problems: int | None = None,
    config: Mapping[str, Any] | None = None,
    progress: Any = None,
    problem_range: tuple[int, int] | None = None,
    max_concurrent: int = 32,
    judge_client: ModelClient | None = None,
    sandbox_manager: Any = None,
    model_url: str | None = None,
    step_log_dir: str | Path | None = None,
    resume: bool = False,
    skip_failed: bool = False,
    max_system_retries: int = 3,
    shard_info: Any = None,
    instruction_template: str | None = None,
    shuffle_seed: int | None = None,
    model_traffic_store: Any = None,
) -> dict[str, Any]:
    """Run a benchmark. Raises ConfigError for arguments this version has no use for, and where the
    run cannot start; RuntimeError where rollouts have no verdict, unless ``skip_failed``."""
    _refuse_unavailable(sandbox_manager, instruction_template, model_traffic_store)
    if progress is not None or model_url is not None:
        say_once("run_evaluation: progress and model_url have no effect")
    settings = {
        "repeats": n_repeats,
        "max_problems": max_problems,
        "max_concurrent": max_concurrent,
        "skip_failed": skip_failed,
        "max_system_retries": max_system_retries,
        "shuffle_seed": None if problem_range else shuffle_seed,
    }
    environment = EngineEnvironment(env)
    with tempfile.TemporaryDirectory(prefix="nel-run-evaluation-") as temporary:
        directory = Path(step_log_dir or temporary)
        loaded = _loaded(environment.name, solver, settings, judge_client, config, directory)
        own = None if isinstance(solver, ModelSolver) else EngineSolver(solver)
        options = Options(
            resume=resume and step_log_dir is not None and (directory / layout.PLAN_LOCK).exists(),
            shard=_shard(shard_info),
            command="run_evaluation()",
            given=Given(environment, own, problem_range),
        )
        result = await run(loaded, options)
        if result.exit_code not in (0, 1):
            raise RuntimeError("; ".join(result.messages) or "the evaluation did not finish")
        return _bundle(Path(result.summary.directory), config)


class EngineEnvironment(Decorated):
    """An environment of the known contract, for the engine."""

    def __init__(self, env: EvalEnvironment) -> None:
        self._limit: int | None = None
        if isinstance(env, BenchmarkEnvironment):
            super().__init__(env.inner)
            self._limit = env.limit
        else:
            super().__init__(SubclassEnvironment(env, {}))

    async def size(self) -> int:
        """Number of problems."""
        size = await super().size()
        return size if self._limit is None else min(size, self._limit)

    async def verify(self, problem: Problem, solution: Solution, tools: VerifyTools) -> Score:
        """The solver's own reward where it gave one, else the benchmark's verdict, with what the
        solver tells of the answer beside it."""
        if solution.reward is not None:
            return Score(reward=solution.reward, details=solution.details)
        score = await super().verify(problem, solution, tools)
        if not solution.details:
            return score
        return msgspec.structs.replace(score, details={**solution.details, **score.details})


def _refuse_unavailable(sandboxes: Any, template: str | None, store: Any) -> None:
    given = {
        "sandbox_manager": sandboxes,
        "instruction_template": template if template not in ("off", "none", "") else None,
        "model_traffic_store": store,
    }
    for name, value in given.items():
        if value is not None:
            raise ConfigError(
                f"{name} is not available in this version", where="run_evaluation", hint="omit it"
            )


def _loaded(
    name: str,
    solver: Solver,
    settings: Mapping[str, Any],
    judge: ModelClient | None,
    config: Mapping[str, Any] | None,
    directory: Path,
) -> Loaded:
    """The run as a configuration."""
    services: dict[str, Any] = {}
    solving: Mapping[str, Any] = GIVEN
    if isinstance(solver, ModelSolver):
        services[SERVICE] = solver.client.service(solver.protocol)
        solving = solver.as_config(SERVICE)
    metrics: list[dict[str, Any]] = [
        {"type": "scorer", "name": scorer} for scorer in (config or {}).get("scorers") or ()
    ]
    scoring: dict[str, Any] = {"metrics": metrics}
    if judge is not None:
        services[JUDGE] = judge.service()
        metrics.append({"type": "judge", "name": JUDGE, "service": JUDGE})
    benchmark = {"name": name, "solver": solving, "scoring": scoring, **settings}
    output = {"dir": str(directory), "report": []}
    return parse({"services": services, "benchmarks": [benchmark], "output": output})


def _shard(given: Any) -> Shard | None:
    """``(index, total)``, ``"index/total"``, or an object with ``shard_idx``/``total_shards``."""
    if given is None or isinstance(given, Shard):
        return given
    if isinstance(given, Mapping):
        given = (given.get("shard_idx"), given.get("total_shards"))
    elif hasattr(given, "shard_idx"):
        given = (given.shard_idx, given.total_shards)
    text = given if isinstance(given, str) else "/".join(map(str, given))
    return parse_shard(text)


def _bundle(directory: Path, config: Mapping[str, Any] | None) -> dict[str, Any]:
    """The published bundle of the only benchmark, with its rows and artifacts."""
    [path] = directory.glob("*/eval-*.json")
    folder = path.parent
    bundle: dict[str, Any] = msgspec.json.decode(path.read_bytes())
    bundle["config"] = {**dict(config or {}), **bundle.get("config", {})}
    bundle["_results"] = rows = _rows(folder / layout.RESULTS)
    _add_pass_at_k(bundle["benchmark"], rows)
    bundle["_artifacts"] = {
        "steps": _rows(folder / layout.TRAJECTORIES),
        "runtime": _document(folder / layout.RUNTIME),
        "failures": _document(folder / layout.FAILURES),
    }
    return bundle


def _add_pass_at_k(benchmark: dict[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """``pass@1`` and ``pass@n`` of a benchmark whose rewards are all 0 or 1, though it never says
    that an answer is correct."""
    rewards: dict[int, list[float]] = {}
    for row in rows:
        rewards.setdefault(row["problem_idx"], []).append(row["reward"])
    scores = benchmark["scores"]
    if not rewards or "pass@1" in scores:
        return
    for name, value in headline_metrics(rewards, benchmark["repeats"]).items():
        mean = scores.get("mean_reward", {}) if name == "pass@1" else {}
        limits = {key: mean[key] for key in ("ci_lower", "ci_upper") if key in mean}
        scores.setdefault(name, {"value": round(value, 4), **limits})


def _rows(path: Path) -> list[dict[str, Any]]:
    decoder = msgspec.json.Decoder(dict[str, Any])
    return list(decoder.decode_lines(path.read_bytes())) if path.exists() else []


def _document(path: Path) -> dict[str, Any]:
    return msgspec.json.decode(path.read_bytes(), type=dict[str, Any]) if path.exists() else {}

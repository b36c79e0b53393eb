"""Writes what was imported as a run directory of ours: journals, plan and configuration, and all
that is derived of them, so that every command works on it.

The journal holds what the other tool recorded and nothing else; when and how it was graded is said
by the plan's identity and by ``run.json``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypedDict

import msgspec
import yaml

from ..config.secrecy import hidden_urls
from ..engine.plan import digest, problem_digest
from ..errors import ConfigError
from ..files.writing import replace_file, replacing
from ..results.aggregated import Aggregated
from ..results.derive import publish
from ..results.journal import Errored, ProblemSeeded, Scored, Solved, encode, header_of, scan
from ..results.layout import CONFIG, JOURNAL, PLAN_LOCK, slug
from ..results.lock import LOCK, directory_lock
from ..results.measures import digest_of, summed_up_by
from ..results.plan_lock import PlanLock, write_lock
from ..results.run_info import RunInfo, RunStatus, new_run_info, write_run_info
from ..results.summary import BenchmarkSummary, RunSummary, accounts
from ..results.times import order, when
from ..types import BenchmarkPlan, ErrorInfo, Failure, Json, Outcome, PlanSettings
from .contract import Imported, Rollout

NOWHERE = "http://imported.invalid/v1"
"""Address of the models of imported runs: they are never asked."""
SCHEME = "imported"


def write_run(directory: Path, benchmarks: Sequence[Imported], *, command: str = "") -> RunSummary:
    """Write a run. Raises ConfigError for a directory that holds anything, and for results that
    cannot be those of a run."""
    if directory.exists() and any(path.name != LOCK for path in directory.iterdir()):
        raise ConfigError("is not empty", where=str(directory), hint="choose another (-o)")
    directory.mkdir(parents=True, exist_ok=True)
    with directory_lock(directory):
        try:
            return _written(directory, benchmarks, command)
        except BaseException:
            _emptied(directory)
            raise


def _written(directory: Path, benchmarks: Sequence[Imported], command: str) -> RunSummary:
    info = _info(benchmarks, command)
    taken: set[str] = set()
    plans = []
    for one in benchmarks:
        wanted = one.plan.slug if one.plan is not None else slug(one.name)
        plan = _plan(one, _unique(wanted, taken))
        taken.add(plan.slug)
        _journal(directory / plan.slug, plan, info.run_id, one)
        plans.append(plan)
    info = msgspec.structs.replace(info, benchmarks=tuple(plan.slug for plan in plans))
    write_lock(directory / PLAN_LOCK, PlanLock(run_id=info.run_id, benchmarks=tuple(plans)))
    replace_file(directory / CONFIG, _config(directory, plans).encode())
    summaries = tuple(publish(directory / plan.slug, plan, info) for plan in plans)
    info = _ended_info(info, summaries)
    write_run_info(directory, info)
    return RunSummary(run=info, benchmarks=summaries, directory=str(directory))


def _emptied(directory: Path) -> None:
    """Half an import is none: the directory was empty before."""
    for path in directory.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def _info(benchmarks: Sequence[Imported], command: str) -> RunInfo:
    """The run: made when the other tool made it, where that is known."""
    info = new_run_info(command=command)
    stamps = sorted((one.created for one in benchmarks if one.created), key=order)
    sources = tuple(hidden_urls(f"{one.tool}: {one.source}") for one in benchmarks)
    return msgspec.structs.replace(
        info, created=stamps[0] if stamps else info.created, imported_from=sources
    )


def _ended_info(info: RunInfo, summaries: Sequence[BenchmarkSummary]) -> RunInfo:
    whole = all(one.n_scored == one.n_rollouts for one in summaries)
    status = RunStatus.DONE if whole else RunStatus.INCOMPLETE
    used = msgspec.to_builtins(accounts(summaries))
    return msgspec.structs.replace(info, status=status, accounts=used)


def _unique(name: str, taken: set[str]) -> str:
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    return found


def _plan(one: Imported, folder: str) -> BenchmarkPlan:
    if one.plan is not None:
        settings = msgspec.structs.replace(one.plan.settings, shard=None, shard_range=None)
        return msgspec.structs.replace(one.plan, slug=folder, settings=settings)
    n_problems = one.size if one.problems is None else len(one.problems)
    identity: dict[str, Json] = {
        "benchmark": one.name,
        "model": one.model,
        **one.identity,
        "repeats": one.repeats,
        "n_problems": n_problems,
        "shuffle_seed": None,
        "scorers": [],
    }
    if one.problems is not None:
        identity["problems"] = list(one.problems)
    return BenchmarkPlan(
        name=one.name,
        slug=folder,
        service=None,
        model=one.model,
        simulated=False,
        solver=one.solver,
        dataset_size=one.size,
        n_problems=n_problems,
        repeats=one.repeats,
        identity=identity,
        settings=PlanSettings(),
        digest=digest(identity),
    )


def _journal(folder: Path, plan: BenchmarkPlan, run_id: str, one: Imported) -> None:
    folder.mkdir()
    path = folder / JOURNAL
    seen: set[int] = set()
    done: set[tuple[int, int]] = set()
    with replacing(path, durable=True) as file:
        file.write(encode(header_of(plan, run_id)))
        for rollout in one.rollouts():
            if rollout.key in done:
                raise ConfigError(
                    f"holds problem {rollout.problem.idx}, repeat {rollout.repeat}, twice",
                    where=one.source,
                )
            done.add(rollout.key)
            if rollout.problem.idx not in seen:
                seen.add(rollout.problem.idx)
                file.write(encode(_seeded(rollout)))
            _write(file, rollout)
    if not done:
        raise ConfigError("holds no rollouts", where=one.source)
    index = scan(path, plan)
    if index.damaged:
        what = f"holds {index.damaged} rollouts that its own plan does not know"
        raise ConfigError(f"{what}: {index.damage[0].reason}", where=one.source)
    if one.measures:
        of = digest_of(index, summed_up_by(plan))
        with path.open("ab") as file:
            file.write(encode(Aggregated(at=0.0, of=of, measures=one.measures)))


def _seeded(rollout: Rollout) -> ProblemSeeded:
    problem = rollout.problem
    return ProblemSeeded(
        problem_idx=problem.idx,
        digest=problem_digest(problem),
        prompt=problem.prompt,
        messages=problem.messages,
        system=problem.system,
        target=problem.target,
        metadata=problem.metadata,
        cluster=problem.cluster,
    )


class _Where(TypedDict):
    problem_idx: int
    repeat: int
    attempt: int
    at: float


def _write(file: BinaryIO, rollout: Rollout) -> None:
    where = _Where(problem_idx=rollout.problem.idx, repeat=rollout.repeat, attempt=1, at=rollout.at)
    if rollout.solution is not None:
        file.write(encode(Solved(**where, solution=rollout.solution)))
    if rollout.score is not None:
        file.write(encode(Scored(**where, outcome=rollout.outcome, score=rollout.score)))
        return
    error = rollout.error or ErrorInfo(kind=Failure.NO_VERDICT, message="it was not scored")
    outcome = Outcome.UNSCORED if rollout.outcome.has_reward else rollout.outcome
    file.write(encode(Errored(**where, outcome=outcome, error=error)))


def _config(directory: Path, plans: Sequence[BenchmarkPlan]) -> str:
    """A configuration by which the answers can be graded again. No model is asked."""
    models = list(dict.fromkeys(plan.model or "unknown" for plan in plans))
    names = {model: f"imported{number or ''}" for number, model in enumerate(models)}
    document: dict[str, Any] = {
        "services": {
            names[model]: {
                "type": "api",
                "url": NOWHERE,
                "protocol": "chat_completions",
                "model": model,
            }
            for model in models
        },
        "benchmarks": [
            {
                "name": f"{SCHEME}://{(directory / plan.slug).resolve()}",
                "label": plan.slug,
                "repeats": plan.repeats,
                "solver": {"type": "simple", "service": names[plan.model or "unknown"]},
            }
            for plan in plans
        ],
    }
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    return (
        "# Results of another tool, imported. `nel eval rescore --scorer` grades them again.\n"
        + text
    )


def unix_time(text: str | None) -> float:
    """Unix time of a time of ISO 8601; 0 where it is none."""
    found = when(text)
    return found.timestamp() if found is not None else 0.0


def numbered(ids: Iterator[str] | Sequence[str]) -> dict[str, int]:
    """Each id with its place among all of them, sorted: the same for every log of a dataset."""
    return {one: place for place, one in enumerate(sorted(set(ids)))}

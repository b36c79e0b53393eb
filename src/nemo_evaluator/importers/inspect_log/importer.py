"""Logs of Inspect as benchmarks: one of each log.

Samples get their ``problem_idx`` by the sorted order of the ids of the dataset, so that all logs of
one task number them alike; the id is kept in the metadata. A log that we wrote is the run it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec

from ...engine.plan import digest
from ...errors import ConfigError
from ...measured import Measure
from ...results.published import AGGREGATE
from ...types import BenchmarkPlan
from ..contract import Imported, Rollout
from ..writing import numbered
from .reading import read_head, read_samples
from .records import Head, Results
from .rollouts import rollout

ENDINGS = (".eval", ".json")
PLAN = "nel_plan"
"""Where a log that we wrote has the plan of its run."""


class InspectLogs:
    """See the module."""

    def takes(self, path: Path) -> bool:
        """See ``Importer.takes``."""
        try:
            return any(_is_log(file) for file in _files(path))
        except ConfigError:
            return False

    def read(self, path: Path) -> Sequence[Imported]:
        """See ``Importer.read``."""
        logs = [file for file in _files(path) if path.is_file() or _is_log(file)]
        if not logs:
            raise ConfigError("holds no logs of Inspect", where=str(path))
        return [_imported(log) for log in logs]


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path] if path.suffix in ENDINGS else []
    return sorted(file for file in path.rglob("*") if file.suffix in ENDINGS and file.is_file())


def _is_log(path: Path) -> bool:
    """Whether a file is a log. A bundle of ours is JSON too, and has no ``eval``."""
    try:
        read_head(path)
    except ConfigError:
        return False
    return True


def _imported(path: Path) -> Imported:
    head = read_head(path)
    spec, plan = head.eval, _plan(head)
    keys = [(sample.id, sample.epoch) for sample in read_samples(path)]
    ids = [str(one) for one in spec.dataset.sample_ids or ()] + [str(one) for one, _ in keys]
    places = numbered(ids)
    scorer = head.results.scores[0].name if head.results and head.results.scores else None
    repeats = max(spec.config.epochs or 1, *(epoch for _, epoch in keys), 1)
    version = spec.packages.get("inspect_ai", "")
    return Imported(
        name=plan.name if plan is not None else spec.task.rpartition("/")[2] or spec.task,
        model=plan.model if plan is not None else spec.model,
        source=str(path),
        tool=f"inspect_ai {version}".strip(),
        size=len(places),
        rollouts=partial(_rollouts, path, None if plan is not None else places, scorer),
        repeats=repeats,
        identity={
            "environment.harness": "inspect_ai",
            "environment.task": f"{spec.task}:{spec.task_version}",
            "environment.task_args": dict(spec.task_args),
            "environment.scorer": scorer,
            "environment.dataset_digest": digest(sorted(places)),
        },
        measures=_measures(head.results, own=plan is not None),
        solver=spec.solver or "inspect",
        created=spec.created,
        plan=plan,
    )


def _plan(head: Head) -> BenchmarkPlan | None:
    """The plan of a log that we wrote."""
    plan = (head.eval.metadata or {}).get(PLAN)
    if not isinstance(plan, dict) or "nemo_evaluator" not in head.eval.packages:
        return None
    try:
        return msgspec.convert(plan, BenchmarkPlan)
    except msgspec.ValidationError:
        return None


def _rollouts(path: Path, places: dict[str, int] | None, scorer: str | None) -> Iterator[Rollout]:
    """``places``: the number of each id; None where ids are numbers of ours."""
    for sample in read_samples(path):
        if places is not None:
            yield rollout(sample, places[str(sample.id)], scorer, own=False)
        elif isinstance(sample.id, int):
            yield rollout(sample, sample.id, scorer, own=True)
        else:
            what = f"sample {sample.id!r} has no number, though nel wrote the log"
            raise ConfigError(what, where=str(path))


def _measures(results: Results | None, *, own: bool) -> tuple[Measure, ...]:
    """Inspect's own metrics; of a log that we wrote, those that do not follow from the rows."""
    found: list[Measure] = []
    for score in results.scores if results is not None else ():
        error = score.metrics.get("stderr")
        for name, metric in score.metrics.items():
            about = metric.metadata or {}
            if metric.value is None or (name == "stderr" and not own):
                continue
            if own and about.get("ci_method") != AGGREGATE:
                continue
            of_mean = name in ("accuracy", "mean") and error is not None
            theirs = error.value if of_mean and error is not None else None
            stderr = about.get("stderr") if own else theirs
            found.append(
                Measure(
                    name=name if own else f"{score.name}/{name}",
                    value=metric.value,
                    stderr=float(stderr) if isinstance(stderr, int | float) and stderr else None,
                    n=score.scored_samples or 0,
                    filter="none" if own else score.reducer or "none",
                )
            )
    return tuple(found)

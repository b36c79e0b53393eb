"""Results of lm-evaluation-harness as benchmarks: one of each task that has logged samples.

A document is a problem: ``doc_id`` is its index. Its reward is the first metric of the first filter
that is a share, as it is in runs of ``lm-eval://``; every metric is kept, and lm_eval's own results
stand beside ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from ...engine.plan import digest
from ...environments.lm_eval.scores import verdict_of
from ...errors import ConfigError
from ...files.reading import UNREADABLE, open_regular, read_json, read_lines
from ...measured import Measure
from ...types import Json, Problem, Score, Solution
from ..contract import Imported, Rollout
from .samples import Line, chosen, is_choice, prompt_of, target_of

STAMP = r"\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2}\.?\d*"
RESULTS = re.compile(rf"results_({STAMP})\.json")
SAMPLES = re.compile(rf"samples_(.+)_({STAMP})\.jsonl")
STDERR = "_stderr"


@dataclass(frozen=True, slots=True)
class _Found:
    """The samples of one task."""

    task: str
    stamp: str
    path: Path


class LmEval:
    """See the module."""

    def takes(self, path: Path) -> bool:
        """See ``Importer.takes``."""
        return next(_find_samples(path), None) is not None

    def read(self, path: Path) -> Sequence[Imported]:
        """See ``Importer.read``."""
        found = sorted(_find_samples(path), key=lambda one: (one.stamp, one.task))
        if not found:
            hint = "run lm_eval with --log_samples"
            raise ConfigError("holds no samples_*.jsonl of lm_eval", where=str(path), hint=hint)
        by_task: dict[tuple[str, Path], _Found] = {}
        for one in found:
            other = by_task.setdefault((one.task, one.path.parent), one)
            if other is not one:
                raise ConfigError(
                    f"holds several runs of {one.task}: {other.path.name} and {one.path.name}",
                    where=str(one.path.parent),
                    hint="name one file, its results_*.json say",
                )
        return [_imported(one) for one in found]


def _find_samples(path: Path) -> Iterator[_Found]:
    """The sample logs of a folder, of the run of a results file, or the one that is named."""
    if path.is_dir():
        for child in sorted(path.rglob("samples_*.jsonl")):
            yield from _find_samples(child)
    elif match := SAMPLES.fullmatch(path.name):
        yield _Found(match[1], match[2], path)
    elif match := RESULTS.fullmatch(path.name):
        for child in sorted(path.parent.glob(f"samples_*_{match[1]}.jsonl")):
            yield from _find_samples(child)


def _results(found: _Found) -> Mapping[str, Any]:
    """The results beside the samples; empty where there are none."""
    path = found.path.with_name(f"results_{found.stamp}.json")
    try:
        return read_json(path, dict[str, Any])
    except FileNotFoundError:
        return {}


def _imported(found: _Found) -> Imported:
    results = _results(found)
    docs, metrics = _scan(found.path)
    if not docs:
        raise ConfigError("holds no samples", where=str(found.path))
    count = _mapping(_mapping(results.get("n-samples")).get(found.task)).get("effective")
    places = sorted(docs)
    whole = places == list(range(len(places)))
    config = _mapping(_mapping(results.get("configs")).get(found.task))
    version = _mapping(results.get("versions")).get(found.task)
    date = results.get("date")
    size = places[-1] + 1
    if whole and isinstance(count, int):
        size = max(size, count)  # those that are missing were to be done
    return Imported(
        name=found.task,
        model=_model(results),
        source=str(found.path),
        tool=f"lm_eval {results.get('lm_eval_version') or ''}".strip(),
        size=size,
        problems=None if whole else tuple(places),
        rollouts=partial(_rollouts, found.path, docs, metrics),
        identity={
            "environment.harness": "lm_eval",
            "environment.task": f"{found.task}:{version}",
            "environment.num_fewshot": _mapping(results.get("n-shot")).get(found.task),
            "environment.scorer": ", ".join(dict.fromkeys(n for m in metrics.values() for n in m)),
            "environment.dataset_digest": digest([docs[place].hash for place in places]),
            "environment.config_digest": digest(_meaning(config)) if config else None,
        },
        measures=tuple(_measures(results, found.task, len(places))),
        solver="lm_eval",
        created=None
        if not isinstance(date, int | float)
        else datetime.fromtimestamp(date, UTC).isoformat(timespec="seconds"),
    )


def _meaning(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """A task's configuration without what says nothing about its questions."""
    return {name: value for name, value in config.items() if name != "metadata"}


def _model(results: Mapping[str, Any]) -> str | None:
    """What was asked: the name among the arguments, or how lm_eval calls it."""
    arguments = _mapping(results.get("config")).get("model_args")
    if isinstance(arguments, str):
        pairs = (part.partition("=") for part in arguments.split(","))
        arguments = {name.strip(): value for name, _, value in pairs}
    model_args = _mapping(arguments)
    named = model_args.get("model") or model_args.get("pretrained") or results.get("model_name")
    return str(named or _mapping(results.get("config")).get("model") or "") or None


@dataclass(slots=True)
class _Doc:
    """Where the first line of a document stands, and what it is known by."""

    offset: int
    hash: str


def _scan(path: Path) -> tuple[dict[int, _Doc], dict[int, dict[str, float]]]:
    """Every document, and its metrics by ``metric,filter`` in the order of the lines."""
    docs: dict[int, _Doc] = {}
    metrics: dict[int, dict[str, float]] = {}
    with open_regular(path) as file:
        for number, (offset, line) in enumerate(read_lines(file), 1):
            line_fields = _decoded(line, path, number)
            doc = docs.setdefault(line_fields.doc_id, _Doc(offset, line_fields.doc_hash or ""))
            values = metrics.setdefault(line_fields.doc_id, {})
            if doc.offset != offset and line_fields.filter in {
                name.split(",")[-1] for name in values
            }:
                what = (
                    f"holds document {line_fields.doc_id} twice for the filter {line_fields.filter}"
                )
                raise ConfigError(what, where=f"{path}:{number}")
            raw: dict[str, Any] = msgspec.json.decode(line)
            for name in line_fields.metrics or ():
                value = raw.get(name)
                if isinstance(value, int | float):
                    values[f"{name},{line_fields.filter}"] = float(value)
    return docs, metrics


def _decoded(line: bytes, path: Path, number: int) -> Line:
    try:
        return msgspec.json.decode(line, type=Line)
    except UNREADABLE as error:
        raise ConfigError(f"is no sample of lm_eval: {error}", where=f"{path}:{number}") from None


def _rollouts(
    path: Path, docs: Mapping[int, _Doc], metrics: Mapping[int, Mapping[str, float]]
) -> Iterator[Rollout]:
    with open_regular(path) as file:
        for doc_id, doc in docs.items():
            file.seek(doc.offset)
            line = msgspec.json.decode(file.readline(), type=Line)
            yield _rollout(line, metrics[doc_id])


def _rollout(line: Line, metrics: Mapping[str, float]) -> Rollout:
    verdict = verdict_of(metrics)
    response = chosen(line)
    row = line.doc if isinstance(line.doc, dict) else {"doc": line.doc}
    extracted: Json = response if is_choice(line) else _first(line.filtered_resps)
    return Rollout(
        problem=Problem(
            idx=line.doc_id, prompt=prompt_of(line), target=target_of(line), metadata=row
        ),
        solution=Solution(response=response, finish_reason="stop"),
        score=Score(
            reward=verdict.reward,
            rated=verdict.rated,
            correct=verdict.correct,
            extracted=extracted,
            metrics=metrics,
            details={"method": verdict.metric or "lm_eval"},
        ),
    )


def _measures(results: Mapping[str, Any], task: str, n: int) -> Iterator[Measure]:
    task_results = _mapping(_mapping(results.get("results")).get(task))
    better = _mapping(_mapping(results.get("higher_is_better")).get(task))
    for key, value in task_results.items():
        name, comma, filter_ = key.partition(",")
        if not comma or name.endswith(STDERR) or not isinstance(value, int | float):
            continue
        error = task_results.get(f"{name}{STDERR},{filter_}")
        yield Measure(
            name=f"{name},{filter_}",
            value=float(value),
            stderr=float(error) if isinstance(error, int | float) else None,
            n=n,
            higher_is_better=better.get(name) is not False,
        )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _first(values: Json) -> Json:
    return values[0] if isinstance(values, list | tuple) and values else values

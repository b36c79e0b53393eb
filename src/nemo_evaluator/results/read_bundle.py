"""Reads a bundle (``eval-*.json``), ours or another tool's.

Values that a bundle lacks are None, never 0; numbers that are not finite count as missing, but a
score that is not a number is an error.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from ..errors import ConfigError
from ..files.reading import UNREADABLE, first_line, read_json
from ..files.reading import read_document as read_document_bytes
from ..types import Json
from .distribution import Distribution
from .effort import Effort
from .performance import Performance
from .published import AGGREGATE, Measure, Published, Retried, Used
from .repeats import Agreement
from .stopping import Stopping
from .summary import FailureExample, Summary

BUNDLES = "eval-*.json"
NO_METRIC = ("summary", "runtime", "failures", "breakdowns")
"""What the published format keeps among the scores without being one."""
TIMES = ("gen_seconds", "latency", "duration", "tokens", "time_ms", "_time", "_ms")
"""Names of numbers that are no scores contain one of these."""

T = TypeVar("T")


def bundle_path(folder: Path, run_id: str) -> Path:
    """The bundle of a run, in the folder of a benchmark."""
    return folder / f"eval-{run_id}.json"


def read_bundle(path: Path, *, strict: bool = True) -> Published:
    """One bundle. Raises ConfigError naming the file and what is wrong with it. A score that is not
    a number is wrong; it counts as missing if not ``strict``, where the rows are what is read."""
    return published(read_document(path), where=str(path), strict=strict)


def read_document(path: Path) -> dict[str, Json]:
    """A bundle as it is written. Raises ConfigError if it cannot be read, or is none."""
    try:
        data = read_document_bytes(path)
    except FileNotFoundError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from None
    try:
        document = json.loads(data)
    except UNREADABLE as error:
        raise ConfigError(f"is not JSON: {first_line(error)}", where=str(path)) from None
    _check_benchmark(document, str(path))
    return cast(dict[str, Json], document)


def is_own_bundle(path: Path) -> bool:
    """Whether a bundle was written by this program, which alone says what identifies a run."""
    try:
        document = read_json(path, dict)
    except (ConfigError, FileNotFoundError):
        return False
    config = document.get("config")
    return isinstance(config, dict) and isinstance(config.get("identity"), dict)


def _check_benchmark(document: Json, where: str) -> None:
    benchmark = document.get("benchmark") if isinstance(document, dict) else None
    if not isinstance(benchmark, dict):
        raise ConfigError("is not a bundle: it has no benchmark", where=where)
    name = benchmark.get("name")
    if not isinstance(name, str) or not name:
        raise ConfigError("is not a bundle: its benchmark has no name", where=where)


def published(document: Any, *, where: str, strict: bool = True) -> Published:
    """A bundle's document. Raises ConfigError."""
    _check_benchmark(document, where)
    benchmark, name = document["benchmark"], document["benchmark"]["name"]
    scores = _mapping(benchmark.get("scores"))
    metrics = dict(_metrics(scores, where, strict=strict))
    known = _finite(document)
    benchmark, config = _mapping(known["benchmark"]), _mapping(known.get("config"))
    scores, coverage = _mapping(benchmark.get("scores")), _mapping(benchmark.get("coverage"))
    failures, spread = _mapping(scores.get("failures")), scores.get("summary")
    passed_on = ("retried", "agreement", "stopping", "effort", "performance")
    retried, agreed, stopping, effort, served = (benchmark.get(key) for key in passed_on)
    return Published(
        name=name,
        slug=_text(benchmark.get("slug")) or name,
        run_id=_text(known.get("run_id")) or Path(where).stem,
        created=_text(known.get("timestamp")),
        version=_text(known.get("sdk_version")),
        model=_text(config.get("model")),
        service=_text(config.get("service")),
        solver=_text(config.get("solver")),
        simulated=bool(benchmark.get("simulated") or config.get("simulated")),
        n_problems=_count(benchmark.get("samples")),
        repeats=_count(benchmark.get("repeats")),
        n_rollouts=_planned(benchmark, config, coverage),
        n_scored=_count(coverage.get("scored")),
        coverage=_number(coverage.get("share")),
        coverage_floor=_number(coverage.get("floor")),
        score_if_rest_wrong=_number(coverage.get("score_if_rest_wrong")),
        score_if_rest_right=_number(coverage.get("score_if_rest_right")),
        truncated=_count(benchmark.get("truncated")),
        refused=_count(benchmark.get("refused")),
        no_answer=_count(benchmark.get("no_answer")),
        headline=_headline(benchmark, metrics),
        metrics=metrics,
        categories=_categories(benchmark),
        outcomes=_counts(benchmark.get("outcomes")),
        failures={
            str(kind): _count(_mapping(entry).get("count")) or 0
            for kind, entry in _mapping(failures.get("categories")).items()
        },
        examples=tuple(_examples(failures)),
        retried=_convert(retried, Retried, where) if isinstance(retried, dict) else None,
        agreement=_convert(agreed, Agreement, where) if agreed else None,
        distributions={
            str(key): _convert(value, Distribution, where)
            for key, value in _mapping(benchmark.get("distributions")).items()
        },
        # What cannot be read is refused: an end that the answers have chosen would pass for a
        # planned one.
        stopping=_stopping(stopping, where) if stopping is not None else msgspec.UNSET,
        runtime=_convert(_mapping(scores.get("runtime")), Used, where),
        summary=_convert(spread, Summary, where) if isinstance(spread, dict) else None,
        config=config,
        identity=_mapping(config.get("identity")),
        digest=_text(known.get("config_hash")),
        warnings=tuple(text for text in benchmark.get("warnings") or () if isinstance(text, str)),
        dataset_size=_count(config.get("dataset_size"))
        or _count(_mapping(config.get("shuffle")).get("ds_full_size")),
        effort=_convert(effort, Effort, where) if isinstance(effort, dict) else None,
        performance=_convert(served, Performance, where) if isinstance(served, dict) else None,
    )


def _metrics(
    scores: Mapping[str, Json], where: str, *, strict: bool
) -> Iterator[tuple[str, Measure]]:
    for name, entry in scores.items():
        if name in NO_METRIC or not isinstance(entry, Mapping) or entry.get("value") is None:
            continue
        value = _number(entry["value"])
        if value is not None:
            yield str(name), _measure(entry, value)
        elif strict:
            raise ConfigError(f"the score {name} is {entry['value']!r}, not a number", where=where)


def _measure(entry: Mapping[str, Json], value: float) -> Measure:
    """Other tools give two intervals: ours is over problems, as their bootstrap is; their other
    one is of what another run on the same problems would give."""
    method = _text(entry.get("method"))
    low, high = _number(entry.get("ci_lower")), _number(entry.get("ci_upper"))
    if method is None:
        boot = _number(entry.get("bootstrap_ci_lower")), _number(entry.get("bootstrap_ci_upper"))
        if None not in boot:
            (low, high), method = boot, "bootstrap"
    if low is None or high is None:
        low = high = None
        method = method if method == AGGREGATE else None
    return Measure(
        value=value,
        ci_lower=low,
        ci_upper=high,
        n=_count(entry.get("n")),
        method=method,
        correct=_count(entry.get("correct")),
        total=_count(entry.get("total")),
        stderr=_number(entry.get("stderr")),
        filter=_text(entry.get("filter")) or "none",
        higher_is_better=entry.get("higher_is_better") is not False,
        group=_text(entry.get("group")),
    )


def _headline(benchmark: Mapping[str, Json], metrics: Mapping[str, Measure]) -> str | None:
    headline = benchmark.get("headline")
    if isinstance(headline, str) and headline in metrics:
        return headline
    others = (
        name
        for name in metrics
        if not name.startswith("scorer:") and not any(t in name.rsplit("/")[-1] for t in TIMES)
    )
    return next((name for name in ("pass@1", "mean_reward") if name in metrics), next(others, None))


def _planned(
    benchmark: Mapping[str, Json], config: Mapping[str, Json], coverage: Mapping[str, Json]
) -> int | None:
    planned = _count(coverage.get("planned"))
    if planned is not None:
        return planned
    problems = _count(_mapping(config.get("shuffle")).get("ds_effective_size"))
    repeats = _count(benchmark.get("repeats"))
    return problems * repeats if problems is not None and repeats is not None else None


def _categories(benchmark: Mapping[str, Json]) -> dict[str, dict[str, Measure]]:
    """Ours by breakdown; the published format's single one is ``category``."""
    breakdowns = dict(_mapping(benchmark.get("breakdowns")))
    if "category" not in breakdowns and (groups := _mapping(benchmark.get("categories"))):
        breakdowns["category"] = groups
    found = {}
    for name, groups in breakdowns.items():
        measures = {}
        for group, entry in _mapping(groups).items():
            entry = _mapping(entry)
            value = _number(entry.get("value", entry.get("mean_reward")))
            if value is not None:
                measures[str(group)] = _measure(entry, value)
        if measures:
            found[str(name)] = measures
    return found


def _examples(failures: Mapping[str, Any]) -> Iterator[FailureExample]:
    """Ours beside the kinds, the published format's under each."""
    listed: list[tuple[str | None, Any]] = [(None, one) for one in failures.get("exemplars") or ()]
    for name, group in _mapping(failures.get("categories")).items():
        listed += [(name, one) for one in _mapping(group).get("exemplars") or ()]
    for kind, one in listed:
        entry = _mapping(one)
        problem = _count(entry.get("problem_idx"))
        if problem is not None:
            yield FailureExample(
                category=str(kind or entry.get("category") or "unknown"),
                problem_idx=problem,
                repeat=_count(entry.get("repeat")) or 0,
                response_preview=_text(entry.get("response_preview")) or "",
                error=_text(entry.get("error")) or "",
            )


def _stopping(value: object, where: str) -> Stopping:
    try:
        return msgspec.convert(value, Stopping)
    except msgspec.ValidationError as error:
        raise ConfigError(f"benchmark.stopping: {error}", where=where) from None


def _convert(value: Json, kind: type[T], where: str) -> T:
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{kind.__name__.lower()} cannot be read: {error}", where=where) from None


def _counts(value: Json) -> dict[str, int]:
    found = ((str(key), _count(count)) for key, count in _mapping(value).items())
    return {key: count for key, count in found if count is not None}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Json) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _count(value: Json) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number >= 0 and number == int(number) else None


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

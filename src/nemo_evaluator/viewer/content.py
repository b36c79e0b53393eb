"""What the pages about runs show: blocks of reports, made of the runs as they are now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from markupsafe import Markup

from ..decisions.compare import Comparison, compare, overall
from ..decisions.flips import Flip
from ..decisions.history import history
from ..decisions.options import CompareOptions
from ..decisions.sources import Source, find
from ..decisions.verdicts import Verdict
from ..errors import ConfigError
from ..reports import figures
from ..reports.audit import audit_document
from ..reports.comparison import comparison_report, overview_report
from ..reports.history import history_report
from ..reports.html.blocks import inner_html
from ..reports.overview import document
from ..reports.sources import NO_SAMPLES, Found
from ..reports.verdict_words import tone
from ..reports.view import build_report
from ..results.audit import audit
from ..results.progress_file import BenchmarkState
from ..results.published import Published
from ..results.status import RunState
from ..results.view import BenchmarkView
from .library import Run

FLIPS = 200
"""Flips of each direction that are linked; all are in `nel compare --format json`."""


@dataclass(frozen=True, slots=True)
class Score:
    """The headline of one benchmark, for a list."""

    benchmark: str
    slug: str
    value: str
    interval: str
    metric: str
    problems: str
    coverage: str
    simulated: bool


@dataclass(frozen=True, slots=True)
class Doing:
    """How far one benchmark of a run in progress is."""

    name: str
    done: int
    total: int
    share: float
    score: str
    note: str


def scores(views: Sequence[BenchmarkView]) -> list[Score]:
    """The headlines of some benchmarks."""
    return [_score(view.bundle, view.folder.resolve().name) for view in views]


def _score(bundle: Published, slug: str) -> Score:
    measure = bundle.score
    whole = measure.n if measure is not None else bundle.n_problems
    short = bundle.coverage is not None and bundle.coverage < 1
    return Score(
        benchmark=bundle.name,
        slug=slug,
        value="no score" if measure is None else figures.value(measure),
        interval="" if measure is None or measure.ci_lower is None else figures.interval(measure),
        metric=bundle.headline or "",
        problems=figures.problems(whole, bundle.dataset_size),
        coverage=f"{bundle.coverage:.1%} scored" if short else "",
        simulated=bundle.simulated,
    )


def doing(state: RunState | None) -> list[Doing]:
    """How far a run in progress is; nothing of one that has ended."""
    if state is None or not state.state.active:
        return []
    return [_doing(found) for found in state.benchmarks.values()]


def _doing(state: BenchmarkState) -> Doing:
    parts = []
    if state.rollouts_per_s:
        parts.append(f"{state.rollouts_per_s:,.1f} rollouts/s")
    if state.eta_s is not None and not state.finished:
        parts.append(f"{figures.duration(state.eta_s)} left")
    if failed := sum(state.failed.values()):
        parts.append(f"{failed:,} without a verdict")
    parts += [state.status] if state.status else []
    score = state.score
    return Doing(
        name=state.name,
        done=state.done,
        total=state.total,
        share=state.done / state.total if state.total else 0.0,
        score=""
        if score is None
        else f"{score.measure} {score.value:.3f} [{score.lower:.3f}, {score.upper:.3f}] so far",
        note=" · ".join(parts),
    )


def report(run: Run, views: Sequence[BenchmarkView]) -> Markup:
    """The report on a run, without its single rollouts: those have pages of their own."""
    info = run.view.info
    found = [Found(view.bundle_path, view.bundle, info, samples=NO_SAMPLES) for view in views]
    return inner_html(document(build_report(found)))


def audits(views: Sequence[BenchmarkView]) -> Markup:
    """Where the scores of a run may be wrong."""
    return inner_html(audit_document([audit(view.folder) for view in views], examples=5))


def over_time(runs: Sequence[tuple[Run, Sequence[BenchmarkView]]], benchmark: str) -> Markup:
    """A benchmark in several runs, the earliest first. Raises ConfigError where nothing is there to
    show."""
    found = []
    for run, views in runs:
        named = [view for view in views if _name(view) == benchmark]
        sources = {name: s for name, s in sources_of(named).items() if name == benchmark}
        if sources:
            found.append((run.order, sources))
    if not found:
        raise ConfigError(f"no run has results of {benchmark}")
    ordered = [sources for _, sources in sorted(found, key=lambda item: item[0])]
    if len(ordered) == 1:
        raise ConfigError(f"only one run has results of {benchmark}")
    return inner_html(history_report(history(ordered, CompareOptions(force=True))))


def _name(view: BenchmarkView) -> str | None:
    """None where the bundle is gone, or damaged."""
    try:
        return view.name
    except (ConfigError, OSError):
        return None


def sources_of(views: Sequence[BenchmarkView]) -> dict[str, Source]:
    """What is compared of some benchmarks, by name."""
    found: dict[str, Source] = {}
    for view in views:
        for name, source in find(view.bundle_path).items():
            found[name if name not in found else view.folder.name] = source
    return found


@dataclass(frozen=True, slots=True)
class Compared:
    """Two runs beside each other."""

    verdict: Verdict
    tone: str
    body: Markup
    flips: dict[str, tuple[tuple[Flip, ...], tuple[Flip, ...]]]
    """Benchmark → what became worse, what became better."""
    forced: bool


def compared(one: Sequence[BenchmarkView], other: Sequence[BenchmarkView]) -> Compared:
    """Compare the benchmarks that both have. What is not comparable is compared all the same, and
    said so. Raises ConfigError where they have none in common."""
    left, right = sources_of(one), sources_of(other)
    shared = [name for name in left if name in right]
    pairs = {name: (left[name], right[name]) for name in shared}
    if not pairs and len(left) == len(right) == 1:
        (a,), (b,) = left.values(), right.values()
        pairs = {a.name: (a, b)}
    if not pairs:
        raise ConfigError(f"no benchmark in common: {', '.join(left)} and {', '.join(right)}")
    done = {name: compare(*pair, CompareOptions(force=True)) for name, pair in pairs.items()}
    missing = [name for name in left if name not in right and pairs.keys() != {name}]
    return Compared(
        verdict=(verdict := overall(done.values(), missing)),
        tone=tone(verdict).value,
        body=_comparison(done, left, right, missing),
        flips={
            name: (c.flips.regressions[:FLIPS], c.flips.improvements[:FLIPS])
            for name, c in done.items()
            if c.flips is not None
        },
        forced=any(c.differs for c in done.values()),
    )


def _comparison(
    done: dict[str, Comparison],
    left: dict[str, Source],
    right: dict[str, Source],
    missing: Sequence[str],
) -> Markup:
    if len(done) == 1 and not missing:
        [only] = done.values()
        return inner_html(comparison_report(only, flips=0))
    unmatched = {name: "the second run" for name in left if name not in right}
    unmatched |= {name: "the first run" for name in right if name not in left}
    return inner_html(overview_report(done, unmatched, missing=missing, flips=0))


def told(details: object) -> list[tuple[str, str]]:
    """Scoring details, a name and a text each. What a judge said stands as text, a line for each
    field; deeper ones as indented JSON."""
    if not isinstance(details, dict):
        return []
    return [(name, _plain(value)) for name, value in details.items()]


def _plain(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and value and not any(map(_is_nested, value.values())):
        return "\n".join(f"{name}: {_plain(inner)}" for name, inner in value.items())
    encoded = msgspec.json.encode(value)
    if isinstance(value, dict | list | tuple) and len(encoded) > 60:
        return msgspec.json.format(encoded, indent=2).decode()
    return encoded.decode()


def _is_nested(value: object) -> bool:
    return isinstance(value, dict | list | tuple)


def slugs_of(
    one: Sequence[BenchmarkView], other: Sequence[BenchmarkView]
) -> dict[str, tuple[str, str]]:
    """The benchmarks that two runs have in common, with their folders in both."""
    left = {view.name: view.folder.resolve().name for view in one}
    right = {view.name: view.folder.resolve().name for view in other}
    if len(left) == len(right) == 1 and left.keys() != right.keys():
        [(name, slug)], [other_slug] = left.items(), right.values()
        return {name: (slug, other_slug)}
    return {name: (left[name], right[name]) for name in left if name in right}

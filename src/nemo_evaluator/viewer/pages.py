"""The pages of a viewer as HTML: functions of the runs' files and of what a link asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from ..reports import figures
from ..reports.rollout import KINDS as KIND_WORDS
from ..reports.rollout import as_text
from ..results.pick import Kind, kind_of
from ..results.result_row import ResultRow, read_rows
from ..results.view import BenchmarkView
from . import content
from .detail import Rollouts, images_of
from .index import Table, Tables
from .labels import WORDS, Label, Labels
from .library import Library, Run
from .links import Links
from .memory import Memory
from .search import KINDS, PAGE, SORTS, Page, Query, categories, counts, first_rows, listed
from .shadow import Shadows
from .texts import differences, parts_of, shown, span_of

FIRST_PAINT_SECONDS = 0.4
"""How long a list waits for its table before it is shown without rows."""
SHADOW_SECONDS = 2.0
TONES = {Kind.RIGHT: "good", Kind.WRONG: "bad", Kind.NO_ANSWER: "unsure", Kind.ERROR: "unsure"}


class NotThere(Exception):
    """What a link names does not exist, or not any more."""


class Viewer:
    """What all pages share."""

    def __init__(self, library: Library, cache: Path) -> None:
        self.library = library
        self.tables, self.shadows = Tables(cache), Shadows(cache)
        self.labels, self.rollouts, self.memory = Labels(), Rollouts(), Memory()

    def run(self, key: str) -> Run:
        """Raises NotThere."""
        found = self.library.run(key)
        if found is None:
            raise NotThere("there is no such run here")
        return found

    def benchmarks(self, run: Run) -> tuple[BenchmarkView, ...]:
        """The benchmarks of a run as they are now."""
        return self.shadows.benchmarks(run, wait=SHADOW_SECONDS)

    def benchmark(self, key: str, name: str) -> tuple[Run, BenchmarkView, Table]:
        """Raises NotThere."""
        run = self.run(key)
        view = self.shadows.benchmark(run, name, wait=SHADOW_SECONDS)
        if view is None:
            raise NotThere("this run has no results of that benchmark yet")
        return run, view, self.tables.of(view.folder)


def runs_page(viewer: Viewer, links: Links, part: str | None = None) -> str:
    """All runs, with their scores."""
    runs = viewer.library.runs()
    rows = [(run, viewer.benchmarks(run), run.state()) for run in runs]
    items = [
        {
            "run": run,
            "scores": content.scores(views),
            "state": state,
            "doing": content.doing(state),
            "started": run.created[:16].replace("T", " "),
        }
        for run, views, state in rows
    ]
    names = [name for _, views, _ in rows for name in {view.name for view in views}]
    repeated = sorted({name for name in names if names.count(name) > 1})
    return _render("runs.html", links, part, title="Runs", items=items, repeated=repeated)


def run_page(viewer: Viewer, links: Links, key: str, part: str | None = None) -> str:
    """One run: its report, and how far it is."""
    run = viewer.run(key)
    views, state = viewer.benchmarks(run), run.state()
    report = (
        viewer.memory.of(("report", key, _stamps(views)), lambda: content.report(run, views))
        if views
        else None
    )
    return _render(
        "run.html", links, part, **_of_run(run, state, "overview"),
        scores=content.scores(views), report=report, doing=content.doing(state),
        info=run.view.info,
    )  # fmt: skip


def live(viewer: Viewer, key: str) -> dict[str, object]:
    """What a page of a run in progress asks for every few seconds."""
    run = viewer.run(key)
    state = run.state()
    views = viewer.shadows.benchmarks(run)
    return {
        "active": state is not None and state.state.active,
        "state": str(state.state) if state is not None else "",
        "stamp": _stamps(views),
        "benchmarks": [
            {"name": d.name, "done": d.done, "total": d.total, "score": d.score, "note": d.note}
            for d in content.doing(state)
        ],
    }


def audit_page(viewer: Viewer, links: Links, key: str) -> str:
    """Where the scores of a run may be wrong."""
    run = viewer.run(key)
    views = viewer.benchmarks(run)
    body = viewer.memory.of(("audit", key, _stamps(views)), lambda: content.audits(views))
    return _render("audit.html", links, **_of_run(run, run.state(), "audit"), body=body)


def samples_page(
    viewer: Viewer,
    links: Links,
    key: str,
    benchmark: str,
    query: Query,
    part: str | None = None,
    size: int = PAGE,
) -> str:
    """The rollouts of a benchmark, filtered, ordered and searched."""
    run, view, table = viewer.benchmark(key, benchmark)
    table.wait(FIRST_PAINT_SECONDS)
    labels = viewer.labels.of(run, benchmark)
    page, why = _listed(table, query, labels, size)
    progress = table.progress
    return _render(
        "samples.html", links, part, **_of_run(run, run.state(), "samples"),
        benchmark=benchmark, called=view.name, query=query, page=page, why=why, size=size,
        progress=progress, counts=counts(table) if progress.listed else {},
        categories=categories(table) if progress.listed else [],
        labels=labels, kinds=KINDS, sorts=SORTS, words=WORDS, stamp=table.stamp,
    )  # fmt: skip


def _listed(
    table: Table, query: Query, labels: Mapping[tuple[int, int], Label], size: int
) -> tuple[Page, str]:
    """A page of rows, and why there are none where something is in the way."""
    nothing = Page((), 0, 1)
    progress = table.progress
    if progress.error:
        return nothing, f"The rows cannot be listed: {progress.error}"
    if not progress.listed:
        if query == Query():
            return first_rows(read_rows(table.folder), size), ""
        return nothing, "The rows are being read for the first time."
    try:
        words = {key: label.word for key, label in labels.items()}
        return listed(table, query, words, size), ""
    except ValueError:
        return nothing, "There is nothing to search for in that: write words or numbers."


def sample_page(
    viewer: Viewer,
    links: Links,
    key: str,
    benchmark: str,
    problem: int,
    repeat: int,
    query: Query | None = None,
    at: int | None = None,
    step: int = 1,
) -> str:
    """One rollout in full. ``at``: its number in the list it was opened from."""
    run, view, table = viewer.benchmark(key, benchmark)
    table.wait(SHADOW_SECONDS)
    row = viewer.rollouts.row(view, table, problem, repeat)
    if row is None:
        raise NotThere("there is no such rollout")
    steps = viewer.rollouts.steps(view, table, problem, repeat, step)
    calls, made = viewer.rollouts.calls(view, table, problem, repeat)
    labels = viewer.labels.of(run, benchmark)
    before, after = _neighbours(table, query or Query(), labels, at)
    agent = steps.total > 2 or any(s.tool_calls for s in steps.steps)
    return _render(
        "sample.html", links, None, **_of_run(run, run.state(), "samples"),
        benchmark=benchmark, called=view.name, row=row, kind=kind_of(row),
        extracted=as_text(row.extracted_answer), expected=as_text(row.expected_answer),
        prompt=shown(row.prompt), reasoning=shown(row.reasoning),
        answer=shown(row.model_response, span_of(row)),
        details=content.told(dict(row.scoring_details)),
        metadata=content.told(dict(row.metadata)),
        solver=content.told(dict(row.solver_details)),
        images=images_of(calls, steps.steps), facts=_facts(row),
        rewards=[(name, f"{reward:g}") for name, reward in row.scorer_rewards.items()],
        steps=steps if agent else None, calls=calls, made=made,
        label=labels.get((problem, repeat)), words=WORDS,
        query=query or Query(), at=at, before=before, after=after,
    )  # fmt: skip


def steps_part(
    viewer: Viewer, links: Links, key: str, benchmark: str, problem: int, repeat: int, first: int
) -> str:
    """A page of the steps of a rollout."""
    run, view, table = viewer.benchmark(key, benchmark)
    steps = viewer.rollouts.steps(view, table, problem, repeat, first)
    return _template("_steps.html").render(
        **_known(links), run=run, benchmark=benchmark, problem=problem, repeat=repeat, steps=steps
    )


def whole_text(
    viewer: Viewer, key: str, benchmark: str, problem: int, repeat: int, part: str
) -> str:
    """A text of a rollout that a page shows the beginning of."""
    _, view, table = viewer.benchmark(key, benchmark)
    row = viewer.rollouts.row(view, table, problem, repeat)
    texts = {"prompt": "prompt", "answer": "model_response", "reasoning": "reasoning"}
    if row is None or part not in texts:
        raise NotThere("there is no such text")
    return getattr(row, texts[part]) or ""


def set_label(
    viewer: Viewer,
    key: str,
    benchmark: str,
    problem: int,
    repeat: int,
    word: str,
    note: str,
) -> str:
    """Note what a person says of a rollout; the file where it stands."""
    run, view, table = viewer.benchmark(key, benchmark)
    row = viewer.rollouts.row(view, table, problem, repeat)
    if row is None:
        raise NotThere("there is no such rollout")
    return str(viewer.labels.set(run, benchmark, row, word, note))


def compare_page(viewer: Viewer, links: Links, chosen: Sequence[str]) -> str:
    """Two runs: the decision with its interval, and what flipped."""
    one, other = _two(viewer, chosen)
    left, right = viewer.benchmarks(one), viewer.benchmarks(other)
    made = viewer.memory.of(
        ("compare", one.key, other.key, _stamps(left), _stamps(right)),
        lambda: content.compared(left, right),
    )
    return _render(
        "compare.html", links, None, title=f"{other.name} against {one.name}",
        one=one, other=other, made=made,
    )  # fmt: skip


def pair_page(
    viewer: Viewer,
    links: Links,
    chosen: Sequence[str],
    benchmark: str,
    problem: int | None,
    repeat: int,
) -> str:
    """One rollout in two runs, with what differs in the texts marked."""
    if problem is None:
        raise NotThere("say which problem")
    one, other = _two(viewer, chosen)
    left, right = viewer.benchmarks(one), viewer.benchmarks(other)
    made = content.slugs_of(left, right).get(benchmark)
    if made is None:
        raise NotThere("these runs have no such benchmark in common")
    rows = [
        _row_of(viewer, run.key, slug, problem, repeat)
        for run, slug in zip((one, other), made, strict=True)
    ]
    answers = differences(rows[0].model_response or "", rows[1].model_response or "")
    reasons = differences(rows[0].reasoning or "", rows[1].reasoning or "")
    sides = [
        {"run": run, "slug": slug, "row": row, "kind": kind_of(row), "answer": answer,
         "reasoning": reason, "extracted": as_text(row.extracted_answer), "facts": _facts(row)}
        for run, slug, row, answer, reason in zip(
            (one, other), made, rows, answers, reasons, strict=True
        )
    ]  # fmt: skip
    same = rows[0].prompt == rows[1].prompt
    return _render(
        "pair.html", links, None, title=f"{benchmark} {problem}/{repeat} in two runs",
        one=one, other=other, benchmark=benchmark, problem=problem, repeat=repeat, sides=sides,
        prompt=shown(rows[1].prompt), same=same, expected=as_text(rows[1].expected_answer),
    )  # fmt: skip


def history_page(viewer: Viewer, links: Links, benchmark: str) -> str:
    """A benchmark in all runs that have it."""
    runs = [(run, viewer.benchmarks(run)) for run in viewer.library.runs()]
    stamp = tuple(_stamps(views) for _, views in runs)
    body = viewer.memory.of(
        ("history", benchmark, stamp), lambda: content.over_time(runs, benchmark)
    )
    return _render("history.html", links, None, title=f"{benchmark} over time", body=body)


def error_page(viewer: Viewer, links: Links, what: str) -> str:
    """One sentence."""
    return _render("error.html", links, None, title="Not shown", what=what)


def _row_of(viewer: Viewer, key: str, slug: str, problem: int, repeat: int) -> ResultRow:
    _, view, table = viewer.benchmark(key, slug)
    table.wait(SHADOW_SECONDS)
    row = viewer.rollouts.row(view, table, problem, repeat)
    if row is None:
        raise NotThere("one of the runs has no such rollout")
    return row


def _two(viewer: Viewer, chosen: Sequence[str]) -> tuple[Run, Run]:
    """Two runs, the earlier one first: it is the baseline, whichever was ticked first."""
    if len(chosen) != 2:
        raise NotThere("choose two runs to compare")
    one, other = (viewer.run(key) for key in chosen)
    return (one, other) if one.created <= other.created else (other, one)


def _neighbours(
    table: Table, query: Query, labels: Mapping[tuple[int, int], Label], at: int | None
) -> tuple[Any, Any]:
    """The rollouts before and after one in the list that it was opened from."""
    if at is None or not table.progress.listed or at < 1:
        return None, None
    words = {key: label.word for key, label in labels.items()}
    first = max(0, at - 2)
    try:
        rows = listed(table, query, words, 3, first=first).rows
    except ValueError:
        return None, None
    here = at - 1 - first
    before = rows[here - 1] if here >= 1 and rows else None
    return before, rows[here + 1] if here + 1 < len(rows) else None


def _facts(row: ResultRow) -> list[tuple[str, str]]:
    found = [
        ("Reward", "none" if row.reward is None else f"{row.reward:g}"),
        ("Outcome", row.outcome.value),
        ("Tokens", figures.count(row.tokens)),
        ("Latency", figures.duration(None if row.latency_ms is None else row.latency_ms / 1000)),
    ]
    if row.ttft_ms is not None:
        found.append(("First token", figures.duration(row.ttft_ms / 1000)))
    if row.wall_ms is not None:
        found.append(("Whole time", figures.duration(row.wall_ms / 1000)))
    if row.cost_usd is not None:
        found.append(("Cost", figures.usd(row.cost_usd)))
    if row.calls != 1:
        found.append(("Model calls", figures.count(row.calls)))
    found += [("Finish reason", row.finish_reason)] if row.finish_reason else []
    found += [("Ended by", row.ended_by.value)] if row.ended_by is not None else []
    found += [("Failure", row.failure.value)] if row.failure is not None else []
    return found


def _stamps(views: Sequence[BenchmarkView]) -> str:
    """Changes where the results of a run do."""
    told = []
    for view in views:
        try:
            at = view.bundle_path.stat()
        except OSError:
            continue
        told.append(f"{view.bundle_path.name}:{at.st_mtime_ns}:{at.st_size}")
    return " ".join(told)


def _of_run(run: Run, state: Any, tab: str) -> dict[str, Any]:
    names = run.benchmark_names()
    return {
        "title": run.name,
        "run": run,
        "state": state,
        "tab": tab,
        "names": names,
        "active": state is not None and state.state.active,
    }


def _known(links: Links) -> dict[str, Any]:
    return {
        "links": links,
        "kind_words": KIND_WORDS,
        "tones": TONES,
        "parts_of": parts_of,
        "as_text": as_text,
        "shown": shown,
        "usd": figures.usd,
        "duration": figures.duration,
    }


def _render(name: str, links: Links, part: str | None = None, **known: Any) -> str:
    """A page, or the part of it that a script asks for."""
    template = _template(name)
    context = template.new_context({**_known(links), **known})
    if part is not None and part in template.blocks:
        return "".join(template.blocks[part](context))
    return template.render(context)


@cache
def _environment() -> Environment:
    loader = FileSystemLoader(Path(__file__).parent / "templates")
    return Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip


def _template(name: str) -> Template:
    return _environment().get_template(name)

"""The pages about single rollouts, and about two runs, as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..reports import figures
from ..reports.rollout import as_text
from ..results.result_row import ResultRow
from ..results.rollout_filter import kind_of
from . import content
from .detail import images_of
from .index import Table
from .labels import WORDS, Label
from .library import Run
from .links import Links
from .rendering import SHADOW_SECONDS, NotThere, Viewer, known, of_run, render, stamps, template
from .search import Listed, Query, listed
from .texts import differences, shown, span_of

MOST_IMAGES = 50
"""Of one question."""


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
    pictures = []
    if not links.static and viewer.pictures.has(run, benchmark):
        here = (key, benchmark, problem, repeat)
        pictures = [links.image(*here, number + 1) for number in range(max(1, _unkept(row)))]
    agent = steps.total > 2 or any(s.tool_calls for s in steps.steps)
    return render(
        "sample.html", links, None, **of_run(run, viewer.state(run), "samples"),
        benchmark=benchmark, called=view.name, row=row, kind=kind_of(row),
        extracted=as_text(row.extracted_answer), expected=as_text(row.expected_answer),
        prompt=shown(row.prompt), reasoning=shown(row.reasoning),
        answer=shown(row.model_response, span_of(row)),
        details=content.told(dict(row.scoring_details)),
        metadata=content.told(dict(row.metadata)),
        solver=content.told(dict(row.solver_details)),
        images=images_of(calls, steps.steps) or pictures, unkept=_unkept(row),
        source=_source(run, benchmark, row), facts=_facts(row),
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
    return template("_steps.html").render(
        **known(links), run=run, benchmark=benchmark, problem=problem, repeat=repeat, steps=steps
    )


def image(viewer: Viewer, key: str, benchmark: str, problem: int, number: int) -> tuple[bytes, str]:
    """An image of a question, from 1, and its media type. Raises NotThere."""
    found = viewer.pictures.of(viewer.run(key), benchmark, problem, number)
    if found is None:
        raise NotThere("there is no such image")
    return found


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
    one, other = _chosen_runs(viewer, chosen)
    left, right = viewer.benchmarks(one), viewer.benchmarks(other)
    made = viewer.memory.of(
        ("compare", one.key, other.key, stamps(left), stamps(right)),
        lambda: content.compared(left, right),
    )
    return render(
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
    one, other = _chosen_runs(viewer, chosen)
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
    return render(
        "pair.html", links, None, title=f"{benchmark} {problem}/{repeat} in two runs",
        one=one, other=other, benchmark=benchmark, problem=problem, repeat=repeat, sides=sides,
        prompt=shown(rows[1].prompt), same=same, expected=as_text(rows[1].expected_answer),
    )  # fmt: skip


def _row_of(viewer: Viewer, key: str, slug: str, problem: int, repeat: int) -> ResultRow:
    _, view, table = viewer.benchmark(key, slug)
    table.wait(SHADOW_SECONDS)
    row = viewer.rollouts.row(view, table, problem, repeat)
    if row is None:
        raise NotThere("one of the runs has no such rollout")
    return row


def _chosen_runs(viewer: Viewer, chosen: Sequence[str]) -> tuple[Run, Run]:
    """Two runs, the earlier one first: it is the baseline, whichever was ticked first."""
    if len(chosen) != 2:
        raise NotThere("choose two runs to compare")
    one, other = (viewer.run(key) for key in chosen)
    return (one, other) if one.order <= other.order else (other, one)


def _neighbours(
    table: Table, query: Query, labels: Mapping[tuple[int, int], Label], at: int | None
) -> tuple[Listed | None, Listed | None]:
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


def _unkept(row: ResultRow) -> int:
    """Images that came with the question, as its solver tells."""
    images = row.solver_details.get("images")
    return min(images, MOST_IMAGES) if isinstance(images, int) and images > 0 else 0


def _source(run: Run, benchmark: str, row: ResultRow) -> str:
    """Where a question stands that the run has only the text of."""
    plan = run.plans.get(benchmark)
    dataset = plan.identity.get("environment.dataset") if plan is not None else None
    index = row.metadata.get("index", row.problem_idx)
    return f"{dataset or 'the dataset of the benchmark'}, question {as_text(index)}"


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

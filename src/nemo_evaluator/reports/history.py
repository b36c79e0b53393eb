"""Runs in time as a report: what became of each benchmark since its first run."""

from __future__ import annotations

from ..decisions.compare import Comparison, scale_of_comparison
from ..decisions.history import History, Moment, Trend
from ..decisions.metrics import REWARD
from ..decisions.sentences import Scale
from ..decisions.verdicts import Verdict
from .blocks import Document, Forest, Interval, Section, Table
from .changes import signed_limit
from .evidence import moment as date
from .verdict_words import known, tone

UNKNOWN = "—"
TOGETHER = (
    "Change: since the first run, its intervals hold together over all later runs (Bonferroni); "
    "limit: the dashed line."
)


def history_report(history: History) -> Document:
    """The newest runs against the first, then each benchmark run by run."""
    deciding = [t for t in history.trends if t.verdict is history.verdict]
    sentences = [_sentence(trend) for trend in deciding[:3]]
    if len(deciding) > 3:
        sentences.append(f"and {len(deciding) - 3} more")
    return Document(
        title=_title(history.options.metric),
        badges=((tone(history.verdict), history.verdict.value),),
        lead=f"{'; '.join(sentences)}.",
        blocks=tuple(
            _forest("Newest runs", "Benchmark", [(t.benchmark, t.newest) for t in history.trends])
        ),
        sections=tuple(_section(trend) for trend in history.trends),
        printed=False,
    )


def _title(metric: str) -> str:
    return "Runs in time" if metric == REWARD else f"Runs in time: {metric}"


def history_document(history: History) -> dict[str, object]:
    """The same as data."""
    return {
        "report_version": 1,
        "verdict": history.verdict.value,
        "max_drop": history.options.max_drop,
        "metric": history.options.metric,
        "benchmarks": [
            {
                "benchmark": trend.benchmark,
                "verdict": trend.verdict.value,
                "sentence": _sentence(trend),
                "runs": [_data(moment) for moment in trend.moments],
            }
            for trend in history.trends
        ],
    }


def _sentence(trend: Trend) -> str:
    first, newest = trend.moments[0], trend.newest
    since = f"since {date(first.created) if first.created else first.run_id}"
    found = newest.since_first
    if found is None:
        return f"{trend.benchmark}: {newest.note}"
    reason = found.reasons[0]
    named = reason if reason.startswith(trend.benchmark) else f"{trend.benchmark}: {reason}"
    blocked = any(
        m.since_previous and m.since_previous.verdict is Verdict.BLOCK for m in trend.moments
    )
    steps = len(trend.moments) - 1
    slow = found.verdict is Verdict.BLOCK and steps > 1 and not blocked
    more = f", in {steps} steps of which none alone was shown beyond the limit" if slow else ""
    return f"{since}, {named}{more}"


def _section(trend: Trend) -> Section:
    rows = [(_label(m), m) for m in trend.moments if m.since_first is not None]
    first = trend.moments[0]
    lead = f"{trend.verdict.value}: {_sentence(trend)}. First run: {_label(first)}."
    others = tuple((_label(m), m.note) for m in trend.moments if m.note)
    forced = tuple(
        (_label(m), "; ".join(str(item) for item in m.since_first.differs))
        for m in trend.moments
        if m.since_first is not None and m.since_first.differs
    )
    return Section(
        title=trend.benchmark,
        lead=lead,
        blocks=(
            _scores(trend),
            *_forest("Change since the first run", "Run", rows),
            Table("Not comparable", ("Run", "Why"), others),
            Table("Compared because of --force", ("Run", "Differs from the first in"), forced),
        ),
    )


def _scale(trend: Trend) -> Scale:
    found = next((m.since_first for m in trend.moments if m.since_first), None)
    return Scale(points=False) if found is None else scale_of_comparison(found)


def _scores(trend: Trend) -> Forest:
    """Every run that has a score, with its own interval; the others are listed with the reason."""
    scale = _scale(trend)
    rows = [_score(m, m.score, scale) for m in trend.moments if m.score is not None]
    return Forest("Scores", ("Run", "Model", "Score", "95 % CI"), tuple(rows))


def _score(m: Moment, score: float, scale: Scale) -> Interval:
    factor = 100.0 if scale.points else 1.0
    interval = UNKNOWN
    if m.lower is not None and m.upper is not None:
        interval = f"{scale.score(m.lower)} to {scale.score(m.upper)}"
    return Interval(
        name=_label(m),
        value=factor * score,
        lower=None if m.lower is None else factor * m.lower,
        upper=None if m.upper is None else factor * m.upper,
        cells=(m.model or UNKNOWN, scale.score(score), interval),
    )


def _forest(title: str, head: str, rows: list[tuple[str, Moment]]) -> list[Forest]:
    """One plot for shares, one for each other scale."""
    found = []
    for points in (True, False):
        chosen = [
            _row(name, moment.since_first, moment.since_previous)
            for name, moment in rows
            if moment.since_first is not None
            and moment.since_first.difference is not None
            and scale_of_comparison(moment.since_first).points is points
        ]
        unit = "points" if points else "own units"
        columns = (
            head, "Verdict", "Score", f"Change ({unit})", "95 % CI", "Limit",
            "Since the run before", "n",
        )  # fmt: skip
        if chosen:
            found.append(
                Forest(title, columns, tuple(chosen), note=TOGETHER, zero=True, status=True)
            )
    return found


def _row(name: str, c: Comparison, step: Comparison | None) -> Interval:
    assert c.difference is not None
    d, scale = c.difference, scale_of_comparison(c)
    factor = 100.0 if scale.points else 1.0
    low, high = known(d.lower), known(d.upper)
    before = step.difference if step is not None else None
    return Interval(
        name=name,
        value=factor * d.delta,
        lower=None if low is None else factor * low,
        upper=None if high is None else factor * high,
        cells=(
            c.verdict.value,
            UNKNOWN if c.candidate_score is None else scale.score(c.candidate_score),
            scale.change(d.delta),
            UNKNOWN if low is None or high is None else scale.interval(low, high),
            scale.signed_limit(c.options.max_drop),
            UNKNOWN if before is None else scale.change(before.delta),
            f"{c.n_paired:,}",
        ),
        tone=tone(c.verdict),
        limit=factor * signed_limit(c),
    )


def _label(m: Moment) -> str:
    return f"{date(m.created)} {m.run_id}" if m.created else m.run_id


def _data(m: Moment) -> dict[str, object]:
    return {
        "run_id": m.run_id, "model": m.model, "path": m.path, "created": m.created,
        "score": m.score, "ci_lower": m.lower, "ci_upper": m.upper, "note": m.note,
        "since_first": _change(m.since_first), "since_previous": _change(m.since_previous),
    }  # fmt: skip


def _change(c: Comparison | None) -> dict[str, object] | None:
    if c is None or c.difference is None:
        return None
    return {
        "verdict": c.verdict.value,
        "verdict_reasons": list(c.reasons),
        "delta": c.difference.delta,
        "ci_lower": known(c.difference.lower),
        "ci_upper": known(c.difference.upper),
        "n": c.n_paired,
        "differs": [str(item) for item in c.differs],
    }

"""What changed below the score of a comparison: categories, and problems that changed sides. Both
are folded after the first ten on a page."""

from __future__ import annotations

from ..decisions.categories import CategoryDelta
from ..decisions.compare import Comparison, scale_of_comparison
from ..decisions.flips import Contingency, Flip
from ..decisions.verdicts import MIN_PAIRS
from .blocks import Forest, Interval, Table, Tone
from .verdict_words import direction, known

SHOWN = 10
"""Categories and flips that stand open on a page."""
ANSWER = 80
QUESTION = 160
TOGETHER = "The intervals hold together at 95 % (Bonferroni over the categories)."
FEW = f"{TOGETHER} Of fewer than {MIN_PAIRS} problems nothing is said."


def signed_limit(c: Comparison) -> float:
    """The largest change for the worse that is allowed, as a difference of the metric."""
    return -c.options.max_drop if c.higher_is_better else c.options.max_drop


def categories(c: Comparison, *, all_of_them: bool) -> Forest:
    """The largest drop first; without ``all_of_them`` those with a drop that is shown."""
    scale, sign = scale_of_comparison(c), -1 if c.higher_is_better else 1
    factor = 100.0 if scale.points else 1.0
    ordered = sorted(c.categories.items(), key=lambda item: -sign * item[1].delta)
    rows = []
    for name, d in ordered:
        word, shade = _word(c, d)
        if not all_of_them and shade is not Tone.BAD:
            continue
        low, high = known(d.ci_lower), known(d.ci_upper)
        rows.append(
            Interval(
                name=name,
                value=factor * d.delta,
                lower=None if low is None else factor * low,
                upper=None if high is None else factor * high,
                cells=(
                    word,
                    scale.score(d.baseline),
                    scale.score(d.candidate),
                    scale.change(d.delta),
                    "—" if low is None or high is None else scale.interval(low, high),
                    f"{d.n:,}",
                ),
                tone=shade,
            )
        )
    few = any(d.n < MIN_PAIRS for d in c.categories.values())
    return Forest(
        "Categories",
        ("Category", "Shown", "Baseline", "Candidate", f"Change ({scale.unit})", "95 % CI", "n"),
        tuple(rows),
        limit=factor * signed_limit(c),
        note=FEW if few else TOGETHER,
        zero=True,
        fold=SHOWN,
        status=True,
    )


def _word(c: Comparison, d: CategoryDelta) -> tuple[str, Tone]:
    """What its interval shows of a category."""
    if d.n < MIN_PAIRS:
        return "—", Tone.FAINT
    ends = (d.ci_lower, d.ci_upper) if c.higher_is_better else (-d.ci_upper, -d.ci_lower)
    if ends[1] < -c.options.max_drop:
        return "drop beyond the limit", Tone.BAD
    shade = direction(*ends)
    return {Tone.BAD: "drop", Tone.GOOD: "gain"}.get(shade, "—"), shade


def flips(title: str, found: tuple[Flip, ...], limit: int | None) -> Table:
    """Problems that changed sides, with the question, what was expected and both answers."""
    shown = found if limit is None else found[:limit]
    return Table(
        f"{title} ({len(found):,})",
        ("Problem", "Category", "Reward", "Question", "Expected", "Baseline", "Candidate"),
        tuple(
            (
                str(flip.problem_idx),
                flip.category or "",
                f"{flip.baseline_reward:g} → {flip.candidate_reward:g}",
                _text(flip.question, QUESTION),
                _text(flip.expected_answer, ANSWER),
                _text(flip.baseline_answer or flip.baseline_response, ANSWER),
                _text(flip.candidate_answer or flip.candidate_response, ANSWER),
            )
            for flip in shown
        ),
        f"and {len(found) - len(shown):,} more" if len(shown) < len(found) else "",
        code=(3, 4, 5, 6),
        fold=SHOWN,
    )


def sides(c: Comparison, table: Contingency) -> str:
    """The problems by who was right; of several rollouts one that is right is enough."""
    if any(side.repeats > 1 for side in c.sides.values()):
        right, wrong = "right at least once", "never right"
        return (
            f"{table.baseline_only_correct:,} from {right} to {wrong}, "
            f"{table.candidate_only_correct:,} from {wrong} to {right}, "
            f"{table.both_correct:,} {right} on both sides, {table.both_wrong:,} {wrong} on either"
        )
    return (
        f"{table.baseline_only_correct:,} from right to wrong, "
        f"{table.candidate_only_correct:,} from wrong to right, "
        f"{table.both_correct:,} right on both sides, {table.both_wrong:,} wrong on both"
    )


def _text(value: object, most: int) -> str:
    text = " ".join(str(value).split()) if value is not None else ""
    return text if len(text) <= most else f"{text[: most - 1]}…"

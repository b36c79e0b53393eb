"""Single rollouts in a report: the first prompt, the least steady problems, what is not right."""

from __future__ import annotations

from collections.abc import Iterator

from ..results.result_row import ResultRow
from ..results.rollout_filter import Kind
from ..results.samples import Samples
from .blocks import Block, Sample, SampleList, Table, Tone, Words
from .escape import one_line
from .rollout import as_text, rollout_parts

UNSTEADY = 10
"""Problems that are listed; more are in the JSON report, by index."""
QUESTION = 160
"""Characters of a question in a table."""
GLANCE = 40
"""Characters of an answer in the line of a folded rollout."""
SEVERAL = 5
"""Rollouts of a kind that are listed where a report is on several results."""
TITLES = {
    Kind.WRONG: ("Wrong answers", "--wrong", Tone.BAD),
    Kind.NO_ANSWER: ("No answer found", "--no-answer", Tone.UNSURE),
    Kind.ERROR: ("Errors", "--errors", Tone.BAD),
}


def prompt_block(samples: Samples) -> Iterator[Block]:
    """The first problem as it was sent, in full."""
    if samples.first is not None and samples.first.prompt:
        where = f"Problem {samples.first.problem_idx}"
        yield Words("Prompt of the first problem", samples.first.prompt, where)


def unsteady_block(samples: Samples) -> Iterator[Block]:
    """Problems whose repeats differ most, with their questions."""
    rows = tuple(
        (
            str(item.problem_idx),
            " ".join("—" if reward is None else f"{reward:g}" for reward in item.rewards),
            _short(item.prompt),
        )
        for item in samples.repeated[:UNSTEADY]
    )
    if rows:
        yield Table("Least steady problems", ("Problem", "Rewards", "Question"), rows, code=(2,))


def sample_blocks(samples: Samples, path: str, *, alone: bool) -> Iterator[Block]:
    """What is not right, one list a kind. ``path``: where all of them can be looked up."""
    for kind, (title, option, tone) in TITLES.items():
        count = samples.counts.get(kind, 0)
        if not count:
            continue
        rows = samples.shown[kind] if alone else samples.shown[kind][:SEVERAL]
        items = tuple(Sample(_head(row), tuple(rollout_parts(row))) for row in rows)
        yield SampleList(title, items, count, tone, f"nel show {path} {option} -n 0")


def _head(row: ResultRow) -> str:
    """What tells it from others at a glance: ``6/3 · 45 expected, 64 extracted · A tank holds``."""
    if row.error is not None:
        summary = _short(row.error, GLANCE)
    else:
        expected, extracted = (
            _short(as_text(value), GLANCE) or "nothing"
            for value in (row.expected_answer, row.extracted_answer)
        )
        summary = f"{expected} expected, {extracted} extracted"
    reward = "" if row.reward in (None, 0.0) else f"reward {row.reward:g}"
    parts = (str(row.key), reward, summary, _short(row.prompt or "", 2 * GLANCE))
    return one_line(" · ".join(filter(None, parts)))


def _short(text: str, limit: int = QUESTION) -> str:
    line = " ".join(text[: 4 * limit].split())
    return line if len(line) <= limit else line[: limit - 1] + "…"

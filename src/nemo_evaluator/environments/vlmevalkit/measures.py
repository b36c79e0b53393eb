"""Measures of whole tables, as the authors of the datasets define them.

Pure functions of scored rows. Shares are 0 to 1; MME's points are its authors' (200 a category).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from ...measured import Measure
from ...types import Json
from ..contract import Aggregates
from ..scored import ScoredProblem
from .rules import Kind, yes_or_no

CIRCULAR = 1_000_000
"""Rows whose indices are equal modulo this are one question with its options rotated."""
INTEGER = re.compile(r"[0-9]{1,18}")
ROTATIONS = "rotations"
"""Where the metadata of a row says how many rows its question has."""
IMAGE = "image_id"
"""Where the metadata of a row says which image it is about."""
MME_PARTS: Mapping[str, Sequence[str]] = {
    "perception": (
        *("OCR", "artwork", "celebrity", "color", "count", "existence"),
        *("landmark", "position", "posters", "scene"),
    ),
    "reasoning": (
        *("code_reasoning", "commonsense_reasoning"),
        *("numerical_calculation", "text_translation"),
    ),
}
HALLUSION_PARTS = 6
"""Parts of an index of HallusionBench: the set, the figure and the question are the last three."""
Rows = Sequence[ScoredProblem]


def measures_of(name: str, kind: Kind, rotated: bool) -> Aggregates | None:
    """What sums up the rows of a dataset; None where its mean does."""
    if rotated:
        return circular
    if kind is not Kind.YES_OR_NO:
        return None
    if name.startswith("HallusionBench"):
        return hallusion
    if name.startswith("MME"):
        return mme
    return partial(yes_rates, exploded=name.startswith("POPE"))


def question_of(index: object) -> str:
    """The index of a question before its options were rotated."""
    text = str(index)
    return str(int(text) % CIRCULAR) if INTEGER.fullmatch(text) else text


def is_rotated(index: object) -> bool:
    """Whether an index is that of a question with its options rotated."""
    text = str(index)
    return INTEGER.fullmatch(text) is not None and int(text) >= CIRCULAR


def circular(rows: Rows) -> Sequence[Measure]:
    """The share of questions that are right in every rotation, of those whose rotations all have a
    verdict."""

    def key(row: ScoredProblem) -> tuple[str, int]:
        return question_of(_text(row, "index")), row.repeat

    seen = Counter(map(key, rows))
    whole = [row for row in rows if _text(row, ROTATIONS) in ("", str(seen[key(row)]))]
    return _all_right("circular", whole, lambda row: question_of(_text(row, "index")))


def hallusion(rows: Rows) -> Sequence[Measure]:
    """``aAcc``, and the shares of figures (``fAcc``) and of questions (``qAcc``) that are right in
    every row."""

    def of(part: int) -> Callable[[ScoredProblem], object]:
        def key(row: ScoredProblem) -> object:
            parts = _text(row, "index").split("_")
            return (_text(row, "l2-category"), parts[3], parts[part])

        return key

    kept = [row for row in rows if _text(row, "index").count("_") >= HALLUSION_PARTS - 1]
    if not kept:
        return ()
    right = sum(map(_right, kept)) / len(kept)
    return [
        Measure(name="aAcc", value=right, n=len(kept)),
        *_all_right("fAcc", kept, of(4)),
        *_all_right("qAcc", kept, of(5)),
    ]


def mme(rows: Rows) -> Sequence[Measure]:
    """Points of each category (the share of right rows and that of images with both questions
    right, times 100), and their sums where all categories of a part are there."""
    groups: dict[str, list[ScoredProblem]] = {}
    for row in rows:
        groups.setdefault(_text(row, "category"), []).append(row)
    points: dict[str, float] = {}
    measures = []
    for name, group in groups.items():
        right = sum(map(_right, group)) / len(group)
        about = Counter((_text(row, IMAGE), row.repeat) for row in group)
        pairs = [row for row in group if about[_text(row, IMAGE), row.repeat] > 1]
        for both in _all_right("plus", pairs, lambda row: _text(row, IMAGE)):
            points[name] = 100 * (right + both.value)
            measures.append(Measure(name="mme", value=points[name], n=len(group), group=name))
    for part, names in MME_PARTS.items():
        if set(names) <= points.keys():
            n = sum(len(groups[name]) for name in names)
            measures.append(Measure(name=part, value=sum(points[name] for name in names), n=n))
    return measures


def yes_rates(rows: Rows, *, exploded: bool) -> Sequence[Measure]:
    """Precision, recall and F1 of the answer yes; no answer counts as no. A row of several
    categories counts in each where they are ``exploded``, as POPE's authors do."""
    true = said = both = n = 0
    for row in rows:
        times = len(_text(row, "category").split(",")) if exploded else 1
        wanted = yes_or_no(str(row.problem.target)) == "Yes"
        yes = row.score.extracted == "Yes"
        true, said, both = (
            true + wanted * times,
            said + yes * times,
            both + (wanted and yes) * times,
        )
        n += 1
    if not n:
        return ()
    precision, recall = both / said if said else 0.0, both / true if true else 0.0
    f1 = 2 * precision * recall / (precision + recall) if both else 0.0
    values = {"f1": f1, "precision": precision, "recall": recall}
    return [Measure(name=name, value=value, n=n) for name, value in values.items()]


def _all_right(
    name: str, rows: Iterable[ScoredProblem], key: Callable[[ScoredProblem], object]
) -> list[Measure]:
    """The share of groups whose rows are all right; each repeat has its own groups."""
    right: dict[object, bool] = {}
    for row in rows:
        group = (key(row), row.repeat)
        right[group] = right.get(group, True) and _right(row)
    if not right:
        return []
    return [Measure(name=name, value=sum(right.values()) / len(right), n=len(right))]


def _right(row: ScoredProblem) -> bool:
    return row.score.reward == 1.0


def _text(row: ScoredProblem, name: str) -> str:
    found: Json = row.problem.metadata.get(name)
    return "" if found is None else str(found)

"""Texts of models as a page shows them: nothing is markup, and a long one says how long it is."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup, escape

from ..reports.escape import visible
from ..reports.rollout import as_text
from ..results.result_row import ResultRow

SHOWN = 20_000
"""Characters of a text that are shown at once."""
WORDWISE = 12_000
"""Characters of two texts that are compared word by word; longer ones are line by line."""
LINEWISE = 400_000
"""Characters of two texts that are compared line by line; longer ones are shown as they begin."""
_TOKENS = re.compile(r"\s+|\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Shown:
    """A text, perhaps only the beginning of it."""

    html: Markup
    length: int
    cut: bool


def shown(text: str | None, span: tuple[int, int] | None = None) -> Shown:
    """A text, with a part of it marked."""
    text = text or ""
    part = text[:SHOWN]
    return Shown(_marked(part, span), len(text), len(part) < len(text))


def span_of(row: ResultRow) -> tuple[int, int] | None:
    """The part of an answer that the scorer took for the answer: as it says, else the last
    occurrence of what it extracted that is no part of a longer word or number."""
    text, mark = row.model_response or "", as_text(row.extracted_answer).strip()
    span = row.scoring_details.get("span")
    if isinstance(span, list) and len(span) == 2 and all(isinstance(n, int) for n in span):
        start, end = span
        if 0 <= start < end <= len(text):
            return start, end
    if not mark or len(mark) > len(text):
        return None
    before = r"(?<![\w.])" if mark[0].isalnum() else ""
    after = r"(?!\w|\.\d)" if mark[-1].isalnum() else ""
    found = [match.span() for match in re.finditer(before + re.escape(mark) + after, text)]
    return found[-1] if found else None


def _marked(text: str, span: tuple[int, int] | None) -> Markup:
    if span is None or span[1] > len(text):
        return escape(visible(text))
    start, end = span
    parts = (visible(part) for part in (text[:start], text[start:end], text[end:]))
    return Markup('{}<mark title="extracted answer">{}</mark>{}').format(*parts)


def differences(before: str, after: str) -> tuple[Markup, Markup]:
    """Two texts with what is only in one of them marked."""
    size = len(before) + len(after)
    if size > LINEWISE:
        return escape(visible(before[:SHOWN])), escape(visible(after[:SHOWN]))
    tokens = _TOKENS.findall if size <= WORDWISE else _lines
    one, other = tokens(before), tokens(after)
    matcher = difflib.SequenceMatcher(None, one, other, autojunk=False)
    left, right = [], []
    for kind, a, b, c, d in matcher.get_opcodes():
        left.append(_part("".join(one[a:b]), "del" if kind != "equal" else ""))
        right.append(_part("".join(other[c:d]), "ins" if kind != "equal" else ""))
    return Markup("").join(left), Markup("").join(right)


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def _part(text: str, tag: str) -> Markup:
    if not text:
        return Markup("")
    if not tag:
        return escape(visible(text))
    return Markup("<{0}>{1}</{0}>").format(Markup(tag), visible(text))


def parts_of(content: object) -> Iterator[tuple[str, str]]:
    """Kind and text of each part of a message's content."""
    if isinstance(content, str):
        if content:
            yield "text", content
    elif isinstance(content, list | tuple):
        for part in content:
            if isinstance(part, dict):
                text = part.get("text")
                kind = str(part.get("type", "part"))
                yield kind, text if isinstance(text, str) else f"[{kind}]"
            else:
                yield "text", str(part)
    elif content is not None:
        yield "value", str(content)

"""What a model meant to say aloud: the response without ``<think>`` style reasoning.

Invariant: reasoning is never graded. A block left open means the answer was cut off before it
began, so nothing is visible.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

TAGS = ("think", "thinking", "thought", "reasoning")
_TAGGED_ANSWER = re.compile(r"<answer>[^<]{0,2000}</answer>\s{0,50}\Z", re.IGNORECASE)


class Visible(NamedTuple):
    """The visible part of a response.

    ``pieces`` maps back: ``(offset in text, offset in the response)`` of each kept stretch.
    """

    text: str
    reasoning: str = ""
    unclosed: bool = False
    pieces: tuple[tuple[int, int], ...] = ((0, 0),)

    def raw_span(self, span: tuple[int, int]) -> tuple[int, int]:
        """Offsets in the response of a span of ``text``."""
        return self._raw(span[0]), self._raw(span[1] - 1) + 1 if span[1] else 0

    def _raw(self, offset: int) -> int:
        at, raw = max(piece for piece in self.pieces if piece[0] <= max(offset, 0))
        return raw + offset - at


@lru_cache(maxsize=16)
def _tag_pattern(tags: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"<(/?)(?:{'|'.join(map(re.escape, tags))})\s{{0,3}}>", re.IGNORECASE)


def visible(text: str, tags: tuple[str, ...] = TAGS) -> Visible:
    """Strip reasoning blocks: nested, several, or closed without having been opened.

    >>> visible("<think>A?</think> Answer: C").text
    ' Answer: C'
    >>> visible("so A it is</think>Answer: C").text
    'Answer: C'
    >>> visible("<think>let me see")
    Visible(text='', reasoning='let me see', unclosed=True, pieces=((0, 0),))
    """
    if "<" not in text:
        return Visible(text)
    marks = list(_tag_pattern(tags).finditer(text))
    if not marks:
        return Visible(text)
    # A model that talks about the tag inside its reasoning opens it twice and closes it once;
    # only balanced tags are read as nested.
    nested = _balanced(marks)
    kept, hidden, open_at = _walk(text, marks, nested=nested)
    if open_at is not None and (tagged := _TAGGED_ANSWER.search(text, open_at)) is not None:
        # an answer in its own tags ends the reasoning even if nobody closed it
        hidden.append(text[open_at : tagged.start()])
        kept, open_at = [*kept, tagged.span()], None
    if open_at is not None:
        return Visible("", "".join([*hidden, text[open_at:]]).strip(), True)
    pieces, parts, length = [], [], 0
    for start, stop in kept:
        if stop > start:
            pieces.append((length, start))
            parts.append(text[start:stop])
            length += stop - start
    return Visible("".join(parts), "".join(hidden), False, tuple(pieces) or ((0, 0),))


def _balanced(marks: list[re.Match[str]]) -> bool:
    depth = 0
    for mark in marks:
        depth += -1 if mark[1] else 1
        if depth < 0:
            return False
    return depth == 0


def _walk(
    text: str, marks: list[re.Match[str]], *, nested: bool
) -> tuple[list[tuple[int, int]], list[str], int | None]:
    kept: list[tuple[int, int]] = []
    hidden: list[str] = []
    depth, at = 0, 0
    for mark in marks:
        closing = bool(mark[1])
        if not closing:
            if depth == 0:
                kept.append((at, mark.start()))
                at = mark.end()
            depth = depth + 1 if nested else 1
        elif depth > 1:
            depth -= 1
        elif depth == 1:
            hidden.append(text[at : mark.start()])
            depth, at = 0, mark.end()
        else:  # closed without an opening: all before it was reasoning
            hidden.append(text[at : mark.start()])
            kept, at = [], mark.end()
    if depth:
        return kept, hidden, at
    kept.append((at, len(text)))
    return kept, hidden, None

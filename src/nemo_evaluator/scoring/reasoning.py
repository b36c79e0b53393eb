"""What a model meant to say aloud: the response without its reasoning.

Each family of models marks its reasoning in its own way; ``markers`` lists them. Invariant:
reasoning is never graded. A block left open means the answer was cut off before it began, so
nothing is visible. A tag that is only talked about (in code, in quotes, ``the <think> tag``) is
text.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from . import markers
from .late import late_pattern

_TAGGED_ANSWER = late_pattern(r"<answer>[^<]{0,2000}</answer>\s{0,50}\Z", re.IGNORECASE)
Span = tuple[int, int]


class Visible(NamedTuple):
    """The visible part of a response.

    ``pieces`` maps back: ``(offset in text, offset in the response)`` of each kept stretch.
    """

    text: str
    reasoning: str = ""
    unclosed: bool = False
    pieces: tuple[Span, ...] = ((0, 0),)

    def raw_span(self, span: Span) -> Span:
        """Offsets in the response of a span of ``text``."""
        return self.raw(span[0]), self.raw(span[1] - 1) + 1 if span[1] else 0

    def raw(self, offset: int) -> int:
        """Offset in the response of an offset in ``text``."""
        at = bisect_right(self.pieces, max(offset, 0), key=lambda piece: piece[0])
        start, raw = self.pieces[max(at - 1, 0)]
        if at < len(self.pieces):  # a text made longer, as ½ is by 1/2, ends with its piece
            return max(raw, min(raw + offset - start, self.pieces[at][1] - 1))
        return raw + offset - start


def visible(text: str) -> Visible:
    """Strip reasoning blocks: nested, several, or closed without having been opened.

    >>> visible("<think>A?</think> Answer: C").text
    ' Answer: C'
    >>> visible("so A it is</think>Answer: C").text
    'Answer: C'
    >>> visible("<think>let me see")
    Visible(text='', reasoning='let me see', unclosed=True, pieces=((0, 0),))
    """
    if not markers.hinted(text):
        return Visible(text)
    end = markers.end_of_turn(text)
    parted = _channels(text, end) or _announced(text, end) or _blocks(text, end)
    if parted is None:
        return Visible(text[:end])
    kept, hidden, open_at = parted
    if open_at is not None and (tagged := _TAGGED_ANSWER.search(text, open_at, end)) is not None:
        # an answer in its own tags ends the reasoning even if it was not closed
        hidden = [*hidden, (open_at, tagged.start())]
        kept, open_at = [*kept, tagged.span()], None
    if open_at is not None:
        return Visible("", _joined(text, [*hidden, (open_at, end)]).strip(), True)
    pieces, length = [], 0
    for start, stop in kept:
        if stop > start:
            pieces.append((length, start))
            length += stop - start
    return Visible(_joined(text, kept), _joined(text, hidden), False, tuple(pieces) or ((0, 0),))


def _joined(text: str, spans: Sequence[Span]) -> str:
    return "".join(text[start:stop] for start, stop in spans)


class _Parted(NamedTuple):
    """Visible and hidden stretches; ``open_at`` is where a block that never closes begins."""

    kept: list[Span]
    hidden: list[Span]
    open_at: int | None


def _channels(text: str, end: int) -> _Parted | None:
    """Messages on channels: only the final one is an answer, where there is one."""
    marks = markers.channels(text, end)
    if not marks:
        return None
    final: list[Span] = []
    other: list[Span] = []
    hidden: list[Span] = []
    shown, at = other, 0
    for mark in marks:
        name = (mark["name"] or mark["gemma"] or "").lower()
        if not name and shown is other and not hidden and not final:
            shown = hidden  # an end without a beginning: all before it was reasoning
        shown.append((at, mark.start()))
        shown = other if not name else final if name == "final" else hidden
        at = mark.end()
    if shown is hidden and not final:
        return _Parted(other, hidden, at)
    shown.append((at, end))
    return _Parted(final, hidden + other, None) if final else _Parted(other, hidden, None)


def _announced(text: str, end: int) -> _Parted | None:
    """Reasoning that is announced in words or by the name of its channel at the very start."""
    for opens, closes in markers.ANNOUNCED:
        if opening := opens.match(text):
            closing = None
            for closing in closes.finditer(text, opening.end(), end):  # noqa: B007
                pass
            if closing is None:
                return _Parted([], [], opening.end())
            return _Parted([(closing.end(), end)], [(opening.end(), closing.start())], None)
    return None


def _blocks(text: str, end: int) -> _Parted | None:
    """Reasoning between tags."""
    tags = markers.tags(text, end)
    if not tags:
        return None
    # A model that talks about the tag inside its reasoning opens it twice and closes it once;
    # only balanced tags are read as nested.
    nested = _balanced(tags)
    kept: list[Span] = []
    hidden: list[Span] = []
    depth, at = 0, 0
    for tag in tags:
        if not tag.closing:
            if depth == 0:
                kept.append((at, tag.start))
                at = tag.stop
            depth = depth + 1 if nested else 1
        elif depth > 1:
            depth -= 1
        else:
            hidden.append((at, tag.start))
            if depth == 0:  # closed without an opening: all before it was reasoning
                kept = []
            depth, at = 0, tag.stop
    if depth:
        return _Parted(kept, hidden, at)
    kept.append((at, end))
    return _Parted(kept, hidden, None)


def _balanced(tags: Sequence[markers.Tag]) -> bool:
    depth = 0
    for tag in tags:
        depth += -1 if tag.closing else 1
        if depth < 0:
            return False
    return depth == 0

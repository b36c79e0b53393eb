"""How families of models mark their reasoning, and when such a mark is only talked about.

Add a family here, nowhere else. Patterns are bounded, so reading marks is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from .late import late_pattern

_NAMES = (
    r"(?:seed:|mm:|longcat_)?think|(?:ant)?thinking|thoughts?|reasoning|thinking_process"
    r"|scratchpad|reflection|inner_monologue"
)
_PAIRED = late_pattern(
    # <think>, <thinking>, <reasoning>, <seed:think> and relatives, also with attributes
    rf"<(?P<xml>/?)(?:{_NAMES})(?:\s[^<>\n]{{0,80}}=[^<>\n]{{0,80}})?\s{{0,3}}>"
    r"|(?-i:\[(?P<mistral>/?)THINK\])"
    r"|◁(?P<kimi>/?)think▷"
    r"|<\|(?:START|(?P<cohere>END))_THINKING\|>(?:\s{0,9}<\|START_RESPONSE\|>)?"
    r"|<\|(?:begin|(?P<thinker>end))_of_thought\|>(?:\s{0,9}<\|begin_of_solution\|>)?"
    r"|<\|inner_(?:prefix|(?P<apertus>suffix))\|>"
    r"|<\|(?P<solar>/?)think(?:ing)?\|>"
    # MedGemma
    r"|<unused94>(?:thought\b)?|<unused(?P<medgemma>95)>",
    re.IGNORECASE,
)
_CHANNEL = late_pattern(
    # harmony (gpt-oss): <|start|>assistant<|channel|>analysis<|message|>...<|end|>
    r"(?:<\|start\|>[\w.:=\- ]{0,60})?<\|channel\|>\s{0,3}(?P<name>[a-z]{1,20})[^<\n]{0,80}"
    r"(?:<\|constrain\|>[^<\n]{0,40})?(?:<\|message\|>|\Z)"
    r"|<\|(?:end|return|call)\|>(?:<\|start\|>[\w.:=\- ]{0,60}(?:<\|message\|>|\Z))?"
    # Gemma: <|channel>thought\n...<channel|>
    r"|<\|channel>(?P<gemma>[a-z]{1,20})\n?|<channel\|>",
    re.IGNORECASE,
)
ANNOUNCED = (
    # Granite
    (
        late_pattern(
            r"\s{0,20}\*{0,2}Here(?:['’]s| is) my (?:thought|thinking) process\b[:*]{0,3}"
        ),
        late_pattern(r"Here(?:['’]s| is) my (?:final )?(?:response|answer)\b[:*]{0,3}"),
    ),
    # harmony whose special tokens were dropped
    (
        late_pattern(r"\s{0,20}(?:assistant)?analysis(?=[A-Z0-9\"'“*(])"),
        late_pattern(r"assistantfinal"),
    ),
)
"""Reasoning announced at the start of a response, and what announces the answer after it."""

_END_OF_TURN = late_pattern(
    r"(?:\s{0,9}(?:</s>|<eos>|<end_of_turn>|<[|｜](?:im_end|eot_id|eom_id|endoftext|end_of_text"
    r"|end_of_turn|end[▁_]of[▁_]sentence|END_OF_TURN_TOKEN|END_RESPONSE|end_of_solution|eos|end|return"
    r")[|｜]>)){1,9}\s{0,99}\Z"
)
_TAIL = 400
_STARTS = ("Here", "**Here", "analysis", "assistantanalysis")


def hinted(text: str) -> bool:
    """Whether a text may hold a mark at all (most do not)."""
    if "<" in text or "[THINK]" in text or "[/THINK]" in text or "◁" in text:
        return True
    return text[:60].lstrip().startswith(_STARTS)


def end_of_turn(text: str) -> int:
    """Where a response ends but for tokens such as ``<|im_end|>`` that the server left in."""
    tail = max(0, len(text) - _TAIL)
    found = _END_OF_TURN.search(text, tail)
    if found is None or ("</s>" in found[0] and "<s>" in text):
        return len(text)
    return found.start()


def channels(text: str, end: int) -> list[re.Match[str]]:
    """The marks that begin and end messages on channels."""
    if "<|channel" not in text and "<channel|>" not in text:
        return []
    return [m for m in _CHANNEL.finditer(text, 0, end) if not _is_mentioned(text, m)]


def _is_mentioned(text: str, mark: re.Match[str]) -> bool:
    """Whether a mark of a channel is talked about: in quotes, or ``the <|channel|> token``."""
    name = mark.start("name")
    return quoted(text, *mark.span()) or (name >= 0 and _NOUN_START.match(text, name) is not None)


class Tag(NamedTuple):
    """An opening or closing tag."""

    start: int
    stop: int
    closing: bool


def tags(text: str, end: int) -> list[Tag]:
    """The tags that open and close reasoning, of the family that comes first."""
    marks = [mark for mark in _PAIRED.finditer(text, 0, end) if not _talked_about(text, mark)]
    if not marks:
        return []
    family = _family(marks[0])
    marks = [mark for mark in marks if _family(mark) == family]
    return list(_outside_fences(text, [_tag(mark) for mark in marks]))


def _family(mark: re.Match[str]) -> str:
    mark_text = (
        mark[0].lower().partition(">")[0]
    )  # tokens of one family end alike: <|inner_prefix|>, _suffix
    return mark_text.strip("|>")[-3:] if mark_text.startswith("<|") else mark_text[0]


def _tag(mark: re.Match[str]) -> Tag:
    return Tag(*mark.span(), closing=any(mark.groups()))


_LOOK = 200
_NOUN = r"(?:tag|token|block|element|marker|delimiter|section)s?\b"
_NOUN_AFTER = late_pattern(rf"[`\"'”’]?[ \t]{{1,3}}{_NOUN}", re.IGNORECASE)
_NOUN_START = late_pattern(_NOUN, re.IGNORECASE)
_SENTENCE_ENDS = late_pattern(r"[.,;?!)](?=[\s)]|\Z)")
_NOUN_BEFORE = late_pattern(rf"\b{_NOUN}[ \t]{{1,3}}$", re.IGNORECASE)
_PAIR_NAMED = late_pattern(
    rf"[`\"'”’]?\s{{0,3}}(?:and|or|/|,|\.\.\.|…)\s{{0,3}}[`\"'“‘]?</?(?:{_NAMES})>", re.IGNORECASE
)
_PAIR_BEFORE = late_pattern(
    rf"<(?:{_NAMES})>[`\"'”’]?\s{{0,3}}(?:and|or|/|,|\.\.\.|…)\s{{0,3}}[`\"'“‘]?$", re.IGNORECASE
)
_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»", "「": "」", "`": "`"}


def quoted(text: str, start: int, stop: int) -> bool:
    """Whether a mark stands in quotes or in inline code."""
    earliest = max(0, start - _LOOK)
    before = text[max(text.rfind("\n", earliest, start) + 1, earliest) : start]
    if "```" in before:  # a fence, no inline code
        return False
    if before and _QUOTES.get(before[-1]) == text[stop : stop + 1]:
        return True
    if before.count("`") % 2 == 0:
        return False
    line_end = text.find("\n", stop, stop + _LOOK)
    return text.find("`", stop, line_end if line_end >= 0 else stop + _LOOK) >= 0


def _talked_about(text: str, mark: re.Match[str]) -> bool:
    start, stop = mark.span()
    if quoted(text, start, stop) or _NOUN_AFTER.match(text, stop):
        return True
    before = text[max(0, start - 40) : start]
    if _NOUN_BEFORE.search(before):
        return True
    closing = any(mark.groups())
    if closing and before.strip() and _SENTENCE_ENDS.match(text, stop):
        return before[-1:] in " \t"  # I did not use </think>.
    named = _PAIR_BEFORE.search(before) if closing else _PAIR_NAMED.match(text, stop)
    return named is not None


_FENCE = late_pattern(r"(?:^|(?<=[>\]▷]))[ \t]{0,3}(?:```|~~~)[^`\n]{0,60}$", re.MULTILINE)


def _outside_fences(text: str, marks: list[Tag]) -> Iterator[Tag]:
    """The tags but for those in a closed code fence of the visible text."""
    fences = [match.start() for match in _FENCE.finditer(text)]
    content = len(text) - len(text.lstrip(" \t\r\n`~"))
    depth, fenced, at = 0, False, 0
    for tag in marks:
        while at < len(fences) and fences[at] < tag.start:
            if depth == 0:  # an opening fence must have its closing one
                fenced = not fenced and at + 1 < len(fences)
            at += 1
        if fenced and tag.start > content:  # what a whole response opens with is no example
            continue
        fenced, depth = False, 0 if tag.closing else 1
        yield tag

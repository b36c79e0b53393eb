"""Counting what prose is made of: words, sentences, shouted words. English rules."""

from __future__ import annotations

import re

_WORD = re.compile(r"\w+")
# What may follow the mark that ends a sentence, up to the space before the next one.
_END = re.compile(r"(?<![.?!])[.?!]++[\"'”’)\]]*+(?=\s|\Z)|[。！？]")
_LAST_TOKEN = re.compile(r"\S+\Z")
_ABBREVIATIONS = re.compile(
    r"(?:dr|mr|mrs|ms|prof|st|jr|sr|vs|etc|no|vol|fig|inc|ltd|co|corp|gen|col|sgt|capt|lt|rev|hon"
    r"|gov|sen|rep|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|mt|ave|blvd|dept|est|approx"
    r"|[a-z](?:\.[a-z])+|ph\.d)"
)
_TOKEN = re.compile(r"[^\W_]+(?:[-.&][^\W_]+)*\.?|[^\W_]")


def words(text: str) -> list[str]:
    """Runs of letters, digits and underscores."""
    return _WORD.findall(text)


def sentences(text: str) -> int:
    """How many sentences: ended by a mark and a space; a line break alone ends none.

    >>> sentences("Dr. Smith came. Did he? Yes... he did")
    3
    """
    text = text.strip()
    if not text:
        return 0
    count, end = 0, 0
    for match in _END.finditer(text):
        if match.end() < len(text) and _goes_on(text, match):
            continue
        count, end = count + 1, match.end()
    return count + bool(text[end:].strip())


def _goes_on(text: str, match: re.Match[str]) -> bool:
    """Whether a full stop is part of an abbreviation, an initial, an ellipsis."""
    mark = match[0]
    if mark[0] != ".":
        return False
    rest = text[match.end() :].lstrip()
    if mark.startswith("..") and not rest[:1].isupper():
        return True
    before = _LAST_TOKEN.search(text, max(0, match.start() - 30), match.start())
    token = before[0].lstrip("\"'(“‘[*").lower() if before else ""
    if _ABBREVIATIONS.fullmatch(token):
        return True
    if token.isdigit():
        return rest[:1].islower()  # "1. bread": the number of an item
    return len(token) == 1 and token.isalpha() and token != "i"


def shouted(text: str) -> int:
    """How many words are all capitals: ``I``, ``NASA``, ``COVID-19``."""
    return sum(1 for token in _TOKEN.findall(text) if token.isupper())

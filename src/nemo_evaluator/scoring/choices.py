"""The letter a response chooses.

The last announced choice wins. A letter outside the options is no answer, and neither is the
first letter of a word (``Answer: Because``), the article ``A`` or the pronoun ``I``.
"""

from __future__ import annotations

import re
from functools import lru_cache

from ..types import Extraction
from .extract import last_match, span_of

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_WRAP = (
    r"(?:[ \t*_`\"“'(\[{$<]|\\[()\[]|\\?\\(?:boxed|fbox|text(?:bf)?|mathrm|mathbf)[ ]?\{|"
    r"(?:option|choice|letter|answer|the|indeed|therefore|probably|likely|definitely|clearly)[ \t:])"
)
_LETTER = r"(?P<letter>[A-Za-z])(?![\w'’])(?=(?P<after>[^\n]{0,24}))"
_IS = r"(?:is|are|would be|will be|must be|should be|was|[:：=])"
_ANNOUNCED = re.compile(
    rf"\b(?:answer|option|choice|selection|response)s?\b(?:[ \t](?:choice|option|letter))?"
    rf"(?:[ \t](?:to|for|that|which|corresponding)\b[^\n.:]{{0,120}}?)?"
    rf"[ \t*_`\"]{{0,5}}{_IS}[*_]{{0,3}}(?:[ \t]{{0,4}}\n[ \t\n]{{0,6}})?{_WRAP}{{0,8}}{_LETTER}",
    re.IGNORECASE,
)
_HASHES = re.compile(rf"####{_WRAP}{{0,8}}{_LETTER}")
_BOXED = re.compile(rf"\\(?:boxed|fbox)[ ]?\{{{_WRAP}{{0,8}}{_LETTER}")
_TAG = re.compile(rf"<answer>\s{{0,9}}{_WRAP}{{0,8}}{_LETTER}", re.IGNORECASE)
_STRICT_RULES = (
    ("answer_line", _ANNOUNCED, "nswer"),
    ("hashes", _HASHES, "####"),
    ("boxed", _BOXED, "box"),
    ("answer_tag", _TAG, "nswer>"),
)
_LENIENT_RULES = (
    (
        "choose",
        re.compile(
            rf"\b(?:option|choice|choose|select|pick|(?:going|go) with)[ \t:]{_WRAP}{{0,6}}"
            r"(?P<letter>[A-Z])(?![\w'’])(?=(?P<after>[^\n]{0,24}))"
        ),
    ),
    (
        "is_correct",
        re.compile(
            r"(?<![\w'’])[*(\[]{0,3}(?P<letter>[A-Z])[*)\].]{0,3}(?P<after>)[ \t](?:is|would be|seems)[ \t]"
            r"(?:the[ \t])?(?:most[ \t])?(?:likely[ \t])?(?:correct|right|best|true|accurate|appropriate)"
        ),
    ),
    (
        "bold",
        re.compile(
            r"\*\*[(\[]?(?P<letter>[A-Z])(?:[)\].:](?P<after>[^*\n]{0,200})|(?P<none>))\*\*"
        ),
    ),
    (
        "lone_line",
        re.compile(
            r"^[ \t*_`>$(\[]{0,6}(?P<letter>[A-Z])(?P<after>[)\].:*_`$]{0,6})[ \t]{0,4}$",
            re.MULTILINE,
        ),
    ),
    (
        "option_line",
        re.compile(
            r"^[ \t*_`>]{0,6}(?:[(\[](?P<letter>[A-Z])[)\]]|(?P<bare>[A-Z])[).:])(?P<after>[ \t][^\n]{0,400})$",
            re.MULTILINE,
        ),
    ),
    (
        "last_bracket",
        re.compile(r"\b(?:is|are|be)\b[^\n.]{0,80}\((?P<letter>[A-Z])\)(?P<after>)[.*\s]{0,9}\Z"),
    ),
)
_WHOLE = re.compile(
    r"\s*(?:[*_`\"'$]|\\[(\[]|\\(?:text|mathrm|mathbf)\{){0,6}[(\[]?(?P<letter>[A-Za-z])[)\]]?"
    r"(?:[.:*_`\"'$}]|\\[)\]]){0,6}\s*"
)
# Words that may follow a bare letter that is a choice, not an article or a pronoun.
_GOES_ON = re.compile(
    r"[ \t]+(?:is|was|because|since|as|and|or|due|for|with|which|based|given|if|but|by|from|according)\b"
)
_WORD_FOLLOWS = re.compile(r"[ \t]+[a-z]")


@lru_cache(maxsize=64)
def option_letters(options: str | int) -> str:
    """The allowed letters: ``"ABCD"`` or a number of options."""
    return LETTERS[:options] if isinstance(options, int) else options.upper()


def _is_choice(letter: str, after: str, before: str) -> bool:
    """Whether a letter stands for an option and is not a word of the sentence."""
    if letter.islower():
        # lower case counts only where brackets or the end of the line set it apart
        return (before in "([{*" and after[:1] in (")", "]", "}", "*")) or not after.strip(" .)*$}")
    if letter in "AI" and _WORD_FOLLOWS.match(after):
        return _GOES_ON.match(after) is not None
    return True


def _last_choice(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    found = last_match(pattern, text)
    if found is None or _accepts(found):
        return found
    accepted = None
    for match in pattern.finditer(text):
        if _accepts(match):
            accepted = match
    return accepted


def _accepts(match: re.Match[str]) -> bool:
    at = match.start("letter")
    before = match.string[at - 1] if at else ""
    return _is_choice(match["letter"], match["after"], before)


def choice(text: str, options: str | int = "ABCD", pattern: str | None = None) -> Extraction | None:
    """The letter chosen last, in upper case; None if there is none or it is not an option.

    Announced choices (``Answer: B``, ``the answer is (B)``, ``#### B``, ``\\\\boxed{B}``) come before lenient
    readings (``option B``, ``**B**``, a line of its own). A user's ``pattern`` replaces all rules; its
    first group (or whole match) is the letter.

    >>> choice("Answer: A is tempting. Final Answer: B").value
    'B'
    >>> choice("Answer: Because it is so") is None
    True
    """
    letters = option_letters(options)
    if pattern is not None:
        return _by_pattern(text, letters, pattern)
    whole = _WHOLE.fullmatch(text, 0, len(text)) if len(text) < 60 else None
    if whole is not None:
        return _chosen(whole, "whole", letters)
    found: list[tuple[int, str, re.Match[str]]] = []
    for rule, regex, needle in _STRICT_RULES:
        if rule == "answer_line" or needle in text:
            match = _last_choice(regex, text)
            if match is not None:
                found.append((match.start("letter"), rule, match))
    if found:
        _, rule, match = max(found, key=lambda item: item[0])
        return _chosen(match, rule, letters)
    return _lenient(text, letters)


def _lenient(text: str, letters: str) -> Extraction | None:
    for rule, regex in _LENIENT_RULES:
        match = _only_option_line(regex, text) if rule == "option_line" else last_match(regex, text)
        if match is not None:
            return _chosen(match, rule, letters)
    return None


def _only_option_line(regex: re.Pattern[str], text: str) -> re.Match[str] | None:
    """``B) because ...`` as first or last line, unless several options are gone through."""
    matches = []
    for match in regex.finditer(text, max(0, len(text) - 20_000)):
        matches.append(match)
        if len(matches) > 1:
            return None
    if not matches:
        return None
    found = matches[0]
    edge = not text[: found.start()].strip() or not text[found.end() :].strip()
    return found if edge else None


def _chosen(match: re.Match[str], rule: str, letters: str) -> Extraction | None:
    groups = match.groupdict()
    group = "letter" if groups["letter"] else "bare"
    letter = match[group].upper()
    if letter not in letters:
        return None
    return Extraction(value=letter, rule=rule, span=span_of(match, group))


def _by_pattern(text: str, letters: str, pattern: str) -> Extraction | None:
    match = last_match(_compiled(pattern), text)
    if match is None:
        return None
    group = 1 if match.re.groups else 0
    value = (match[group] or "").strip("()[]*. ").upper()
    if len(value) != 1 or value not in letters:
        return None
    return Extraction(value=value, rule="pattern", span=span_of(match, group))


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)

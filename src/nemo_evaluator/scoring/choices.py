"""The letter a response chooses.

The last announced choice wins. A letter outside the options is no answer, and neither is the
first letter of a word (``Answer: Because``), the article ``A`` or the pronoun ``I``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from ..types import Extraction
from .extract import STRICT, compiled, last_after, last_match, lowered

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
Order = Literal["last", "first"]

_WRAP = (
    r"(?:[ \t*_`\"“'(\[{$<]|\\[()\[]|\\(?:boxed|fbox|text(?:bf)?|mathrm|mathbf)[ ]?\{|"
    r"(?:option|choice|letter|answer|the|indeed|therefore|probably|likely|clearly)[ \t:])"
)
_LETTER = r"(?P<letter>[A-Za-z])(?![\w'’])(?=(?P<after>[^\n]{0,24}))"
_IS = r"(?:(?P<is>is|are|would be|will be|must be|should be|was)|[:：=])"
_WORDS = ("answer", "option", "choice", "selection", "response")
_ANNOUNCED = re.compile(
    rf"(?<![^\W_])(?:{'|'.join(_WORDS)})s?\b(?:[ \t](?:choice|option|letter))?"
    r"(?:[ \t](?:to|for|that|which|corresponding)\b[^\n.:]{0,120}?)?"
    rf"[ \t*_`\"]{{0,5}}{_IS}[ \t]?[:：]?[*_]{{0,3}}"
    rf"(?:[ \t]{{0,4}}\n[ \t\n]{{0,6}})?{_WRAP}{{0,8}}{_LETTER}",
    re.IGNORECASE,
)
_STRICT_RULES = (
    ("answer_line", _WORDS, _ANNOUNCED),
    ("hashes", ("####",), re.compile(rf"####{_WRAP}{{0,8}}{_LETTER}")),
    ("boxed", ("\\boxed", "\\fbox"), re.compile(rf"\\f?box(?:ed)?[ ]?\{{{_WRAP}{{0,8}}{_LETTER}")),
    ("answer_tag", ("<answer>",), re.compile(rf"(?i:<answer>)\s{{0,9}}{_WRAP}{{0,8}}{_LETTER}")),
)
_ANNOUNCEMENTS = ("answer_line", "answer_is")
_BARE = r"(?P<letter>[A-Z])"
_BEST = r"(?:correct|right|best|true|accurate|appropriate)"
_LENIENT_RULES = (
    (
        "choose",
        re.compile(
            rf"\b(?:choose|select|pick|(?:going|go) with|making)[ \t](?:option[ \t])?{_WRAP}{{0,6}}"
            r"(?P<letter>[A-Z])(?![\w'’])(?=(?P<after>[^\n]{0,24}))"
        ),
    ),
    (
        "is_correct",
        re.compile(
            rf"(?<![\w'’])[*(\[]{{0,3}}{_BARE}[*)\].]{{0,3}}(?P<after>)"
            rf"[ \t](?:is|would be|seems)[ \t](?:the[ \t])?(?:most[ \t])?(?:likely[ \t])?{_BEST}"
        ),
    ),
    ("bold", re.compile(rf"\*\*[(\[]?{_BARE}(?:[)\].:](?P<after>[^*\n]{{0,200}}))?\*\*")),
    (
        "lone_line",
        re.compile(
            rf"(?m:^)[ \t*_`>$(\[]{{0,6}}{_BARE}(?P<after>[)\].:*_`$]{{0,6}})[ \t]{{0,4}}(?m:$)"
        ),
    ),
    (
        "last_bracket",
        re.compile(rf"\b(?:is|are|be)\b[^\n.]{{0,80}}\({_BARE}\)(?P<after>)[.*\s]{{0,9}}\Z"),
    ),
)
_OPTION_LINE = re.compile(
    rf"(?m:^)[ \t*_`>]{{0,6}}(?P<open>[(\[])?{_BARE}(?(open)[)\]]|[).:])[ \t][^\n]{{0,400}}(?m:$)"
)
_WHOLE = re.compile(
    r"\s*(?:[*_`\"'$]|\\[(\[]|\\(?:text|mathrm|mathbf)\{){0,6}[(\[]?(?P<letter>[A-Za-z])[)\]]?"
    r"(?:[.:*_`\"'$}]|\\[)\]]){0,6}\s*"
)
# What our prompts ask the last line to be.
_ASKED = re.compile(r"Answer:[ \t]*\**\(?(?P<letter>[A-Za-z])\)?[.*]{0,3}\s*\Z")
# Words that may follow a bare letter that is a choice, not an article or a pronoun.
_GOES_ON = re.compile(
    r"[ \t]+(?:is|was|because|since|as|and|or|due|for|with|which|based|given|if|but|by|from)\b"
)
_WORD_FOLLOWS = re.compile(r"[ \t]+[a-z]")


@lru_cache(maxsize=64)
def option_letters(options: str | int) -> str:
    """The allowed letters: ``"ABCD"`` or a number of options."""
    return LETTERS[:options] if isinstance(options, int) else options.upper()


def _accepts(match: re.Match[str]) -> bool:
    """Whether a letter stands for an option and is not a word of the sentence."""
    letter, after = match["letter"], match["after"] or ""
    if "\n" in match[0] and match[0][0] in "oO" and after.strip(" .)]*"):
        return False  # "each option:" and then a list of them
    if letter.islower():
        # lower case counts only where brackets or the end of the line set it apart
        before = match.string[match.start("letter") - 1 : match.start("letter")]
        bracketed = before in ("(", "[", "{", "*") and after[:1] in (")", "]", "}", "*")
        return bracketed or not after.strip(" .)*$}")
    if letter in "AI" and _WORD_FOLLOWS.match(after):
        return _GOES_ON.match(after) is not None
    return True


def _rule_of(rule: str, match: re.Match[str]) -> str:
    """``Answer: B`` is an answer line; ``the answer is B``, ``Option: B`` say it in words."""
    if rule != "answer_line" or (match["is"] is None and match[0][:6].lower() == "answer"):
        return rule
    return "answer_is"


def _last_accepted(
    words: tuple[str, ...],
    pattern: re.Pattern[str],
    text: str,
    lower: str,
    rules: frozenset[str],
) -> re.Match[str] | None:
    while (match := last_after(words, pattern, text, lower)) is not None:
        if _accepts(match) and (
            pattern is not _ANNOUNCED or _rule_of("answer_line", match) in rules
        ):
            return match
        lower = lower[: match.start()]
    return None


def choice(
    text: str,
    options: str | int = "ABCD",
    pattern: str | None = None,
    *,
    order: Order = "last",
    lenient: bool = True,
    rules: frozenset[str] = STRICT,
) -> Extraction | None:
    r"""The letter chosen, in upper case; None if there is none or it is not an option.

    Announced choices (``Answer: B``, ``the answer is (B)``, ``#### B``, ``\boxed{B}``) come before
    lenient readings (``I pick B``, ``**B**``, a line of its own). A user's ``pattern`` replaces all
    rules; its first group (or whole match) is the letter. ``order="first"`` is how MMLU-Pro's own
    script reads: the first ``answer is X`` counts, for models that run on into further questions
    (unless the text ends with the line ``Answer: X`` that was asked for). Announcements by other
    than ``rules`` are passed over.

    >>> choice("Answer: A is tempting. Final Answer: B").value
    'B'
    >>> choice("Answer: Because it is so") is None
    True
    """
    letters = option_letters(options)
    if pattern is not None:
        return _by_pattern(text, letters, pattern)
    if "whole" in rules and len(text) < 60 and (whole := _WHOLE.fullmatch(text)):
        return _chosen(whole, "whole", letters)
    found = _first_announced(text, rules) if order == "first" else _last_announced(text, rules)
    if found is not None:
        return _chosen(found[1], found[0], letters)
    return _lenient(text, letters) if lenient else None


_Found = tuple[str, re.Match[str]]


def _last_announced(text: str, rules: frozenset[str]) -> _Found | None:
    lower = lowered(text)
    found: list[_Found] = []
    for rule, words, pattern in _STRICT_RULES:
        if rules.isdisjoint(_ANNOUNCEMENTS) if rule == "answer_line" else rule not in rules:
            continue
        match = _last_accepted(words, pattern, text, lower, rules)
        if match is not None:
            found.append((_rule_of(rule, match), match))
    return max(found, key=lambda item: item[1].start("letter"), default=None)


def _first_announced(text: str, rules: frozenset[str]) -> _Found | None:
    if "answer_line" in rules and (asked := _ASKED.search(text, max(0, len(text) - 40))):
        return "answer_line", asked
    for rule, pattern in (("answer_is", _REFERENCE_IS), ("answer_line", _REFERENCE_COLON)):
        if rule in rules and (match := pattern.search(text)) is not None:
            return rule, match
    return _last_announced(text, rules)


# TIGER-AI-Lab/MMLU-Pro, evaluate_from_local.py: the first match of each, in this order.
_REFERENCE_IS = re.compile(r"answer is \(?(?P<letter>[A-J])\)?")
_REFERENCE_COLON = re.compile(r"[aA]nswer:\s{0,20}(?P<letter>[A-J])(?![\w'’])")


def _lenient(text: str, letters: str) -> Extraction | None:
    for rule, pattern in _LENIENT_RULES:
        match = last_match(pattern, text)
        if match is not None and _accepts(match):
            return _chosen(match, rule, letters)
    match = _only_option_line(text)
    return None if match is None else _chosen(match, "option_line", letters)


def _only_option_line(text: str) -> re.Match[str] | None:
    """``B) because ...`` as first or last line, unless several options are gone through."""
    found = None
    for match in _OPTION_LINE.finditer(text):
        if found is not None:
            return None
        found = match
    if found is None:
        return None
    edge = not text[: found.start()].strip() or not text[found.end() :].strip()
    return found if edge else None


def _chosen(match: re.Match[str], rule: str, letters: str) -> Extraction | None:
    letter = match["letter"].upper()
    if letter not in letters:
        return None
    return Extraction(value=letter, rule=rule, span=match.span("letter"))


def _by_pattern(text: str, letters: str, pattern: str) -> Extraction | None:
    match = last_match(compiled(pattern), text)
    if match is None:
        return None
    group = 1 if match.re.groups else 0
    value = (match[group] or "").strip("()[]*. ").upper()
    if len(value) != 1 or value not in letters:
        return None
    return Extraction(value=value, rule="pattern", span=match.span(group))

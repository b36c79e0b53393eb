"""The letter (or other label) a response chooses.

The last announced choice wins. No answer is: a label outside the options, the first letter of a
word (``Answer: Because``), the article ``A``, the pronoun ``I``, a label that is denied (``not A``,
``A is wrong``), and several labels at once (``A and C``, ``B/C``).
"""

from __future__ import annotations

import re
from collections import deque
from functools import lru_cache
from typing import Literal

from ..types import Extraction
from .announcements import CHOOSE
from .choice_rules import (
    CLOSE,
    DENIED_AFTER,
    DENIED_BEFORE,
    FOREIGN_WORDS,
    GOES_ON,
    OPEN,
    WORD_FOLLOWS,
    Rules,
    Strict,
)
from .choice_rules import rules as rules_for
from .extract import STRICT, TAIL, announced, compiled, last_after, last_match, lowered
from .late import late_pattern
from .targets import LETTERS, choice_target

Order = Literal["last", "first"]
_Match = re.Match[str]

_ANNOUNCEMENTS = ("answer_line", "answer_is")


@lru_cache(maxsize=64)
def option_letters(options: str | int) -> str:
    """The allowed labels: ``"ABCD"`` or a number of options."""
    return LETTERS[:options] if isinstance(options, int) else options.upper()


def _accepts(match: _Match) -> bool:
    """Whether a label stands for an option: no word of the sentence, and not denied."""
    letter, after = match["letter"], match["after"] or ""
    at = match.start("letter")
    if "\n" in match[0] and match[0][0] in "oO" and after.strip(" .)]*"):
        return False  # "each option:" and then a list of them
    if DENIED_AFTER.match(match.string, match.end("letter")):
        return False
    if DENIED_BEFORE.search(match.string[max(0, match.start() - 30) : match.start()]):
        return False
    if DENIED_BEFORE.search(match.string[max(0, at - 40) : at]):
        return False
    if letter.islower():
        # lower case counts only where brackets or the end of the line set it apart
        before = match.string[at - 1 : at]
        bracketed = before in tuple("([{*" + OPEN) and after[:1] in tuple(")]}*" + CLOSE)
        return bracketed or not after.strip(" .)*$}")
    if letter in "AI" and WORD_FOLLOWS.match(after):
        return GOES_ON.match(after) is not None
    return True


_MORE = late_pattern(r"^(?:(?:,|\s(?:and|or|&))\s\(?[A-Z]\)?(?![^\W_])){1,4}")
_OTHERS = ("other", "last", "listed", "also")


def _is_one_of_several(match: _Match, rules: Rules, letters: str) -> bool:
    """Whether a label is one of several: ``A and C``."""
    text, letter = match.string, match["letter"].upper()
    after = rules.joined_after.match(text, match.end("letter"))
    other = after and next(filter(None, map(after.group, _OTHERS)), None)
    if after is not None and other is not None and other in letters:
        rest = after["rest"] or ""
        word = other in "AI" and WORD_FOLLOWS.match(rest) and not GOES_ON.match(rest)
        denied = DENIED_AFTER.match(rest) or DENIED_AFTER.match(_MORE.sub("", rest))
        if other != letter and not word and not denied:
            return True
    at = match.start("letter")
    before = rules.joined_before.search(text[max(0, at - 40) : at])
    return before is not None and before["other"] in letters and before["other"] != letter


def _rule_of(rule: str, match: _Match) -> str:
    """``Answer: B`` is an answer line; ``the answer is B``, ``Option: B`` say it in words."""
    if rule != "answer_line":
        return rule
    in_words = match["is"] is not None or match[0][:3].lower() != "ans"
    return "answer_is" if in_words else rule


def _last_accepted(strict: Strict, text: str, lower: str, wanted: frozenset[str]) -> _Match | None:
    words = strict.words
    if words is FOREIGN_WORDS and text.isascii():
        words = _LATIN_WORDS
    end = len(lower)
    while (match := last_after(words, strict.pattern, text, lower, end)) is not None:
        if _accepts(match) and _rule_of(strict.rule, match) in wanted:
            return match
        end = match.start()
    return None


_LATIN_WORDS = tuple(word for word in FOREIGN_WORDS if word.isascii())


def choice(
    text: str,
    options: str | int = "ABCD",
    pattern: str | None = None,
    *,
    order: Order = "last",
    lenient: bool = True,
    rules: frozenset[str] = STRICT,
) -> Extraction | None:
    r"""The label chosen, in upper case; None if there is none, several, or none of the options.

    Announced choices (``Answer: B``, ``the answer is (B)``, ``#### B``, ``\boxed{B}``) come before
    lenient readings (``I pick B``, ``**B**``, a line of its own). A user's ``pattern`` replaces all
    rules; its first group (or whole match) is the label, or any other text. ``order="first"`` is
    how MMLU-Pro's own script reads: the first ``answer is X`` counts, for models that run on into
    further questions (unless the text ends with the line ``Answer: X`` that was asked for).
    Announcements by other than ``rules`` are passed over.

    >>> choice("Answer: A is tempting. Final Answer: B").value
    'B'
    >>> choice("Answer: Because it is so") is None, choice("Answer: A and C") is None
    (True, True)
    """
    letters = option_letters(options)
    if pattern is not None:
        return _by_pattern(text, letters, pattern)
    known = rules_for(letters)
    if "whole" in rules and len(text) < 60 and (whole := known.whole.fullmatch(text)):
        return _chosen(whole, "whole", letters)
    reader = _first_announced if order == "first" else _last_announced
    found = reader(text, known, rules)
    if found is None:
        return _lenient(text, known, letters) if lenient else None
    rule, match = found
    if order == "last" and _is_one_of_several(match, known, letters):
        return None  # MMLU-Pro's script takes the first of several
    return _chosen(match, rule, letters)


_Found = tuple[str, _Match]


def _last_announced(text: str, known: Rules, rules: frozenset[str]) -> _Found | None:
    lower = lowered(text)
    found: list[_Found] = []
    for strict in known.strict:
        wanted = rules & set(_ANNOUNCEMENTS if strict.rule == "answer_line" else (strict.rule,))
        if wanted and (match := _last_accepted(strict, text, lower, wanted)) is not None:
            found.append((_rule_of(strict.rule, match), match))
    return max(found, key=lambda item: item[1].start("letter"), default=None)


def _first_announced(text: str, known: Rules, rules: frozenset[str]) -> _Found | None:
    if "answer_line" in rules and (asked := known.asked.search(text, max(0, len(text) - 40))):
        return "answer_line", asked
    for rule, pattern in (("answer_is", _REFERENCE_IS), ("answer_line", _REFERENCE_COLON)):
        if rule in rules and (match := pattern.search(text)) is not None:
            return rule, match
    return _last_announced(text, known, rules)


# TIGER-AI-Lab/MMLU-Pro, evaluate_from_local.py: the first match of each, in this order.
_REFERENCE_IS = late_pattern(r"answer is \(?(?P<letter>[A-J])\)?")
_REFERENCE_COLON = late_pattern(r"[aA]nswer:\s{0,20}(?P<letter>[A-J])(?![\w'’])")


def _lenient(text: str, known: Rules, letters: str) -> Extraction | None:
    for rule, pattern in known.lenient:
        match = _last_of(pattern, text)
        if match is None and rule == "choose":
            match = _foreign_choice(text, known)
        if match is not None:
            return (
                None if _is_one_of_several(match, known, letters) else _chosen(match, rule, letters)
            )
    match = known.opening.match(text) or _only_option_line(text, known.option_line)
    return None if match is None else _chosen(match, "option_line", letters)


def _foreign_choice(text: str, known: Rules) -> _Match | None:
    """``I choose B`` in other languages."""
    words = _CHOOSE_WORDS if not text.isascii() else _CHOOSE_LATIN
    match = last_after(words, known.foreign_choose, text, lowered(text))
    if match is not None and match["letter"].isupper() and _accepts(match):
        return match
    return None if text.isascii() else _last_of(known.chosen_after, text)


_CHOOSE_WORDS = tuple(word.lower() for word in CHOOSE)
_CHOOSE_LATIN = tuple(word for word in _CHOOSE_WORDS if word.isascii())
_CANDIDATES = 20
"""Matches of a lenient rule that are looked at, from the last one on."""


def _last_of(pattern: re.Pattern[str], text: str) -> _Match | None:
    """The last match of a rule that is accepted; the end of the text is looked at first."""
    for start in (max(0, len(text) - TAIL), 0):
        start = text.rfind("\n", 0, start) + 1
        for match in reversed(deque(pattern.finditer(text, start), maxlen=_CANDIDATES)):
            if _accepts(match):
                return match
        if start == 0:
            break
    return None


_LISTED = late_pattern(r"(?<![^\W_])\(?[A-Z1-9][).](?=\s)")
"""Further options on one line: (A) x (B) y (C) z."""


def _only_option_line(text: str, pattern: re.Pattern[str]) -> _Match | None:
    """``B) because ...`` as first or last line, unless several options are gone through."""
    found = None
    for match in pattern.finditer(text):
        if found is not None:
            return None
        found = match
    if (
        found is None
        or len(_LISTED.findall(found[0], 3)) > 1
        or DENIED_AFTER.match(text, found.end("letter"))
    ):
        return None
    edge = not text[: found.start()].strip() or not text[found.end() :].strip()
    return found if edge else None


def _chosen(match: _Match, rule: str, letters: str) -> Extraction | None:
    letter = match["letter"].upper()
    if letter not in letters:
        return None
    return Extraction(value=letter, rule=rule, span=match.span("letter"))


def _by_pattern(text: str, letters: str, pattern: str) -> Extraction | None:
    match = last_match(compiled(pattern), text)
    if match is None:
        return None
    group = 1 if match.re.groups else 0
    value = (match[group] or "").strip("()[]*. \n\t")
    if len(value) == 1 and value.isascii() and value.isalpha():
        value = value.upper()
        if value not in letters:
            return None
    return Extraction(value=value, rule="pattern", span=match.span(group)) if value else None


def choices(
    text: str, options: str | int = "ABCD", *, rules: frozenset[str] = STRICT
) -> Extraction | None:
    """The set of labels an announcement names, where a question has several right options.

    >>> choices("Answer: (C) and (A)").value, choices("Answer: A or C") is None
    ('A, C', True)
    """
    found = announced(text, rules | {"whole"})
    if found is None:
        return None
    named = choice_target(found.value, option_letters(options))
    if named.problem is not None:
        return None
    return Extraction(value=", ".join(sorted(named.labels)), rule=found.rule, span=found.span)

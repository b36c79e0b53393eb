"""The letter (or other label) a response chooses.

The last announced choice wins. No answer is: a label outside the options, the first letter of a
word (``Answer: Because``), the article ``A``, the pronoun ``I``, a label that is denied (``not A``,
``A is wrong``), and several labels at once (``A and C``, ``B/C``).
"""

from __future__ import annotations

import re
from collections import deque
from functools import lru_cache
from typing import Literal, NamedTuple

from ..types import Extraction
from .announcements import ANSWER, CHOOSE, CHOSEN_AFTER, FILLERS, NOT, alternation
from .extract import STRICT, TAIL, announced, compiled, last_after, last_match, lowered
from .targets import LETTERS, choice_target

Order = Literal["last", "first"]
_Match = re.Match[str]

_OPEN = r"\"“”„‘'«「『【〈<"
_CLOSE = r"\"”“’'»」』】〉>"
_WRAP = (
    rf"(?:[ \t*_`(\[{{$\u00a0{_OPEN}]|\\[()\[]|\\(?:boxed|fbox|text(?:bf)?|mathrm|mathbf)[ ]?\{{|"
    r"(?:option|choice|letter|answer|the|indeed|therefore|probably|likely|clearly)[ \t:])"
)
# Scripts from Thai on may follow a label without a space: 选A项, Bです.
# A glued sign makes another name of it: C++, F#, B-12, D-glucose, A.M.
_EDGE = r"(?![^\W_\u0e00-\uffff])(?!_[^\W_]|-\w|[+#]|\.[A-Za-z]\.)"
_START = r"(?<![^\W\u0e00-\uffff])(?<!['’])"
_IS = r"(?:(?P<is>is|are|would be|will be|must be|should be|was)|[:：=])"
_WORDS = ("answer", "option", "choice", "selection", "response")
_FOREIGN_WORDS = tuple(word.lower() for word in ANSWER)
_ANNOUNCEMENTS = ("answer_line", "answer_is")
_BEST = r"(?:correct|right|best|true|accurate|appropriate)"
_LINE = r"(?:[ \t]{0,4}\n[ \t\n]{0,6})?"


class _Strict(NamedTuple):
    """A rule under which a choice is announced, and the words its pattern starts with."""

    rule: str
    words: tuple[str, ...]
    pattern: re.Pattern[str]


class _Rules(NamedTuple):
    """The patterns for one set of labels."""

    strict: tuple[_Strict, ...]
    lenient: tuple[tuple[str, re.Pattern[str]], ...]
    foreign_choose: re.Pattern[str]
    chosen_after: re.Pattern[str]
    option_line: re.Pattern[str]
    whole: re.Pattern[str]
    asked: re.Pattern[str]
    joined_after: re.Pattern[str]
    joined_before: re.Pattern[str]


_AND = (
    r"(?:[/&+|\\和或及與与]|\s-\s|\\text\{\s?(?:and|or)\s?\}|\band/or\b|\bas well as\b"
    r"|\b(?:and|or|und|oder|y|o|u|et|ou|e|и|или|en|of|dan|atau|ve|veya|và|hoặc)\b"
    r"|と|または|및|또는|와|과)"
)
_CLOSERS = rf"[)\]}}*_.{_CLOSE}]{{0,4}}"
_OPENERS = (
    r"(?:(?:option|choice|answer|both)s?\s)?"
    rf"(?:\$?\\(?:text\w{{0,2}}|boxed|math\w\w)\{{|[(\[{{*_{_OPEN}]){{0,4}}"
)


@lru_cache(maxsize=64)
def _rules(labels: str) -> _Rules:
    latin = labels.isascii() and labels.isalpha()
    bare_class = "A-Z" if latin else re.escape(labels)
    any_class = "A-Za-z" if latin else re.escape(labels + labels.lower())
    label = (
        rf"(?P<letter>[{any_class}]){_EDGE}(?!['’]\w|[.,]\d)(?:(?!['’])|(?<=['‘].))"
        r"(?=(?P<after>[^\n]{0,24}))"
    )
    bare = rf"(?P<letter>[{bare_class}])"
    ahead = r"(?=(?P<after>[^\n]{0,24}))"
    answer = re.compile(
        rf"(?<![^\W_])(?:{'|'.join(_WORDS)})s?\b(?:[ \t](?:choice|option|letter))?"
        r"(?:[ \t](?:to|for|that|which|corresponding)\b[^\n.:]{0,120}?)?"
        rf"[ \t*_`\"]{{0,5}}{_IS}[ \t]?[:：]?[*_]{{0,3}}{_LINE}{_WRAP}{{0,8}}{label}",
        re.IGNORECASE,
    )
    foreign = re.compile(
        rf"(?:{alternation(ANSWER)})(?:(?P<is>{FILLERS}{{1,6}})[ \t]{{0,2}}[:：]?"
        rf"|[ \t*_`\"]{{0,5}}[:：=—–-]){FILLERS}{{0,3}}[*_]{{0,3}}{_LINE}{_WRAP}{{0,8}}{label}",
        re.IGNORECASE,
    )
    return _Rules(
        strict=(
            _Strict("answer_line", _WORDS, answer),
            _Strict("other_language", _FOREIGN_WORDS, foreign),
            _Strict("hashes", ("####",), re.compile(rf"####{_WRAP}{{0,8}}{label}")),
            _Strict(
                "boxed",
                ("\\boxed", "\\fbox"),
                re.compile(rf"\\f?box(?:ed)?[ ]?(?:\{{|[ ](?=\w)){_WRAP}{{0,8}}{label}"),
            ),
            _Strict(
                "answer_tag",
                ("<answer>",),
                re.compile(rf"(?i:<answer>)\s{{0,9}}{_WRAP}{{0,8}}{label}"),
            ),
        ),
        lenient=(
            (
                "choose",
                re.compile(
                    rf"\b(?:choose|select|pick|(?:going|go) with|making)[ \t](?:option[ \t])?"
                    rf"{_WRAP}{{0,6}}{bare}{_EDGE}(?!['’]\w){ahead}"
                ),
            ),
            (
                "is_correct",
                re.compile(
                    rf"{_START}[*(\[{_OPEN}]{{0,3}}{bare}[*)\].{_CLOSE}]{{0,3}}{ahead}"
                    r"[ \t](?:is|would be|seems)[ \t](?:the[ \t])?(?:most[ \t])?"
                    rf"(?:likely[ \t])?{_BEST}"
                ),
            ),
            (
                "bold",
                re.compile(
                    rf"\*\*[(\[{_OPEN}]?{bare}[{_CLOSE}]?(?:[)\].:](?:[^*\n]{{0,200}}))?\*\*{ahead}"
                ),
            ),
            (
                "lone_line",
                re.compile(
                    rf"(?m:^)[ \t*_`>$(\[{_OPEN}]{{0,6}}{bare}"
                    rf"(?P<after>[)\].:*_`${_CLOSE}]{{0,6}})[ \t]{{0,4}}(?m:$)"
                ),
            ),
            (
                "last_bracket",
                re.compile(rf"\b(?:is|are|be)\b[^\n.]{{0,80}}\({bare}\)(?P<after>)[.*\s]{{0,9}}\Z"),
            ),
        ),
        foreign_choose=re.compile(
            rf"(?:{alternation(CHOOSE)}){FILLERS}{{0,4}}[ \t:：]{{0,3}}{_WRAP}{{0,6}}{bare}{_EDGE}"
            rf"(?!['’]\w){ahead}",
            re.IGNORECASE,
        ),
        chosen_after=re.compile(
            rf"{_START}[*(\[{_OPEN}]{{0,3}}{bare}[*)\]{_CLOSE}]{{0,3}}(?={CHOSEN_AFTER}){ahead}"
        ),
        option_line=re.compile(
            rf"(?m:^)[ \t*_`>]{{0,6}}(?P<open>[(\[])?{bare}(?(open)[)\]]|[).:])[ \t]"
            r"[^\n]{0,400}(?m:$)"
        ),
        whole=re.compile(
            rf"\s*(?:[*_`$\[({{{_OPEN}]|\\[(\[]|\\(?:text|mathrm|mathbf|boxed)\{{){{0,6}}"
            rf"(?P<letter>[{any_class}])(?:[)\].:*_`$}}。{_CLOSE}]|\\[)\]]){{0,7}}\s*"
        ),
        # what our prompts ask the last line to be
        asked=re.compile(rf"Answer:[ \t]*\**\(?(?P<letter>[{any_class}])\)?[.*]{{0,3}}\s*\Z"),
        joined_after=re.compile(
            rf"{_CLOSERS}\s{{0,2}}\(?(?:[,;、]|{_AND})\s{{0,2}}(?:(?:and|or|also)\s)?{_OPENERS}"
            rf"(?P<other>[{bare_class}]){_EDGE}(?P<rest>[^\n]{{0,24}})"
            rf"|[).:]\s[^\n.]{{1,60}}\s(?:and|or|&)\s\(?(?P<listed>[{bare_class}])[).:]"
            rf"|\.\s[Aa]lso\s\(?(?P<also>[{bare_class}]){_EDGE}"
            rf"|\s{{1,2}}(?P<last>[{bare_class}])(?=[ \t]*(?:\n|\Z|[ \t][{bare_class}]\b))"
        ),
        joined_before=re.compile(
            rf"{_START}(?P<other>[{bare_class}]){_CLOSERS}"
            rf"(?:\s{{0,2}}{_AND}\s{{0,2}}|[ \t]{{0,3}}\n[ \t\n]{{0,3}}(?=\S?\Z)){_OPENERS}$"
        ),
    )


# Words that may follow a bare letter that is a choice, not an article or a pronoun.
_GOES_ON = re.compile(
    r"[ \t]+(?:is|was|because|since|as|and|or|due|for|with|which|based|given|if|but|by|from)\b"
)
_WORD_FOLLOWS = re.compile(r"[ \t]+[a-z]")
_DENIED_BEFORE = re.compile(
    r"(?:(?:\b(?:not|never|cannot|neither|nor|rather than|instead of|unlike)|n['’]t"
    r"|\b(?:eliminat|exclud|reject|discard|dismiss)\w{1,4}|\brul(?:e|es|ed|ing) out)"
    r"(?:\s(?:be|is|the|options?|choose|pick|select|go with|answer|choice|an?|likely|choosing"
    r"|to)){0,4}"
    rf"[\s(\[*{_OPEN}`]{{0,6}}$)|{NOT}",
    re.IGNORECASE,
)
_DENIED_AFTER = re.compile(
    rf"[)\]*.:{_CLOSE}`]{{0,4}}\s(?:is|are|was|seems|can be|would be|must be|could be)"
    r"(?:n['’]t\b|\s(?:also\s)?(?:not\b|wrong|incorrect|false|ruled out|eliminated|excluded"
    r"|unlikely|invalid|tempting|impossible))",
    re.IGNORECASE,
)


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
    if _DENIED_AFTER.match(match.string, match.end("letter")):
        return False
    if _DENIED_BEFORE.search(match.string[max(0, match.start() - 30) : match.start()]):
        return False
    if _DENIED_BEFORE.search(match.string[max(0, at - 40) : at]):
        return False
    if letter.islower():
        # lower case counts only where brackets or the end of the line set it apart
        before = match.string[at - 1 : at]
        bracketed = before in tuple("([{*" + _OPEN) and after[:1] in tuple(")]}*" + _CLOSE)
        return bracketed or not after.strip(" .)*$}")
    if letter in "AI" and _WORD_FOLLOWS.match(after):
        return _GOES_ON.match(after) is not None
    return True


_OTHERS = ("other", "last", "listed", "also")


def _several(match: _Match, rules: _Rules, letters: str) -> bool:
    """Whether a label is one of several: ``A and C``."""
    text, letter = match.string, match["letter"].upper()
    after = rules.joined_after.match(text, match.end("letter"))
    other = after and next(filter(None, map(after.group, _OTHERS)), None)
    if after is not None and other is not None and other in letters:
        rest = after["rest"] or ""
        word = other in "AI" and _WORD_FOLLOWS.match(rest) and not _GOES_ON.match(rest)
        if other != letter and not word and not _DENIED_AFTER.match(rest):
            return True
    at = match.start("letter")
    before = rules.joined_before.search(text[max(0, at - 40) : at])
    return before is not None and before["other"] in letters and before["other"] != letter


def _rule_of(rule: str, match: _Match) -> str:
    """``Answer: B`` is an answer line; ``the answer is B``, ``Option: B`` say it in words."""
    if rule != "answer_line":
        return rule
    option = match[0][:6].lower() in ("option", "choice", "select", "respon")
    return "answer_is" if match["is"] is not None or option else rule


def _last_accepted(strict: _Strict, text: str, lower: str, wanted: frozenset[str]) -> _Match | None:
    words = strict.words
    if words is _FOREIGN_WORDS and text.isascii():
        words = _LATIN_WORDS
    end = len(lower)
    while (match := last_after(words, strict.pattern, text, lower, end)) is not None:
        if _accepts(match) and _rule_of(strict.rule, match) in wanted:
            return match
        end = match.start()
    return None


_LATIN_WORDS = tuple(word for word in _FOREIGN_WORDS if word.isascii())


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
    known = _rules(letters)
    if "whole" in rules and len(text) < 60 and (whole := known.whole.fullmatch(text)):
        return _chosen(whole, "whole", letters)
    reader = _first_announced if order == "first" else _last_announced
    found = reader(text, known, rules)
    if found is None:
        return _lenient(text, known, letters) if lenient else None
    rule, match = found
    if order == "last" and _several(match, known, letters):
        return None  # MMLU-Pro's script takes the first of several
    return _chosen(match, rule, letters)


_Found = tuple[str, _Match]


def _last_announced(text: str, known: _Rules, rules: frozenset[str]) -> _Found | None:
    lower = lowered(text)
    found: list[_Found] = []
    for strict in known.strict:
        wanted = rules & set(_ANNOUNCEMENTS if strict.rule == "answer_line" else (strict.rule,))
        if wanted and (match := _last_accepted(strict, text, lower, wanted)) is not None:
            found.append((_rule_of(strict.rule, match), match))
    return max(found, key=lambda item: item[1].start("letter"), default=None)


def _first_announced(text: str, known: _Rules, rules: frozenset[str]) -> _Found | None:
    if "answer_line" in rules and (asked := known.asked.search(text, max(0, len(text) - 40))):
        return "answer_line", asked
    for rule, pattern in (("answer_is", _REFERENCE_IS), ("answer_line", _REFERENCE_COLON)):
        if rule in rules and (match := pattern.search(text)) is not None:
            return rule, match
    return _last_announced(text, known, rules)


# TIGER-AI-Lab/MMLU-Pro, evaluate_from_local.py: the first match of each, in this order.
_REFERENCE_IS = re.compile(r"answer is \(?(?P<letter>[A-J])\)?")
_REFERENCE_COLON = re.compile(r"[aA]nswer:\s{0,20}(?P<letter>[A-J])(?![\w'’])")


def _lenient(text: str, known: _Rules, letters: str) -> Extraction | None:
    for rule, pattern in known.lenient:
        match = _last_of(pattern, text)
        if match is None and rule == "choose":
            match = _foreign_choice(text, known)
        if match is not None:
            return None if _several(match, known, letters) else _chosen(match, rule, letters)
    match = _only_option_line(text, known.option_line)
    return None if match is None else _chosen(match, "option_line", letters)


def _foreign_choice(text: str, known: _Rules) -> _Match | None:
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


def _only_option_line(text: str, pattern: re.Pattern[str]) -> _Match | None:
    """``B) because ...`` as first or last line, unless several options are gone through."""
    found = None
    for match in pattern.finditer(text):
        if found is not None:
            return None
        found = match
    if found is None or _DENIED_AFTER.match(text, found.end("letter")):
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

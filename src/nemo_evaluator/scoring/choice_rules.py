"""The patterns by which a label is found in a text, for any set of labels.

Every pattern has a group ``letter`` (the label) and most a group ``after`` (what follows it).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from .announcements import (
    ANSWER,
    CHOOSE,
    CHOSEN_AFTER,
    DENIED,
    FILLERS,
    NOT,
    WITHOUT_COPULA,
    alternation,
)
from .late import late_pattern

OPEN = r"\"“”„‘'«「『【〈<"
CLOSE = r"\"”“’'»」』】〉>"
_WRAP = (
    rf"(?:[ \t*_`(\[{{$\u00a0{OPEN}]|\\[()\[]|\\(?:boxed|fbox|text(?:bf)?|mathrm|mathbf)[ ]?\{{|"
    r"(?i:option|choice|letter|answer|the|is|to be|most|indeed|therefore|probably|likely|clearly"
    r"|definitely|certainly|obviously|simply|surely)[ \t:])"
)
# Scripts from Thai on may follow a label without a space: 选A项, Bです.
# A glued sign makes another name of it: C++, F#, B-12, D-glucose, A.M.
_EDGE = r"(?![^\W_\u0e00-\uffff])(?!_[^\W_]|-\w|[+#]|\.[A-Za-z]\.)"
_START = r"(?<![^\W\u0e00-\uffff])(?<!['’])"
_IS = (
    r"(?:(?P<is>is|are|would be|will be|must be|should be|has to be|seems|appears|was)|[:：=]"
    r"|[-=]>|[→–—])"
)
_WORDS = (
    *("answer", "ans", "option", "choice", "selection", "response", "pick", "solution", "result"),
    *("conclusion", "output", "correct"),
)
FOREIGN_WORDS = tuple(word.lower() for word in (*ANSWER, *WITHOUT_COPULA))
_NOT_BUT = r"(?:not[ \t]\(?[A-Z]\)?,?[ \t]but[ \t](?:rather[ \t])?)?"
_SUPPOSED = r"(?<!\b[Ii]f\s)(?<!\b[Ii]f\s\()(?<!hether\s)(?<!hether\s\()(?<!ssume\s)(?<!uppose\s)"
_CHANGE = tuple(
    f"{verb} {whose} answer"
    for verb in ("change", "changed", "changing", "revise", "revised", "revising")
    for whose in ("my", "the")
)
_BEST = r"(?:correct|right|best|true|accurate|appropriate)"
_LINE = r"(?:[ \t]{0,4}\n[ \t\n]{0,6})?"


class Strict(NamedTuple):
    """A rule under which a choice is announced, and the words its pattern starts with."""

    rule: str
    words: tuple[str, ...]
    pattern: re.Pattern[str]


class Rules(NamedTuple):
    """The patterns for one set of labels."""

    strict: tuple[Strict, ...]
    lenient: tuple[tuple[str, re.Pattern[str]], ...]
    foreign_choose: re.Pattern[str]
    chosen_after: re.Pattern[str]
    option_line: re.Pattern[str]
    opening: re.Pattern[str]
    whole: re.Pattern[str]
    asked: re.Pattern[str]
    joined_after: re.Pattern[str]
    joined_before: re.Pattern[str]


_AND = (
    r"(?:[/&+|\\和或及與与]|\s-\s(?!both)|\\text\{\s?(?:and|or)\s?\}|\band/or\b"
    r"|\b(?:as well as|then|lub|and|or"
    r"|und|oder|y|o|u|et|ou|e|и|или|en|of|dan|atau|ve|veya|và|hoặc)\b"
    r"|と|または|및|또는|와|과)"
)
_CLOSERS = rf"[)\]}}*_.{CLOSE}]{{0,4}}"
_OPENERS = (
    r"(?:(?:option|choice|answer|both)s?\s)?"
    rf"(?:\$?\\(?:text\w{{0,2}}|boxed|math\w\w)\{{|[(\[{{*_{OPEN}]){{0,4}}"
)


_AHEAD = r"(?=(?P<after>[^\n]{0,24}))"


def _announcements(label: str) -> tuple[Strict, ...]:
    answer = late_pattern(
        rf"(?<![^\W_])(?:{'|'.join(_WORDS)})s?\b\.?(?:[ \t](?:choice|option|letter))?"
        r"(?:,[ \t](?:then|therefore|thus),)?"
        r"(?:[ \t](?:to|for|that|which|corresponding)\b[^\n.:]{0,120}?)?"
        rf"[ \t*_`\"']{{0,5}}{_IS}[ \t]?[:：]?[*_]{{0,3}}{_LINE}{_NOT_BUT}"
        rf"{_WRAP}{{0,8}}{label}",
        re.IGNORECASE,
    )
    changed = late_pattern(
        rf"(?:{'|'.join(_CHANGE)})(?:[ \t]from[ \t]\(?[A-Z]\)?)?[ \t]to[ \t]{_WRAP}{{0,8}}{label}",
        re.IGNORECASE,
    )
    foreign = late_pattern(
        rf"(?:(?:{alternation(ANSWER)})(?:(?P<is>{FILLERS}{{1,6}})[ \t]{{0,2}}[:：]?"
        rf"|[ \t*_`\"]{{0,5}}[:：=—–-])|(?:{alternation(WITHOUT_COPULA)})[ \t])"
        rf"{FILLERS}{{0,3}}[*_]{{0,3}}{_LINE}{_WRAP}{{0,8}}{label}",
        re.IGNORECASE,
    )
    return (
        Strict("answer_line", _WORDS, answer),
        Strict("answer_is", _CHANGE, changed),
        Strict("other_language", FOREIGN_WORDS, foreign),
        Strict("hashes", ("####",), late_pattern(rf"####{_WRAP}{{0,8}}{label}")),
        Strict(
            "boxed",
            ("\\boxed", "\\fbox"),
            late_pattern(rf"\\f?box(?:ed)?[ ]?(?:\{{|[ ](?=\w)){_WRAP}{{0,8}}{label}"),
        ),
        Strict(
            "answer_tag",
            ("<answer>", "<final_answer>"),
            late_pattern(rf"(?i:<(?:final_)?answer>)\s{{0,9}}{_WRAP}{{0,8}}{label}"),
        ),
    )


def _readings(bare: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    return (
        (
            "choose",
            late_pattern(
                rf"\b(?:choose|select|pick|(?:going|go) with|making)[ \t](?:option[ \t])?"
                rf"{_WRAP}{{0,6}}{bare}{_EDGE}(?!['’]\w){_AHEAD}"
            ),
        ),
        (
            "is_correct",
            late_pattern(
                rf"{_SUPPOSED}{_START}[*(\[{OPEN}]{{0,3}}{bare}[*)\].{CLOSE}]{{0,3}}{_AHEAD}"
                r"[ \t](?:is|would be|seems)[ \t](?:(?:the[ \t])?(?:most[ \t])?"
                rf"(?:likely[ \t])?{_BEST}|(?:the|my|our)[ \t](?:final[ \t])?answer\b)"
                r"(?![^\n.!]{0,40}\?)"
            ),
        ),
        (
            "bold",
            late_pattern(
                rf"\*\*[(\[{OPEN}]?{bare}[{CLOSE}]?(?:[)\].:](?:[^*\n]{{0,200}}))?\*\*{_AHEAD}"
            ),
        ),
        (
            "lone_line",
            late_pattern(
                rf"(?m:^)[ \t*_`>$(\[{OPEN}]{{0,6}}{bare}"
                rf"(?P<after>[)\].:*_`${CLOSE}]{{0,6}})[ \t]{{0,4}}(?m:$)"
            ),
        ),
        (
            "closing",
            late_pattern(
                r"\b(?:[Ii]t(?: is|['’]s| must be)|[Tt]herefore|[Tt]hus|[Hh]ence|[Ss]o"
                r"|[Ii]n conclusion"
                r"|(?:is|to|matches|leaves)(?=[ \t](?:the[ \t])?(?:option|choice)))"
                r",?[ \t](?:the[ \t])?(?:(?:option|choice)[ \t])?"
                rf"[*(\[{OPEN}]{{0,3}}{bare}(?P<after>[*)\].!{CLOSE}]{{0,4}})\s{{0,9}}\Z"
            ),
        ),
        (
            "last_bracket",
            late_pattern(rf"\b(?:is|are|be)\b[^\n.]{{0,80}}\({bare}\)(?P<after>)[.*\s]{{0,9}}\Z"),
        ),
    )


def _joined(labels: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What joins a label to another after it, and to another before it."""
    after = late_pattern(
        rf"{_CLOSERS}\s{{0,2}}\(?(?:[,;、]|{_AND})\s{{0,2}}(?:(?:and|or|also)\s)?"
        rf"(?:(?:possibly|maybe|perhaps|probably|also)\s)?{_OPENERS}"
        rf"(?P<other>[{labels}]){_EDGE}(?P<rest>[^\n]{{0,24}})"
        rf"|[).:]\s[^\n.]{{1,60}}\s(?:and|or|&)\s\(?(?P<listed>[{labels}])[).:]"
        rf"|\.\s[Aa]lso\s\(?(?P<also>[{labels}]){_EDGE}"
        rf"|\s{{1,2}}(?P<last>[{labels}])(?=[ \t]*(?:\n|\Z|[ \t][{labels}]\b))"
    )
    before = late_pattern(
        rf"{_START}(?P<other>[{labels}]){_CLOSERS}"
        rf"(?:\s{{0,2}}{_AND}\s{{0,2}}|[ \t]{{0,3}}\n[ \t\n]{{0,3}}(?=\S?\Z)){_OPENERS}$"
    )
    return after, before


@lru_cache(maxsize=64)
def rules(labels: str) -> Rules:
    """The patterns for the labels."""
    latin = labels.isascii() and labels.isalpha()
    bare_class = "A-Z" if latin else re.escape(labels)
    any_class = "A-Za-z" if latin else re.escape(labels + labels.lower())
    label = rf"(?P<letter>[{any_class}]){_EDGE}(?!['’]\w|[.,]\d)(?:(?!['’])|(?<=['‘].)){_AHEAD}"
    bare = rf"(?P<letter>[{bare_class}])"
    joined_after, joined_before = _joined(bare_class)
    return Rules(
        strict=_announcements(label),
        lenient=_readings(bare),
        foreign_choose=late_pattern(
            rf"(?:{alternation(CHOOSE)}){FILLERS}{{0,4}}[ \t:：]{{0,3}}{_WRAP}{{0,6}}{bare}{_EDGE}"
            rf"(?!['’]\w){_AHEAD}",
            re.IGNORECASE,
        ),
        chosen_after=late_pattern(
            rf"{_START}[*(\[{OPEN}]{{0,3}}{bare}[*)\]{CLOSE}]{{0,3}}(?={CHOSEN_AFTER}){_AHEAD}"
        ),
        option_line=late_pattern(
            rf"(?m:^)[ \t*_`>]{{0,6}}(?P<open>[(\[])?{bare}(?(open)[)\]]|[).:])[ \t]"
            r"[^\n]{0,400}(?m:$)"
        ),
        # C because ..., C, since ...; in one line also: C - Rome
        opening=late_pattern(
            rf"\s*[*_`$(\[{OPEN}]{{0,6}}{bare}[*_`$)\]{CLOSE}]{{0,6}}"
            r"(?:,?[ \t](?:because|since|as|due to|given)\b"
            r"|[ \t][-–—][ \t](?![A-Z]\b)(?=[^\n]{2,200}\Z))"
            r"(?P<after>)"
        ),
        whole=late_pattern(
            rf"\s*(?:(?i:option|choice|letter|choose|select(?:ing)?|pick|output)"
            r"[ \t]?[ \t:：][ \t]?|(?i:answer(?:[ \t](?:option|choice|letter))?)[ \t])?"
            rf"(?:[*_`$\[({{{OPEN}✅✔☑👉\ufe0f ]|\\[(\[]|\\(?:text|mathrm|mathbf|boxed)\{{){{0,6}}"
            rf"(?P<letter>[{any_class}])(?:[)\].!:*_`$}}。{CLOSE}]|\\[)\]]){{0,7}}\s*"
        ),
        # what our prompts ask the last line to be
        asked=late_pattern(rf"Answer:[ \t]*\**\(?(?P<letter>[{any_class}])\)?[.*]{{0,3}}\s*\Z"),
        joined_after=joined_after,
        joined_before=joined_before,
    )


# Words that may follow a bare letter that is a choice, not an article or a pronoun.
GOES_ON = late_pattern(
    r"[ \t]+(?:is|was|rather than|instead of|over|seems|would"
    r"|because|since|as|and|or|due|for|with|which|based|given|if|but|by|from)\b"
)
WORD_FOLLOWS = late_pattern(r"[ \t]+[a-z]")
DENIED_BEFORE = late_pattern(
    r"(?:(?:\b(?:not|never|cannot|neither|nor|rather than|instead of|unlike)|n['’]t"
    r"|\b(?:eliminat|exclud|reject|discard|dismiss)\w{1,4}|\brul(?:e|es|ed|ing) out)"
    r"(?:\s(?:be|is|the|options?|choose|pick|select|go with|answer|choice|an?|likely|choosing"
    r"|to)){0,4}"
    rf"[\s(\[*{OPEN}`]{{0,6}}$)|{NOT}",
    re.IGNORECASE,
)
DENIED_AFTER = late_pattern(
    rf"[)\]*.:{CLOSE}`]{{0,4}}\s(?:is|are|was|seems|can be|would be|must be|could be)"
    r"(?:n['’]t\b|\s(?:also\s)?(?:not\b|wrong|incorrect|false|ruled out|eliminated|excluded"
    r"|unlikely|invalid|tempting|impossible))"
    rf"|[)\]*.:{CLOSE}`]{{0,4}}{DENIED}",
    re.IGNORECASE,
)

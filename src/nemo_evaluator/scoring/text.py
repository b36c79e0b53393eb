"""Text comparison: normalisation, exact match over aliases, the SQuAD and TriviaQA metrics.

Equality is on whole normalised strings, never substrings. An empty answer matches nothing.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable

from .folding import folded
from .late import late_pattern

_ARTICLES = late_pattern(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
# Quotes the TriviaQA script removes beside ASCII punctuation.
_TRIVIA_PUNCTUATION = str.maketrans(dict.fromkeys(string.punctuation + "‘’´`", " "))


_LONE_ARTICLES = late_pattern(r"(?<!\S)(?:a|an|the)(?!\S)")
# What is content and not punctuation: -5, .5, 3.14, 1/2, 3:45, 1,5 (but not 1,500), x<5, a+b, 2*3,
# C++, F#, the grade A-. A + before a number says nothing.
_MARK = late_pattern(r"[-+#<>/^=*_.:,]")
_CONTENT = late_pattern(
    r"(?<![\w.])-(?=[$€£]?\.?\d)|(?<=\d)[-.:/](?=\d)|(?<=\d\s)[-*](?=\s\d)|(?<![\w.])\.(?=\d)"
    r"|(?<=\d),(?=\d)(?!\d{3}(?!\d))|(?<=[\w)])[/^](?=[\w(+-])|(?<=[\w)])[<>=]=?(?=[\w(.+-])"
    r"|(?<=[\w)]\s)[<>=]=?(?=\s[\w(.+-])|(?<=[\w+])\+|(?<=\w\s)\+(?=\s\w)|(?<=[a-z])#"
    r"|(?<=\b[a-f])-(?!\w)"
    r"|(?<=\w)[*_](?=\w)|(?<=\d)\*{2}(?=\d)"
)
_SUPERSCRIPT = late_pattern(r"(?<=[\w)])[⁰¹²³⁴-⁹⁺⁻]+")


def normalize(text: str) -> str:
    """NFKD, lower case, punctuation and articles removed, spaces folded.

    What makes a number or a name another one is not punctuation: signs, points, slashes, ``+`` and
    ``#``. A text made of articles and punctuation only keeps its letters, or else its marks, so
    that the choice ``A`` is not the empty string and ``<`` is not ``>``.

    >>> normalize("The  Eiffel Tower!"), normalize("A"), normalize("C++."), normalize("(-3.14)")
    ('eiffel tower', 'a', 'c++', '-3.14')
    """
    words = text
    if not text.isascii():
        text = unicodedata.normalize("NFKD", _SUPERSCRIPT.sub(_power, folded(text)))
        words = "".join(
            c if c.isascii() else _plain_digit(c)
            for c in text
            if c.isascii() or unicodedata.category(c)[0] != "P"
        )
    lower = words.lower()
    bare = lower.translate(_PUNCTUATION) if _PLAIN.search(lower) is None else _without_marks(lower)
    kept = _LONE_ARTICLES.sub(" ", bare).split() or bare.split() or text.split()
    return " ".join(kept)


def _plain_digit(character: str) -> str:
    """A digit of any script as ``0`` to ``9``; any other character as it is."""
    value = unicodedata.decimal(character, None)
    return character if value is None else str(value)


def unaccented(text: str) -> str:
    """A text normalised, without the accents of Latin letters.

    >>> unaccented("São Paulo") == unaccented("sao paulo"), unaccented("が") == unaccented("か")
    (True, False)
    """
    words = normalize(text)
    return words if words.isascii() else _ACCENTS.sub("", words)


_ACCENTS = late_pattern("(?<=[a-z])[\u0300-\u036f]+")
_PLAIN = late_pattern(r"[-+#<>/^=*_]|[.:,]\d")
"""Marks that may be content; a text without them takes the short way."""


def _without_marks(text: str) -> str:
    """The text without punctuation but for what is content."""
    parts: list[str] = []
    at = 0
    for mark in _MARK.finditer(text):
        if match := _CONTENT.match(text, mark.start()):
            parts += (text[at : match.start()].translate(_PUNCTUATION), match[0])
            at = match.end()
    return "".join((*parts, text[at:].translate(_PUNCTUATION)))


def _power(match: re.Match[str]) -> str:
    return "^" + unicodedata.normalize("NFKC", match[0]).replace("\u2212", "-")


def normalize_squad(text: str) -> str:
    """SQuAD v1.1 ``evaluate-v1.1.py``: lower, ASCII punctuation and articles removed."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def normalize_trivia(text: str) -> str:
    """TriviaQA ``triviaqa_evaluation.py``: as SQuAD, but punctuation becomes a space."""
    spaced = text.replace("_", " ").lower().translate(_TRIVIA_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", spaced).split())


def same_text(a: str, b: str) -> bool:
    """Whether two texts are equal after :func:`normalize`; empty equals nothing."""
    first = normalize(a)
    return bool(first) and first == normalize(b)


Normalizer = Callable[[str], str]


def em_over_aliases(
    prediction: str, aliases: Iterable[str], normalizer: Normalizer = normalize_squad
) -> bool:
    """Exact match with any alias after normalisation. Where that leaves nothing (``The The``,
    vitamin ``A``), articles stay, so that ``an`` is not ``the``."""
    answer = normalizer(prediction) or _with_articles(prediction)
    return bool(answer) and any(answer == (normalizer(a) or _with_articles(a)) for a in aliases)


def _with_articles(text: str) -> str:
    return " ".join(text.lower().translate(_PUNCTUATION).split())


def token_f1(prediction: str, target: str, normalizer: Normalizer = normalize_squad) -> float:
    """SQuAD token F1 in 0..1: overlap of the two bags of normalised tokens.

    >>> round(token_f1("Barack Obama", "Obama"), 3)
    0.667
    """
    return _bag_f1(normalizer(prediction).split(), normalizer(target).split())


def _bag_f1(answer: list[str], gold: list[str]) -> float:
    if set(answer).isdisjoint(gold):
        return 0.0
    overlap = sum((Counter(answer) & Counter(gold)).values())
    precision, recall = overlap / len(answer), overlap / len(gold)
    return 2 * precision * recall / (precision + recall)


def f1_over_aliases(
    prediction: str, aliases: Iterable[str], normalizer: Normalizer = normalize_squad
) -> float:
    """The best token F1 over the aliases."""
    answer = normalizer(prediction).split()
    return max((_bag_f1(answer, normalizer(alias).split()) for alias in aliases), default=0.0)

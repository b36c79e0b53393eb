"""Text comparison: normalisation, exact match over aliases, the SQuAD and TriviaQA metrics.

Equality is on whole normalised strings, never substrings. An empty answer matches nothing.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
# Quotes the TriviaQA script removes beside ASCII punctuation.
_TRIVIA_PUNCTUATION = str.maketrans(dict.fromkeys(string.punctuation + "‘’´`", " "))


def normalize(text: str) -> str:
    """NFKD, lower case, punctuation and articles removed, spaces folded.

    A text made of articles and punctuation only keeps its letters, so that the choice ``A``
    is not the empty string.

    >>> normalize("The  Eiffel Tower!"), normalize("A")
    ('eiffel tower', 'a')
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
        text = "".join(c for c in text if not unicodedata.category(c).startswith("P"))
    bare = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split()) or " ".join(bare.split())


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
    answer = normalizer(prediction) or normalize(prediction)
    return bool(answer) and any(answer == (normalizer(a) or normalize(a)) for a in aliases)


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

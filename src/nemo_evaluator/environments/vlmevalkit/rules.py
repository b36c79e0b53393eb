"""How answers about images are graded, by the rules that the datasets' authors published.

Pure functions of texts. Sources: VLMEvalKit's documentation (multiple choice, yes or no, OCRBench),
ANLS: Biten et al. 2019 (DocVQA); relaxed accuracy: Methani et al. 2020 and Masry et al. 2022
(ChartQA); VQA accuracy: Antol et al. 2015.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence

from ...scoring.choices import choice
from ...scoring.folding import folded
from ...scoring.overlap import levenshtein
from ...scoring.text import normalize

FORMULAS = "Handwritten Mathematical Expression Recognition"
"""The category of OCRBench that is compared without blanks, case kept."""
ANLS_THRESHOLD = 0.5
RELAXED = 0.05
"""How far a number of a chart may be off, as a share of the right one."""
PEOPLE = 3
"""Of ten people's answers, as many as must agree for a full VQA score."""
WORDIEST = 2
"""An answer longer than this many times all options together names none of them by its text."""
_WORDS = "zero one two three four five six seven eight nine ten"
NUMBER_WORDS = {word: str(number) for number, word in enumerate(_WORDS.split())} | {"none": "0"}
"""Numbers that VQA accuracy reads in words."""
_NUMBER = re.compile(r"(?:(?<![\w.])[-+])?\d[\d,]*(?:\.\d+)?%?")
_MINUS = str.maketrans("−–", "--")
_WORD = re.compile(r"[a-z]+")
_UNSURE = re.compile(
    r"\b(?:not|no|nor|neither|never|cannot|unsure|whether|unable)\b[^.;,]*$|n['’]t\b[^.;,]*$"
)
"""What stands before an option in a sentence that does not choose it."""


class Kind(enum.StrEnum):
    """What is asked, and so how it is graded."""

    CHOICE = "mcq"
    """One option of several."""
    YES_OR_NO = "yorn"
    EXACT = "vqa"
    """A short text; right if it is one of the answers, articles and punctuation aside."""
    OCR = "ocrbench"
    """A text that must hold one of the answers."""
    CHART = "chartqa"
    """A number within 5 %, or the same text."""
    DOCUMENT = "docvqa"
    """A text as alike as ANLS says."""
    PEOPLE = "textvqa"
    """A text that as many of ten people gave (VQA accuracy)."""
    JUDGED = "judged"
    """A text of which a judge says which share of its parts is right."""


def option(answer: str, options: Mapping[str, str]) -> str | None:
    """The letter of the option that an answer names: by its letter, or by its whole text where no
    other option's stands there too.

    >>> options = {"A": "cat", "B": "dog"}
    >>> option("The answer is B.", options), option("a dog", options)
    ('B', 'B')
    """
    found = choice(answer, "".join(options)) if options else None
    if found is not None:
        return str(found.value)
    said = answer.casefold()
    if len(said) > WORDIEST * sum(map(len, options.values())):
        return None
    named = [letter for letter, text in options.items() if _names(text.casefold().strip(), said)]
    return named[0] if len(named) == 1 else None


def _names(option: str, said: str) -> bool:
    """Whether a text holds an option as words of its own, in a sentence that does not deny it."""
    if not option:
        return False
    whole = rf"(?<![^\W_])(?<!\d[.,]){re.escape(option)}(?![^\W_])(?![.,]\d)"
    before = (said[: at.start()].rpartition(" but ")[2] for at in re.finditer(whole, said))
    return any(_UNSURE.search(text) is None for text in before)


def yes_or_no(answer: str) -> str | None:
    """``Yes`` or ``No``; None for neither or both.

    >>> yes_or_no("Yes, there is."), yes_or_no("Yes and no")
    ('Yes', None)
    """
    words = set(_WORD.findall(folded(answer).casefold()))
    if ("yes" in words) == ("no" in words):
        return None
    return "Yes" if "yes" in words else "No"


def graded(kind: Kind, answer: str, targets: Sequence[str], category: str = "") -> float:
    """The grade of a written answer, 0 to 1. Nothing written is 0.

    >>> graded(Kind.CHART, "about 103", ["100"]), graded(Kind.CHART, "106", ["100"])
    (1.0, 0.0)
    >>> graded(Kind.OCR, "The image says MARKET", ["market"])
    1.0
    """
    if not answer.strip():
        return 0.0
    match kind:
        case Kind.OCR:
            return float(any(_held(target, answer, category) for target in targets))
        case Kind.CHART:
            return float(any(_relaxed(answer, target) for target in targets))
        case Kind.DOCUMENT:
            return max((_anls(answer, target) for target in targets), default=0.0)
        case Kind.PEOPLE:
            return _people(answer, targets)
        case _:
            return float(any(_same_words(answer, target) for target in targets))


def _held(target: str, answer: str, category: str) -> bool:
    if category == FORMULAS:
        target, answer = ("".join(text.split()) for text in (target, answer))
    else:
        target, answer = (" ".join(text.casefold().split()) for text in (target, answer))
    return bool(target) and target in answer


def _relaxed(answer: str, target: str) -> bool:
    gold, given = _value(target), _last_value(answer)
    if gold is None or given is None:
        return _same_words(answer, target)
    if gold == 0:
        return given == 0
    return abs(given - gold) <= RELAXED * abs(gold)


def _value(text: str) -> float | None:
    found = _NUMBER.fullmatch(text.translate(_MINUS).strip())
    return None if found is None else _float(found[0])


def _last_value(text: str) -> float | None:
    found = _NUMBER.findall(text.translate(_MINUS))
    return _float(found[-1]) if found else None


def _float(text: str) -> float:
    """A share is read as it is written: ``12%`` is 12, as in the charts' own answers."""
    return float(text.replace(",", "").rstrip("%"))


def _anls(answer: str, target: str) -> float:
    given, gold = (" ".join(text.casefold().split()) for text in (answer, target))
    longest = max(len(given), len(gold))
    if not longest:
        return 0.0
    distance = levenshtein(given, gold) / longest
    return 1 - distance if distance < ANLS_THRESHOLD else 0.0


def _people(answer: str, targets: Sequence[str]) -> float:
    """Mean over leaving out each person of min(1, others who said the same / 3)."""
    same = [_same_words(answer, target) for target in targets]
    if len(targets) < PEOPLE:
        return float(any(same))
    shares = [min(1.0, (sum(same) - one) / PEOPLE) for one in same]
    return sum(shares) / len(shares)


def _same_words(answer: str, target: str) -> bool:
    given, wanted = (
        [NUMBER_WORDS.get(word, word) for word in normalize(text).split()]
        for text in (answer, target)
    )
    return bool(given) and given == wanted

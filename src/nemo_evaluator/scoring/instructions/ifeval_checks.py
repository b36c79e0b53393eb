"""The 25 verifiable instructions of IFEval (Zhou et al. 2023, arXiv 2311.07911).

Ids, argument names and the meaning of each check are the benchmark's (google-research,
``instruction_following_eval``), also where it is lax: ``at least`` is "or more", ``less than`` is
"fewer", a bullet is a line that begins with ``-`` or one ``*``. Sentences, shouted words and
languages are counted by our own rules instead of nltk's and langdetect's models.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from .languages import language_of
from .prose import sentences, shouted, words

_PARAGRAPH_MARK = re.compile(r"\s?\*\*\*\s?")
_BULLET = re.compile(r"^[^\S\n]*(?:\*[^*]|-)", re.MULTILINE)
_EMPHASIS = re.compile(r"\*[^\n*]*\*")
_STRONG = re.compile(r"\*\*[^\n*]*\*\*")
_ANSWERS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
_POSTSCRIPTS = {
    "P.P.S": re.compile(r"p\.\s?p\.\s?s"),
    "P.S.": re.compile(r"p\.\s?s\."),
}
_FENCES = ("```json", "```Json", "```JSON", "```")


def _compares(count: int, relation: str, bound: float) -> bool:
    """``less than`` or ``at least``."""
    return count < bound if relation == "less than" else count >= bound


def has_keywords(response: str, keywords: Sequence[str]) -> bool:
    """Every keyword occurs, also within words."""
    return all(re.search(keyword, response, re.IGNORECASE) for keyword in keywords)


def keyword_frequency(response: str, keyword: str, frequency: int, relation: str) -> bool:
    """A keyword occurs so often."""
    return _compares(len(re.findall(keyword, response, re.IGNORECASE)), relation, frequency)


def no_forbidden_words(response: str, forbidden_words: Sequence[str]) -> bool:
    """None of the words occurs as a whole word."""
    return not any(re.search(rf"\b{word}\b", response, re.IGNORECASE) for word in forbidden_words)


def letter_frequency(response: str, letter: str, let_frequency: int, let_relation: str) -> bool:
    """A letter occurs so often, in either case."""
    return _compares(response.lower().count(letter.lower()), let_relation, let_frequency)


def in_language(response: str, language: str) -> bool:
    """The response is in a language; one that shows no language at all passes."""
    found = language_of(response)
    return found is None or found == language


def sentence_count(response: str, num_sentences: int, relation: str) -> bool:
    """The response has the given number of sentences."""
    return _compares(sentences(response), relation, num_sentences)


def paragraph_count(response: str, num_paragraphs: int) -> bool:
    """The response has the given number of paragraphs between ``***`` marks, none of them empty."""
    parts = _PARAGRAPH_MARK.split(response)
    if any(not part.strip() for part in parts[1:-1]):
        return False
    return sum(1 for part in parts if part.strip()) == num_paragraphs


def word_count(response: str, num_words: int, relation: str) -> bool:
    """The response has the given number of words."""
    return _compares(len(words(response)), relation, num_words)


def nth_paragraph_first_word(
    response: str, num_paragraphs: int, nth_paragraph: int, first_word: str
) -> bool:
    """The response has the given number of paragraphs between blank lines, and one of them begins
    with a given word."""
    parts = response.split("\n\n")
    count = sum(1 for part in parts if part.strip())
    if nth_paragraph > count or not (paragraph := parts[nth_paragraph - 1].strip()):
        return False
    start = paragraph.split()[0].lstrip("'").lstrip('"')
    word = re.split(r"[.,?!'\"]", start, maxsplit=1)[0].lower()
    return count == num_paragraphs and word == first_word.lower()


def placeholder_count(response: str, num_placeholders: int) -> bool:
    """At least so many ``[placeholders]``."""
    return sum(map(_placeholders, response.split("\n"))) >= num_placeholders


def _placeholders(line: str) -> int:
    count, stop = 0, 0
    while (start := line.find("[", stop)) >= 0 and (end := line.find("]", start)) >= 0:
        count, stop = count + 1, end + 1
    return count


def has_postscript(response: str, postscript_marker: str) -> bool:
    """A postscript that begins with the marker."""
    pattern = _POSTSCRIPTS.get(postscript_marker)
    if pattern is None:
        return postscript_marker.lower() in response.lower()
    return pattern.search(response.lower()) is not None


def bullet_count(response: str, num_bullets: int) -> bool:
    """Exactly so many bullet points."""
    return len(_BULLET.findall(response)) == num_bullets


def constrained_response(response: str) -> bool:
    """One of the three answers allowed."""
    return any(answer in response for answer in _ANSWERS)


def highlight_count(response: str, num_highlights: int) -> bool:
    """At least so many ``*highlighted*`` stretches."""
    found = _EMPHASIS.findall(response) + _STRONG.findall(response)
    return sum(1 for part in found if part.strip("*").strip()) >= num_highlights


def section_count(response: str, section_spliter: str, num_sections: int) -> bool:
    """At least so many sections, each headed by the word and a number."""
    mark = re.compile(rf"\s?{section_spliter.strip()}\s?\d+\s?")
    return len(mark.findall(response)) >= num_sections


def is_json(response: str) -> bool:
    """The whole response is JSON, in a fence or without."""
    text = response.strip()
    for fence in _FENCES:
        text = text.removeprefix(fence)
    try:
        json.loads(text.removesuffix("```").strip())
    except (ValueError, RecursionError):
        return False
    return True


def has_title(response: str) -> bool:
    """A title in ``<<double angular brackets>>``."""
    return any(map(_titled, response.split("\n")))


def _titled(line: str) -> bool:
    start, stop = line.find("<<"), line.rfind(">>")
    return 0 <= start < stop and bool(line[start:stop].strip("<>").strip())


def two_responses(response: str) -> bool:
    """Two different answers, six asterisks between them."""
    parts = response.split("******")
    if any(not part.strip() for part in parts[1:-1]):
        return False
    answers = [part.strip() for part in parts if part.strip()]
    return len(answers) == 2 and answers[0] != answers[1]


def repeats_prompt(response: str, prompt_to_repeat: str) -> bool:
    """The response begins with the request itself."""
    return response.strip().lower().startswith(prompt_to_repeat.strip().lower())


def ends_with(response: str, end_phrase: str) -> bool:
    """The response ends with a phrase and nothing after it."""
    return response.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def in_quotation_marks(response: str) -> bool:
    """The whole response in double quotation marks."""
    text = response.strip()
    return len(text) > 1 and text[0] == '"' and text[-1] == '"'


def shouted_count(response: str, capital_frequency: int, capital_relation: str) -> bool:
    """The response has the given number of words in capitals."""
    return _compares(shouted(response), capital_relation, capital_frequency)


def all_capitals(response: str) -> bool:
    """English, in capitals only."""
    return response.isupper() and in_language(response, "en")


def all_lowercase(response: str) -> bool:
    """English, in lower case only."""
    return response.islower() and in_language(response, "en")


def no_comma(response: str) -> bool:
    """The response contains no comma."""
    return "," not in response

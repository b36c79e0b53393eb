"""Finds the answer in a response: what, by which rule, and where. The last answer wins.

Rules whose name starts with ``stated`` or ``boxed`` are explicit statements of an answer; the
others are guesses from position, allowed in lenient reading only. Every search is linear in the
length of the text.
"""

from __future__ import annotations

import re
from functools import lru_cache

from ..types import Extraction
from . import numbers

REFUSAL = re.compile(
    r"\b(?:I\s+(?:cannot|can['’]t|can\s+not|am\s+(?:unable|not\s+able)|won['’]t)|I['’]m\s+(?:sorry|"
    r"unable|not\s+able)|as\s+an\s+AI|I\s+(?:do\s+not|don['’]t)\s+know)\b",
    re.IGNORECASE,
)
STATED = re.compile(
    r"(?P<marker>####"
    r"|(?i:\b(?:final[ \t*_]{1,4})?(?:answer|antwort|réponse|respuesta|ответ|jibu)"
    r"(?:[ \t]{1,3}(?:choice|option|to[ \t]the[ \t]\w{1,20}))?[ \t*_`]{0,6}"
    r"(?:is|are|ist|est|es|:|：|=)(?:[ \t]{0,2}[:：])?)"
    r"|(?i:(?:答案|答え|คำตอบ|సమాధానం|উত্তর)[^\n:：]{0,12}[:：是は])"
    r"|(?m:^[ \t*_]{0,4}A[*_]{0,2}:))"
)
BOXED = re.compile(r"\\(?:boxed|fbox)\s{0,3}(?:\{|(?=[^\s{]))")
ANSWER_TAG = re.compile(r"<answer>(.{0,2000}?)</answer>", re.IGNORECASE | re.DOTALL)
OPENING = " \t*_`\"'“‘:：$("
CLOSING = " \t*_`\"'”’.$,;"
MAX_LINE = 2000
TAIL = 20_000
"""Only the end of a very long text is searched for guesses."""


def is_refusal(text: str) -> bool:
    """Whether a text declines to answer. Looked at only where no answer was found."""
    return bool(REFUSAL.search(text[:2000]))


def statements(text: str) -> list[tuple[int, int, str]]:
    """Explicit answers in order: (start, end, rule) of the stretch after the marker."""
    found = []
    for match in STATED.finditer(text):
        end = text.find("\n", match.end())
        end = min(len(text) if end < 0 else end, match.end() + MAX_LINE)
        stretch = text[match.end() : end]
        if not stretch.strip(OPENING + CLOSING + "\\[]"):
            end = _next_line_end(text, match.end())
        found.append((match.end(), end, "stated"))
    for start, end in boxes(text):
        found.append((start, end, "boxed"))
    found += [(m.start(1), m.end(1), "stated_tag") for m in ANSWER_TAG.finditer(text)]
    found.sort()
    return found


def boxes(text: str) -> list[tuple[int, int]]:
    r"""Contents of ``\boxed{…}``, braces balanced; an unclosed one is left out."""
    found = []
    for match in BOXED.finditer(text):
        start = match.end()
        if text[start - 1] != "{":
            found.append((start, min(start + 1, len(text))))
            continue
        depth = 1
        for position in range(start, min(len(text), start + MAX_LINE)):
            depth += {"{": 1, "}": -1}.get(text[position], 0)
            if depth == 0:
                found.append((start, position))
                break
    return found


def final_answer(text: str, *, whole: bool = True) -> Extraction | None:
    """The last explicit answer as text; else the whole text if that is one short line."""
    for start, end, rule in reversed(statements(text)):
        value, span = trimmed(text, start, end)
        if value:
            return Extraction(value=value, rule=rule, span=span)
    if not whole:
        return None
    lines = [line for line in text[-TAIL:].splitlines() if line.strip()]
    if not lines:
        return None
    rule = "whole" if len(lines) == 1 else "last_line"
    start = text.rindex(lines[-1])
    value, span = trimmed(text, start, start + len(lines[-1]))
    return Extraction(value=value, rule=rule, span=span) if value else None


def number(text: str, *, language: str | None = None) -> tuple[Extraction, numbers.Number] | None:
    """The answer as a number: from the last explicit statement that holds one, else the last
    number of the text (rule ``last_number``)."""
    for start, end, rule in reversed(statements(text)):
        stretch = text[start:end]
        equals = stretch.rfind("=")
        found = numbers.first(stretch[equals + 1 :], language=language) if equals >= 0 else None
        shift = start + equals + 1 if found else start
        found = found or numbers.first(stretch, language=language)
        if found:
            return _as_extraction(text, found, shift, rule)
    tail = max(0, len(text) - TAIL)
    every = numbers.find_all(text[tail:], language=language)
    return _as_extraction(text, every[-1], tail, "last_number") if every else None


def choice(text: str, n_options: int = 4) -> Extraction | None:
    """The letter of a multiple-choice answer, upper case; letters beyond the options are none."""
    stated, lone, leading, last = _choice_patterns(n_options)
    best: Extraction | None = None
    for match in stated.finditer(text):
        best = _letter(match, "stated")
    for start, end in boxes(text):
        inner = text[start:end]
        match = lone.fullmatch(inner.strip())
        if match and (best is None or start > best.span[0]):
            best = Extraction(value=match[1].upper(), rule="boxed", span=(start, end))
    if best is not None:
        return best
    short = text.strip()
    if match := lone.fullmatch(short):
        at = text.index(short) + match.start(1)
        return Extraction(value=match[1].upper(), rule="whole", span=(at, at + 1))
    tail = max(0, len(text) - TAIL)
    rows = list(leading.finditer(text, tail))
    if len(rows) == 1:
        return _letter(rows[0], "leading")
    for match in last.finditer(text, tail):
        best = _letter(match, "last_letter")
    return best


def trimmed(text: str, start: int, end: int) -> tuple[str, tuple[int, int]]:
    """A stretch without the markdown, quotes and punctuation around it."""
    while start < end and text[start] in OPENING:
        if text[start] == "(" and ")" in text[start:end]:
            break
        if text[start] == "$" and text.count("$", start, end) >= 2:
            break
        start += 1
    while end > start and text[end - 1] in CLOSING:
        if text[end - 1] == "$" and text.count("$", start, end) >= 2:
            break
        end -= 1
    return text[start:end].strip(), (start, end)


@lru_cache(maxsize=32)
def _choice_patterns(n: int) -> tuple[re.Pattern[str], ...]:
    upper = f"[A-{chr(64 + n)}]"
    either = f"[A-{chr(64 + n)}a-{chr(96 + n)}]"
    wrap = r"[\s*_`$\"'“‘(\[{]{0,8}(?:\\(?:boxed|text|textbf|mathrm|mathbf)\s{0,2}\{\s{0,2}){0,3}"
    not_pronoun = r"(?!I[ ](?:think|am|believe|would|cannot|can|do|don|have|will)\b)"
    after = r"(?![\w'’])(?![ ]?/[ ]?\w)"
    stated = re.compile(
        r"(?i:\b(?:answer|antwort|réponse|respuesta)s?\b(?:[ \t]{1,3}(?:choice|option|letter))?)"
        r"[ \t*_`]{0,6}(?i:\b(?:is|would[ ]be|must[ ]be|should[ ]be)\b|[:：=])"
        rf"(?i:[ \t]{{0,3}}:)?{wrap}[(\[*]{{0,3}}(?i:(?:option|choice)[ ])?{wrap}"
        rf"{not_pronoun}(?:({upper}){after}|\(({either})\))"
    )
    lone = re.compile(
        rf"[\s*_`$\"'(\[]{{0,6}}(?:\\(?:text|textbf|mathrm|mathbf)\{{\s{{0,2}})?[(\[]?"
        rf"({either})[)\]]?[\s*_`$\"')\]}}.:]{{0,6}}"
    )
    leading = re.compile(
        rf"^[ \t*_`>-]{{0,6}}[(\[]?({upper})[)\].:][*_ \t]{{0,4}}(?=\S|$)", re.MULTILINE
    )
    last = re.compile(rf"(?<![\w\\'’])({upper})(?![\w'’])(?![ ](?:is|was|and|or|are)\b)")
    return stated, lone, leading, last


def _letter(match: re.Match[str], rule: str) -> Extraction:
    group = next(i for i in range(1, (match.lastindex or 1) + 1) if match[i])
    return Extraction(value=match[group].upper(), rule=rule, span=match.span(group))


def _as_extraction(
    text: str, found: numbers.Number, shift: int, rule: str
) -> tuple[Extraction, numbers.Number]:
    start, end = found.span[0] + shift, found.span[1] + shift
    return Extraction(value=text[start:end].strip(), rule=rule, span=(start, end)), found


def _next_line_end(text: str, start: int) -> int:
    """End of the first line with something on it: the answer stands below its marker."""
    position = start
    while position < len(text) and text[position] in " \t\r\n*_`":
        position += 1
    end = text.find("\n", position)
    return min(len(text) if end < 0 else end, start + MAX_LINE)

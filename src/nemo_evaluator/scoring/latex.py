r"""One spelling for answers written in LaTeX, Unicode or plain text, and their outer structure.

``normal`` removes what carries no meaning (spacing, sizing, delimiters, units, degrees);
``structure`` tells a list from a tuple, a set, an interval, a union or a matrix.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .extract import boxed, clean

_DROP = re.compile(
    r"(?<!\\)\\(?:left|right|[bB]igg?[lrm]?|displaystyle|textstyle|limits|q?quad)(?![a-zA-Z])"
    r"|(?<!\\)\\[,;:!\s]|~|\^\s*\{?\s*(?:\\circ|°)\s*\}?|°|\\degrees?\b|\\\$|€|£|\\hline"
)
_SPELLING = {
    "\\dfrac": "\\frac",
    "\\tfrac": "\\frac",
    "\\cfrac": "\\frac",
    "\\leqslant": "<=",
    "\\geqslant": ">=",
    "\\leq": "<=",
    "\\geq": ">=",
    "\\le": "<=",
    "\\ge": ">=",
    "≤": "<=",
    "≥": ">=",
    "\\lt": "<",
    "\\gt": ">",
    "\\neq": "!=",
    "\\ne": "!=",
    "≠": "!=",
    "\\cup": "∪",
    "\\infty": "∞",
    "\\infinity": "∞",
    "\\lbrace": "⟨",
    "\\rbrace": "⟩",
    "\\{": "⟨",
    "\\}": "⟩",
    "\\lbrack": "[",
    "\\rbrack": "]",
    "\\pm": "±",
    "\\in": "∈",
    "\\cdot": "*",
    "\\times": "*",
    "\\div": "/",
    "\\lvert": "|",
    "\\rvert": "|",
    "\\mid": "|",
    "\\pi": "\\pi ",
    "π": "\\pi ",
    "√": "\\sqrt",
    "×": "*",
    "·": "*",
    "÷": "/",
    "−": "-",
    "–": "-",
    "\\%": "%",
    "²": "^2",
    "³": "^3",
    "**": "^",
}
_SPELL = re.compile(
    "|".join(
        re.escape(word) + (r"(?![a-zA-Z])" if word[-1].isalpha() and word[0] == "\\" else "")
        for word in sorted(_SPELLING, key=len, reverse=True)
    )
)
_TEXT = re.compile(
    r"\\(?:text(?:bf|it|rm|normal)?|mbox|mathrm|mathbf|mathit|operatorname)\s*\{([^{}]*)\}"
)
_LAST_UNIT_POWER = re.compile(rf"({_TEXT.pattern})\s*\^\s*\{{?[23]\}}?\s*\.?$")
_CONNECTIVE = re.compile(r"(?<=[\d)}\]\w$])\s*,?\s+(?:or|and)\s+(?=\S)", re.IGNORECASE)
_UNIT = re.compile(
    r"(?<=[\d)}\]])\s*(?:(?!(?:or|and|pi|sqrt|sin|cos|tan|log|ln|if|for)\b)"
    r"(?:[A-Za-z]{2,12}|(?<=\s)[A-Za-z](?=[/^\s]))"
    r"(?:\s*\^\s*\{?[23]\}?)?(?:[/\s]\s*[A-Za-z]{1,12}(?:\s*\^\s*\{?[23]\}?)?){0,3})\s*\.?$"
)
_GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_GROUP_BRACES = re.compile(r"(?<=\d)(?:\{,\}|,\\!)\s?(?=\d{3})")
# \\le as it comes out of a text that was escaped twice; a line break is followed by no letter
_DOUBLED = re.compile(r"\\\\(?=[a-zA-Z]{2})")
_STRAY_BOX = re.compile(r"\\?(?:begin)?boxed\s*(?=\{)")
_ENVIRONMENT = re.compile(
    r"\\begin\s*\{([a-z]*matrix|array)\}(?:\{[a-z|]*\})?(.*)\\end\s*\{\1\}", re.DOTALL
)


def normal(text: str) -> str:
    r"""The answer in one spelling.

    >>> normal(r"$\dfrac{1}{2}\text{ cm}$"), normal(r"\left( 3, \frac{\pi}{2} \right)")
    ('\\frac{1}{2}', '( 3, \\frac{\\pi }{2} )')
    """
    text = clean(text)
    if text.startswith("\\boxed{") and (box := boxed(text)) and box.span[0] == len("\\boxed{"):
        text = box.value if not text[box.span[1] + 1 :].strip(" .") else text
    if "\\\\" in text and "\\begin" not in text:
        text = _DOUBLED.sub(r"\\", text)
    text = _GROUP_BRACES.sub(",", text)
    text = _STRAY_BOX.sub("", text)
    text = _DROP.sub(" ", text)
    if "\\text" in text or "\\m" in text or "\\op" in text:
        text = _without_text(text)
    text = _SPELL.sub(lambda match: _SPELLING[match[0]], text)
    text = text.replace("$", "")
    text = _CONNECTIVE.sub(", ", text)
    text = _UNIT.sub("", text.strip())
    text = _GROUPED.sub(lambda match: match[0].replace(",", ""), text)
    return _unwrapped(" ".join(text.split()).rstrip(".").strip())


def _without_text(text: str) -> str:
    """Words inside a formula: connectives become commas, units go, a pure text stays."""
    if not _TEXT.sub("", text).strip(" .$"):
        words = " ".join(match[1].strip() for match in _TEXT.finditer(text))
        return words.strip("()") if len(words) <= len("(C)") else words
    # a unit goes together with its power: 15 \mbox{ cm}^2
    return _TEXT.sub(_kept_word, _LAST_UNIT_POWER.sub(r"\1", text))


def _kept_word(match: re.Match[str]) -> str:
    word = match[1].strip()
    if word.lower() in ("or", "and", ",", "and/or"):
        return ", "
    before = match.string[: match.start()].rstrip()
    follows_value = bool(before) and (before[-1].isalnum() or before[-1] in ")}]|%")
    return word if len(word) == 1 and not follows_value else " "


def _unwrapped(text: str) -> str:
    """Without braces or parentheses around one whole value."""
    while len(text) > 1 and text[0] in "({" and text[-1] == {"(": ")", "{": "}"}[text[0]]:
        inner = text[1:-1]
        if matching(text, 0) != len(text) - 1 or (text[0] == "(" and len(split(inner)) > 1):
            return text
        text = inner.strip()
    return text


def matching(text: str, start: int) -> int | None:
    """Index of the bracket that closes the one at ``start``; kinds may differ: ``[0, 1)``."""
    depth = 0
    for at in range(start, len(text)):
        if text[at] in "([{⟨":
            depth += 1
        elif text[at] in ")]}⟩":
            depth -= 1
            if depth == 0:
                return at
    return None


def split(text: str, separators: str = ",;") -> list[str]:
    """Parts at separators outside all brackets."""
    parts, depth, start = [], 0, 0
    for at, char in enumerate(text):
        if char in "([{⟨":
            depth += 1
        elif char in ")]}⟩":
            depth -= 1
        elif depth == 0 and char in separators:
            parts.append(text[start:at].strip())
            start = at + 1
    parts.append(text[start:].strip())
    return [part for part in parts if part]


class Structure(NamedTuple):
    """Outer form of an answer: ``kind`` is one of value, list, set, tuple, union, matrix."""

    kind: str
    parts: list[str]
    brackets: str = ""


def structure(text: str) -> Structure:
    """The outer form of a normalised answer.

    >>> structure("[0, 1)")
    Structure(kind='tuple', parts=['0', '1'], brackets='[)')
    """
    match = _ENVIRONMENT.fullmatch(text.strip())
    if match is not None and "\\begin" not in match[2]:  # one matrix, not a product of two
        rows = [row for row in re.split(r"\\\\", match[2]) if row.strip()]
        shape = ",".join(str(row.count("&") + 1) for row in rows)
        return Structure("matrix", [cell.strip() for row in rows for cell in row.split("&")], shape)
    if "∪" in text and len(union := split(text, "∪")) > 1:
        return Structure("union", union)
    if "±" in text:
        return Structure("list", [text.replace("±", "+"), text.replace("±", "-")])
    if len(parts := split(text)) > 1:
        return Structure("list", parts)
    if text and text[0] in "([⟨{" and text[-1] in ")]⟩}" and matching(text, 0) == len(text) - 1:
        parts = split(text[1:-1])
        if text[0] == "⟨":
            return Structure("set", parts)
        if len(parts) > 1:
            kind = "list" if text[0] == "{" else "tuple"
            return Structure(kind, parts, text[0] + text[-1])
    return Structure("value", [text])

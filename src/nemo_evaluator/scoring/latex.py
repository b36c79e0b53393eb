r"""One spelling for answers written in LaTeX, Unicode or plain text, and their outer structure.

``normal`` removes what carries no meaning (spacing, sizing, colours, delimiters, units);
``structure`` tells a list from a tuple, a set, an interval, a union or a matrix.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from .extract import boxed, clean
from .late import late_pattern

_DROP = late_pattern(
    r"(?<!\\)\\(?:left|right|[bB]igg?[lrm]?|displaystyle|textstyle|limits|q?quad)(?![a-zA-Z])"
    r"|(?<!\\)\\[,;:!\s()\[\]]|~|\\\$|€|£|\\hline|\\[hv]space\*?\s*\{[^{}]*\}|\\h?phantom\s*\{[^{}]*\}"
    r"|\\(?:text|page|f)?color(?:box)?\s*(?:\[[^\]]*\])?\s*\{[^{}]*\}|\\displaylimits"
    r"|\\(?:underline|boldsymbol|bm|uline|mathsf)(?=\s*\{)"
)
_DEGREES = late_pattern(
    r"\^\s*\{?\s*(?:\\circ|°)\s*\}?|°|\\degrees?(?![a-z])|\\text\{\s*degrees?\s*\}"
)
_ANGLES = late_pattern(r"(?:sin|cos|tan|cot|sec|csc)(?![a-z])")
_RADIANS = late_pattern(r"\\pi(?![a-z])|π|arc(?:sin|cos|tan)")
EMPTY = "∅"
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
    "\\langle": "(",
    "\\rangle": ")",
    "\\lbrack": "[",
    "\\rbrack": "]",
    "\\pm": "±",
    "\\in": "∈",
    "\\equiv": "≡",
    "\\emptyset": EMPTY,
    "\\varnothing": EMPTY,
    "\\mathbb{R}": "ℝ",
    "\\mathbb R": "ℝ",
    "\\R": "ℝ",
    "\\setminus": "∖",
    "\\backslash": "∖",
    "\\lor": "∨",
    "\\vee": "∨",
    "\\land": "∧",
    "\\wedge": "∧",
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
    "⋅": "*",
    "∙": "*",
    "∗": "*",
    "⁄": "/",
    "∕": "/",
    "**": "^",
}
_SPELL = late_pattern(
    "|".join(
        re.escape(word) + (r"(?![a-zA-Z])" if word[-1].isalpha() and word[0] == "\\" else "")
        for word in sorted(_SPELLING, key=len, reverse=True)
    )
)
_SAID = {
    **dict.fromkeys(
        ("none", "nosolution", "nosolutions", "norealsolution", "norealsolutions"), EMPTY
    ),
    **dict.fromkeys(("emptyset", "theemptyset", "thereisnosolution", "⟨⟩"), EMPTY),
    **dict.fromkeys(("therearenosolutions", "therearenorealsolutions"), EMPTY),
    **dict.fromkeys(("allrealnumbers", "allreals", "allrealx", "therealnumbers"), "ℝ"),
}
_SAID |= {
    **dict.fromkeys(("nosolutionexists", "nosolutionsexist", "norealsolutionexists"), EMPTY),
    **dict.fromkeys(("norealsolutionsexist", "nosuchnumber", "nosuchx"), EMPTY),
    **dict.fromkeys(("infinity", "inf", "+infinity", "positiveinfinity"), "∞"),
    **dict.fromkeys(("-infinity", "-inf", "negativeinfinity"), "-∞"),
    **dict.fromkeys(("dne", "itdoesnotexist", "thelimitdoesnotexist"), "doesnotexist"),
}
"""Sets and values that are written as words."""
_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n", strict=True))
_RAISED = late_pattern(f"[{''.join(_SUPERSCRIPTS)}]+")
_PLUS_INFINITY = late_pattern(r"(?<![\w)\]}])\s*\+\s*∞")
_OUTWARD = late_pattern(r"([\[\]])([^\[\](),]+,[^\[\](),]+)([\[\]])")
_VULGAR = late_pattern("[¼½¾⅐-⅞]")
_ELLIPSIS = r"(?:\.\.\.|…|\\[lc]?dots)"
_REPEATING = late_pattern(
    r"(?P<whole>\d*)\.(?P<fixed>\d*?)(?:"
    r"\\(?:overline|bar)\s*\{?(?P<over>\d+)\}?"
    r"|\\dot\s*\{?(?P<first>\d)\}?(?:(?P<inner>\d*)\\dot\s*\{?(?P<last>\d)\}?)?"
    r"|(?P<marked>(?:\d[\u0304\u0305])+)|(?<=\.)\((?P<inside>\d+)\)"
    rf"|(?P<dotted>\d{{1,6}}?)(?P=dotted){{2,}}{_ELLIPSIS})"
)
_MODULUS = late_pattern(
    r"\(?\s*(?:\\[pb]?mod(?![a-z])|\\(?:text|mathrm|operatorname)\s*\{\s*\(?\s*mod\s*\}|(?<![a-z])mod(?:ulo)?"
    r"(?![a-z]))\s*\{?\s*(\w+)\s*\}?\s*\)?"
)
_NUMERALS = (
    *("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen"),
)
_BASES = {**{word: n for n, word in enumerate(_NUMERALS, 2)}, **{str(n): n for n in range(2, 37)}}
_TEXT_DIGITS = late_pattern(r"\\(?:text|mathrm)\s*\{([0-9A-Fa-f]+)\}(?=\s*_)")
_BASE = late_pattern(
    r"_\s*\{?\s*\\text\s*\{\s*(?:base\s*)?(\w+)\s*\}\s*\}?"
    r"|\s*(?:\\text\s*\{)?\s*\(?\s*base[\s~-]*(\w+)\s*\)?\s*\}?\s*$"
)
_TEXT = late_pattern(
    r"\\(?:text(?:bf|it|rm|normal)?|mbox|mathrm|mathbf|mathit|operatorname)\s*\{([^{}]*)\}"
)
_LETTER = late_pattern(
    r"\\(?:mathbf|mathit|textbf|textit|operatorname)\s*\{\s*([A-Za-z])\s*\}"
    r"|\\(?:mathrm|text|textrm)\s*(?:\{\s*([ei])\s*\}|(?<=mathrm)\s([ei])(?![A-Za-z]))"
)
"""A letter in a face of its own is a name, and so are e and i; any other may be a unit."""
_LAST_UNIT_POWER = late_pattern(rf"({_TEXT.pattern})\s*\^\s*\{{?[23]\}}?\s*\.?$")
_CONNECTIVE = late_pattern(r"(?<=[\d)}\]\w$])\s*,?\s+(?:or|and)\s+(?=\S)", re.IGNORECASE)
_RELATION = late_pattern(r"<|>|!=")
_UNIT = late_pattern(
    r"(?<=[\d)}\]])\s*(?:(?!(?:or|and|pi|sqrt|sin|cos|tan|log|ln|if|for)\b)"
    r"(?:[A-Za-z]{2,12}|(?<=\s)[A-Za-z](?=[/^\s]))"
    r"(?:\s*\^\s*\{?[23]\}?)?(?:[/\s]\s*[A-Za-z]{1,12}(?:\s*\^\s*\{?[23]\}?)?){0,3})\s*\.?$"
)
_GROUPED = late_pattern(r"(?<![\d.,])(?!0)\d{1,3}(?:,\d{3})+(?![\d,])")
_GROUP_BRACES = late_pattern(r"(?<=\d)(?:\{,\}|,\s?\\!)\s?(?=\d{3})")
# \\le as it comes out of a text that was escaped twice; a line break is followed by no letter
_DOUBLED = late_pattern(r"\\\\(?=[a-zA-Z]{2})")
_STRAY_BOX = late_pattern(r"\\?(?:begin)?boxed\s*(?=\{)|\\boxed(?![a-zA-Z])")
_ENVIRONMENT = late_pattern(
    r"\\begin\s*\{([a-z]*matrix|array)\}(?:\{[a-z|]*\})?(.*)\\end\s*\{\1\}", re.DOTALL
)


def normal(text: str, *, degrees: bool = False, grouped: bool = True) -> str:
    r"""The answer in one spelling. ``degrees``: keep the sign of degrees, which otherwise is a unit
    except under a sine. ``grouped``: a comma before three digits separates thousands.

    >>> normal(r"$\dfrac{1}{2}\text{ cm}$"), normal(r"\left( 3, \frac{\pi}{2} \right)")
    ('\\frac{1}{2}', '( 3, \\frac{\\pi }{2} )')
    """
    text = clean(text)
    while text[:1] == "{" and matching(text, 0) == len(text) - 1:
        text = text[1:-1].strip()
    if text.startswith("\\boxed{") and (box := boxed(text)) and box.span[0] == len("\\boxed{"):
        text = box.value if not text[box.span[1] + 1 :].strip(" .") else text
    if "\\\\" in text and "\\begin" not in text:
        text = _DOUBLED.sub(r"\\", text)
    text = _GROUP_BRACES.sub("", text)
    text = _STRAY_BOX.sub("", text)
    text = _DEGREES.sub("°" if degrees or _ANGLES.search(text) else " ", text)
    text = _DROP.sub(" ", text)
    text = _numerals(text)
    if "\\text" in text or "\\m" in text or "\\op" in text:
        text = _without_text(text)
    text = _SPELL.sub(lambda match: _SPELLING[match[0]], text)
    text = _PLUS_INFINITY.sub("∞", text.replace("$", ""))
    if "," in text and ("[" in text or "]" in text):
        text = _OUTWARD.sub(_interval, text)
    text = _ABOUT.sub("", _PLAIN_BETWEEN.sub(lambda match: _BETWEEN[match[1]], text))
    text = _CONNECTIVE.sub(_connected, text)
    text = _UNIT.sub("", text.strip())
    if grouped:
        text = _GROUPED.sub(lambda match: match[0].replace(",", ""), text)
    text = _unwrapped(" ".join(text.split()).rstrip(".").strip())
    return _SAID.get("".join(text.casefold().split()), text) if len(text) < 40 else text


def is_grouped(text: str) -> bool:
    """Whether a comma in a text may separate thousands, or values: ``(1,200)``."""
    return _GROUPED.search(text) is not None


def in_degrees(text: str, other: str) -> bool:
    """Whether a sign of degrees in a text is a number: its counterpart is an angle in radians."""
    return _DEGREES.search(text) is not None and _RADIANS.search(other) is not None


def _numerals(text: str) -> str:
    """Numbers in notations of their own: raised digits, ``½``, ``0.\\overline{3}``, bases."""
    if not text.isascii():
        text = _RAISED.sub(lambda m: f"^{{{''.join(_SUPERSCRIPTS[c] for c in m[0])}}}", text)
        text = _VULGAR.sub(_vulgar, text)
    if "." in text:
        text = _REPEATING.sub(_fraction, text)
    if "mod" in text:
        text = _MODULUS.sub(r" mod \1", text)
    if "base" in text or "_" in text:
        text = _BASE.sub(_with_base, _TEXT_DIGITS.sub(r"\1", text))
    return text


def _interval(match: re.Match[str]) -> str:
    """Brackets that point outwards are open ends: ``[0,1[`` is ``[0,1)``."""
    left, ends, right = match.groups()
    return f"{'[' if left == '[' else '('}{ends}{']' if right == ']' else ')'}"


def _vulgar(match: re.Match[str]) -> str:
    top, bottom = unicodedata.normalize("NFKC", match[0]).split("\u2044")
    return rf"\frac{{{top}}}{{{bottom}}}"


def _fraction(match: re.Match[str]) -> str:
    """A decimal that repeats, as the fraction it is."""
    parts = match.groupdict()
    again = "".join(parts[name] or "" for name in ("over", "first", "inner", "last", "inside"))
    again += parts["dotted"] or re.sub(r"\D", "", parts["marked"] or "")
    fixed = parts["fixed"]
    below = (10 ** len(again) - 1) * 10 ** len(fixed)
    above = int((parts["whole"] or "0") + fixed + again) - int((parts["whole"] or "0") + fixed)
    return rf"\frac{{{above}}}{{{below}}}"


def _with_base(match: re.Match[str]) -> str:
    base = _BASES.get((match[1] or match[2]).lower())
    return match[0] if base is None else f"_{base}"


def _connected(match: re.Match[str]) -> str:
    """``or`` and ``and`` between relations join sets; between values they are commas."""
    if not _RELATION.search(match.string):
        return ", "
    return " ∨ " if "or" in match[0].lower() else " ∧ "


def _without_text(text: str) -> str:
    """Words inside a formula: connectives become commas, units go, a pure text stays."""
    text = _LETTER.sub(lambda match: match[1] or match[2] or match[3], text)
    if not _TEXT.sub("", text).strip(" .$"):
        words = " ".join(match[1].strip() for match in _TEXT.finditer(text))
        return words.strip("()") if len(words) <= len("(C)") else words
    # a unit goes together with its power: 15 \mbox{ cm}^2
    return _TEXT.sub(_kept_word, _LAST_UNIT_POWER.sub(r"\1", text))


_ABOUT = late_pattern(r"\s*(?:about|approximately|approx\.|roughly|around)\s+(?=[\d\\$-])")
_PLAIN_BETWEEN = late_pattern(r"(?<=\d)\s+(to|out of)\s+(?=\d)")
_BETWEEN = {"to": ":", "out of": "/"}


def words_and_symbols(text: str) -> str:
    r"""What a text shows, without spaces: ``\text{June } 20`` shows ``June20``."""
    return "".join(_TEXT.sub(r"\1", text).split()).strip("$.~")


def _kept_word(match: re.Match[str]) -> str:
    word = match[1].strip()
    if word.lower() in ("or", "and"):
        return f" {word.lower()} "
    if word.startswith(",") or word.lower() == "and/or":
        return ", "
    if word.lower() in ("percent", "per cent"):
        return "%"
    if word.lower() in _BETWEEN:
        return _BETWEEN[word.lower()]
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


def split(text: str, separators: str = ",;∨∧") -> list[str]:
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

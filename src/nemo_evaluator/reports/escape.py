"""Texts made safe for the formats of a report: nothing in them is markup, a formula or a command.

Names of models and benchmarks, error messages and answers of models all end up in reports, so every
format escapes every text. HTML is escaped by ``markupsafe`` where it is put together.
"""

from __future__ import annotations

import json
import re

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "·": r"\textperiodcentered{}",
    "—": "---",
    "–": "--",
    "−": "$-$",
    "…": r"\ldots{}",
    "→": r"$\rightarrow$",
    "×": r"$\times$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
}
_LATEX_MARKS = re.compile("|".join(map(re.escape, _LATEX)))
_OBEYED = r"\x7f-\x84\x86-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f"
"""Control characters and changes of direction: what a terminal would obey instead of showing."""
_CONTROL = re.compile(rf"[\x00-\x08\x0b\x0c\x0e-\x1f{_OBEYED}]")
_UNSEEN = re.compile(rf"[\x00-\x08\x0b-\x1f\x85{_OBEYED}]")
_FORMULA = ("=", "+", "-", "@", "\t", "\n")


def one_line(text: str) -> str:
    """Without line breaks, runs of spaces and control characters."""
    return " ".join(_CONTROL.sub("�", text).split())


def visible(text: str) -> str:
    r"""A text as it is, but for what a terminal would obey; that is shown as JSON writes it
    (``\u001b``), so that JSON stays what it was."""
    text = text.replace("\r\n", "\n")
    if text.replace("\n", "").isprintable():  # quicker to see than the pattern
        return text
    return _UNSEEN.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1].replace("\x7f", "\\u007f")


def markdown(text: str) -> str:
    """One line in which nothing is markup, nor ends the cell of a table.

    What cannot be markup where it stands is left as it is, which is easier to read: underscores
    within a word, brackets that make no link.
    """
    text = re.sub(r"([\\`*|<>~$]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", one_line(text))
    text = re.sub(r"&(?=#?\w+;)", r"\\&", text)
    return re.sub(r"([\[\]])", r"\\\1", text) if re.search(r"\][(\[:]|\[\^", text) else text


def markdown_code(text: str) -> str:
    """One line as code, for the words of a model: no markup, no mention of a person, no link.

    A pipe after a backslash begins a code of its own: escaped, it would end the cell of a table.
    """
    return " ".join(map(_code, re.split(r"(?<=\\)(?=\|)", one_line(text))))


def _code(text: str) -> str:
    if not text:
        return ""
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}".replace("|", r"\|")


def markdown_block(text: str) -> list[str]:
    """Lines of a fenced block that no line of the text can close."""
    text = visible(text)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", *text.splitlines(), fence]


def latex(text: str) -> str:
    r"""Text of a LaTeX table's cell. A cell that starts with ``[`` or ``*`` would be taken for an
    argument of the ``\\`` before it, hence the empty group."""
    text = _LATEX_MARKS.sub(lambda found: _LATEX[found[0]], one_line(text))
    return "{}" + text if text.startswith(("[", "*")) else text


def csv_text(text: str) -> str:
    """A text that no spreadsheet takes for a formula. Quotes, commas and line feeds are the
    writer's matter; a carriage return it would leave bare, so it becomes a line feed."""
    text = "\n".join(re.split(r"\r\n?", text))
    return "'" + text if text.startswith(_FORMULA) else text


def anchor(text: str) -> str:
    """The id of a heading: ``GSM8K: by level`` becomes ``gsm8k-by-level``; never empty."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "part"

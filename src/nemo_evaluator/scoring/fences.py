"""Fenced blocks of a response, as models write them rather than as Markdown defines them.

A fence may close with a carriage return, at the end of the last line, before a token of the chat
template, or not at all; and a line of a docstring may look like one. Which closing is meant is
decided by what is between: the first that makes the block readable, else the first. Every line is
looked at once; only `CANDIDATES` closings of a block are tried.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from .late import late_pattern

CANDIDATES = 12
"""Closings of one block that are tried before the first is taken."""
MAX_BLOCKS = 2_000
TRIES = 300
"""Closings that are tried in one response."""

MAX_LINES = 5_000
"""Lines of a block whose closing is looked for by reading it."""

TOKEN = r"(?:<[|｜][^\s<>]{1,40}[|｜]>|</?s>|<eos>|<(?:start|end)_of_turn>|\[/?INST\])"
_TOKENS_AT_END = late_pattern(rf"(?:\s*{TOKEN})+\s*\Z")
_MARK = late_pattern(r"(?<![`~])(`{3,}|~{3,})(?![`~])")
_INFO = late_pattern(r"[ \t]*\{?\.?[ \t]*([\w+#.-]*)(.*)", re.DOTALL)
_ONE_LINE = late_pattern(r"```([^`]+)```")
_QUOTE = late_pattern(r"[ \t]*>[ \t]?")
_BREAKS = late_pattern(r"\r\n?")
_LANGUAGES = frozenset(
    [
        *("python", "py", "python3", "py3", "python2", "ipython", "pycon", "pytb", "tool_code"),
        *("bash", "sh", "shell", "zsh", "console", "terminal", "powershell", "cmd", "text", "txt"),
        *("plaintext", "output", "json", "yaml", "yml", "toml", "xml", "html", "css", "sql"),
        *("markdown", "md", "diff", "javascript", "js", "typescript", "ts", "java", "kotlin"),
        *("c", "cpp", "c++", "csharp", "c#", "go", "rust", "ruby", "php", "swift", "scala", "r"),
        *("latex", "tex", "math", "mermaid", "lua", "perl", "haskell", "julia"),
    ]
)


class Block(NamedTuple):
    """What stands in a fence, and the word after its mark in lower case."""

    language: str
    text: str
    closed: bool


class _Close(NamedTuple):
    """A line that may close a block: its number, what of it still belongs to the block (None:
    nothing), and whether another block may open there."""

    line: int
    kept: str | None
    opens: bool


class Tries:
    """Reads what would stand in a block, a limited number of times."""

    def __init__(self, readable: Callable[[str], bool]) -> None:
        self._readable, self._left = readable, TRIES

    @property
    def over(self) -> bool:
        """Whether nothing is tried any more."""
        return self._left <= 0

    def reads(self, lines: list[str], start: int, close: _Close) -> bool:
        """Whether the block up to there can be read."""
        if self.over or close.line - start > MAX_LINES:
            return False
        self._left -= 1
        kept = [] if close.kept is None else [close.kept]
        text = "\n".join([*lines[start : close.line], *kept])
        return bool(text.strip()) and self._readable(text)


def unified(text: str) -> str:
    """A response with one kind of line break, without a byte order mark and closing tokens."""
    text = _BREAKS.sub("\n", text).removeprefix("\ufeff")
    # Tokens stand at the very end: a window keeps the search linear.
    start = max(0, len(text) - 400)
    return text[:start] + _TOKENS_AT_END.sub("\n", text[start:])


def blocks(text: str, readable: Callable[[str], bool]) -> list[Block]:
    """The fenced blocks of a unified text. ``readable``: whether a text is a whole program."""
    lines = text.split("\n")
    unquoted = [_QUOTE.sub("", line, count=1) for line in lines] if ">" in text else lines
    found: list[Block] = []
    at, tries = 0, Tries(readable)
    while at < len(lines) and len(found) < MAX_BLOCKS:
        opening = _opening(lines[at])
        if opening is None:
            if (block := _on_one_line(lines[at])) is not None:
                found.append(block)
            at += 1
            continue
        mark, language, quoted = opening
        inside = unquoted if quoted else lines
        close = _close(inside, at + 1, mark, language, tries)
        if close is None:
            found.append(Block(language, "\n".join(inside[at + 1 :]), False))
            break
        kept = [] if close.kept is None else [close.kept]
        found.append(Block(language, "\n".join([*inside[at + 1 : close.line], *kept]), True))
        at = close.line if close.opens else close.line + 1
    return found


def _opening(line: str) -> tuple[str, str, bool] | None:
    """The mark, language and whether it is quoted, of a line that opens a block: alone, or after
    words with nothing but a known language behind it."""
    if "```" not in line and "~~~" not in line:
        return None
    marks = list(_MARK.finditer(line))
    if len(marks) != 1:
        return None
    mark = marks[0]
    info = _INFO.fullmatch(line, mark.end())
    assert info is not None  # it matches anything
    language, rest = info[1].lower(), info[2].strip()
    before = line[: mark.start()].strip()
    if before.strip("> \t*-+0123456789.)") and (rest or language not in {*_LANGUAGES, ""}):
        return None
    if rest and language not in _LANGUAGES and "." not in language and rest[0] not in "{}[:=":
        return None  # the end of a block that nothing opened, before a token or a sentence
    return mark[1], language, before.startswith(">")


def _on_one_line(line: str) -> Block | None:
    """A block whose fence opens and closes on one line."""
    if line.count("```") != 2 or not (match := _ONE_LINE.search(line)):
        return None
    word, _, rest = match[1].strip().partition(" ")
    if word.lower() in _LANGUAGES:
        return Block(word.lower(), rest.strip(), True)
    return Block("", match[1].strip(), True)


def _close(lines: list[str], start: int, mark: str, language: str, tries: Tries) -> _Close | None:
    """Where the block that begins at ``start`` ends; None: nowhere."""
    candidates: list[_Close] = []
    decided = language in _LANGUAGES and not _is_python(language)
    for number in range(start, len(lines)):
        candidate = _candidate(lines[number], number, mark)
        if candidate is None:
            continue
        if candidate.kept is None and (decided or number == start or tries.over):
            return candidate
        candidates.append(candidate)
        if tries.reads(lines, start, candidate):
            return candidate
        if len(candidates) == CANDIDATES:
            break
    else:
        if candidates and tries.reads(lines, start, _Close(len(lines), None, opens=False)):
            return None
    alone = (c for c in candidates if c.kept is None)
    return next(alone, candidates[0] if candidates else None)


def _is_python(language: str) -> bool:
    return language.startswith(("py", "ipy", "tool"))


def _candidate(line: str, number: int, mark: str) -> _Close | None:
    if mark[:3] not in line:
        return None
    marks = [m for m in _MARK.finditer(line) if m[1][0] == mark[0] and len(m[1]) >= len(mark)]
    if not marks:
        return None
    last = marks[-1]
    before, after = line[: last.start()], line[last.end() :].strip()
    if before.strip():
        # At the end of the last line, if nothing but a token follows.
        ends = not after or re.fullmatch(rf"(?:{TOKEN}\s*)+", after) is not None
        return _Close(number, before, opens=False) if ends else None
    word = after.lower()
    return _Close(number, None, opens=word in _LANGUAGES or word.startswith("python"))

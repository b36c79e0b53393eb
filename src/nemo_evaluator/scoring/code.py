"""Code out of a response: the program a model meant, whatever it wrote around it. Pure functions.

In order of trust: fenced blocks that define what is asked for, the last one first, with the blocks
it builds on; other fenced blocks; the text itself where it is code; the longest part of it that is.
A body without its signature is completed by the problem's own. The work is linear in the length of
the response, and what is parsed is bounded.
"""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
import threading
import warnings
from collections.abc import Sequence
from typing import NamedTuple

from .fences import Block, blocks, unified
from .late import late_pattern

PYTHON = {"", "python", "py", "python3", "py3", "python2", "ipython", "pycon"}
BEGINS = late_pattern(
    r"^[ \t]*(?:from\s+\S+\s+import\b|import\s+\w|(?:async\s+)?def\s+\w|class\s+\w|@\w)"
)
PROMPT = late_pattern(r"^(?:>>>|\.\.\.) ?", re.MULTILINE)
MAX_PROGRAM = 100_000
"""Characters of one program: more are not parsed, since parsing holds the interpreter."""
MAX_READ = 1_000_000
"""Characters that are parsed in search of the programs of one response."""
WINDOWS = (60, 400, 2_000)
"""Lines of one program in a text without fences: so many are read, then more if it goes on."""
SHORTENINGS = 40
"""How often lines are left out at the end of a part before it is given up."""
_QUIET = threading.Lock()
"""Held while warnings are off, since the filters of warnings belong to all threads."""
_OPEN = late_pattern(r"triple-quoted|never closed|EOF|expected an indented block")
_WIDTH = 80
"""Characters of a line, about."""
_INVISIBLE: dict[int, str] = {
    **dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"), ""),
    0xA0: " ",
}


class Code(NamedTuple):
    """A program, and the rule that found it."""

    source: str
    rule: str


class Reader:
    """Parses programs, each once, up to `MAX_READ` characters in all."""

    def __init__(self) -> None:
        self.left = MAX_READ
        self._trees: dict[str, ast.Module | int] = {}
        self._cut: set[str] = set()

    def tree(self, code: str) -> ast.Module | None:
        """The tree of a program; None for what is none, or is too long."""
        read = self._read(code)
        return read if isinstance(read, ast.Module) else None

    def error_line(self, code: str) -> int | None:
        """The first line that is no code (from 1), or None if all is."""
        read = self._read(code)
        return read if isinstance(read, int) else None

    def goes_on(self, code: str) -> bool:
        """Whether code is a program, or might be one if more lines followed."""
        read = self._read(code)
        if isinstance(read, ast.Module):
            return True
        return code in self._cut or read >= code.count("\n")

    def is_program(self, code: str) -> bool:
        """Whether a text is a whole program, or the whole body of a function."""
        if len(code) > MAX_PROGRAM:
            return False
        return self.tree(_clean(code)) is not None or (code[:1] in " \t" and self.is_body(code))

    def is_body(self, code: str) -> bool:
        """Whether a text is what follows a signature."""
        return self.tree("def _():\n" + code.rstrip() + "\n") is not None

    def defines(self, code: str, name: str) -> bool:
        """Whether code defines a function (or assigns a name) at its top level."""
        tree = self.tree(code)
        if tree is not None:
            return name in _defined(tree)
        return bool(re.search(rf"^(?:async\s+)?def\s+{re.escape(name)}\b", code, re.MULTILINE))

    def _read(self, code: str) -> ast.Module | int:
        if code not in self._trees:
            if len(code) > MAX_PROGRAM or self.left <= 0:
                return 1
            read, cut = _parsed(code)
            self._trees[code] = read
            if cut:
                self._cut.add(code)
            # The parser stops at the first error; what comes after costs next to nothing.
            seen = len(code) if isinstance(read, ast.Module) else min(len(code), read * _WIDTH)
            self.left -= seen + len(code) // 10 + 1
        return self._trees[code]


def extract_code(response: str, entry_point: str = "") -> Code | None:
    """The program of a response, or None if there is none in it."""
    reader = Reader()
    text = _between_marks(unified(response))
    found = [(b.language in PYTHON, _program(b, reader)) for b in blocks(text, reader.is_program)]
    python = [code for is_python, code in found if is_python and code.strip()]
    others = [code for is_python, code in found if not is_python]
    for group in (python, others) if entry_point else ():
        if named := [code for code in group if reader.defines(code, entry_point)]:
            whole = [code for code in named if reader.tree(code) is not None]
            return Code(_with_needed((whole or named)[-1], [*python, *named], reader), "fence")
    loose = _unfenced(text, entry_point, reader)
    if loose is not None and entry_point and reader.defines(loose.source, entry_point):
        return loose
    if python:
        parsing = [code for code in python if reader.tree(code) is not None]
        return Code(max(parsing or python, key=len), "fence")
    return loose


def complete(prompt: str, code: str, entry_point: str) -> str:
    """The program: the code with what the problem gives before it. ``prompt`` ends with the
    signature of ``entry_point`` and its docstring, as in HumanEval; without an entry point the
    code is all there is."""
    if not entry_point or defines(code, entry_point):
        return f"{prelude(prompt, entry_point)}\n{code}\n"
    first = next((line for line in code.splitlines() if line.strip()), "")
    body = code if first[:1] in " \t" else textwrap.indent(code, "    ")
    return f"{prompt}\n{body}\n"


def prelude(prompt: str, entry_point: str) -> str:
    """What stands before the signature: imports and helper functions."""
    match = re.search(rf"^(?:async\s+)?def\s+{re.escape(entry_point)}\b", prompt, re.MULTILINE)
    return prompt[: match.start()] if match and entry_point else ""


def defines(code: str, name: str) -> bool:
    """Whether code defines a function (or assigns a name) at its top level."""
    return Reader().defines(code, name)


def _program(block: Block, reader: Reader) -> str:
    """The code of a block: as it is where that can be read, else with what disturbs left out."""
    code = _clean(block.text)
    if reader.is_program(block.text):
        return code
    plain = _clean(block.text.translate(_INVISIBLE))
    lines = plain.split("\n")
    without_magic = ["" if line.lstrip()[:1] in ("%", "!") else line for line in lines]
    for other in (plain, "\n".join(without_magic)):
        if reader.tree(other) is not None:
            return other
    start = next((number for number, line in enumerate(lines) if BEGINS.match(line)), None)
    return code if start is None else _program_from(lines, start, reader) or code


def _unfenced(text: str, entry_point: str, reader: Reader) -> Code | None:
    """The program of a text without fences."""
    text = text.strip("\n")
    if not text.strip():
        return None
    if len(text) <= MAX_PROGRAM:
        code = _clean(text)
        if reader.tree(code) is not None and _is_code(code):
            return Code(code, "whole")
        if text[:1] in " \t" and (body := _body(text, reader)) is not None:
            return Code(body, "body")
    return _longest_part(text, entry_point, reader)


def _body(text: str, reader: Reader) -> str | None:
    """The body of a function a text begins with: the whole text, or up to what is not indented."""
    if reader.is_body(text):
        return text.rstrip()
    end = _NOT_INDENTED.search(text)
    body = text[: end.start()].rstrip() if end is not None else ""
    return body if body and reader.is_body(body) else None


_NOT_INDENTED = late_pattern(r"^\S", re.MULTILINE)


def _between_marks(text: str) -> str:
    """What stands between ``[BEGIN]`` and ``[DONE]``, as MBPP's prompts ask for it."""
    done = _DONE.search(text)
    text = text if done is None else text[: done.start()]
    begin = _BEGIN.search(text)
    return text if begin is None else text[begin.end() :]


_BEGIN = late_pattern(r"^[ \t]*\[BEGIN\][ \t]*\n?", re.MULTILINE)
_DONE = late_pattern(r"^[ \t]*\[DONE\][ \t]*$", re.MULTILINE)


def _clean(code: str) -> str:
    """Without common indentation, and without the prompts of an interpreter session."""
    code = textwrap.dedent(code).strip("\n")
    if code.startswith(">>>"):
        code = PROMPT.sub("", code)
    return code


def _parsed(code: str) -> tuple[ast.Module | int, bool]:
    """The tree of a program, or the first line that is no code (from 1); and whether what is wrong
    may be that it ends too soon."""
    try:
        with _QUIET, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(code), False
    except SyntaxError as error:
        return error.lineno or 1, _OPEN.search(error.msg) is not None
    except (ValueError, RecursionError, MemoryError):
        return 1, False


def _defined(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return names


def _with_needed(block: str, blocks: Sequence[str], reader: Reader) -> str:
    """The block after those of the other blocks that define what it uses."""
    tree = reader.tree(block)
    if tree is None:
        return block
    missing = _used(tree) - _defined(tree) - set(dir(builtins))
    needed = [
        other
        for other in blocks[: blocks.index(block)]
        if other != block
        and (found := reader.tree(other)) is not None
        and _defined(found) & missing
    ]
    return "\n\n".join([*dict.fromkeys(needed), block])


def _used(tree: ast.Module) -> set[str]:
    return {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


def _is_code(text: str) -> bool:
    """Whether a text that parses is more than a word or two, which parse as well."""
    return any(BEGINS.match(line) for line in text.splitlines()) or "return" in text


_TAG = late_pattern(
    r"^[ \t]*</?(?:answer|code|pre|solution|output)>|</?(?:answer|code|pre|solution|output)>[ \t]*$"
)
"""Tags around an unfenced program."""


def _longest_part(text: str, entry_point: str, reader: Reader) -> Code | None:
    """The longest run of lines that is code and begins like a program; the last of the longest."""
    lines = [_TAG.sub("", line) for line in text.translate(_INVISIBLE).split("\n")]
    found = [part for n in reversed(_starts(lines)) if (part := _program_from(lines, n, reader))]
    defining = [part for part in found if entry_point and reader.defines(part, entry_point)]
    best = max(defining or found, key=len, default=None)
    return None if best is None else Code(best, "prose")


def _starts(lines: Sequence[str]) -> list[int]:
    """Lines that may be the first of a program."""
    starts, inside = [], False
    for number, line in enumerate(lines):
        begins = bool(BEGINS.match(line))
        if begins and not inside:
            starts.append(number)
        inside = begins or (inside and (not line.strip() or line[:1] in " \t"))
    return starts


def _program_from(lines: Sequence[str], start: int, reader: Reader) -> str | None:
    """The longest program that begins here; most of what follows is prose."""
    indent = lines[start][: len(lines[start]) - len(lines[start].lstrip())]
    for window in WINDOWS:
        if reader.left <= 0:
            break
        end, size = start, 0
        while end < min(len(lines), start + window) and size + len(lines[end]) < MAX_PROGRAM:
            if lines[end].strip() and not lines[end].startswith(indent):
                break  # an indented block ends
            size += len(lines[end]) + 1
            end += 1
        reader.left -= size // 10
        last = end < start + window or window == WINDOWS[-1]
        code = _clean("\n".join(lines[start:end]))
        if last or not reader.goes_on(code):
            return _shortened(lines, start, end, reader)
    return None


def _shortened(lines: Sequence[str], start: int, end: int, reader: Reader) -> str | None:
    """The program of these lines without those from which on it is none."""
    for _ in range(SHORTENINGS):
        if end <= start or reader.left <= 0:
            break
        code = _clean("\n".join(lines[start:end]))
        error = reader.error_line(code)
        if error is None:
            return code if code.strip() else None
        end = min(end - 1, start + max(error - 1, 0))
    return None

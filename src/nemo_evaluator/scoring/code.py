"""Code out of a response: the program a model meant, whatever it wrote around it. Pure functions.

In order of trust: fenced blocks that define what is asked for, the last one first, with the blocks
it builds on; other fenced blocks; the text itself where it is code; the longest part of it that is.
A body without its signature is completed by the problem's own.
"""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

FENCE = re.compile(
    r"^[ \t]*(?P<mark>```+|~~~+)[ \t]*(?P<language>[\w+#.-]*)[^\n]*\n(?P<code>.*?)"
    r"(?:^[ \t]*(?P=mark)[ \t]*$|\Z)",
    re.MULTILINE | re.DOTALL,
)
PYTHON = {"", "python", "py", "python3", "py3", "python2", "ipython", "pycon"}
BEGINS = re.compile(
    r"^[ \t]*(?:from\s+\S+\s+import\b|import\s+\w|(?:async\s+)?def\s+\w|class\s+\w|@\w)"
)
PROMPT = re.compile(r"^(?:>>>|\.\.\.) ?", re.MULTILINE)
MAX_LINES = 2000
"""Longer texts without fences are not searched for code."""


class Code(NamedTuple):
    """A program, and the rule that found it."""

    source: str
    rule: str


def extract_code(response: str, entry_point: str = "") -> Code | None:
    """The program of a response, or None if there is none in it."""
    blocks = [_clean(block) for block in _fenced(response)]
    blocks = [block for block in blocks if block.strip()]
    defining = [block for block in blocks if entry_point and defines(block, entry_point)]
    if defining:
        return Code(_with_needed(defining[-1], blocks), "fence")
    if blocks:
        parsing = [block for block in blocks if _tree(block) is not None]
        return Code(max(parsing or blocks, key=len), "fence")
    if not response.strip():
        return None
    text = _clean(response)
    if _tree(text) is not None and _is_code(text):
        return Code(text, "whole")
    if response[:1] in " \t" and _body_parses(response):
        return Code(response.rstrip(), "body")
    return _longest_part(response, entry_point)


def complete(prompt: str, code: str, entry_point: str) -> str:
    """The program: the code with what the problem gives before it. ``prompt`` ends with the
    signature of ``entry_point`` and its docstring, as in HumanEval; without either the code is all
    there is."""
    if not entry_point or defines(code, entry_point):
        return f"{prelude(prompt, entry_point)}\n{code}\n"
    first = next((line for line in code.splitlines() if line.strip()), "")
    body = code if first[:1] in " \t" else textwrap.indent(code, "    ")
    return f"{prompt}\n{body}\n"


def prelude(prompt: str, entry_point: str) -> str:
    """What stands before the signature: imports and helper functions."""
    match = re.search(rf"^(?:async\s+)?def\s+{re.escape(entry_point)}\b", prompt, re.MULTILINE)
    return prompt[: match.start()] if match else ""


def defines(code: str, name: str) -> bool:
    """Whether code defines a function (or assigns a name) at its top level."""
    tree = _tree(code)
    if tree is None:
        return bool(re.search(rf"^(?:async\s+)?def\s+{re.escape(name)}\b", code, re.MULTILINE))
    return name in _defined(tree)


def _fenced(response: str) -> Iterator[str]:
    for match in FENCE.finditer(response):
        if match["language"].lower() in PYTHON:
            yield match["code"]


def _clean(code: str) -> str:
    """Without common indentation, and without the prompts of an interpreter session."""
    code = textwrap.dedent(code.replace("\r\n", "\n")).strip("\n")
    if code.startswith(">>>"):
        code = PROMPT.sub("", code)
    return code


def _tree(code: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _defined(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return names


def _with_needed(block: str, blocks: Sequence[str]) -> str:
    """The block after those of the other blocks that define what it uses."""
    tree = _tree(block)
    if tree is None:
        return block
    missing = _used(tree) - _defined(tree) - set(dir(builtins))
    needed = [
        other
        for other in blocks[: blocks.index(block)]
        if other != block and (found := _tree(other)) is not None and _defined(found) & missing
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


def _body_parses(text: str) -> bool:
    return _tree("def _():\n" + text.rstrip() + "\n") is not None


def _longest_part(response: str, entry_point: str) -> Code | None:
    """The longest run of lines that is code and begins like a program."""
    lines = response.replace("\r\n", "\n").splitlines()
    if len(lines) > MAX_LINES:
        return None
    parts = [_from(lines, start) for start in _starts(lines)]
    found = [part for part in parts if part is not None]
    defining = [part for part in found if entry_point and defines(part, entry_point)]
    best = max(defining or found, key=len, default=None)
    return None if best is None else Code(best, "prose")


def _starts(lines: Sequence[str]) -> Iterable[int]:
    """Lines that may be the first of a program."""
    inside = False
    for number, line in enumerate(lines):
        begins = bool(BEGINS.match(line))
        if begins and not inside:
            yield number
        inside = begins or (inside and (not line.strip() or line[:1] in " \t"))


def _from(lines: Sequence[str], start: int) -> str | None:
    """The longest program that begins here. Halving first: most of what follows is prose."""
    end = len(lines)
    while end > start:
        code = _clean("\n".join(lines[start:end]))
        tree_error = _error_line(code)
        if tree_error is None:
            return code if code.strip() else None
        end = min(end - 1, start + max(tree_error - 1, 0))
    return None


def _error_line(code: str) -> int | None:
    """The first line that is no code (from 1), or None if all is."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(code)
    except SyntaxError as error:
        return error.lineno or 1
    except (ValueError, RecursionError, MemoryError):
        return 1
    return None

"""The words of users' texts: standard terms, and the glossary of `docs/architecture.md`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from nemo_evaluator.types import Outcome

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
SOURCES = sorted((ROOT / "src").rglob("*.py"))
IDIOMS = {
    r"\bmend(s|ed|ing)?\b": "fix",
    r"\bnobody\b": "name the object that is missing",
    r"\bpassing failures?\b": "transient failures",
    r"(?<!there )\bis no (number|bundle|shard|rollout|object|JSON|HTTP)\b": "is not a ...",
    r"\blook here\b": "say what to check",
    r"\bby chance,": "at random",
    r"\bstands twice\b": "appears twice",
    r"\bof the same thing\b": "comparable",
    r"\bknown system\b": "NVIDIA NeMo Evaluator",
}
"""Phrases that an engineer has to guess at, and what to write instead."""


def texts(source: Path) -> Iterator[str]:
    """Messages, help texts and docstrings; f-strings with their placeholders."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield " ".join(node.value.split())
        elif isinstance(node, ast.JoinedStr):
            yield "".join(p.value if isinstance(p, ast.Constant) else "{}" for p in node.values)


def idioms(text: str) -> list[str]:
    return [f"{m[0]!r}: {say}" for i, say in IDIOMS.items() for m in re.finditer(i, text, re.I)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_use_standard_terms(page: Path) -> None:
    assert idioms(" ".join(page.read_text(encoding="utf-8").split())) == []


def test_messages_and_docstrings_use_standard_terms() -> None:
    found = {
        f"{source.relative_to(ROOT)}: {idiom}"
        for source in SOURCES
        for text in texts(source)
        for idiom in idioms(text)
    }
    assert found == set()


def test_the_glossary_explains_every_outcome() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    words = page.partition("## Words\n")[2].partition("\n## ")[0]
    assert [outcome for outcome in Outcome if f"`{outcome}`" not in words] == []


def test_every_package_is_described() -> None:
    """A new package, or a module beside the packages, is described where the others are."""
    package = ROOT / "src" / "nemo_evaluator"
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.partition("## Packages\n")[2].partition("\n## ")[0]
    names = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    names |= {path.name for path in package.glob("*.py")} - {"__init__.py", "version.py"}
    assert {name for name in names if f"`{name}`" not in table} == set()

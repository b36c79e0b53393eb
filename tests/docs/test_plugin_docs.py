"""The pages about plug-ins, and about agents, say what there is."""

from __future__ import annotations

import re
from pathlib import Path

from nemo_evaluator.kinds import KINDS, SOLVERS
from nemo_evaluator.tasks.plugin_page import with_table

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "plugins.md").read_text(encoding="utf-8")


def test_the_table_of_kinds_is_up_to_date() -> None:
    assert with_table(PAGE) == PAGE
    assert all(f"`{kind.group}`" in PAGE for kind in KINDS.values())


def test_every_solver_has_a_row_in_the_table_of_agents() -> None:
    page = (DOCS / "agents/index.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| \[?`(\w+)`", page, re.M)) == set(SOLVERS.built_in)


def test_every_page_is_in_the_navigation() -> None:
    navigation = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    assert set(re.findall(r": (\S+\.md)$", navigation, re.M)) == pages

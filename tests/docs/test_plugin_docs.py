"""The page about plug-ins says what there is."""

from __future__ import annotations

from pathlib import Path

from nemo_evaluator.kinds import KINDS
from nemo_evaluator.tasks.plugin_page import with_table

PAGE = (Path(__file__).parents[2] / "docs/plugins.md").read_text(encoding="utf-8")


def test_the_table_of_kinds_is_up_to_date() -> None:
    assert with_table(PAGE) == PAGE
    assert all(f"`{kind.group}`" in PAGE for kind in KINDS.values())

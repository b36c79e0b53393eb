"""The page about commands says what the commands say."""

from __future__ import annotations

import re
from pathlib import Path

from nemo_evaluator.cli.main import COMMANDS
from nemo_evaluator.cli.reference import page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "commands.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "python -m nemo_evaluator.cli.reference docs/commands.md"
    )


def test_every_command_is_on_it_with_words_about_it() -> None:
    text = page()
    for name in COMMANDS:
        assert re.search(rf"^## `nel {name}`\n\n\S", text, re.MULTILINE), name
    assert not re.search(r"\|  (\||Default)", text), "an option without help"

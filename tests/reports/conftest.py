"""A real browser for the pages."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from browser import Page, browser, chromium


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    program = chromium()
    if program is None:
        asked = os.environ.get("NEL_REQUIRE")
        needed = "chromium" in asked.split(",") if asked is not None else bool(os.environ.get("CI"))
        (pytest.fail if needed else pytest.skip)("there is no chromium")
    async with browser(program, tmp_path / "profile") as tab:
        yield tab

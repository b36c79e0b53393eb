"""Pages as files, for those who have no server."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from browser import Page
from commands import Nel

pytestmark = pytest.mark.process


def test_every_link_of_the_site_leads_somewhere(
    nel: Nel, two_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    site = tmp_path / "site"
    code, out, _ = nel("view", two_runs, "--export", site, "--max-samples", "30")
    assert code == 0 and out.strip() == f"wrote {site / 'index.html'}"
    pages = list(site.rglob("*.html"))
    assert len([page for page in pages if page.name.startswith("sample-")]) == 60
    for page in pages:
        text = page.read_text()
        assert "http://127" not in text and "<form" not in text
        for link in re.findall(r'(?:href|src)="([^"#]+)', text):
            if not link.startswith(("data:", "#")):
                assert (page.parent / unquote(link)).is_file(), f"{page}: {link}"


async def test_the_site_opens_from_a_disk(
    nel: Nel, two_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: Page
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    nel("view", two_runs, "--export", tmp_path / "site", "--max-samples", "5")
    await page.open(tmp_path / "site" / "index.html", width=1280)
    assert await page.value("document.querySelectorAll('[data-row]').length") == 2
    [first] = (tmp_path / "site").glob("run/after-*/sample/samples-1.html")
    await page.open(first, width=1280)
    await page.value("document.querySelector('#find').focus()")
    await page.send("Input.insertText", text="bakery")
    shown = "[...document.querySelectorAll('[data-row]')].filter(row => !row.hidden).length"
    assert 0 < await page.value(shown) < 200
    assert not page.complaints


def test_an_option_without_effect_is_refused(nel: Nel, two_runs: Path) -> None:
    code, _, err = nel("view", two_runs, "--max-samples", "5")
    assert code == 2 and "--max-samples needs --export" in err

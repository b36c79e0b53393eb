"""The HTML report: well-formed, alone, and as a real browser shows it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from browser import Page
from reported import report

from nemo_evaluator.reports.render import render

WIDTHS = (1280, 390)


class Checker(HTMLParser):
    """Every tag is closed where it was opened; what is linked is there."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name == "href" and (value or "").startswith("#"):
                self.links.append((value or "")[1:])
            elif name in ("src", "href", "action", "srcset", "data", "style") or name[:2] == "on":
                self.outside.append(f"{tag} {name}={value}")
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> in {self.open}"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(report(), "html"), encoding="utf-8")
    return path


def test_it_is_well_formed_and_asks_for_nothing(page_file: Path) -> None:
    text = page_file.read_text(encoding="utf-8")
    checker = Checker()
    checker.feed(text)
    assert checker.open == [] and checker.outside == []
    assert len(set(checker.ids)) == len(checker.ids)
    assert set(checker.links) <= set(checker.ids)
    style = "".join(re.findall(r"<style>(.*?)</style>", text, re.DOTALL))
    assert style and not re.search(r"url\(|@import|@font-face|https?:", style)
    assert "<script" not in text and "default-src 'none'" in text


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_a_browser_shows_it(page: Page, page_file: Path, width: int, dark: bool) -> None:
    await page.open(page_file, width=width, dark=dark)
    shown = await page.value("[document.documentElement.scrollWidth, innerWidth]")
    assert shown[0] <= shown[1] == width, "the page scrolls sideways"
    assert page.requests == [page_file.as_uri()] and page.complaints == []
    wide = await page.value(
        "[...document.querySelectorAll('main *, section *, header *')].filter(e =>"
        " !e.closest('.wide') && e.getBoundingClientRect().right > innerWidth + 1)"
        ".map(e => e.outerHTML.slice(0, 80))"
    )
    assert wide == [], "only tables in boxes of their own are wider"
    assert await contrast(page, "body") >= 7
    for part in (".lead, .note", "thead th", ".badge.bad", ".notices.unsure li", "a"):
        assert await contrast(page, part) >= 4.5, part


async def test_every_plot_is_seen(page: Page, page_file: Path) -> None:
    await page.open(page_file, width=390)
    sizes = await page.value(
        "[...document.querySelectorAll('svg')].map(e => e.getBoundingClientRect())"
        ".map(r => [r.width, r.height])"
    )
    assert len(sizes) > 10 and all(width > 60 and height > 10 for width, height in sizes)
    texts = await page.value(
        "[...document.querySelectorAll('svg text')].map(e => e.getBoundingClientRect())"
        ".filter(r => r.height < 10 || r.left < 0 || r.right > innerWidth).length"
    )
    assert texts == 0, "texts of plots keep their size, and stay on the page"
    named = await page.value(
        "[...document.querySelectorAll('svg')].every(e =>"
        " e.getAttribute('aria-label') || e.getAttribute('aria-hidden'))"
    )
    assert named is True


async def test_on_paper_it_is_black_on_white(page: Page, page_file: Path) -> None:
    await page.open(page_file, width=1280, dark=True, media="print")
    colours = await page.value(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor,"
        " getComputedStyle(document.querySelector('.sign')).display,"
        " getComputedStyle(document.querySelector('nav')).display]"
    )
    assert colours == ["rgb(0, 0, 0)", "rgb(255, 255, 255)", "grid", "none"]


async def contrast(page: Page, selector: str) -> float:
    """Of text and what is behind it, as WCAG 2 reckons it."""
    pair = await page.value(f"""(() => {{
        const e = document.querySelector({selector!r});
        const bare = b => /, 0\\)|transparent/.test(getComputedStyle(b).backgroundColor);
        let b = e;
        while (b && bare(b)) b = b.parentElement;
        return [getComputedStyle(e).color, getComputedStyle(b || document.body).backgroundColor];
    }})()""")
    light, dark = sorted((luminance(colour) for colour in pair), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    channels = [int(x) / 255 for x in re.findall(r"\d+", colour)[:3]]
    linear = [x / 12.92 if x <= 0.03928 else ((x + 0.055) / 1.055) ** 2.4 for x in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

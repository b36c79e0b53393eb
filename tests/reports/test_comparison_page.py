"""The page of a comparison: flips with their question, categories, and words that say what is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from browser import Page
from commands import Nel
from published import constant, share_right, write_results

QUESTION = "How many apples are left of twelve when Anna has eaten five?"


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    """14 categories of 20 problems, and one of 2 that went from right to wrong."""
    categories = {i: f"category {i // 20:02d}" for i in range(280)} | {280: "tiny", 281: "tiny"}
    rows = {"prompt": QUESTION}
    for side, right in (("a", lambda i: True), ("b", lambda i: i < 260 and i >= 15)):
        rewards = {i: [float(right(i))] for i in range(282)}
        write_results(tmp_path / side, rewards, categories=categories, rows=rows)
    return tmp_path / "a", tmp_path / "b"


def compared(nel: Nel, sides: tuple[Path, Path], *options: str) -> str:
    return nel("compare", *sides, "--no-strict", *options)[1]


async def test_a_page_folds_after_ten_and_cuts_nothing(
    page: Page, nel: Nel, sides: tuple[Path, Path], tmp_path: Path
) -> None:
    path = tmp_path / "comparison.html"
    path.write_text(compared(nel, sides, "--format", "html"))
    await page.open(path, width=1280)
    folded = await page.value(
        "[...document.querySelectorAll('details.more')].map(e => ["
        "e.querySelector('summary').textContent, e.open, e.querySelectorAll('tbody tr').length])"
    )
    assert folded == [["5 more", False, 5], ["27 more", False, 27]], "15 categories, 37 flips"
    for width in (1280, 390):
        await page.open(path, width=width)
        await page.value("document.querySelectorAll('details').forEach(e => e.open = true)")
        cut = await page.value(
            "[...document.querySelectorAll('.wide')].map(e => e.scrollWidth - e.clientWidth)"
        )
        assert max(cut) <= 0
    assert path.read_text().count(QUESTION) == 37


def test_two_problems_get_no_verdict(nel: Nel, sides: tuple[Path, Path]) -> None:
    text = compared(nel, sides, "--format", "markdown")
    tiny = next(line for line in text.splitlines() if line.startswith("| tiny"))
    assert tiny.split(" | ")[1] == "—"
    worst = next(line for line in text.splitlines() if line.startswith("| category 13"))
    assert worst.split(" | ")[1] == "drop beyond the limit"
    assert "The intervals hold together at 95 %" in text
    assert not re.search("HELD|BROKE|is chance", text)


def test_intervals_of_categories_are_corrected(nel: Nel, tmp_path: Path) -> None:
    """One category alone has the interval of the whole; beside others a wider one."""
    widths = []
    for count in (1, 12):
        categories = {i: f"c{i // 40}" for i in range(40 * count)}
        for side in ("a", "b"):
            rewards = {i: [float(i % 40 > (side == "b") * 7)] for i in range(40 * count)}
            write_results(tmp_path / f"{side}{count}", rewards, categories=categories)
        folders = (tmp_path / f"a{count}", tmp_path / f"b{count}")
        row = next(
            line
            for line in compared(nel, folders, "--format", "markdown").splitlines()
            if line.startswith("| c0 ")
        )
        low, high = re.search(r"(\S+) to (\S+) \|", row).groups()  # type: ignore[union-attr]
        widths.append(float(high) - float(low))
    assert widths[1] > 1.2 * widths[0]


def test_with_repeats_one_right_answer_is_called_one(nel: Nel, tmp_path: Path) -> None:
    write_results(tmp_path / "once", constant(1.0, 40))
    once = compared(nel, (tmp_path / "once", tmp_path / "once"))
    assert "40 right on both sides" in once
    steady, unsteady = constant(1.0, 40, 4), {i: [1.0, 0.0, 0.0, 0.0] for i in range(40)}
    write_results(tmp_path / "a", steady)
    write_results(tmp_path / "b", unsteady)
    text = " ".join(compared(nel, (tmp_path / "a", tmp_path / "b")).split())
    assert "40 right at least once on both sides" in text and "right on both" not in text


async def test_ten_benchmarks_print_on_one_page(page: Page, nel: Nel, tmp_path: Path) -> None:
    for side, right in (("a", 80), ("b", 60)):
        for i in range(10):
            write_results(tmp_path / side / f"b{i}", share_right(right, 100), name=f"b{i}")
    path = tmp_path / "all.html"
    path.write_text(compared(nel, (tmp_path / "a", tmp_path / "b"), "--format", "html"))
    await page.open(path, width=1280)
    assert await page.pdf(tmp_path / "all.pdf") == 1
    assert "10 of 10 benchmarks: b0 fell 20.0 points (" in path.read_text()


def test_several_candidates_name_their_evidence(nel: Nel, tmp_path: Path) -> None:
    folders = [
        str(write_results(tmp_path / side, share_right(200, 300), run_id=f"eval-{side}"))
        for side in ("base", "one", "two")
    ]
    for form in ("text", "html", "json"):
        _, out, err = nel("compare", *folders, "--format", form)
        for side in ("base", "one", "two"):
            assert f"eval-{side}" in out and f"model of {side}" in out, (form, err)

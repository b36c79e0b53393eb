"""What a person does in the browser: types, presses keys, ticks, clicks; wide, narrow, dark."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from browser import Page
from parts import part
from published import share_right, write_results
from viewing import Client

pytestmark = pytest.mark.process
View = Callable[..., Client]
ROWS = "document.querySelectorAll('#list [data-row]').length"


async def opened(
    page: Page, client: Client, path: str, *, width: int = 1280, dark: bool = False
) -> None:
    await page.open(client.url, width=width, dark=dark)
    await page.open(client.base + path, width=width, dark=dark)


async def test_a_list_is_filtered_as_one_types(view: View, two_runs: Path, page: Page) -> None:
    client = view(two_runs)
    client.samples("after")
    await opened(page, client, f"{client.run('after')}/sample/samples")
    assert await page.value(ROWS) == 50
    await page.press("/")
    await page.send("Input.insertText", text="bakery")
    await page.until("document.querySelector('#total').innerText.startsWith('2 ')")
    assert await page.value(ROWS) == 2
    assert (await page.value("location.search")) == "?q=bakery", "the address can be sent to others"
    await page.press("Escape")
    await page.press("j")
    await page.press("j")
    await page.value("document.activeElement.click()")
    await page.until("!!document.querySelector('.verdicts-row')")
    assert "/sample/" in await page.value("location.pathname")
    assert "at=2" in await page.value("location.search")
    assert not page.complaints


async def test_the_back_button_comes_back_to_the_page_before(
    view: View, two_runs: Path, page: Page
) -> None:
    client = view(two_runs)
    client.samples("after")
    await opened(page, client, f"{client.run('after')}/sample/samples?sort=tokens")
    first = "document.querySelector('#list th a')?.innerText"
    begun = await page.value(first)
    await page.value("document.querySelector('#list a[rel=next]').click()")
    await page.until("location.search.includes('page=2')")
    await page.until(f"{first} !== '{begun}'")
    await page.value("history.back(); null")
    await page.until(f"!location.search.includes('page=2') && {first} === '{begun}'")
    await page.value("history.forward(); null")
    await page.until(f"location.search.includes('page=2') && ({first} ?? '{begun}') !== '{begun}'")
    assert not page.complaints


async def test_a_rollout_is_labelled_with_a_key(view: View, runs: Path, page: Page) -> None:
    client = view(runs)
    client.samples("after")
    await opened(page, client, f"{client.run('after')}/sample/sample/0/0?at=1")
    await page.press("w")
    await page.until("document.querySelector('#saved').innerText === 'saved'")
    assert client.rollouts(client.samples("after", "label=wrong")) == ["0/0"]
    await page.press("j")
    await page.until("document.querySelector('h1')?.innerText === 'sample 0/1'")
    await page.press("b")
    await page.until("!!document.querySelector('#filter')")
    assert not page.complaints


async def test_two_ticked_runs_are_compared(view: View, two_runs: Path, page: Page) -> None:
    client = view(two_runs)
    await opened(page, client, "/")
    assert await page.value("document.querySelector('#compare').disabled")
    await page.value("document.querySelectorAll('[name=run]').forEach(box => box.click())")
    assert not await page.value("document.querySelector('#compare').disabled")
    await page.value("document.querySelector('#compare').click()")
    await page.until("document.querySelector('h1')?.innerText === 'after against before'")
    assert not page.complaints


@pytest.mark.parametrize("width", [1280, 390])
async def test_runs_are_searched(view: View, two_runs: Path, page: Page, width: int) -> None:
    client = view(two_runs)
    await opened(page, client, "/", width=width)
    shown = "[...document.querySelectorAll('[data-row]')].filter(row => row.offsetHeight).length"
    assert await page.value(shown) == 2
    await page.press("/")
    await page.send("Input.insertText", text="before SIMUL")
    await page.until(f"{shown} === 1")
    await page.press("Escape")
    await page.press("j")
    await page.value("document.activeElement.click()")
    await page.until("document.querySelector('h1')?.innerText === 'before'")
    assert not page.complaints


async def test_long_names_and_values_fit(view: View, runs: Path, page: Page) -> None:
    folder = (runs / "after").rename(runs / ("after_a_long_name_" * 8)) / "sample"
    lines = (folder / "results.jsonl").read_text().splitlines(keepends=True)
    long = {"extracted_answer": "W" * 400, "prompt": "P" * 900, "metadata": {"category": "x" * 200}}
    row = json.loads(lines[0]) | long
    (folder / "results.jsonl").write_text("".join([json.dumps(row) + "\n", *lines[1:]]))
    client = view(runs)
    name = folder.parent.name
    client.samples(name[:60])
    for width in (1280, 390):
        await opened(page, client, f"{client.run(name[:60])}/sample/samples", width=width)
        inner = "(e => e.scrollWidth - e.clientWidth)(document.querySelector('.wide'))"
        assert await page.value(inner) <= 1
        assert await page.value("document.querySelector('#keys').offsetHeight") < 50
        assert await page.value("document.querySelector('[data-row]').offsetHeight") < 320


async def test_names_from_right_to_left_do_not_turn_a_line_around(
    view: View, page: Page, tmp_path: Path
) -> None:
    arabic = "ما هو مجموع العددين؟"
    write_results(
        tmp_path / "run" / "bench", share_right(3, 4), name="اختبار", rows={"prompt": arabic}
    )
    client = view(tmp_path)
    client.samples("run", benchmark="bench")
    await opened(page, client, "/", width=1280)
    left = "document.querySelector('.score {}').getBoundingClientRect().left"
    assert await page.value(f"{left.format('a')} < {left.format('b')}"), "the score comes after"
    await opened(page, client, f"{client.run('run')}/bench/sample/0/0", width=1280)
    await page.value(
        "window.text = document.createRange();"
        "text.selectNodeContents(document.querySelector('#prompt-text')); null"
    )
    assert await page.value("text.getBoundingClientRect().left > 640"), "begins on the right"


async def test_no_page_is_wider_than_a_phone_or_hard_to_use(
    view: View, two_runs: Path, page: Page, tmp_path: Path
) -> None:
    axe = (part("axe") / "node_modules" / "axe-core" / "axe.min.js").read_text()
    client = view(two_runs)
    client.samples("after")
    run = client.run("after")
    keys = "&".join(f"run={client.run(name).removeprefix('/run/')}" for name in ("before", "after"))
    pages = ["/", run, f"{run}/audit", f"{run}/sample/samples", f"{run}/sample/sample/0/0?at=1",
             f"/compare?{keys}", f"/pair?{keys}&benchmark=sample&problem=0&repeat=0",
             "/history?benchmark=sample"]  # fmt: skip
    for path in pages:
        for width, dark in ((1280, False), (390, True), (390, False), (1280, True)):
            await opened(page, client, path, width=width, dark=dark)
            wide = await page.value("document.documentElement.scrollWidth")
            assert wide <= width, f"{path} is {wide} wide"
            await page.value(f"{axe}; null")
            await page.value(
                "window.found = null; axe.run().then(r => { window.found = r.violations.filter("
                "v => ['serious', 'critical'].includes(v.impact)).map("
                "v => v.id + ': ' + v.nodes[0].html) }); null"
            )
            await page.until("window.found !== null")
            found = await page.value("window.found")
            assert not found, f"{path} at {width}{', dark' * dark}: {found}"
    assert all(url.startswith((client.base, "data:")) for url in page.requests)

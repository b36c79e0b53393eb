"""Nobody but the user looks, and nothing in a run does harm."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from browser import Page
from viewing import TOKEN, Client

pytestmark = pytest.mark.process
View = Callable[..., Client]


def test_the_token_is_needed_and_leaves_the_address(view: View, two_runs: Path) -> None:
    client = view(two_runs)
    assert client.get("/", cookie="").status == 403
    assert client.get("/", cookie="nel_view=wrong").status == 403
    assert client.get("/?token=wrong", cookie="").status == 403
    answer = client.get(f"/?token={TOKEN}&x=1", cookie="")
    assert answer.status == 303 and answer.headers["location"] == "/?x=1"
    assert TOKEN in answer.headers["set-cookie"] and "HttpOnly" in answer.headers["set-cookie"]
    assert (
        client.get(f"//evil.example/?token={TOKEN}", cookie="").headers["location"]
        == "/evil.example/"
    )


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost", "127.0.0.1:1"])
def test_another_name_of_the_host_is_refused(view: View, two_runs: Path, host: str) -> None:
    client = view(two_runs)
    assert client.get("/", host=host).status == 421


def test_pages_of_others_change_nothing(view: View, runs: Path) -> None:
    client = view(runs)
    path = f"{client.run('after')}/sample/label/0/0"
    label = {"label": "right"}
    assert client.ask("POST", path, label).status == 403, "no origin"
    assert client.ask("POST", path, label, origin="http://evil.example").status == 403
    ours = {"origin": client.base}
    assert client.ask("POST", path, label, **ours, sec_fetch_site="cross-site").status == 403
    assert client.ask("POST", path, label, **ours, content_type="text/plain").status == 415
    assert not list(runs.rglob("labels.jsonl"))
    assert client.ask("POST", path, label, **ours).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/static/../pages.py",
        "/static/..%2fpages.py",
        "/run/..%2f..%2fetc/passwd/samples",
        "/run/after/../../../../etc/passwd",
        "/etc/passwd",
        "/run/nothing-00000000",
    ],
)
def test_no_address_becomes_a_path(view: View, two_runs: Path, path: str) -> None:
    answer = view(two_runs).get(path)
    assert answer.status == 404 and "root:" not in answer.text


def test_no_name_of_a_benchmark_becomes_a_path(view: View, two_runs: Path) -> None:
    client = view(two_runs)
    for name in ("..", "%2e%2e", "..%2fbefore%2fsample", "%2fetc"):
        assert client.get(f"{client.run('after')}/{name}/samples").status == 404
        assert client.get(f"{client.run('after')}/{name}/sample/0/0").status == 404


def test_what_a_page_may_load_is_ours(view: View, two_runs: Path) -> None:
    client = view(two_runs)
    headers = client.get("/").headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy
    assert "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


async def test_hostile_answers_do_no_harm(view: View, hostile: Path, page: Page) -> None:
    client = view(hostile)
    await page.open(client.url, width=1280)
    await page.open(f"{client.base}{client.run('after')}/sample/samples", width=1280)
    listed = await page.value("document.querySelectorAll('[data-row]').length")
    assert listed == 50, await page.value("document.body.innerText.slice(0, 2000)")
    for number in range(4):
        here = f"{client.base}{client.run('after')}/sample/sample/{number // 2}/{number % 2}"
        await page.open(here, width=390)
        assert "owned" not in await page.value("document.title")
        assert await page.value("document.querySelectorAll('pre script, pre img').length") == 0
        width = await page.value("document.documentElement.scrollWidth")
        assert width <= 390, f"rollout {number} makes the page {width} wide"
    text = client.get(f"{client.run('after')}/sample/sample/0/1").text
    assert "\x1b" not in text and "\u202e" not in text and "\\u001b[31mred" in text
    long = client.get(f"{client.run('after')}/sample/sample/1/0")
    assert len(long.body) < 200_000 and "of 5,000,000 characters" in long.text
    whole = client.get(f"{client.run('after')}/sample/text/1/0/answer")
    assert len(whole.body) == 5_000_000 and whole.headers["content-type"].startswith("text/plain")
    outside = [url for url in page.requests if not url.startswith((client.base, "data:"))]
    assert not outside


def test_odd_numbers_and_nested_values_are_listed(view: View, runs: Path) -> None:
    folder = runs / "after" / "sample"
    (folder / "journal.jsonl").unlink()
    lines = (folder / "results.jsonl").read_text().splitlines(keepends=True)
    odd = json.loads(lines[0]) | {"tokens": 2**70, "calls": 2**70, "prompt": "odd \ud800 numbers"}
    nested = lines[1].rstrip()[:-1] + f', "more": {"[" * 5000}{"]" * 5000}}}\n'
    (folder / "results.jsonl").write_text("".join([json.dumps(odd) + "\n", nested, *lines[2:]]))
    with (folder / "model_traffic.jsonl").open("a") as file:
        file.write(json.dumps({"problem_idx": 2**70}) + "\n[]\n\xff\n")
    named = os.fsdecode(os.fsencode(runs) + b"/after-\xff")  # no UTF-8
    (runs / "after").rename(named)
    client = view(runs)
    assert client.rollouts(client.samples("after-_", "q=odd+numbers")) == ["0/0"]
    assert f"{len(lines) - 1:,} rollouts" in client.samples("after-_"), "one nests too deeply"
    run = client.run("after-_")
    assert "odd ? numbers" in client.get(f"{run}/sample/sample/0/0").text
    assert client.get(run).status == client.get(f"{run}/sample/text/0/0/prompt").status == 200
    path = f"{run}/sample/label/0/0"
    assert client.ask("POST", path, {"label": "right"}, origin=client.base).status == 200
    assert client.rollouts(client.samples("after-_", "label=right")) == ["0/0"]


def test_a_run_that_cannot_be_written_is_shown_and_stays_as_it_is(
    view: View, runs: Path, tmp_path: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*")}
    client = view(runs)
    client.samples("after")
    run = client.run("after")
    for path in (run, f"{run}/audit", f"{run}/sample/sample/0/0", "/history?benchmark=sample"):
        assert client.get(path).status == 200
    assert {path: path.stat().st_mtime_ns for path in runs.rglob("*")} == before
    if os.geteuid() == 0:
        return  # nothing is read-only for root
    (runs / "after" / "sample").chmod(0o555)
    answer = client.ask("POST", f"{run}/sample/label/0/0", {"label": "wrong"}, origin=client.base)
    assert answer.status == 200 and list((tmp_path / "data").rglob("sample.jsonl"))

"""Runs in time: small steps add up, and none passes unseen against the first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from browser import Page
from commands import Nel
from published import constant, share_right, write_results


def runs(folder: Path, *right: int, n: int = 1000) -> list[Path]:
    """Runs a day apart, with so many right answers; named so that no order of names is that in
    time."""
    found = []
    for day, count in enumerate(right):
        made = write_results(
            folder / f"run{(day * 7) % 11}", share_right(count, n), run_id=f"r{day}"
        )
        bundle = made / f"r{day}.json"
        document = json.loads(bundle.read_text())
        document["timestamp"] = f"2026-11-{day + 1:02d}T00:00:00+00:00"
        bundle.rename(made / f"eval-r{day}.json").write_text(json.dumps(document))
        found.append(made)
    return sorted(found)


TEN_STEPS = tuple(800 - 10 * step for step in range(11))


def test_ten_drops_of_a_point_do_not_pass_unseen(nel: Nel, tmp_path: Path) -> None:
    folders = runs(tmp_path, *TEN_STEPS)
    code, out, _ = nel("report", "--history", *folders, "-f", "json")
    assert code == 0
    found = json.loads(out)
    (trend,) = found["benchmarks"]
    assert found["verdict"] == trend["verdict"] == "BLOCK"
    assert [run["run_id"] for run in trend["runs"]] == [f"r{i}" for i in range(11)]
    assert all(run["ci_lower"] < run["score"] < run["ci_upper"] for run in trend["runs"])
    newest = trend["runs"][-1]
    assert newest["since_first"]["delta"] == pytest.approx(-0.1)
    assert newest["since_first"]["ci_upper"] < -0.05
    assert {run["since_previous"]["verdict"] for run in trend["runs"][1:]} <= {"WARN", "PASS"}
    assert "in 10 steps of which none alone was shown beyond the limit" in trend["sentence"]


def test_runs_that_hold_pass(nel: Nel, tmp_path: Path) -> None:
    folders = runs(tmp_path, 800, 803, 798, 801)
    assert "PASS: since 2026-11-01 00:00 UTC, bench" in nel("report", "--history", *folders)[1]
    tight = nel("report", "--history", *folders, "--max-drop", "0")[1]
    assert "INCONCLUSIVE: " in tight


@pytest.mark.parametrize("form", ["markdown", "html"])
def test_every_run_is_listed(nel: Nel, tmp_path: Path, form: str) -> None:
    out = tmp_path / "history.out"
    nel("report", "--history", *runs(tmp_path, *TEN_STEPS), "-f", form, "-o", out)
    text = out.read_text()
    assert all(f"r{i}" in text for i in range(11)) and "-10.0" in text


async def test_the_page_fits(page: Page, nel: Nel, tmp_path: Path) -> None:
    path = tmp_path / "history.html"
    folders = runs(tmp_path, *TEN_STEPS)
    for folder in folders:
        (bundle,) = folder.glob("eval-*.json")
        renamed = bundle.read_text().replace('"run_id": "', '"run_id": "20261126_104859_e450b438_')
        bundle.write_text(renamed.replace("model of", "a-publisher/a-model-of-70b-parameters"))
    path.write_text(nel("report", "--history", *folders, "-f", "html")[1])
    for width in (1280, 390):
        await page.open(path, width=width)
        wide = await page.value(
            "[document.documentElement.scrollWidth,"
            "...[...document.querySelectorAll('.wide')].map(e => e.scrollWidth - e.clientWidth)]"
        )
        assert wide[0] <= width and max(wide[1:]) <= 0


def test_what_cannot_be_a_history(nel: Nel, tmp_path: Path) -> None:
    (one,) = runs(tmp_path, 800)
    code, _, err = nel("report", "--history", one)
    assert code == 2 and "no benchmark is in two runs or more" in err
    code, _, err = nel("report", "--history", one, "-f", "csv")
    assert code == 2 and "text, markdown, html or json" in err


def test_a_run_that_is_not_comparable_is_listed_with_the_reason(nel: Nel, tmp_path: Path) -> None:
    folders = runs(tmp_path, 800, 800)
    rows = folders[-1] / "results.jsonl"
    rows.write_text(rows.read_text().replace("answer ", "another answer "))
    text = nel("report", "--history", *folders)[1]
    assert "Not comparable" in text and "expected answer" in text


def with_tokens(folder: Path, *means: int) -> list[Path]:
    """Runs whose answers are all right and take so many tokens, more or less."""
    found = []
    for day, mean in enumerate(means):
        made = write_results(folder / f"day{day}", constant(1.0, 60), run_id=f"r{day}")
        rows = [json.loads(line) for line in (made / "results.jsonl").read_text().splitlines()]
        lines = [json.dumps({**row, "tokens": mean + i % 7}) for i, row in enumerate(rows)]
        (made / "results.jsonl").write_text("\n".join(lines) + "\n")
        bundle = json.loads((made / f"r{day}.json").read_text())
        bundle["timestamp"] = f"2026-11-{day + 1:02d}T00:00:00+00:00"
        (made / f"r{day}.json").rename(made / f"eval-r{day}.json").write_text(json.dumps(bundle))
        found.append(made)
    return found


def test_any_metric_has_a_history_in_its_own_direction(nel: Nel, tmp_path: Path) -> None:
    folders = with_tokens(tmp_path, 100, 103, 106)
    given = ("report", "--history", *folders, "--max-drop", "5", "-f", "json", "--metric")
    found = json.loads(nel(*given, "tokens")[1])
    assert found["verdict"] == "BLOCK" and found["metric"] == "tokens"
    assert found["benchmarks"][0]["runs"][-1]["score"] == pytest.approx(108.9, abs=0.1)
    assert json.loads(nel(*given, "tokens", "--higher-is-better")[1])["verdict"] == "PASS"
    code, _, err = nel(*given, "nosuch")
    assert code == 2 and "metric 'nosuch' is not in the rows" in err
    assert "Runs in time: tokens" in nel("report", "--history", *folders, "--metric", "tokens")[1]


def test_a_run_without_the_metric_is_listed_with_the_reason(nel: Nel, tmp_path: Path) -> None:
    folders = with_tokens(tmp_path, 100, 103, 106)
    rows = folders[1] / "results.jsonl"
    rows.write_text(rows.read_text().replace('"tokens"', '"others"'))
    found = json.loads(nel("report", "--history", *folders, "--metric", "tokens", "-f", "json")[1])
    first, lacking, newest = found["benchmarks"][0]["runs"]
    assert "not in the rows" in lacking["note"] and lacking["score"] is None
    assert newest["since_first"]["delta"] == pytest.approx(6) and not first["note"]


def test_what_is_not_comparable_is_compared_by_force(nel: Nel, tmp_path: Path) -> None:
    folders = runs(tmp_path, 800, 700)
    rows = folders[-1] / "results.jsonl"
    rows.write_text(rows.read_text().replace("answer ", "another answer "))
    text = nel("report", "--history", *folders, "--force")[1]
    assert text.split("\n\n")[1].startswith(("BLOCK", "PASS"))
    assert "Compared because of --force" in text and "expected answer" in text


@pytest.mark.parametrize("option", [("--metric", "tokens"), ("--force",), ("--max-drop", "0.1")])
def test_an_option_of_the_history_needs_one(
    nel: Nel, tmp_path: Path, option: tuple[str, ...]
) -> None:
    code, _, err = nel("report", *runs(tmp_path, 800), *option)
    assert code == 2 and f"{option[0]} needs --history" in err

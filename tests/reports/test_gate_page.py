"""The gate as it is signed and filed: names, dates, digest, one sentence, ten benchmarks on A4."""

from __future__ import annotations

import getpass
import hashlib
import json
import re
import socket
from pathlib import Path

import pytest
from browser import Page
from commands import Nel
from published import share_right, write_results

from nemo_evaluator.version import __version__

NAMES = [f"benchmark_{i}" for i in range(8)] + ["truthfulqa_mc2_with_a_long_name_here", "toxicity"]
N = 300
RIGHT = {NAMES[0]: (240, 204), NAMES[1]: (240, 231), "toxicity": (12, 60)}
"""Right answers of the baseline and the candidate; 200 of both elsewhere."""


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evidence")
    for position, side in enumerate(("base", "cand")):
        for name in NAMES:
            right = RIGHT.get(name, (200, 200))[position]
            made = write_results(
                folder / side / name,
                share_right(right, N),
                name=name,
                run_id=f"run-{side}",
                config={"model": f"acme/model-{side}"},
            )
            bundle = next(made.glob("run-*.json"))
            document = json.loads(bundle.read_text())
            document["timestamp"] = f"2026-11-2{position}T09:12:00+00:00"
            bundle.rename(made / f"eval-{side}.json").write_text(json.dumps(document))
    rules = "".join(
        f"  {name}: {{tier: {'critical' if i < 3 else 'supporting'}"
        f"{', direction: lower_is_better' if name == 'toxicity' else ''}}}\n"
        for i, name in enumerate(NAMES)
    )
    policy = f"version: 1\ndefaults: {{metric: mean_reward, max_drop: 0.03}}\nbenchmarks:\n{rules}"
    (folder / "policy.yaml").write_text(policy)
    return folder


def gate(nel: Nel, folder: Path, form: str, *more: str) -> str:
    policy = str(folder / "policy.yaml")
    sides = (str(folder / "base"), str(folder / "cand"))
    code, out, err = nel("gate", *sides, "-p", policy, "--format", form, *more)
    assert code == 1, err
    return out


@pytest.fixture
def html(evidence: Path, nel: Nel, tmp_path: Path) -> Path:
    path = tmp_path / "gate.html"
    path.write_text(gate(nel, evidence, "html"))
    return path


@pytest.mark.parametrize("form", ["text", "markdown", "html"])
def test_it_says_who_decided_what_on_which_runs(evidence: Path, nel: Nel, form: str) -> None:
    said = " ".join(gate(nel, evidence, form).replace("\\", "").replace("\n  ", " ").split())
    digest = hashlib.sha256((evidence / "policy.yaml").read_bytes()).hexdigest()
    whole = said.replace(" ", "")
    assert digest in whole, "a line may break within it"
    for fact in (
        *(f"acme/model-{side}" for side in ("base", "cand")),
        *(f"run-{side}" for side in ("base", "cand")),
        "2026-11-20 09:12 UTC",
        "2026-11-21 09:12 UTC",
        f"by {getpass.getuser()} on {socket.gethostname()} with nel {__version__}",
        "100.0 % of the planned rollouts are paired",
    ):
        assert fact.replace(" ", "") in whole, fact


def test_the_decision_is_one_sentence_in_plain_words(evidence: Path, nel: Nel) -> None:
    lead = " ".join(gate(nel, evidence, "text").split("\n\n")[1].split())
    assert re.fullmatch(
        r"NO-GO: benchmark_0 fell 12\.0 points \(\d+\.\d to \d+\.\d\); 3 were allowed; "
        r"toxicity rose 16\.0 points \(\d+\.\d to \d+\.\d\); 3 were allowed\.",
        lead,
    )


def test_json_holds_the_same_facts(evidence: Path, nel: Nel) -> None:
    facts = json.loads(gate(nel, evidence, "json"))["provenance"]
    assert facts["candidate"]["models"] == ["acme/model-cand"]
    assert facts["candidate"]["run_ids"] == ["run-cand"]
    assert facts["candidate"]["created"] == ["2026-11-21T09:12:00+00:00"]
    digest = hashlib.sha256((evidence / "policy.yaml").read_bytes()).hexdigest()
    assert facts["policy_sha256"] == digest and facts["host"] == socket.gethostname()


def test_a_change_has_its_sign_and_amounts_have_none(evidence: Path, nel: Nel) -> None:
    text = gate(nel, evidence, "text")
    row = next(line for line in text.splitlines() if re.match(r" +benchmark_0 +BREACH", line))
    assert re.search(r" -12\.0 +-\d+\.\d to -\d+\.\d +-3 +300$", row)
    row = next(line for line in text.splitlines() if re.match(r" +toxicity +BREACH", line))
    assert re.search(r" \+16\.0 +\+\d+\.\d to \+\d+\.\d +\+3 +300$", row)
    explained = gate(nel, evidence, "text", "--explain")
    assert re.search(r"worse by 0\.1200, 95 % interval 0\.\d+ to 0\.\d+ worse; a drop", explained)
    assert not re.search(r"max_drop .*\[[-+]", explained)


async def test_no_column_is_cut_and_colours_are_those_of_the_status(page: Page, html: Path) -> None:
    await page.open(html, width=1280)
    cut = await page.value(
        "[...document.querySelectorAll('.wide')].map(e => e.scrollWidth - e.clientWidth)"
    )
    assert max(cut) <= 0
    rows = await page.value(
        "[...document.querySelectorAll('.forest tbody tr')].map(r => ["
        "r.querySelector('.verdict').textContent, r.querySelector('circle').className.baseVal,"
        "r.querySelectorAll('.limit').length])"
    )
    colours = {"BREACH": "bad", "PASS": "good", "INSUFFICIENT_EVIDENCE": "unsure"}
    assert len(rows) == len(NAMES) and {status for status, *_ in rows} == set(colours)
    assert all(tone == colours[status] and limits == 1 for status, tone, limits in rows)


async def test_on_a_phone_each_benchmark_is_a_card(page: Page, html: Path) -> None:
    await page.open(html, width=390)
    boxes = await page.value(
        "[...document.querySelectorAll('.forest tbody tr')].map(r => ["
        "getComputedStyle(r).borderTopWidth, r.getBoundingClientRect().right,"
        "[...r.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right >"
        " r.getBoundingClientRect().right + 1).length])"
    )
    assert len(boxes) == len(NAMES)
    assert all(border == "1px" and right <= 390 and not out for border, right, out in boxes)
    wide = await page.value("document.documentElement.scrollWidth")
    assert wide == 390


async def test_ten_benchmarks_print_on_one_page(page: Page, html: Path, tmp_path: Path) -> None:
    await page.open(html, width=1280)
    assert await page.pdf(tmp_path / "gate.pdf") == 1


def test_the_odds_of_the_evidence_are_in_every_format(nel: Nel, evidence: Path) -> None:
    document = json.loads(gate(nel, evidence, "json"))["odds"]
    assert len(document["benchmarks"]) == 10 and 0 < document["go_if_equal"] < 0.2
    for form in ("text", "markdown", "html"):
        shown = re.sub(r"\s+", " ", gate(nel, evidence, form))
        assert "toxicity stands in the way most" in shown, form
        assert "if every drop is twice its limit" in shown, form
    assert "PASS if equal" in gate(nel, evidence, "text", "--explain")


async def test_ten_undecided_benchmarks_of_long_names_print_on_one_page(
    page: Page, nel: Nel, tmp_path: Path
) -> None:
    """The most that a page of ten has to say: every one not decided, with how many would decide."""
    for side, step in (("base", 7), ("cand", 11)):
        for name in NAMES:
            write_results(
                tmp_path / side / name,
                {i: [float(i * step % N < 220)] for i in range(N)},
                name=name,
                run_id=f"eval-of-{name}",
                config={"model": f"a-publisher/a-large-model-of-70b-parameters-instruct-{side}"},
            )
    policy = tmp_path / "policy.yaml"
    policy.write_text("defaults: {metric: mean_reward, max_drop: 0.03}\n")
    sides = (tmp_path / "base", tmp_path / "cand")
    code, out, _ = nel("gate", *sides, "-p", policy, "--format", "html")
    assert code == 2 and out.count("INSUFFICIENT_EVIDENCE") >= 10 and "Problems to decide" in out
    html = tmp_path / "gate.html"
    html.write_text(out)
    await page.open(html, width=1280)
    assert await page.pdf(tmp_path / "gate.pdf") == 1

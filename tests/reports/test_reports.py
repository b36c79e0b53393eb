"""Reports of fixed results, compared with files that a person has read.

UPDATE_GOLDEN=1 writes them anew; read the difference before committing it.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from reported import NASTY, RUN, SUMMARY, document, found, report, summary

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.kinds import REPORTS
from nemo_evaluator.reports.console import summary_lines
from nemo_evaluator.reports.data import CSV_COLUMNS
from nemo_evaluator.reports.model_card import model_index
from nemo_evaluator.reports.render import open_format, render, write_reports
from nemo_evaluator.reports.sources import Found
from nemo_evaluator.reports.view import Report, build_report
from nemo_evaluator.results.flips import Flip, Flips
from nemo_evaluator.results.read_bundle import published
from nemo_evaluator.results.run_info import RunStatus

GOLDEN = Path(__file__).parent / "golden"
FOREIGN: dict[str, Any] = {
    "run_id": "eval-20300101T000000Z-add",
    "config_hash": "sha256:00",
    "sdk_version": "0.4.0",
    "timestamp": "2030-01-01T00:00:00.1+00:00",
    "config": {"benchmark": "gsm8k", "model": "tiny", "repeats": 2, "scorers": ["numeric_match"]},
    "benchmark": {
        "name": "gsm8k",
        "samples": 20,
        "repeats": 2,
        "scores": {
            "pass@1": {
                "value": 0.8,
                "ci_lower": 0.8,
                "ci_upper": 0.8,
                "bootstrap_ci_lower": 0.6,
                "bootstrap_ci_upper": 0.95,
            },
            "pass@2": {"value": 0.8, "bootstrap_ci_lower": 0.6, "bootstrap_ci_upper": 0.95},
            "scorer:numeric_match": {"value": 0.8, "correct": 32, "total": 40},
            "summary": {"mean": 0.8, "std": 0.4, "min": 0.0, "max": 1.0, "median": 1.0, "n": 40},
            "breakdowns": {"correct": [{"group": "False", "n": 8, "mean_reward": 0.0}]},
            "runtime": {"total_steps": 40, "total_tokens": 360},
            "failures": {
                "total_steps": 40,
                "total_failures": 1,
                "categories": {
                    "timeout": {
                        "count": 1,
                        "percentage": 0.025,
                        "exemplars": [{"problem_idx": 3, "repeat": 1, "error": "timed out"}],
                    }
                },
            },
        },
        "categories": {"even": {"mean_reward": 0.8, "n": 20}},
    },
    "n_results": 40,
}


def foreign(**config: Any) -> Found:
    """A bundle of another tool."""
    text = json.dumps({**FOREIGN, "config": {**FOREIGN["config"], **config}})
    path = "other/eval-20300101T000000Z-add.json"
    return Found(Path(path), published(json.loads(text), where=path))


def several() -> Report:
    """Two models and a bundle of another tool."""
    done = msgspec.structs.replace(
        RUN, run_id="20300102_000000_abcdef02", status=RunStatus.DONE, benchmarks=("gsm8k",)
    )
    return build_report(
        [found(summary("gsm8k")), found(summary("gsm8k", model="other"), done), foreign()]
    )


def golden(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", list(REPORTS.built_in))
def test_a_run_is_as_read(name: str) -> None:
    golden(f"report.{open_format(name).suffix}", render(report(), name))


@pytest.mark.parametrize("name", list(REPORTS.built_in))
def test_several_runs_are_as_read(name: str) -> None:
    golden(f"several.{open_format(name).suffix}", render(several(), name))


def test_a_model_card_is_as_read() -> None:
    golden("model_card.yaml", model_index(several()))


def test_what_a_terminal_shows_is_as_read() -> None:
    golden("console.txt", "\n".join(summary_lines(SUMMARY)) + "\n")


def test_every_format_escapes() -> None:
    markdown = render(report(), "markdown")
    tables = [line for line in markdown.splitlines() if line.startswith("|")]
    for row, head in zip(tables[1:], tables[:-1], strict=True):
        pipes = [len(re.findall(r"(?<!\\)\|", line)) for line in (row, head)]
        assert pipes[0] == pipes[1] or not row.startswith("| ---"), row
    assert "my\\|model_1 & \\<b\\>50%\\</b\\>" in markdown
    assert "<slow>" not in re.sub(r"`[^\n]*`", "", markdown)
    latex = render(several(), "latex")
    assert r"my\textbar{}model\_1 \& \textless{}b\textgreater{}50\%" in latex
    html = render(report(), "html")
    assert "<slow>" not in html and "&lt;slow&gt;" in html and "<b>" not in html
    rows = list(csv.reader(io.StringIO(render(report(), "csv"))))
    assert {len(row) for row in rows} == {len(CSV_COLUMNS)}
    assert rows[1][CSV_COLUMNS.index("model")] == NASTY


def test_csv_begins_as_published() -> None:
    head = render(report(), "csv").splitlines()[0]
    assert head.startswith("benchmark,samples,repeats,metric,score,ci_lower,ci_upper,")
    rows = list(csv.DictReader(io.StringIO(render(several(), "csv"))))
    assert [(r["model"], r["score"]) for r in rows] == [
        (NASTY, "0.642000"),
        ("other", "0.642000"),
        ("tiny", "0.800000"),
    ]


def test_json_tells_everything() -> None:
    data = json.loads(render(report(), "json"))
    assert data["report_version"] == 2 and data["n_benchmarks"] == 3
    entry = data["benchmarks"]["gsm8k"]
    assert entry["coverage"] == 0.97 and entry["metrics"]["pass@1"]["ci_lower"] == 0.592
    assert entry["latency_p50_ms"] == 120.0 and entry["failures"] == {"rate_limit": 3}
    assert entry["samples"] == 100 and entry["pass@1"] == entry["metrics"]["pass@1"]
    assert entry["categories"]["a & b"]["mean_reward"] == 0.5
    assert entry["breakdowns"]["category"]["a & b"]["ci_lower"] == 0.45
    assert data["benchmarks"]["nothing"]["headline"] is None
    texts = [notice["text"] for notice in data["notices"]]
    assert "no results of never_begun" in texts
    assert any("below" not in text and "3 of 100 rollouts" in text for text in texts)


def test_what_weighs_most_is_said_first() -> None:
    tones = [notice.tone for notice in report().notices]
    assert tones == sorted(tones, key=lambda tone: tone != "bad") and "bad" in tones
    low = report(summary("gsm8k", n_scored=62))
    told = next(n for n in low.notices if "below the floor" in n.text)
    assert told.tone == "bad" and "95.0 %" in told.text


def test_the_bundles_of_one_benchmark_and_model_are_both_shown() -> None:
    later = msgspec.structs.replace(RUN, run_id="20300103_000000_abcdef03")
    twice = build_report([found(summary("gsm8k")), found(summary("gsm8k"), later)])
    assert [r.column for r in twice.results] == [
        f"{NASTY} (20300101_000000_abcdef01)",
        f"{NASTY} (20300103_000000_abcdef03)",
    ]
    assert len({r.label for r in twice.results}) == 2
    assert len(json.loads(render(twice, "json"))["benchmarks"]) == 2
    same_run = build_report([foreign(), Found(Path("copy/x.json"), foreign().result)])
    assert {r.column for r in same_run.results} == {
        "tiny (other/eval-20300101T000000Z-add.json)",
        "tiny (copy/x.json)",
    }


def test_the_same_benchmark_twice_in_a_run_is_named_by_its_folder() -> None:
    hot = summary("gsm8k", slug="gsm8k-hot")
    both = report(summary("gsm8k"), hot)
    assert [r.label for r in both.results] == ["gsm8k", "gsm8k-hot"]


def test_results_that_are_not_of_the_same_thing_are_marked() -> None:
    other = Found(
        Path("b.json"),
        published(
            document(summary("gsm8k", model="b"), **{"environment.prompt_digest": "other"}),
            where="b.json",
        ),
    )
    texts = [n.text for n in build_report([found(summary("gsm8k")), other]).notices]
    assert "the results differ in prompt digest: compare with care" in texts


def test_flips_are_shown_where_there_are_any() -> None:
    flips = Flips(
        benchmark="gsm8k",
        same=98,
        up=1,
        down=1,
        gained=0,
        lost=0,
        flips=(
            Flip(
                problem_idx=5,
                repeat=0,
                before=0.0,
                after=1.0,
                extracted_before="1|2",
                extracted_after="3",
                expected="3",
                response="...",
            ),
        ),
    )
    shown = build_report([found(summary("gsm8k"), flips=flips)])
    text = render(shown, "markdown")
    assert "| 5/0 | 0 → 1 | `1\\|2` | `3` | `3` |" in text
    assert json.loads(render(shown, "json"))["benchmarks"]["gsm8k"]["flips"]["up"] == 1


def test_a_bundle_without_intervals_or_coverage_says_so() -> None:
    data = json.loads(json.dumps(FOREIGN))
    data["benchmark"]["scores"] = {"accuracy": {"value": 71.5}}
    bare = build_report([Found(Path("x.json"), published(data, where="x.json"))])
    texts = [notice.text for notice in bare.notices]
    assert "the bundle gives no interval for the score" in texts
    for name in REPORTS.built_in:
        assert "71.5" in render(bare, name)


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one of markdown, html, json, csv, latex"):
        render(report(), "pdf")
    with pytest.raises(ConfigError, match="no report format 'pdf'"):
        write_reports(SUMMARY, tmp_path, ["pdf"], pytest.fail)


def test_no_score_at_all_is_no_model_card() -> None:
    from reported import unscored

    nothing = report(unscored())
    assert "no score" in render(nothing, "markdown")
    with pytest.raises(ConfigError, match="no score"):
        model_index(nothing)


def test_refusals_are_told_where_there_are_any() -> None:
    some = report(summary("gsm8k", outcomes={"scored": 92, "model_error": 5, "infra_error": 3}))
    text = render(some, "markdown")
    assert "5 of 97 requests were refused by the endpoint (HTTP 4xx)" in text
    assert "Refused: **5** (5.2 % of the verdicts)" in text and "| Refused |" in text
    [row] = csv.DictReader(io.StringIO(render(some, "csv")))
    assert row["refused"] == "5"
    assert "Refused" not in render(report(summary("gsm8k")), "markdown")


def test_a_format_that_was_not_asked_for_is_told_in_points() -> None:
    told = "6.2 % of the answers are right but not in the requested format"
    assert any(
        told in notice.text and "would be 0.580" in notice.text for notice in report().notices
    )

"""Reports of one fixed run, compared with files that a person has read.

UPDATE_GOLDEN=1 writes them anew; read the difference before committing it.
"""

from __future__ import annotations

import csv
import io
import json
import os
from html.parser import HTMLParser
from pathlib import Path

import pytest

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.reports.console import summary_lines
from nemo_evaluator.reports.render import FORMATS, render, write_reports
from nemo_evaluator.results.run_info import RunInfo, RunStatus
from nemo_evaluator.results.summary import (
    BenchmarkSummary,
    Estimate,
    FailureExample,
    FailureKind,
    RunSummary,
    Runtime,
)

GOLDEN = Path(__file__).parent / "golden"


def estimate(value: float, n: int = 100) -> Estimate:
    return Estimate(
        value=value,
        ci_lower=round(value - 0.05, 4),
        ci_upper=round(value + 0.05, 4),
        n=n,
        method="wilson",
    )


def benchmark(slug: str, **more: object) -> BenchmarkSummary:
    runtime = Runtime(
        total_steps=100,
        total_tokens=12_345,
        total_prompt_tokens=10_000,
        total_completion_tokens=2_345,
        total_reasoning_tokens=0,
        elapsed_seconds=12.5,
        latency_percentiles_ms={"p50": 120.0, "p90": 200.0, "p99": 300.0},
        ttft_percentiles_ms={},
        tokens_per_second=987.6,
        steps_per_second=8.0,
        model_errors=0,
        total_retries=3,
        finish_reason_counts={"stop": 98, "length": 2},
        cost_usd=0.0421,
    )
    fields: dict[str, object] = {
        "name": slug,
        "slug": slug,
        "service": "model",
        "model": "my|model_1",
        "simulated": False,
        "n_problems": 100,
        "repeats": 1,
        "n_rollouts": 100,
        "n_scored": 97,
        "headline": "pass@1",
        "metrics": {"pass@1": estimate(0.642, 97), "mean_reward": estimate(0.642, 97)},
        "categories": {"category": {"a & b": estimate(0.5, 40), "c_d": estimate(0.7, 57)}},
        "bound_if_rest_wrong": 0.6227,
        "bound_if_rest_right": 0.6527,
        "truncated": 2,
        "no_answer": 1,
        "outcomes": {"infra_error": 3, "scored": 97},
        "failures": {"rate_limit": FailureKind(count=3, rate=0.03)},
        "examples": (
            FailureExample(
                category="rate_limit", problem_idx=7, repeat=0, error="HTTP 429: <slow> | down"
            ),
        ),
        "retried": {
            "rollouts": 4,
            "mean_reward_retried": 0.25,
            "mean_reward_never_retried": 0.66,
        },
        "runtime": runtime,
        "summary": None,
        "identity": {"model": "my|model_1"},
        "plan_digest": "sha256:0",
    }
    return BenchmarkSummary(**{**fields, **more})  # type: ignore[arg-type]


RUN = RunSummary(
    run=RunInfo(
        run_id="20300101_000000_abcdef01",
        created="2030-01-01T00:00:00+00:00",
        version="0.0.0",
        python="3.11.0",
        host="host",
        status=RunStatus.INCOMPLETE,
    ),
    benchmarks=(
        benchmark("gsm8k"),
        benchmark("sample", simulated=True, n_scored=100, failures={}, examples=(), retried={}),
        benchmark(
            "nothing",
            n_scored=0,
            headline=None,
            metrics={},
            categories={},
            bound_if_rest_wrong=None,
            bound_if_rest_right=None,
        ),
    ),
    directory="run",
)


@pytest.mark.parametrize("name", list(FORMATS))
def test_reports_are_as_read(name: str) -> None:
    path = GOLDEN / f"report.{FORMATS[name].suffix}"
    text = render(RUN, name)
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_what_a_terminal_shows_is_as_read() -> None:
    path = GOLDEN / "console.txt"
    text = "\n".join(summary_lines(RUN)) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_cells_are_escaped() -> None:
    markdown = render(RUN, "markdown")
    row = next(line for line in markdown.splitlines() if line.startswith("| gsm8k |"))
    assert "my\\|model\\_1" in row and row.replace("\\|", "").count("|") == 15
    latex = render(RUN, "latex")
    assert "gsm8k & 0.642" in latex
    rows = list(csv.reader(io.StringIO(render(RUN, "csv"))))
    assert {len(row) for row in rows} == {14}
    assert "<slow>" not in render(RUN, "html") and "&lt;slow&gt;" in render(RUN, "html")


def test_the_page_stands_alone_and_is_well_formed() -> None:
    open_tags: list[str] = []

    class Checker(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert not {"src", "href"} & {name for name, _ in attrs}
            if tag != "meta":
                open_tags.append(tag)

        def handle_endtag(self, tag: str) -> None:
            while open_tags and open_tags[-1] == "li" and tag != "li":
                open_tags.pop()
            if tag == "p" or (open_tags and open_tags[-1] == tag):
                open_tags.pop()

    Checker().feed(render(RUN, "html"))
    assert open_tags == []


def test_json_is_the_whole_summary() -> None:
    document = json.loads(render(RUN, "json"))
    assert document["n_benchmarks"] == 3
    entry = document["benchmarks"]["gsm8k"]
    assert entry["coverage"] == 0.97 and entry["headline_line"].startswith("0.642 [0.592, 0.692]")


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one of markdown, html, json, csv, latex"):
        write_reports(RUN, tmp_path, ["pdf"])

"""`nel eval report` and `nel report`, as they are typed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from commands import Nel
from published import share_right, write_results

from nemo_evaluator import evaluate

CONFIG = """
services:
  model:
    type: simulated
    faults: {server_error: 1.0, retry_after_s: 0.001}
    proxy: {max_retries: 0}
benchmarks:
  - {name: sample, max_problems: 3, max_system_retries: 1}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "one"
    evaluate(bench="sample", model_url="simulated", max_problems=12, repeats=4, output_dir=path)
    return path


def test_one_run_in_every_format(run: Path, nel: Nel, tmp_path: Path) -> None:
    code, out, _ = nel("eval", "report", run, "--all-formats", "-o", tmp_path / "all")
    names = ["report.md", "report.html", "report.json", "report.csv", "report.tex"]
    assert code == 0 and [Path(line).name for line in out.split()] == names
    for name, fmt in zip(names, ("markdown", "html", "json", "csv", "latex"), strict=True):
        written = (tmp_path / "all" / name).read_text(encoding="utf-8")
        assert nel("eval", "report", run, "-f", fmt) == (0, written, "")
        assert nel("report", run, "-f", fmt)[1] == written
        out_file = tmp_path / "deep" / name
        assert nel("report", run, "-f", fmt, "-o", out_file)[0] == 0
        assert out_file.read_text(encoding="utf-8") == written


def test_only_what_is_out_of_date_is_written(run: Path, nel: Nel, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)  # with the times of its files

    def written() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in copy.rglob("*") if path.is_file()}

    before = written()
    report = nel("eval", "report", copy)
    assert report[0] == 0 and written() == before
    for name in ("journal.jsonl", "judgements.jsonl"):
        (copy / "sample" / name).touch()
        assert nel("eval", "report", copy) == report
        assert written()[str(copy / "sample" / "results.jsonl")] > max(before.values())
        before = written()
    (copy / "sample" / "trajectories.jsonl").unlink()
    assert nel("eval", "report", copy) == report
    assert (copy / "sample" / "trajectories.jsonl").exists()
    before = written()
    assert nel("eval", "report", copy, "--derive") == report
    assert written()[str(copy / "sample" / "results.jsonl")] > max(before.values())


def test_repeats_tell_how_steady_the_model_is(run: Path, nel: Nel) -> None:
    entry = json.loads(nel("eval", "report", run, "-f", "json")[1])["benchmarks"]["sample"]
    assert {"pass@1", "pass@2", "pass@4", "pass^4", "strict"} <= entry["metrics"].keys()
    agreement = entry["agreement"]
    assert agreement["problems"] == 12 == sum(agreement["right_counts"])
    assert entry["metrics"]["pass^4"]["value"] == pytest.approx(agreement["right_counts"][4] / 12)
    assert sum(entry["distributions"]["latency_ms"]["counts"]) == 48
    assert "### What 4 repeats agree on, by problem" in nel("report", run)[1]


def test_a_bundle_a_folder_and_the_run_give_the_same(run: Path, nel: Nel) -> None:
    whole = nel("report", run, "-f", "json")[1]
    bundle = next((run / "sample").glob("eval-*.json"))
    for path in (run / "sample", bundle):
        report = json.loads(nel("report", path, "-f", "json")[1])
        assert report["benchmarks"] == json.loads(whole)["benchmarks"]
    assert json.loads(nel("report", run.parent, "-f", "json")[1])["benchmarks"].keys() == {"sample"}
    assert nel("report", run, bundle, "-f", "json")[1] == whole, "the same file is shown once"


def test_models_side_by_side_with_another_tools(run: Path, nel: Nel, tmp_path: Path) -> None:
    other = write_results(tmp_path / "other", share_right(30, 60), name="sample")
    code, out, _ = nel("report", run, other)
    assert code == 0
    assert "| Benchmark | simulated (simulated) | model of other |" in out
    assert "# Evaluation report: 2 models on sample" in out
    html = nel("report", run, other, "-f", "html")[1]
    assert "model of other" in html and html.count("<h1>") == 1


def test_a_run_that_went_on_is_read_anew(run: Path, nel: Nel, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    for bundle in (copy / "sample").glob("eval-*.json"):
        bundle.unlink()
    code, out, _ = nel("report", copy, "-f", "csv")
    assert code == 0 and out == nel("report", run, "-f", "csv")[1]


def test_a_run_of_which_nothing_has_a_verdict(nel: Nel, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(CONFIG)
    assert (
        nel("eval", "run", tmp_path / "bad.yaml", "-o", tmp_path / "bad", "--no-progress")[0] == 3
    )
    for fmt in ("markdown", "html", "json", "csv", "latex"):
        code, out, _ = nel("eval", "report", tmp_path / "bad", "-f", fmt)
        assert code == 0 and out
    text = nel("report", tmp_path / "bad")[1]
    assert "no score: 0 of 3 rollouts have a verdict (server_error 3)" in text
    code, out, err = nel("eval", "report", tmp_path / "bad", "--model-card")
    assert (code, out) == (2, "") and "has no score to put on a model card" in err


@pytest.mark.parametrize("command", [("eval", "report"), ("report",)])
@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds no run and no bundle"),
        ({"notes.txt": "x"}, "holds no run and no bundle"),
        ({"shard_0/x/eval-1.json": "{}"}, "nel eval merge"),
        ({"a/eval-1.json": "{"}, "eval-1.json: is not JSON"),
        ({"eval-1.json": "[]"}, "is not a bundle"),
        (
            {"a/eval-1.json": '{"benchmark": {"name": "b", "scores": {"f1": {"value": NaN}}}}'},
            "the score f1 is nan, not a number",
        ),
        ({"plan.lock": "{", "run.json": "{}"}, "plan.lock"),
    ],
)
def test_what_cannot_be_reported_on(
    command: tuple[str, ...], files: dict[str, str], message: str, nel: Nel, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    code, out, err = nel(*command, tmp_path)
    assert (code, out) == (2, "") and message in err and err.count("error:") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-f", "pdf"), "one of markdown, html, json, csv, latex"),
        (("-f", "csv", "--model-card"), "give"),
        (("-o", "/dev/null/x/report.md"), "cannot be written"),
    ],
)
def test_what_is_asked_for_and_cannot_be(
    words: tuple[str, ...], message: str, run: Path, nel: Nel
) -> None:
    for command in (("eval", "report"), ("report",)):
        code, out, err = nel(*command, run, *words)
        assert (code, out) == (2, "") and message in err
    assert nel("eval", "report", run, "--all-formats", "-f", "csv")[0] == 2
    code, _, err = nel("eval", "report", run, "--all-formats", "-o", "/dev/null/x")
    assert code == 2 and "cannot be written" in err
    assert nel("report", run / "nowhere")[0] == 2 and nel("report")[0] == 2


FORMATS = """
class Broken:
    suffix = "txt"
    def render(self, report): raise ValueError("no such font")

class Number(Broken):
    def render(self, report): return 7
"""


def test_a_format_that_fails_costs_nothing_but_its_report(nel: Nel, tmp_path: Path) -> None:
    file, run = tmp_path / "formats.py", tmp_path / "run"
    file.write_text(FORMATS)
    names = [f"{file}:Broken", f"{file}:Number", "markdown"]
    result = evaluate(
        {
            "services": {"model": {"type": "simulated"}},
            "benchmarks": [{"name": "sample", "max_problems": 3}],
            "output": {"dir": str(run), "report": names},
        }
    )
    told = [text for text in result.messages if "report format" in text]
    assert result.exit_code == 0 and [path.name for path in result.reports] == ["report.md"]
    assert json.loads((run / "run.json").read_text())["status"] == "done"
    assert "ValueError: no such font" in told[0] and f"{file}:4" in told[0]
    assert "gives the text of a report, not 7" in told[1]
    code, out, err = nel("eval", "report", run, "-f", names[0])
    assert (code, out) == (2, "") and err.count("\n") == 1 and "no such font" in err

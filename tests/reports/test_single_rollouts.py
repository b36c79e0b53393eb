"""What reports show of single rollouts, from a run to the page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import Nel

from nemo_evaluator import evaluate

EVIL = "<script>alert(1)</script> ```\n# no heading \x1b[31m"


def rows(n: int) -> list[dict[str, Any]]:
    return [{"a": i, "target": "7"} for i in range(n)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated run with wrong answers, missing answers and errors, of half the problems."""
    path = tmp_path_factory.mktemp("runs") / "mixed"
    service = {
        "type": "simulated",
        "accuracy": 0.4,
        "faults": {"server_error": 0.1, "empty": 0.2, "retry_after_s": 0.001},
        "proxy": {"max_retries": 0},
    }
    entry = {"name": "sample", "max_problems": 60, "repeats": 3, "max_system_retries": 1}
    evaluate({"services": {"model": service}, "benchmarks": [entry], "output": {"dir": str(path)}})
    return path


def page(run: Path, nel: Nel) -> str:
    code, text, _ = nel("report", run, "-f", "html")
    assert code == 0
    return text


def test_a_page_lists_what_is_not_right(run: Path, nel: Nel) -> None:
    text = page(run, nel)
    for title, option in (
        ("Wrong answers", "--wrong"),
        ("No answer found", "--no-answer"),
        ("Errors", "--errors"),
    ):
        found = [json.loads(line) for line in nel("show", run, option, "--json")[1].splitlines()]
        assert found
        part = text[text.index(f">{title} <") :].partition("<h3")[0]
        count = int(re.search(r">([\d,]+)</b> rollouts?,", part)[1])  # type: ignore[index]
        assert count == len(found)
        assert part.count('class="sample"') == min(count, 25)
        first = found[0]
        assert f"<summary>{first['problem_idx']}/{first['repeat']} · " in part
        assert first["prompt"].split("\n")[0].replace("'", "&#39;") in part
        if count > 25:
            assert (
                f"{count - 25:,} more are not listed here: nel show {run}/sample {option}" in part
            )


def test_the_prompt_and_the_least_steady_problems_are_shown(run: Path, nel: Nel) -> None:
    first = json.loads(nel("show", run, "--json", "-n", 1)[1])
    for fmt in ("markdown", "html"):
        text = nel("report", run, "-f", fmt)[1]
        assert first["prompt"].replace("'", "&#39;" if fmt == "html" else "'") in text
    unsteady = json.loads(nel("report", run, "-f", "json")[1])["benchmarks"]["sample"]["agreement"][
        "unsteady"
    ]
    markdown = nel("report", run)[1]
    table = markdown[markdown.index("### Least steady problems") :].split("\n\n")[1]
    assert [int(line.split("|")[1]) for line in table.splitlines()[2:]] == unsteady[:10]
    questions = {
        row["problem_idx"]: row["prompt"]
        for row in map(json.loads, nel("show", run, "--json")[1].splitlines())
    }
    for problem, line in zip(unsteady, table.splitlines()[2:], strict=False):
        assert " ".join(questions[problem].split())[:60] in line


def test_a_subset_is_called_one_everywhere(run: Path, nel: Nel) -> None:
    scored = json.loads(nel("report", run, "-f", "json")[1])["benchmarks"]["sample"]["pass@1"]["n"]
    part = f"{scored} of 120"
    for fmt in ("markdown", "html", "latex"):
        assert part in nel("report", run, "-f", fmt)[1]
    card = nel("report", run, "--model-card")[1]
    [metric, *_] = yaml.safe_load(card)["model-index"][0]["results"][0]["metrics"]
    assert metric["name"] == f"pass@1 ({part} problems, simulated)"
    assert metric["args"]["n"] == scored and metric["args"]["dataset_size"] == 120
    assert f"n={scored} of 120 × 3" in summary_line(run)


def summary_line(run: Path) -> str:
    from nemo_evaluator import load_run
    from nemo_evaluator.reports.console import summary_lines

    return summary_lines(load_run(run))[0]


def test_intervals_are_explained_once(run: Path, nel: Nel) -> None:
    text = nel("report", run)[1]
    notes = text[text.index("## Notes") :]
    assert "A 95 % interval tells where the score would be" in notes
    assert text.count("A 95 % interval tells") == 1
    for method in re.findall(r"\| (wilson[^|]*?) \|", text):
        assert f"Interval: {method}" in notes


def test_a_run_without_any_answer_has_no_scores(tmp_path: Path, nel: Nel) -> None:
    service = {
        "type": "simulated",
        "faults": {"server_error": 1.0, "retry_after_s": 0.001},
        "proxy": {"max_retries": 0},
    }
    entry = {"name": "sample", "max_problems": 3, "max_system_retries": 1}
    evaluate(
        {
            "services": {"model": service},
            "benchmarks": [entry],
            "output": {"dir": str(tmp_path / "r")},
        }
    )
    text = nel("report", tmp_path / "r")[1]
    assert "no score: 0 of 3 rollouts have a verdict" in text
    assert "## Scores" not in text and "95 % CI" not in text and "pass@1" not in text
    assert "### Errors" in text
    assert "95 % CI" not in page(tmp_path / "r", nel)


def test_words_of_a_model_stay_words(tmp_path: Path, nel: Nel) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    row = {
        "problem_idx": 0,
        "repeat": 0,
        "reward": 0.0,
        "prompt": EVIL,
        "model_response": EVIL,
        "expected_answer": EVIL,
        "extracted_answer": {"x": EVIL},
        "scoring_details": {"why": EVIL},
    }
    (folder / "results.jsonl").write_text(json.dumps(row) + "\n")
    text = page(folder, nel)
    assert "<script>" not in text and "&lt;script&gt;" in text
    markdown = nel("report", folder)[1]
    assert "\n# no heading" in markdown  # within a fence that the text cannot close
    block = markdown[markdown.index("### Prompt of the first problem") :].split("\n\n")[1]
    assert block.startswith("````text\n") and block.rstrip().endswith("````")
    assert "\x1b" not in text + markdown

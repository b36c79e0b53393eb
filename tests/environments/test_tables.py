"""A data file named as a benchmark: columns guessed, said, overridden; refusals name the line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from runs import rows

from nemo_evaluator import ConfigError, evaluate
from nemo_evaluator.cli.main import cli
from nemo_evaluator.environments.tables import described

FAQ = "Question,Answer,Topic\nCapital of France?,Paris,geo\nLargest planet?,Jupiter,astro\n"
SUMS = 'problem,expected\n1 + 1?,2\n500 + 500?,"1,000"\n'
QUIZ = "question,A,B,C,answer\nWhich is red?,sky,blood,grass,B\nWhich barks?,dog,cat,cow,dog\n"


def nel(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            FAQ,
            "2 rows; question from 'Question', expected answer from 'Answer', category from "
            "'Topic'; graded by fuzzy_match",
        ),
        (SUMS, "question from 'problem', expected answer from 'expected'; graded by numeric_match"),
        (QUIZ, "options from 'A', 'B', 'C'; graded by multichoice_regex"),
    ],
)
def test_a_file_is_a_benchmark_and_its_columns_are_said(
    tmp_path: Path, text: str, said: str
) -> None:
    path = written(tmp_path, "faq.csv", text)
    options = ["-o", tmp_path / "run", "--model-url", "simulated", "--no-progress"]
    options += ["-O", "services.model.accuracy=1.0"]
    done = nel("eval", "run", "--bench", path, *options)
    assert done.exit_code == 0 and said in done.stderr
    assert [row["reward"] for row in rows(tmp_path / "run" / "faq")] == [1.0, 1.0]


def test_flags_and_params_overrule_the_guess(tmp_path: Path) -> None:
    path = written(tmp_path, "t.csv", "q1,q2,gold\nSay red,Say blue,blue\n")
    flags = ["--question-field", "q2", "--scorer", "includes", "--prompt", "{question}!"]
    options = ["-o", tmp_path / "run", "--model-url", "simulated", "--no-progress"]
    done = nel("eval", "run", "--bench", path, *flags, *options)
    assert "question from 'q2'" in done.stderr and "graded by includes" in done.stderr
    assert rows(tmp_path / "run" / "t")[0]["prompt"] == "Say blue!"
    config = {
        "services": {"model": {"type": "simulated"}},
        "benchmarks": [
            {
                "name": str(path),
                "params": {"question_field": "q1"},
                "solver": {"type": "simple", "service": "model"},
            }
        ],
        "output": {"dir": str(tmp_path / "again"), "report": []},
    }
    assert evaluate(config).exit_code == 0
    assert rows(tmp_path / "again" / "t")[0]["prompt"].startswith("Say red")


@pytest.mark.parametrize("name", ["t.jsonl", "t.json", "t.tsv"])
def test_other_formats(tmp_path: Path, name: str) -> None:
    data: list[dict[str, Any]] = [{"input": "a?", "choices": ["x", "y"], "label": "y"}]
    texts = {
        "t.jsonl": "".join(json.dumps(row) + "\n" for row in data),
        "t.json": json.dumps(data),
        "t.tsv": "input\tA\tB\tlabel\na?\tx\ty\ty\n",
    }
    path = written(tmp_path, name, texts[name])
    result = evaluate(bench=str(path), model_url="simulated", output_dir=tmp_path / "run")
    assert result.exit_code == 0
    row = rows(tmp_path / "run" / "t")[0]
    assert row["expected_answer"] == "B" and "A. x\nB. y" in row["prompt"]


@pytest.mark.parametrize(
    ("text", "params", "message"),
    [
        ("a,b\n1,2\n", {}, "cannot tell which column holds the question; the columns are a, b"),
        ("question,b\n1,2\n", {}, "--target-field COLUMN"),
        ("question,answer\n", {}, "holds no rows"),
        (FAQ, {"question_field": "Frage"}, "has no column 'Frage'.*Question, Answer, Topic"),
        (FAQ, {"scorer": "vibes"}, "no scorer 'vibes'.*fuzzy_match"),
        (FAQ, {"colour": "red"}, "unknown params colour.*question_field"),
    ],
)
def test_what_cannot_be_guessed_is_refused(
    tmp_path: Path, text: str, params: dict[str, Any], message: str
) -> None:
    path = written(tmp_path, "t.csv", text)
    with pytest.raises(ConfigError, match=message):
        described(path, params)


@pytest.mark.parametrize("wrong", ["D", "1", "mouse", ""])
def test_an_answer_that_is_no_option_is_refused_with_its_line(tmp_path: Path, wrong: str) -> None:
    text = QUIZ + f'"two\nlines",x,y,z,{wrong}\n'
    path = written(tmp_path, "quiz.csv", text)
    done = nel("eval", "run", "--bench", path, "--model-url", "simulated", "-o", tmp_path / "run")
    assert done.exit_code != 0
    text = str(done.exception) + done.stderr
    assert "quiz.csv:5" in text and "neither an option nor a letter up to C" in text


def test_validate_reads_tables_and_says_whom_it_asks(tmp_path: Path) -> None:
    path = written(tmp_path, "faq.csv", FAQ)
    done = nel("validate", "-b", path, "--samples", 1, "--judge-url", "simulated")
    assert done.exit_code == 0, done.output
    assert "model: simulated" in done.stderr and "judge: simulated" in done.stderr
    assert "question from 'Question'" in done.stderr


def test_completion_knows_the_benchmarks(tmp_path: Path) -> None:
    variables = {"_NEL_COMPLETE": "bash_complete", "COMP_WORDS": "nel eval run --bench gs"}
    done = CliRunner().invoke(cli, [], prog_name="nel", env={**variables, "COMP_CWORD": "4"})
    assert "plain,gsm8k" in done.output

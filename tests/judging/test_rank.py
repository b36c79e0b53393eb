"""`nel judge rank`: runs and files of verdicts become ratings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from published import write_results

from nemo_evaluator import ConfigError
from nemo_evaluator.cli.main import cli


def nel(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


def judged(folder: Path, model: str, wins: int) -> Path:
    """A run whose judge preferred the model on the first ``wins`` of 40 problems, in either order
    on those below 30 and in the first place only on the rest."""
    write_results(folder, {i: [1.0] for i in range(40)}, config={"model": model})
    path = folder / "results.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for i, row in enumerate(rows):
        orders = [float(i < wins)] * 2 if i < 30 else [1.0, 0.0]
        row["scoring_details"] = {
            "judge:wins": {"value": 0.5, "baseline": "base", "orders": orders}
        }
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_runs_with_a_common_baseline_are_rated_together(tmp_path: Path) -> None:
    runs = [judged(tmp_path / name, name, wins) for name, wins in (("good", 25), ("poor", 5))]
    done = nel("judge", "rank", *runs, "--format", "json")
    found = json.loads(done.stdout)
    assert [one["model"] for one in found["ratings"]] == ["good", "base", "poor"]
    assert found["ratings"][0]["comparisons"] == 80 and found["ratings"][0]["wins"] == 60
    assert found["ratings"][0]["lower"] > found["ratings"][2]["upper"]
    assert found["first_share"] > 0.55  # ten of forty verdicts go by the order
    for form in ("text", "markdown", "html"):
        said = nel("judge", "rank", *runs, "--format", form)
        assert said.exit_code == 0 and "good is rated highest" in said.stdout
    error = nel("judge", "rank", *runs, "--metric", "other").exception
    assert isinstance(error, ConfigError) and "named 'other'" in str(error)


def test_files_of_verdicts(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    lines = [f"a,b,{'A' if i % 4 else 'tie'},p{i}\nb,c,b,p{i}\n" for i in range(20)]
    path.write_text("first,second,winner,problem\n" + "".join(lines))
    done = nel("judge", "rank", "--pairs", path)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.index("a ") < done.stdout.index("c ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"first": "a", "second": "b"}', "pairs.jsonl:1: has no winner"),
        ('{"first": "a", "second": "a", "winner": "A"}', "compares 'a' with itself"),
        ('{"first": "a", "second": "b", "winner": "x"}', "winner is 'x'"),
        (
            '{"first": "a", "second": "b", "winner": "A"}\n'
            '{"first": "c", "second": "d", "winner": "A"}',
            "no comparisons connect c, d with a",
        ),
        ("", "there are no comparisons"),
    ],
)
def test_what_cannot_be_rated_is_said(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(text)
    done = nel("judge", "rank", "--pairs", path)
    assert isinstance(done.exception, ConfigError) and said in str(done.exception)

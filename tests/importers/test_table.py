"""Tables as runs: columns by their usual names, or named."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import Nel
from hypothesis import given, settings
from hypothesis import strategies as st
from runs import rows

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.importers.table import TableFile


def write(path: Path, lines: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    return path


def test_named_columns(nel: Nel, tmp_path: Path) -> None:
    lines = [
        {"row": 0, "is_right": "true", "said": "4", "kind": "a"},
        {"row": 1, "is_right": "false", "said": "5", "kind": "b"},
        {"row": 2, "is_right": "", "said": "", "kind": "b"},
    ]
    path = write(tmp_path / "mine.csv", lines)
    code, _, err = nel("import", path, "-o", tmp_path / "run")
    assert code == 2 and "cannot tell which column is the reward" in err and "--columns" in err
    words = (
        "--columns",
        "problem_idx=row,reward=is_right",
        "--columns",
        "response=said,category=kind",
    )
    code, out, err = nel(
        "import", path, "-o", tmp_path / "run", *words, "--model-id", "m", "-b", "quiz"
    )
    assert code == 0 and "quiz: pass@1 0.500" in out, err
    found = rows(tmp_path / "run/quiz")
    assert [row["reward"] for row in found] == [1.0, 0.0, None]
    assert found[1]["metadata"] == {"category": "b"} and found[0]["model_response"] == "4"
    code, _, err = nel("import", path, "-o", tmp_path / "r2", "--columns", "reward=nothing")
    assert code == 2 and "has no column 'nothing'" in err
    code, _, err = nel("import", path, "-o", tmp_path / "r2", "--columns", "reword=is_right")
    assert code == 2 and "did you mean 'reward'?" in err


def test_a_name_in_another_script_stays(nel: Nel, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", [{"id": 1, "reward": 1}, {"id": 2, "reward": 0}])
    code, out, err = nel("import", path, "-o", tmp_path / "run", "-b", "北京")
    assert code == 0 and out.startswith("北京: pass@1 0.500"), err
    assert len(rows(tmp_path / "run" / "北京")) == 2
    code, out, err = nel("report", tmp_path / "run", "-f", "json")
    assert code == 0 and "北京" in out, err


def test_parquet_ids_repeats_and_benchmarks(nel: Nel, tmp_path: Path) -> None:
    columns = {
        "id": ["b", "a", "b", "x"],
        "score": [0.5, 1.0, float("nan"), 1.0],
        "task": ["one", "one", "one", "two"],
        "expected": ["1", "2", "1", "3"],
        "error": [None, None, "gone", None],
        "model": ["m", "m", "m", "n"],
    }
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table(columns), path)
    assert nel("import", path, "-o", tmp_path / "run")[0] == 0
    one = rows(tmp_path / "run/one")
    assert [(row["problem_idx"], row["repeat"], row["reward"]) for row in one] == [
        *((0, 0, 1.0), (1, 0, 0.5), (1, 1, None))
    ]
    assert one[2]["scoring_details"]["error"] == "gone" and one[0]["metadata"]["id"] == "a"
    assert rows(tmp_path / "run/two")[0]["reward"] == 1.0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"problem_idx": "x", "reward": 1}, "mine.csv:2: problem_idx is 'x', no number"),
        ({"problem_idx": -1, "reward": 1}, "mine.csv:2: problem_idx is '-1', no whole number"),
        ({"problem_idx": 0, "reward": "good"}, "mine.csv:2: reward is 'good', no number"),
        ({"id": "", "reward": 1}, "mine.csv:2: has no id"),
    ],
)
def test_what_is_wrong_has_a_line(
    nel: Nel, tmp_path: Path, line: dict[str, Any], said: str
) -> None:
    path = write(tmp_path / "mine.csv", [line])
    code, _, err = nel("import", path, "-o", tmp_path / "run")
    assert code == 2 and said in err


CELL = st.one_of(st.none(), st.booleans(), st.floats(), st.text(max_size=5), st.integers())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.fixed_dictionaries({"problem_idx": CELL, "reward": CELL}), max_size=4))
def test_any_table_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, lines: list[dict[str, Any]]
) -> None:
    import json

    path = tmp_path_factory.mktemp("t") / "t.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8")
    try:
        found = TableFile(TableFile.Options()).read(path)
        read = [one for table in found for one in table.rollouts()]
    except ConfigError:
        return
    assert len(read) == len(lines)

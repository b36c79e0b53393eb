"""Rows from every kind of source, and what a broken one says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nemo_evaluator.environments.row_files import line_of
from nemo_evaluator.environments.rows import Dataset, digest_rows, load, read_file
from nemo_evaluator.errors import ConfigError

ROWS = [{"q": 'Größe, or "size"?', "n": 1}, {"q": "line\nbreak", "n": 2}]


def written(folder: Path, ending: str) -> Path:
    path = folder / f"rows.{ending}"
    if ending == "jsonl":
        path.write_text("\ufeff" + "\n\n".join(json.dumps(row) for row in ROWS), encoding="utf-8")
    elif ending == "json":
        path.write_text("\ufeff" + json.dumps({"version": 1, "rows": ROWS}), encoding="utf-8")
    elif ending == "parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    else:
        import csv

        with path.open("w", newline="", encoding="utf-8-sig") as file:
            writer = csv.DictWriter(file, ["q", "n"], delimiter="\t" if ending == "tsv" else ",")
            writer.writeheader()
            writer.writerows(ROWS)
    return path


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "tsv", "parquet"])
def test_a_file_of_every_kind(tmp_path: Path, ending: str) -> None:
    rows = read_file(written(tmp_path, ending))
    assert [{"q": row["q"], "n": int(row["n"])} for row in rows] == ROWS


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_csv_file_of_any_spreadsheet(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f'q{mark}n\n"a, b; c"{mark}1\nd{mark}2\n', encoding="utf-8-sig")
    assert read_file(path) == [{"q": "a, b; c", "n": "1"}, {"q": "d", "n": "2"}]
    assert line_of(path, 1) == f"{path}:3"


def test_relative_paths_start_at_the_defining_file_then_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside, here = tmp_path / "beside", tmp_path / "here"
    for number, folder in enumerate((beside, here)):
        folder.mkdir()
        (folder / "a.jsonl").write_text(f'{{"n": {number}}}')
    (here / "b.jsonl").write_text('{"n": 2}')
    monkeypatch.chdir(here)
    assert load("a.jsonl", folder=beside).rows[0]["n"] == 0
    assert load("b.jsonl", folder=beside).rows[0]["n"] == 2
    with pytest.raises(ConfigError, match=r"c\.jsonl: dataset not found.*beside"):
        load("c.jsonl", folder=beside)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", '{"a": 1}\n{"a": \n', r"a\.jsonl:2: not JSON"),
        ("a.jsonl", '{"a": 1}\n\n[1]\n', r"a\.jsonl:3: a row must be an object, not list"),
        ("a.json", '[\n{"a": 1},\n{]', r"a\.json:3: not JSON"),
        ("a.json", '{"a": 1}', "must be a list"),
        ("a.json", "[1]", r"a\.json \[0\]: a row must be an object"),
        ("a.csv", "a,b\n1,2\n1,2,3\n", r"a\.csv:3: has not as many cells as the header \(2\)"),
        ("a.csv", "a,b\n1\n", r"a\.csv:2: has not"),
        ("a.csv", "a,a\n1,2\n", "two columns are called 'a'"),
        ("a.parquet", "no", "not a parquet file"),
        ("a.txt", "no", "cannot read .txt"),
    ],
)
def test_a_broken_file_says_where(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_file(path)


def test_a_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a\n\xff\xfe\xff\n")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_file(path)


def test_a_cell_may_hold_an_image(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(f"image\n{'A' * 300_000}\n")
    assert len(read_file(path)[0]["image"]) == 300_000


def with_size(num_examples: int | None = None) -> list[dict[str, Any]]:
    return [{"n": n} for n in range(num_examples or 3)]


def test_functions_give_rows_or_a_dataset() -> None:
    assert len(load(with_size).rows) == 3
    assert load(lambda: ({"n": n} for n in range(2))).rows[1] == {"n": 1}
    ready = Dataset(rows=[{"n": 1}], name="made", revision="r", digest="d")
    assert load(lambda: ready) is ready


def test_what_is_no_rows_is_refused() -> None:
    def broken() -> list[dict[str, Any]]:
        raise KeyError("column")

    with pytest.raises(ConfigError, match=r"broken\(\) failed: KeyError: 'column'"):
        load(broken)
    with pytest.raises(ConfigError, match="a list of rows, not NoneType"):
        load(lambda: None)
    with pytest.raises(ConfigError, match="a list of rows, not dict"):
        load({"q": "?"})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"rows\[1\]: a row must be an object, not str"):
        load([{"q": "?"}, "q"])  # type: ignore[list-item]


def test_half_a_character_is_refused_with_its_row() -> None:
    rows = [{"q": "whole \U0001f600"}, {"q": {"deep": ["half \ud83d"]}}]
    with pytest.raises(ConfigError, match=r"rows\[1\]: holds '\\ud83d', half of a character"):
        load(rows)
    with pytest.raises(ConfigError, match=r"rows\[1\]"):
        load(lambda: rows)


def test_the_digest_depends_on_content_and_order_only() -> None:
    class Thing:
        pass

    assert digest_rows([{"a": 1}, {"a": 2}]) == digest_rows([{"a": 1}, {"a": 2}])
    assert digest_rows([{"a": 1}, {"a": 2}]) != digest_rows([{"a": 2}, {"a": 1}])
    assert digest_rows([{"a": 1}]) != digest_rows([{"a": "1"}])
    assert digest_rows([{"a": b"x"}]) != digest_rows([{"a": b"y"}])
    assert digest_rows([{"a": Thing()}]) == digest_rows([{"a": Thing()}])


@pytest.mark.parametrize("source", ["org/name", "org/name?split=test", "o-g/na.me-1.5?config=a/b"])
def test_a_name_of_the_hub_needs_no_scheme(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def load_hub(uri: str) -> tuple[list[dict[str, int]], str, str]:
        asked.append(uri)
        return [{"a": 1}], "org/name", "sha"

    monkeypatch.setattr("nemo_evaluator.environments.hub.load_hub", load_hub)
    assert load(source, folder=tmp_path).revision == "sha"
    assert asked == [f"hf://{source}"]


@pytest.mark.parametrize("source", ["data/rows.jsonl", "/abs/name", "../x/y", "rows"])
def test_a_missing_file_is_no_name_of_the_hub(source: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="dataset not found"):
        load(source, folder=tmp_path)


def test_a_row_that_cannot_be_written_is_named() -> None:
    class Silent:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    itself: dict[str, Any] = {}
    itself["row"] = itself
    for odd, told in ((itself, "RecursionError"), ({"x": Silent()}, "RuntimeError: no text")):
        with pytest.raises(ConfigError, match=rf"rows\[1\]: cannot be written as JSON: {told}"):
            load([{"q": "a"}, odd])


def test_a_folder_and_a_data_frame_are_said_to_be_no_rows(tmp_path: Path) -> None:
    class Frame(list[str]):
        columns, dtypes = ("q",), ("str",)

    with pytest.raises(ConfigError, match="is a folder, not a file of rows"):
        load(tmp_path)
    with pytest.raises(ConfigError, match="not a data frame"):
        load(Frame(["q"]))

"""What NVIDIA NeMo Evaluator has and this version has not says so; runs are found by their id."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from commands import Nel
from published import constant, write_results

from nemo_evaluator import ConfigError, evaluate
from nemo_evaluator.environments.registry import PLANNED, find


@pytest.mark.parametrize(
    ("words", "now"), [("regression a b", "nel compare"), ("run c.yaml", "nel eval run")]
)
def test_commands_of_another_name_say_which(nel: Nel, words: str, now: str) -> None:
    code, _, err = nel(*words.split())
    assert code == 2 and "is not available in this version" in err and f"Now: {now}" in err
    assert "Did you mean" not in err


def test_an_unknown_word_is_not_a_planned_command(nel: Nel) -> None:
    assert "No such command 'nonsense'" in nel("nonsense")[2]
    assert "No such option" in nel("eval", "run", "--nonsense")[2]


@pytest.mark.parametrize("name", [*PLANNED])
def test_benchmarks_that_are_not_built_say_so(name: str) -> None:
    with pytest.raises(ConfigError, match="is not available in this version") as caught:
        find(name)
    assert "planned: " in str(caught.value) and "did you mean" not in str(caught.value)


@pytest.mark.parametrize("option", ["-b", "--bench", "--benchmark"])
def test_validate_takes_a_benchmark_by_every_name(nel: Nel, option: str) -> None:
    code, out, _ = nel("validate", option, "sample", "-s", 2)
    assert code == 0 and "2 of 2 verified" in out


def test_validate_shows_errors_too(nel: Nel, tmp_path: Path) -> None:
    bench = tmp_path / "broken.py"
    bench.write_text(
        "from nemo_evaluator import ScorerInput, benchmark, scorer\n"
        "@benchmark(name='b', dataset=[{'a': 1, 'target': '1'}], prompt='{a}?')\n"
        "@scorer\n"
        "def b(sample: ScorerInput) -> dict:\n"
        "    raise ValueError('the scorer is broken')\n"
    )
    code, out, _ = nel("validate", "-b", bench, "-s", 1)
    assert code == 1 and "ERROR    0/0" in out and "the scorer is broken" in out


def test_benchmarks_are_listed_by_source(nel: Nel, tmp_path: Path) -> None:
    built_in = nel("list", "-s", "builtin")[1]
    assert "Built-in benchmarks:" in built_in and "nel eval run --bench gsm8k" in built_in
    assert "nel list lm-eval TEXT" in nel("list", "-s", "lm-eval")[1]
    (tmp_path / "own_math").mkdir()
    (tmp_path / "own_math" / "test.jsonl").touch()
    out = nel("list", "--source", "skills", "--data-dir", tmp_path)[1]
    assert "nel eval run --bench skills://own_math" in out
    everything = nel("list", "-s", "all")[1]
    assert built_in in everything and "NeMo Skills benchmarks" in everything
    assert nel("list", "solvers", "-s", "all")[0] == 2


def test_a_run_is_found_by_its_id(
    nel: Nel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    evaluate(bench="sample", model_url="simulated", max_problems=2, output_dir="deep/one")
    run_id = json.loads(Path("deep/one/run.json").read_text())["run_id"]
    by_path = nel("eval", "report", "deep/one", "-f", "json")[1]
    for name in (run_id, run_id[:18]):
        assert nel("eval", "report", "-r", name, "-f", "json") == (0, by_path, "")
    shutil.copytree("deep/one", "copy")
    code, _, err = nel("eval", "report", "-r", run_id)
    assert code == 2 and "copy" in err and "deep/one" in err
    code, _, err = nel("eval", "report", "-r", "nothing")
    assert code == 2 and "there is no run 'nothing'" in err
    assert nel("eval", "report", "copy", "-r", run_id)[0] == 2


def test_a_run_of_the_known_system_is_found_in_its_store(
    nel: Nel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    write_results(elsewhere / "bench", constant(1.0, 4))
    note = tmp_path / "data/nel/runs/20300101_000000_abcdef01/nel_run.json"
    note.parent.mkdir(parents=True)
    known = {"run_id": "20300101_000000_abcdef01", "output_dir": str(elsewhere)}
    note.write_text(json.dumps(known))
    code, out, _ = nel("eval", "report", "-r", "20300101_000000_abcdef01", "-f", "csv")
    assert code == 0 and out.splitlines()[1].startswith("bench,4,1,pass@1,1.000000,")


def test_shards_merge_by_the_id_of_one(
    nel: Nel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for index in range(2):
        words = ("--bench", "sample", "--model-url", "simulated", "--max-problems", 4)
        assert nel("eval", "run", *words, "--shard", f"{index}/2", "-o", "out")[0] == 0
    run_id = json.loads(Path("out/shard_1/run.json").read_text())["run_id"]
    code, out, _ = nel("eval", "merge", "-r", run_id)
    assert code == 0 and "2 shards -> out" in out and Path("out/sample/results.jsonl").exists()


def test_the_json_report_has_the_rows_where_asked(nel: Nel, tmp_path: Path) -> None:
    evaluate(bench="sample", model_url="simulated", max_problems=3, output_dir=tmp_path / "r")
    plain = json.loads(nel("eval", "report", tmp_path / "r", "-f", "json")[1])
    assert "results" not in plain["benchmarks"]["sample"]
    code, out, _ = nel("eval", "report", tmp_path / "r", "-f", "json", "--with-results")
    rows = json.loads(out)["benchmarks"]["sample"]["results"]
    lines = (tmp_path / "r/sample/results.jsonl").read_text().splitlines()
    assert code == 0 and rows == [json.loads(line) for line in lines]
    assert nel("eval", "report", tmp_path / "r", "--with-results")[0] == 0

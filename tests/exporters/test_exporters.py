"""Exporters hand finished runs on: at the end of a run, and later by `nel export`."""

from __future__ import annotations

import csv
import json
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import Nel
from harbor_model import refused
from published import constant, write_results
from runs import NEL

from nemo_evaluator.exporters.registry import export_run
from nemo_evaluator.exporters.table import COLUMNS
from nemo_evaluator.results.view import RunView

MINE = """
import json
import re
import subprocess
from pathlib import Path
from nemo_evaluator.config.base import ConfigRecord

class Kept:
    class Options(ConfigRecord):
        path: str
        token: str | None = None
    def __init__(self, options): self.options = options
    async def export(self, run):
        if self.options.token is not None:
            raise RuntimeError(f"the server refused {self.options.token}")
        rows = [row.reward for view in run.benchmarks() for row in view.rows()]
        Path(self.options.path).write_text(json.dumps([run.run_id, len(rows)]))
        return [self.options.path]

class NoExporter:
    pass

class Hasty:
    def __init__(self, how): self.how = how
    async def export(self, run):
        if self.how == "exit":
            raise SystemExit(3)
        return None
"""


@pytest.fixture
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)


def config(**output: Any) -> str:
    document = {
        "services": {"m": {"type": "simulated", "model": "=cmd()"}},
        "benchmarks": [{"name": "sample", "max_problems": 4, "repeats": 2}],
        "output": {"dir": "run", "report": [], **output},
    }
    Path("c.yaml").write_text(yaml.safe_dump(document))
    return "c.yaml"


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def lines_of(folder: str) -> list[str]:
    [path] = Path(folder).glob("*.jsonl")
    return path.read_text(encoding="utf-8").rstrip("\n").split("\n")


@pytest.mark.usefixtures("_here")
def test_a_run_hands_its_results_on(nel: Nel, tmp_path: Path) -> None:
    code, _, err = nel("eval", "run", config(export=["csv", "jsonl"]))
    assert code == 0 and "exported to csv: run/exports/scores.csv" in err
    view = RunView.open(tmp_path / "run")
    rows = table(tmp_path / "run/exports/scores.csv")
    assert {row["run_id"] for row in rows} == {view.run_id}
    [headline] = [row for row in rows if row["headline"] == "true"]
    score = view.benchmarks()[0].bundle.score
    assert score is not None and float(headline["value"]) == score.value
    assert float(headline["ci_lower"]) == score.ci_lower and headline["simulated"] == "true"
    assert headline["model"] == "'=cmd()"  # no spreadsheet runs it
    lines = [json.loads(line) for line in lines_of("run/exports")]
    assert [(line["problem_idx"], line["repeat"], line["reward"]) for line in lines] == [
        (row.problem_idx, row.repeat, row.reward) for row in view.benchmarks()[0].rows()
    ]
    assert {line["model"] for line in lines} == {"=cmd()"} and all(lines[0][n] for n in ("prompt",))


@pytest.mark.usefixtures("_here")
def test_trajectories_are_handed_on_as_harbor_takes_them(nel: Nel, tmp_path: Path) -> None:
    assert nel("eval", "run", config(export=["atif"]))[0] == 0
    rows = list(RunView.open(tmp_path / "run").benchmarks()[0].rows())
    documents = [json.loads(line) for line in lines_of("run/exports")]
    told = [(found["extra"]["problem_idx"], found["extra"]["reward"]) for found in documents]
    assert told == [(row.problem_idx, row.reward) for row in rows] and len(told) == 8
    assert (
        nel("export", "run", "-d", "atif", "--output-dir", "good", "-o", "least_reward=1")[0] == 0
    )
    good = [json.loads(line) for line in lines_of("good") if line]
    assert len(good) == sum(row.reward == 1.0 for row in rows)
    assert refused([*documents, *good]) == []


@pytest.mark.usefixtures("_here")
def test_one_table_of_many_runs_holds_each_once(nel: Nel, tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert nel("eval", "run", config(), "-o", name)[0] == 0
    for words in (("a", "b"), ("b",), ("a/sample",)):
        code, out, _ = nel("export", *words, "--dest", "csv", "--output-dir", "all")
        assert code == 0 and out.splitlines()[-1] == "exported to csv: all/scores.csv"
    rows = table(tmp_path / "all/scores.csv")
    keys = [(row["run_id"], row["benchmark"], row["metric"]) for row in rows]
    assert len(keys) == len(set(keys)) and len({key[0] for key in keys}) == 2


@pytest.mark.usefixtures("_here")
def test_exports_into_one_table_at_once(nel: Nel, tmp_path: Path) -> None:
    import asyncio

    names = ("a", "b", "c", "d")
    for name in names:
        assert nel("eval", "run", config(), "-o", name)[0] == 0

    def one(name: str) -> None:
        asyncio.run(export_run(RunView(Path(name)), {"csv": {"output_dir": "all"}}))

    with ThreadPoolExecutor() as pool:
        list(pool.map(one, names))
    assert len({row["run_id"] for row in table(tmp_path / "all/scores.csv")}) == len(names)


@pytest.mark.usefixtures("_here")
def test_a_failing_exporter_fails_no_run(nel: Nel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cret-token-of-the-server")
    options = {"mine.py:Kept": {"path": "kept.json", "token": "${TOKEN}"}}
    code, _, err = nel("eval", "run", config(export=["mine.py:Kept", "csv"], export_config=options))
    assert code == 0
    assert "warning: export to mine.py:Kept failed: RuntimeError: the server refused ***" in err
    assert "again: nel export run --dest NAME" in err and "s3cret" not in err
    assert "exported to csv" in err
    assert json.loads(Path("run/run.json").read_text())["status"] == "done"
    written = [p for p in Path("run").rglob("*") if p.is_file()]
    assert not any(b"s3cret" in path.read_bytes() for path in written)
    code, _, err = nel("export", "run", "-d", "csv", "-o", "path=k.csv")
    assert code == 2 and err.startswith("error: -o: path: unknown field")
    assert nel("export", "run", "-d", "csv", "-o", "k")[2].startswith("error: -o: Invalid override")
    code, _, err = nel("export", "run", "-d", "mine.py:Kept", "-o", "path=k.json", "-o", "token=x1")
    assert code == 3 and "error: " in err and "failed: RuntimeError" in err
    assert nel("export", "run", "-d", "mine.py:Kept", "-o", "path=k.json")[0] == 0
    assert json.loads(Path("k.json").read_text())[1] == 8


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize(("how", "said"), [("exit", "SystemExit: 3"), ("none", "TypeError: ")])
def test_an_exporter_that_ends_itself_ends_nothing_else(nel: Nel, how: str, said: str) -> None:
    options = {"mine.py:Hasty": {"how": how}}
    code, _, err = nel("eval", "run", config(export=["mine.py:Hasty"], export_config=options))
    assert code == 0 and f"warning: export to mine.py:Hasty failed: {said}" in err


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize("name", ["csv", "jsonl", "parquet", "hf", "junit", "atif", "otel"])
def test_a_full_disk_is_told_with_the_file(nel: Nel, name: str) -> None:
    assert nel("eval", "run", config())[0] == 0
    words = ("bash", "-c", 'ulimit -f 0; exec "$@"', "-", *NEL, "export", "run", "--dest", name)
    done = subprocess.run([*words, "--output-dir", "out"], capture_output=True, text=True)
    assert done.returncode == 3 and "Errno" not in done.stderr
    assert re.search(rf"export to {name} failed: .*out/.*: File too large\n$", done.stderr)
    assert not [path for path in Path("out").rglob("*") if path.is_file()]


@pytest.mark.usefixtures("_here")
def test_an_incomplete_run_is_not_handed_on(nel: Nel) -> None:
    document = yaml.safe_load(Path(config(export=["csv"])).read_text())
    document["services"]["m"]["faults"] = {"server_error": 1.0}
    document["services"]["m"]["proxy"] = {"max_retries": 0, "max_outage": 0}
    document["benchmarks"][0] |= {"max_system_retries": 1, "max_problems": 1, "repeats": 1}
    Path("c.yaml").write_text(yaml.safe_dump(document))
    code, _, err = nel("eval", "run", "c.yaml")
    assert code == 3 and "not exported, since the run is incomplete: nel export run" in err
    assert not Path("run/exports").exists()


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-d csvv", "there is no exporter 'csvv' — did you mean 'csv'?"),
        ("-d csv -o fille=x", "fille: unknown field — did you mean 'file'?"),
        ("-d csv -o x", "Invalid override format"),
        ("-d jsonl -c o.yaml", "o.yaml:2: texts: must be true or false (got 'perhaps')"),
        ("-d mine.py:NoExporter", "'mine.py:NoExporter': is not an exporter — it needs a method"),
        ("-d mine.py:Kept", "path: is required"),
        ("-d csv --output-dir mine.py", "failed: mine.py: File exists"),
    ],
)
def test_what_is_wrong_is_told_at_once(nel: Nel, words: str, message: str) -> None:
    nel("eval", "run", config())
    Path("o.yaml").write_text("jsonl:\n  texts: perhaps\n")
    code, _, err = nel("export", "run", *words.split())
    assert code in (2, 3) and message in err and "Traceback" not in err


@pytest.mark.usefixtures("_here")
def test_another_file_is_not_written_over(nel: Nel) -> None:
    nel("eval", "run", config())
    Path("scores.csv").write_text("name,value\na,1\n")
    code, _, err = nel("export", "run", "--to", "csv", "--output-dir", ".")
    assert code == 3 and "is not a table of this exporter; nothing was written" in err
    assert Path("scores.csv").read_text() == "name,value\na,1\n"
    Path("scores.csv").write_bytes(b"\xff\xfe")
    assert nel("export", "run", "--to", "csv", "--output-dir", ".")[0] == 3
    Path("scores.csv").write_text("")
    assert nel("export", "run", "--to", "csv", "--output-dir", ".")[0] == 0
    assert tuple(table(Path("scores.csv"))[0]) == COLUMNS


@pytest.mark.usefixtures("_here")
def test_shards_are_handed_on_when_they_are_merged(
    nel: Nel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TABLES", "all")
    config(export=["csv"], export_config={"csv": {"output_dir": "${TABLES}"}})
    for shard in ("0/2", "1/2"):
        code, _, err = nel("eval", "run", "c.yaml", "--shard", shard)
        assert code == 0 and "exported" not in err
    monkeypatch.delenv("TABLES")
    code, _, err = nel("eval", "merge", "run")
    assert code == 0 and "variable TABLES is not set" in err
    assert "again: nel export run --dest NAME" in err and not Path("all").exists()
    monkeypatch.setenv("TABLES", "all")
    code, _, err = nel("eval", "merge", "run")
    assert code == 0 and "exported to csv: all/scores.csv" in err
    assert {row["run_id"] for row in table(Path("all/scores.csv"))} == {RunView(Path("run")).run_id}


@pytest.mark.usefixtures("_here")
def test_texts_can_be_left_out(nel: Nel) -> None:
    nel("eval", "run", config())
    Path("o.json").write_text('{"jsonl": {"texts": false}}')
    assert nel("export", "run", "-d", "jsonl", "-c", "o.json")[0] == 0
    line = json.loads(lines_of("run/exports")[0])
    assert "reward" in line and "prompt" not in line and "model_response" not in line


@pytest.mark.usefixtures("_here")
def test_mistakes_in_the_configuration_have_a_line(nel: Nel) -> None:
    config(export=["csv"], export_config={"csv": {"fil": "x"}})
    code, _, err = nel("eval", "run", "c.yaml")
    assert code == 2 and not Path("run").exists()
    assert "output.export_config.csv.fil: unknown field — did you mean 'file'?" in err
    assert "c.yaml:" in err


@pytest.mark.usefixtures("_here")
def test_runs_of_other_tools_and_folders_of_runs(nel: Nel) -> None:
    write_results(Path("runs/theirs/a"), {0: [1.0], 1: [None], 2: [0.0]}, name="a", run_id="eval-x")
    write_results(Path("runs/theirs/b"), constant(1.0, 3), name="b", run_id="eval-x")
    assert nel("eval", "run", config(), "-o", "runs/ours")[0] == 0
    for dest in ("csv", "jsonl"):
        code, _, err = nel("export", "runs", "--dest", dest, "--output-dir", "all")
        assert code == 0, err
    rows = table(Path("all/scores.csv"))
    assert {row["benchmark"] for row in rows} == {"a", "b", "sample"}
    lines = [
        json.loads(line)
        for path in Path("all").glob("*.jsonl")
        for line in path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    ]
    assert sorted(line["benchmark"] for line in lines).count("sample") == 8
    [unscored] = [line for line in lines if line["reward"] is None]
    assert (unscored["benchmark"], unscored["problem_idx"]) == ("a", 1)
    assert {(line["benchmark"], line["problem_idx"]) for line in lines} >= {("a", 0), ("b", 2)}

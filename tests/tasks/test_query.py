"""SQL over runs: what is answered, what is refused, and how quickly."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from agent_run import agent_run
from commands import Nel
from parts import part
from published import write_results
from runs import NEL

from nemo_evaluator import load_run
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.results.lock import directory_lock
from nemo_evaluator.results.run_info import RunStatus
from nemo_evaluator.results.view import RunView
from nemo_evaluator.tasks.query import query


@pytest.fixture
def run(nel: Nel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunView:
    monkeypatch.chdir(tmp_path)
    return RunView.open(agent_run(nel, tmp_path))


def answers(sql: str, *runs: RunView) -> list[tuple[object, ...]]:
    return [row for answer in query(sql, runs) for row in answer.rows]


def test_tables_hold_what_the_files_say(run: RunView) -> None:
    [view] = run.benchmarks()
    rows = list(view.rows())
    assert answers("SELECT problem_idx, repeat, reward FROM rows", run) == [
        (row.problem_idx, row.repeat, row.reward) for row in rows
    ]
    assert answers("SELECT count(*) FROM rows", run) == [(8,)]
    score = view.bundle.score
    assert score is not None
    assert answers("SELECT metric, score, ci_lower, scored FROM runs", run) == [
        ("pass@1", score.value, score.ci_lower, 6)
    ]
    for join in (
        "runs r JOIN scores s USING (run_id)",
        "(SELECT run_id, score FROM runs) NATURAL JOIN "
        "(SELECT run_id, value, headline FROM scores)",
    ):
        sql = f"SELECT score, value FROM {join} WHERE headline"
        assert answers(sql, run) == [(score.value, score.value)]
    sql = "SELECT scoring_details ->> 'explanation' FROM rows WHERE prompt REGEXP 'one\\?$' LIMIT 1"
    assert answers(sql, run) == [("compared with 1",)]
    found = answers("SELECT count(*) FROM calls", run)
    assert found == [(len(list(view.calls())),)]


def test_a_run_whose_process_was_killed_is_not_running(run: RunView) -> None:
    path = run.directory / "run.json"
    known = json.loads(path.read_text())
    assert answers("SELECT status FROM runs", run) == [(known["status"],)]
    path.write_text(json.dumps({**known, "status": "running"}))
    again = RunView.open(run.directory)
    assert again.info is not None and again.info.status is RunStatus.RUNNING
    assert answers("SELECT status FROM runs", again) == [("killed",)]
    with directory_lock(run.directory):
        assert answers("SELECT status FROM runs", again) == [("running",)]


def test_several_runs_and_statistics(tmp_path: Path) -> None:
    for name, rewards in (("a", [0.0, 1.0, 1.0, 1.0]), ("b", [0.5, 0.5, None, 0.0])):
        lines = {place: [reward] for place, reward in enumerate(rewards)}
        write_results(tmp_path / name / "x", lines, run_id=f"eval-{name}")
    runs = [RunView(tmp_path / name) for name in "ab"]
    sql = "SELECT run_id, avg(reward), median(reward), quantile(reward, 1), stddev(reward)"
    found = answers(f"{sql} FROM rows GROUP BY run_id ORDER BY run_id", *runs)
    assert found[0] == ("eval-a", 0.75, 1.0, 1.0, 0.5)
    assert found[1][:4] == ("eval-b", pytest.approx(1 / 3), 0.5, 0.5)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM rows",
        "UPDATE rows SET reward = 1",
        "INSERT INTO rows (reward) VALUES (1)",
        "CREATE TABLE t (a)",
        "DROP TABLE rows",
        "ATTACH 'other.db' AS o",
        "PRAGMA writable_schema = 1",
        "VACUUM INTO 'copy.db'",
        "SELECT load_extension('x')",
        "WITH t AS (SELECT 1) DELETE FROM rows",
        "REINDEX",
    ],
)
def test_nothing_but_selecting(nel: Nel, run: RunView, sql: str) -> None:
    before = sorted(Path().rglob("*"))
    code, out, err = nel("query", sql, "run")
    assert code == 2 and not out and "a query may select, and nothing else" in err
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT 1; SELECT 2", "one statement at a time"),
        ("SELECT rewrd FROM rows", "did you mean 'reward'?"),
        ("SELECT 1 FROM row", "did you mean 'rows'?"),
        ("SELEC 1", "syntax error"),
        ("SELECT abs(-9223372036854775807 - 1)", "integer overflow"),
        ("SELECT 1 FROM runs WHERE model = tiny", "a text stands in quotes: 'tiny'"),
        ("SELECT 1 FROM rows WHERE model_response REGEXP '('", "REGEXP '(': missing )"),
        ("SELECT median(prompt) FROM rows", "median, quantile and stddev take numbers (got '"),
        ("SELECT quantile(reward, 'half') FROM rows", "take numbers (got 'half')"),
    ],
)
def test_what_is_wrong_is_told(nel: Nel, run: RunView, sql: str, said: str) -> None:
    code, _, err = nel("query", sql, "run")
    assert code == 2 and said in err


def test_rows_are_printed_in_every_format(nel: Nel, run: RunView) -> None:
    sql = "SELECT problem_idx AS p, reward, model_response FROM rows WHERE repeat = 0"
    told = json.loads(nel("query", sql, "run", "--format", "json")[1])
    assert [line["reward"] for line in told] == [1.0, 0.0, None, 1.0]
    lines = nel("query", sql, "run", "--format", "jsonl")[1].rstrip("\n").split("\n")
    assert [json.loads(line) for line in lines] == told
    assert nel("query", sql, "run", "--format", "csv", "-o", "out.csv")[0] == 0
    table = list(csv.DictReader(io.StringIO(Path("out.csv").read_text(encoding="utf-8"))))
    assert [line["p"] for line in table] == ["0", "1", "2", "3"]
    out = nel("query", sql, "run")[1]
    head, rule, *rest = out.splitlines()
    assert head.split() == ["p", "reward", "model_response"] and set(rule) == {"-", " "}
    assert len(rest) == 4 and "\x00" not in out
    assert nel("query", "SELECT 1 FROM rows WHERE 0", "run", "--format", "json")[1] == "[]\n"
    assert "reward" in nel("query", "--tables")[1]
    assert "PATHS: is missing" in nel("query", "SELECT 1")[2]


def test_what_json_columns_hold(nel: Nel, run: RunView) -> None:
    sql = "SELECT key, count(*) AS n FROM rows, json_each(coalesce(metadata, '{}')) GROUP BY key"
    assert nel("query", sql, "run", "--format", "json")[0] == 0
    sql = "SELECT sum(value) AS n FROM json_each('[1, 2]')"
    assert json.loads(nel("query", sql, "run", "--format", "json")[1]) == [{"n": 3}]


def test_constants_may_be_no_text(nel: Nel, run: RunView) -> None:
    sql = "SELECT hex(x'ff00') AS b, length(x'ff') AS n"
    assert nel("query", sql, "run", "--format", "jsonl")[1] == '{"b":"FF00","n":1}\n'


@pytest.mark.process
def test_an_endless_query_can_be_interrupted(run: RunView) -> None:
    endless = "WITH RECURSIVE t(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM t) SELECT max(a) FROM t"
    process = subprocess.Popen(
        [*NEL, "query", endless, "run"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130 and b"interrupted" in err


@pytest.mark.slow
def test_200_000_rows(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "big/b", {0: [1.0]}, name="b")
    line = json.loads((folder / "results.jsonl").read_text(encoding="utf-8"))
    missing = ("prompt", "extracted_answer", "latency_ms", "finish_reason", "tokens")
    texts = {"prompt": "how much " * 60, "model_response": "this much " * 60}
    line |= {**dict.fromkeys(missing), **texts, "outcome": "scored", "truncated": False}
    text = json.dumps(line)
    with (folder / "results.jsonl").open("w", encoding="utf-8") as file:
        for place in range(200_000):
            file.write(text.replace('"problem_idx": 0', f'"problem_idx": {place}') + "\n")
    sql = "SELECT count(*), avg(reward), max(problem_idx) FROM rows"
    assert answers(sql, RunView(tmp_path / "big")) == [(200_000, 1.0, 199_999)]


def test_data_frames(run: RunView) -> None:
    loaded = load_run("run")
    frame = loaded.to_pandas()
    assert len(frame) == 8 and frame["reward"].mean() == pytest.approx(2 / 3)
    assert loaded.to_arrow("scores").column("metric").to_pylist()[0] == "pass@1"
    assert loaded.benchmarks[0].n_scored == 6
    with pytest.raises(ConfigError, match="there is no table 'row'"):
        loaded.to_arrow("row")


@pytest.mark.process
def test_a_run_that_cannot_be_written_is_loaded(run: RunView) -> None:
    """As one of somebody else, on a file system that is mounted read-only, or full."""
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    code = """from nemo_evaluator import load_run
loaded = load_run("run")
print(loaded.benchmarks[0].n_scored, loaded.to_arrow().num_rows)"""
    words = ("bash", "-c", 'ulimit -f 0; exec "$@"', "-", sys.executable, "-c", code)
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.stdout == "6 8\n", done.stderr
    assert before == {p: p.read_bytes() for p in Path("run").rglob("*") if p.is_file()}


@pytest.mark.slow
def test_tables_are_frames_of_polars(run: RunView) -> None:
    [site] = (part("export") / "lib").glob("python*/site-packages")
    code = (
        f"import sys; sys.path.append({str(site)!r})\n"
        "from nemo_evaluator import load_run\n"
        "print(load_run('run').to_polars()['reward'].mean())"
    )
    env = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.returncode == 0 and float(done.stdout) == pytest.approx(2 / 3), done.stderr

"""`nel show`: what a run was asked and answered."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from commands import Nel
from published import share_right, write_results
from runs import NEL

from nemo_evaluator import evaluate
from nemo_evaluator.results.rollout_filter import Kind
from nemo_evaluator.tasks.show import Wanted, show


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "one"
    evaluate(bench="sample", model_url="simulated", max_problems=30, repeats=2, output_dir=path)
    return path


def row(problem: int, repeat: int = 0, **more: Any) -> dict[str, Any]:
    details = {"correct": True, "method": "m", **more.pop("details", {})}
    fields = {
        "problem_idx": problem,
        "repeat": repeat,
        "outcome": "scored",
        "reward": 1.0,
        "prompt": f"question {problem}",
        "model_response": f"response {problem}",
        "extracted_answer": "4",
        "expected_answer": "4",
        "scoring_details": details,
        "metadata": {},
        "tokens": 10,
        "latency_ms": 5.0,
        "finish_reason": "stop",
        "truncated": False,
    }
    return {**fields, **more}


def write(folder: Path, rows: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True)
    lines = "".join(json.dumps(r) + "\n" for r in rows)
    (folder / "results.jsonl").write_text(lines, encoding="utf-8")
    return folder


WRONG = {"correct": False}
MIXED = [
    row(0),
    row(1, reward=0.0, extracted_answer="5", details={"correct": False}),
    row(2, reward=0.0, extracted_answer=None, details={**WRONG, "failure": "format_error"}),
    row(3, reward=None, outcome="infra_error", details={"error": "401", "error_category": "auth"}),
    row(4, reward=0.0, outcome="model_error", details={"correct": False, "error": "too long"}),
    row(5, reward=0.25, details={"correct": None}),
]


def shown(nel: Nel, *words: object) -> list[int]:
    code, out, err = nel("show", *words, "--json")
    assert (code, err) == (0, "")
    return [json.loads(line)["problem_idx"] for line in out.splitlines()]


def test_rollouts_are_found_by_kind(tmp_path: Path, nel: Nel) -> None:
    folder = write(tmp_path / "run" / "b", MIXED)
    assert shown(nel, folder.parent) == [0, 1, 2, 3, 4, 5]
    assert shown(nel, folder, "--wrong") == [1]
    assert shown(nel, folder, "--no-answer") == [2]
    assert shown(nel, folder, "--errors") == [3, 4]
    assert shown(nel, folder, "--wrong", "--no-answer") == [1, 2]
    assert shown(nel, folder, "--problem", 3) == [3]
    assert shown(nel, folder, "--rollout", "4/0") == [4]
    assert shown(nel, folder, "--rollout", "4/1") == []
    assert shown(nel, folder, "-n", 2) == [0, 1]


def test_wrong_rollouts_of_a_run_say_everything(run: Path, nel: Nel) -> None:
    code, out, _ = nel("show", run, "--wrong", "-n", 1)
    first = next(item.row for item in show(run, Wanted(kinds=frozenset({Kind.WRONG}))))
    assert code == 0 and f"{first.key} · wrong · reward 0" in out
    for line in (first.prompt or "").splitlines():
        assert line in out
    for name, value in (("expected", first.expected_answer), ("extracted", first.extracted_answer)):
        assert f"  {name}:" in out and str(value) in out
    assert "method: sample" in out and "rule: answer_line" in out
    total = len(shown(nel, run, "--wrong"))
    assert out.endswith(f"1 of {total} shown; -n 0 shows all\n")
    assert nel("show", run, "--wrong", "-n", 0)[1].count("· wrong ·") == total


def test_results_that_were_deleted_are_derived_again(run: Path, nel: Nel, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "copy")
    before = nel("show", copy, "--json")[1]
    (copy / "sample" / "results.jsonl").unlink()
    for path in (copy, copy / "sample"):
        assert nel("show", path, "--json") == (0, before, "")


def test_errors_are_found_in_their_own_file(tmp_path: Path, nel: Nel) -> None:
    config = {
        "services": {
            "model": {
                "type": "simulated",
                "faults": {"server_error": 1.0, "retry_after_s": 0.001},
                "proxy": {"max_retries": 0},
            }
        },
        "benchmarks": [{"name": "sample", "max_problems": 3, "max_system_retries": 1}],
        "output": {"dir": str(tmp_path / "down"), "report": []},
    }
    evaluate(config)
    assert (tmp_path / "down/sample/results.jsonl").read_bytes() == b""
    out = nel("show", tmp_path / "down", "--errors")[1]
    assert out.count("· error") == 3 and "server_error: " in out


def test_flips_between_two_runs(tmp_path: Path, nel: Nel) -> None:
    before = [row(0), row(1), row(2), row(3, reward=0.0, details={"correct": False})]
    after = [
        row(0),
        row(1, reward=0.0, extracted_answer="9", details={"correct": False}),
        row(2, reward=None, outcome="infra_error"),
        row(3),
    ]
    write(tmp_path / "old" / "b", before)
    write(tmp_path / "new" / "b", after)
    assert shown(nel, tmp_path / "new", "--flips", tmp_path / "old") == [1, 3]
    assert shown(nel, tmp_path / "new", "--flips", tmp_path / "old", "--wrong") == [1]
    out = nel("show", tmp_path / "new", "--flips", tmp_path / "old", "--wrong")[1]
    assert "  extracted before: 4\n" in out and "  extracted: 9\n" in out
    write(tmp_path / "third" / "x", before)
    write(tmp_path / "third" / "y", before)
    code, _, err = nel("show", tmp_path / "new", "--flips", tmp_path / "third")
    assert code == 2 and "no benchmark in common" in err


def test_results_of_other_tools_are_shown(tmp_path: Path, nel: Nel) -> None:
    write_results(tmp_path / "other" / "bench", {**share_right(3, 5), 7: [None]})
    assert shown(nel, tmp_path / "other", "--errors") == [7]
    # Wrong in the published format: no reward; what was read out of the response is not told.
    assert shown(nel, tmp_path / "other", "--wrong") == [3, 4]


def test_a_terminal_gets_nothing_to_obey(tmp_path: Path, nel: Nel) -> None:
    evil = "\x1b]52;c;bad\x07 \x9b2J \u202egnp\rover\x08\x08\r\nnext"
    folder = write(
        tmp_path / "b",
        [row(0, prompt=evil, model_response=evil, expected_answer=[evil], details={"why": evil})],
    )
    out = nel("show", folder, "--full")[1]
    assert not {"\x1b", "\x07", "\x9b", "\u202e", "\r", "\x08"} & set(out)
    assert "next" in out and "gnp" in out


def test_long_texts_are_cut_and_counted(tmp_path: Path, nel: Nel) -> None:
    long = row(0, model_response="a" * 5_000, reasoning="b" * 9_000)
    folder = write(tmp_path / "b", [long])
    out = nel("show", folder)[1]
    assert "… (3,000 more characters)" in out and "9,000 characters (--full shows them)" in out
    full = nel("show", folder, "--full")[1]
    assert "a" * 5_000 in full and "b" * 9_000 in full


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--rollout", "x"), "'x' is not a rollout"),
        (("-b", "nothing"), "there is no benchmark 'nothing' — one of b"),
        (("--flips", "nowhere"), "nowhere: there is no such file"),
    ],
)
def test_what_is_not_there_is_named(
    tmp_path: Path, nel: Nel, words: tuple[str, str], message: str
) -> None:
    code, _, err = nel("show", write(tmp_path / "r" / "b", MIXED).parent, *words)
    assert code == 2 and message in err
    assert nel("show", tmp_path)[0] == 2


def test_a_terminal_gets_a_pager(tmp_path: Path) -> None:
    folder = write(tmp_path / "b", MIXED)
    pager = tmp_path / "pager"
    pager.write_text(f"#!/bin/sh\ncat > {tmp_path}/paged\n")
    pager.chmod(0o755)
    for extra, styled in ({"NO_COLOR": "1"}, False), ({}, True):
        leader, follower = pty.openpty()
        env = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
        subprocess.run(
            [*NEL, "show", str(folder)],
            stdin=follower,
            stdout=follower,
            env={**env, "PAGER": str(pager), "TERM": "xterm", **extra},
            check=True,
            timeout=60,
        )
        os.close(follower)
        os.close(leader)
        text = (tmp_path / "paged").read_text(encoding="utf-8")
        assert text.count("question") == 12 and ("\x1b[1m" in text) is styled


def test_a_large_run_is_not_held_in_memory(tmp_path: Path) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    with (folder / "results.jsonl").open("w", encoding="utf-8") as file:
        for number in range(5_000):
            file.write(json.dumps(row(number, model_response="x" * 4_000)) + "\n")
    tracemalloc.start()
    try:
        assert sum(1 for _ in show(folder, Wanted())) == 5_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000 < (folder / "results.jsonl").stat().st_size / 10

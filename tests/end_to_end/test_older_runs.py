"""A run that an older version began: its journal has no checksums and its header no plan, and its
plan names the scorer's source by another rule."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from runs import BENCH, rows

from nemo_evaluator import compare_runs, evaluate

SIZE = 12


def as_an_older_version_wrote_it(run: Path, *, kept: int) -> None:
    """The first format, with the verdicts of the first ``kept`` problems."""
    journal = run / "sums" / "journal.jsonl"
    lines = []
    for line in journal.read_bytes().splitlines():
        event = json.loads(re.sub(rb',"crc":"[0-9a-f]{8}"\}$', b"}", line))
        if event["event"] == "header":
            event = {key: event[key] for key in ("event", "benchmark", "plan_digest", "run_id")}
        elif event["event"] == "began" or event.get("problem_idx", 0) >= kept:
            continue
        lines.append(json.dumps(event, separators=(",", ":")) + "\n")
    journal.write_text("".join(lines))
    lock = run / "plan.lock"
    lock.write_text(re.sub(r":code-[0-9a-f]+", ":0123456789abcdef", lock.read_text()))


@pytest.mark.parametrize("kept", [SIZE, 5])
def test_it_goes_on_is_reported_and_compared(tmp_path: Path, kept: int) -> None:
    bench = tmp_path / "sums.py"
    bench.write_text(BENCH % {"size": SIZE})
    run, whole = tmp_path / "run", tmp_path / "whole"
    for folder in (run, whole):
        evaluate(bench=str(bench), model_url="simulated", output_dir=folder)
    as_an_older_version_wrote_it(run, kept=kept)
    for _ in range(2):  # what was written by both versions goes on, too
        done = evaluate(bench=str(bench), model_url="simulated", output_dir=run, resume=True)
        assert done.exit_code == 0
    scored = [(row["problem_idx"], row["reward"]) for row in rows(run / "sums")]
    assert scored == [(row["problem_idx"], row["reward"]) for row in rows(whole / "sums")]
    assert not compare_runs(run, whole)["difference"]["delta"]

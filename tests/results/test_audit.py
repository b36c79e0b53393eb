"""An audit finds every kind of doubt, once, and nothing where there is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from published import write_results

from nemo_evaluator.reports.audit import audit_lines, audit_text
from nemo_evaluator.results.audit import audit
from nemo_evaluator.results.audit_kinds import KINDS, Area


def row(idx: int, repeat: int = 0, **more: Any) -> dict[str, Any]:
    details = {"correct": True, **more.pop("details", {})}
    return {
        "problem_idx": idx,
        "repeat": repeat,
        "outcome": "scored",
        "reward": 1.0,
        "prompt": f"problem {idx}",
        "model_response": "The answer is 4",
        "extracted_answer": "4",
        "expected_answer": "4",
        "scoring_details": details,
        "truncated": False,
        **more,
    }


ROWS = [
    row(0),
    row(
        1, reward=0.0, extracted_answer=None, details={"correct": False, "failure": "format_error"}
    ),
    row(2, details={"strict_correct": False}),
    row(3, reward=0.0, truncated=True, extracted_answer=None, details={"correct": False}),
    row(4, reward=0.0, model_response=" ", extracted_answer=None, details={"correct": False}),
    row(5, reward=0.0, model_response="I cannot.", details={"failure": "refusal"}),
    row(6, details={"judge": {"disagreement": True}}),
    row(7, reward=None, outcome="infra_error", details={"error": "gone"}),
    row(8, prompt="problem  0"),
    row(9, prompt="problem 0", expected_answer="5"),
    row(10, expected_answer=None),
    row(10, 1, expected_answer=None),
]


def write(folder: Path, rows: list[dict[str, Any]]) -> Path:
    folder.mkdir()
    (folder / "results.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return folder


def test_every_kind_is_found(tmp_path: Path) -> None:
    found = audit(write(tmp_path / "b", ROWS))
    counts = {finding.kind: finding.count for finding in found.findings}
    plain = [name for name, kind in KINDS.items() if kind.area in (Area.ANSWERS, Area.PROBLEMS)]
    plain.remove("absent")  # which a bundle tells of
    assert counts == {**dict.fromkeys(plain, 1), "duplicate": 2}
    assert (found.rollouts, found.scored, found.problems) == (12, 11, 11)
    of = {finding.kind: finding.of for finding in found.findings}
    assert of["no_answer"] == 11 and of["unscored"] == 12 and of["no_target"] == 11
    [example] = next(f for f in found.findings if f.kind == "contradiction").examples
    assert example.problem_idx == 9 and "'5', and 4 for problem 0" in example.text


def test_nothing_to_find(tmp_path: Path) -> None:
    found = audit(write(tmp_path / "b", [row(idx) for idx in range(5)]))
    assert found.findings == ()
    assert "nothing found" in "\n".join(audit_lines(found, 3))


def test_a_high_share_is_flagged(tmp_path: Path) -> None:
    lost = {"reward": 0.0, "extracted_answer": None, "details": {"failure": "format_error"}}
    found = audit(write(tmp_path / "b", [row(i, **lost) if i < 3 else row(i) for i in range(10)]))
    text = "\n".join(audit_lines(found, 1))
    assert "no_answer  3 of 10 (30.0 %)" in text and "check this before" in text
    assert json.loads(audit_text([found], 1, "json"))[0]["findings"][0]["count"] == 3


def test_rollouts_that_are_in_no_file_are_named(tmp_path: Path) -> None:
    """A results file that was cut off is no clean result."""
    planned = {"shuffle": {"ds_effective_size": 20}}
    write_results(tmp_path / "b", {i: [1.0] for i in range(20)}, config=planned)
    assert [f.kind for f in audit(tmp_path / "b").findings if f.kind == "absent"] == []
    results = tmp_path / "b" / "results.jsonl"
    results.write_text("".join(results.read_text().splitlines(keepends=True)[:15]))
    found = {finding.kind: finding for finding in audit(tmp_path / "b").findings}["absent"]
    assert (found.count, found.of, found.flagged) == (5, 20, True)

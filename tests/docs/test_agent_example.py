"""The example of an agent runs as it stands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Nel
from engines import require
from runs import rows

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "agent"


def test_the_agent_repairs_its_files(
    nel: Nel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require("local")
    monkeypatch.chdir(EXAMPLE)
    code, _, err = nel("eval", "run", "eval.yaml", "-o", tmp_path / "run")
    assert code == 0, err
    found = rows(tmp_path / "run/repairs")
    assert len(found) == 6 and any(row["reward"] == 1.0 for row in found)
    for row in found:  # the reward is that of the file, whatever was said
        assert (row["expected_answer"] in row["extracted_answer"]) == (row["reward"] == 1.0)
    lines = (tmp_path / "run/repairs/trajectories.jsonl").read_text().splitlines()
    calls = [step for step in json.loads(lines[0])["steps"] if step.get("tool_calls")]
    assert calls[0]["tool_calls"][0]["function_name"] == "edit"

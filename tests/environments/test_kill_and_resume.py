"""Datasets in the formats of other harnesses: a killed run goes on, and asks nothing again."""

from __future__ import annotations

import base64
import csv
import json
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from running import kill_when
from runs import NEL, rows
from token_server import TokenServer

pytestmark = [pytest.mark.slow, pytest.mark.process]

COUNT = 24
IN_FLIGHT = 4


def skills(folder: Path) -> str:
    """A dataset that NeMo Skills prepared."""
    dataset = folder / "own_math"
    dataset.mkdir()
    (dataset / "__init__.py").write_text('METRICS_TYPE = "math"\n')
    lines = ({"problem": f"{i} + {i}?", "expected_answer": str(2 * i)} for i in range(COUNT))
    (dataset / "test.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return "skills://own_math"


def vlmevalkit(folder: Path) -> str:
    """A table of VLMEvalKit, with an image of its own in each row."""
    with (folder / "Own.tsv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(["index", "image", "question", "A", "B", "answer"])
        for i in range(COUNT):
            image = base64.b64encode(b"\xff\xd8\xff" + bytes([i]) * 80).decode()
            writer.writerow([i, image, f"Which is it, {i}?", "one", "two", "AB"[i % 2]])
    return "vlmevalkit://Own"


@pytest.mark.parametrize("made", [skills, vlmevalkit])
def test_a_killed_run_asks_nothing_again_and_scores_the_same(
    tmp_path: Path, made: Callable[[Path], str]
) -> None:
    name, config = made(tmp_path), tmp_path / "config.yaml"

    def command(url: str, out: str, *more: str) -> list[str]:
        service = {"type": "api", "url": url, "protocol": "chat_completions", "model": "m"}
        document = {
            "services": {"m": service},
            "benchmarks": [
                {
                    "name": name,
                    "params": {"data_dir": str(tmp_path)},
                    "max_concurrent": IN_FLIGHT,
                    "solver": {"type": "simple", "service": "m"},
                }
            ],
            "output": {"dir": str(tmp_path / out), "timestamped": False},
        }
        config.write_text(yaml.safe_dump(document))
        return [*NEL, "eval", "run", str(config), *more]

    def verdicts(out: str) -> list[tuple[Any, ...]]:
        [folder] = (path.parent for path in (tmp_path / out).glob("*/results.jsonl"))
        return [(row["problem_idx"], row["reward"], row["model_response"]) for row in rows(folder)]

    with TokenServer() as server:
        subprocess.run(command(server.url, "whole"), check=True, capture_output=True, timeout=60)
        whole = Counter(map(json.dumps, server.requests))
    with TokenServer(holds_after=COUNT // 2) as server:
        kill_when(lambda: server.held() == IN_FLIGHT, command(server.url, "killed"))
        server.release()
        before = len(server.requests)
        resumed = command(server.url, "killed", "--resume")
        subprocess.run(resumed, check=True, capture_output=True, timeout=60)
        asked = Counter(map(json.dumps, server.requests))
    assert whole.total() == COUNT and before < len(server.requests)
    assert asked.keys() == whole.keys() and (asked - whole).total() <= IN_FLIGHT
    assert verdicts("killed") == verdicts("whole")

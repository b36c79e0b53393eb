"""What tests of whole runs share: the command, a benchmark of sums, reading results back."""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

from nemo_evaluator.results.journal import scan
from nemo_evaluator.types import RolloutKey

ROOT = Path(__file__).resolve().parents[2]
TIMES = ("latency_ms", "ttft_ms")
NEL = [sys.executable, "-m", "nemo_evaluator.cli"]
BENCH = """
from nemo_evaluator import ScorerInput, benchmark, numeric_match, scorer

ROWS = [{"a": i, "target": i %% 50} for i in range(%(size)d)]


@benchmark(name="sums", dataset=ROWS, prompt="How much is {a} modulo 50?")
@scorer
def sums(sample: ScorerInput) -> dict:
    return numeric_match(sample)
"""


def rows(folder: Path) -> list[dict[str, Any]]:
    """The published results of a benchmark's folder, those without a verdict included."""
    found = []
    for path in (folder / "results.jsonl", folder / "unscored.jsonl"):
        if path.exists():
            # Not splitlines(): it also splits at U+2028, which JSON leaves as it is.
            with path.open(encoding="utf-8") as file:
                found += [json.loads(line) for line in file]
    return sorted(found, key=lambda row: (row["problem_idx"], row["repeat"]))


def timeless(folder: Path) -> list[dict[str, Any]]:
    """The same, without what another run of the same answers has otherwise."""
    return [{k: v for k, v in row.items() if k not in TIMES} for row in rows(folder)]


def counts(url: str) -> dict[str, int]:
    """How often each prompt was asked."""
    with urllib.request.urlopen(url.replace("/v1", "/counts"), timeout=10) as response:
        asked: dict[str, int] = json.load(response)["asked"]
        return asked


def paid(journal: Path) -> set[RolloutKey]:
    """Rollouts whose answer is journaled."""
    index = scan(journal)
    return {key for key, state in index.rollouts.items() if state.solved_at >= 0}

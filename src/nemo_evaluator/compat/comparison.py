"""Comparisons under the names of NVIDIA NeMo Evaluator: ``compare_runs``, ``compare_results`` and
their parts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..decisions.documents import ComparisonReport
from ..results import layout
from ..tasks.decide import compare_results, compare_runs

__all__ = [
    "ComparisonReport",
    "aggregate_repeats",
    "build_flip_report",
    "compare_results",
    "compare_runs",
    "load_paired_records",
    "write_regression",
]

Records = dict[tuple[int, int], dict[str, Any]]
"""Rows of ``results.jsonl`` by ``(problem_idx, repeat)``."""


def load_paired_records(bundle_or_directory: str | Path) -> Records:
    """The rows beside a bundle; the last of each (problem, repeat). Empty where there are none."""
    path = Path(bundle_or_directory)
    rows = (path if path.is_dir() else path.parent) / layout.RESULTS
    if not rows.exists():
        return {}
    found: Records = {}
    for row in msgspec.json.Decoder(dict[str, Any]).decode_lines(rows.read_bytes()):
        found[row["problem_idx"], row.get("repeat", 0)] = row
    return found


def aggregate_repeats(records: Mapping[tuple[int, int], Mapping[str, Any]]) -> Records:
    """One row per problem, with the mean reward of its repeats."""
    groups: dict[int, list[Mapping[str, Any]]] = {}
    for (problem, _), row in sorted(records.items()):
        groups.setdefault(problem, []).append(row)
    return {
        (problem, 0): {
            **rows[0],
            "repeat": 0,
            "reward": sum(row["reward"] for row in rows) / len(rows),
            "_aggregated_from_repeats": len(rows),
        }
        for problem, rows in groups.items()
    }


def build_flip_report(
    baseline: Mapping[tuple[int, int], Mapping[str, Any]],
    candidate: Mapping[tuple[int, int], Mapping[str, Any]],
    reward_threshold: float = 0.0,
) -> Mapping[str, Any]:
    """Contingency, regressions, improvements and their summary. Raises ConfigError."""
    report = compare_results(baseline, candidate, reward_threshold=reward_threshold)
    flips: Mapping[str, Any] = report.get("flip_report") or {}
    return flips


def write_regression(report: Mapping[str, Any], path: str | Path) -> Path:
    """Write the report as JSON; the file."""
    text = msgspec.json.format(msgspec.json.encode(report), indent=2)
    Path(path).write_bytes(text)
    return Path(path)

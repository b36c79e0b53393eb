"""Writes results in the published format, as other tools do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any


def write_results(
    folder: Path,
    rewards: Mapping[int, Sequence[float | None]],
    *,
    name: str = "bench",
    run_id: str = "eval-1",
    categories: Mapping[int, str] | None = None,
    clusters: Mapping[int, str] | None = None,
    rows: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    scores: Mapping[str, Any] | None = None,
    results: bool = True,
) -> Path:
    """A bundle and its results.jsonl: problem → rewards of its repeats (None: an infra error)."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for problem, repeats in rewards.items():
        for repeat, reward in enumerate(repeats):
            row: dict[str, Any] = {
                "problem_idx": problem,
                "repeat": repeat,
                "reward": 0.0 if reward is None else reward,
                "expected_answer": f"answer {problem}",
                "model_response": f"response {problem}/{repeat}",
                "metadata": {"category": categories[problem]} if categories else {},
                "scoring_details": {"error_category": "infra_error"} if reward is None else {},
            }
            if clusters:
                row["cluster"] = clusters[problem]
            lines.append({**row, **(rows or {})})
    if results:
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / "results.jsonl").write_text(text, encoding="utf-8")
    means = [fmean([r or 0.0 for r in repeats]) for repeats in rewards.values()]
    bundle = {
        "run_id": run_id,
        "config": {"benchmark": name, "model": f"model of {folder.name}", **(config or {})},
        "benchmark": {
            "name": name,
            "samples": len(rewards),
            "repeats": max((len(r) for r in rewards.values()), default=1),
            "scores": scores
            if scores is not None
            else {"mean_reward": {"value": fmean(means) if means else 0.0}},
            "categories": {},
        },
        "n_results": len(lines),
    }
    (folder / f"{run_id}.json").write_text(json.dumps(bundle), encoding="utf-8")
    return folder


def constant(value: float | None, n: int = 50, repeats: int = 1) -> dict[int, list[float | None]]:
    """The same reward for every problem."""
    return {i: [value] * repeats for i in range(n)}


def share_right(right: int, n: int, repeats: int = 1) -> dict[int, list[float | None]]:
    """The first so many problems right, the rest wrong."""
    return {i: [float(i < right)] * repeats for i in range(n)}

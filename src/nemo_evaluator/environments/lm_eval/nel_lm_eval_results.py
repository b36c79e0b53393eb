"""Beside ``worker.py``: what lm_eval's results say, as our measures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

Theirs = Any
"""An object of lm_eval, whose types are not ours to know."""
Data = Any
"""What JSON can say."""


def measured(results: Theirs, sizes: Mapping[str, int]) -> Iterator[Data]:
    """Every number of lm_eval's results that is no error of another, with its error."""
    members = results.get("group_subtasks", {})

    def size(name: str) -> int:
        return sizes.get(name) or sum(size(member) for member in members.get(name) or ())

    for name, metrics in {**results["results"], **results.get("groups", {})}.items():
        higher = results["higher_is_better"].get(name) or {}
        for key, value in metrics.items():
            metric, comma, chosen = key.partition(",")
            value = json_value(value)  # numpy's numbers too
            if not comma or metric.endswith("_stderr") or not _is_number(value):
                continue
            stderr = json_value(metrics.get(f"{metric}_stderr,{chosen}"))
            yield {
                "task": name,
                "name": metric,
                "filter": chosen,
                "value": float(value),
                "stderr": float(stderr) if _is_number(stderr) else None,
                "higher_is_better": higher.get(metric) is not False,
                "n": size(name),
            }


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def json_value(value: Data) -> Data:
    """The value as JSON can hold it."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    if isinstance(value, dict):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)

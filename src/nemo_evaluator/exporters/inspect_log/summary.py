"""What a list of samples shows of each: a sample without its conversation, texts shortened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...types import Json

TEXT_CHARS = 1024
SAME = ("id", "epoch", "model_usage", "total_time", "started_at", "completed_at", "uuid")


def summary(sample: Mapping[str, Any]) -> dict[str, Json]:
    """An ``EvalSampleSummary``."""
    error = sample.get("error")
    return {
        **{name: sample[name] for name in SAME if name in sample},
        "input": _short(sample["input"]),
        "target": _short(sample["target"]),
        "metadata": _thin(sample["metadata"]),
        "scores": {
            name: {
                **score,
                "answer": _short(score["answer"]),
                "explanation": _short(score["explanation"]),
                "metadata": _thin(score["metadata"]),
            }
            for name, score in sample["scores"].items()
        }
        if sample.get("scores")
        else None,
        "error": _short(error["message"]) if error else None,
        "completed": True,
        "message_count": len(sample["messages"]),
    }


def _short(value: Json) -> Json:
    return value[:TEXT_CHARS] if isinstance(value, str) else value


def _thin(values: Mapping[str, Json]) -> dict[str, Json]:
    """What is a short value by itself."""
    return {
        name: _short(value)
        for name, value in values.items()
        if value is None or isinstance(value, str | int | float | bool)
    }

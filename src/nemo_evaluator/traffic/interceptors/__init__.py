"""Interceptors by name, built in (``module:Class``) or from the entry points of a package."""

from __future__ import annotations

from importlib.metadata import entry_points

BUILT_IN = {
    "endpoint": ("nemo_evaluator.traffic.endpoint:Endpoint", "retries, rate limits, concurrency"),
}
GROUP = "nemo_evaluator.interceptors"


def list_interceptors() -> list[tuple[str, str]]:
    """Name and one line about each."""
    rows = [(name, text) for name, (_, text) in BUILT_IN.items()]
    return rows + [(entry.name, entry.value) for entry in entry_points(group=GROUP)]

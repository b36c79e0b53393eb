"""What an agent wrote down about its work: its trajectory, and its last words.

The trajectory is harbor's ATIF document with those of its subagents inside; where there is none,
the question and the answer are the steps.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...files.reading import UNREADABLE
from ...steps import Step, StepSource
from ...types import Json

TRAJECTORY = "trajectory.json"
MAX_BYTES = 64 << 20
Document = dict[str, Any]


def trajectory(logs: Path) -> Document | None:
    """The document of an agent, if it left one. Blocks."""
    others = [path for path in sorted(logs.glob("*traj*.json")) if path.name != TRAJECTORY]
    for path in (logs / TRAJECTORY, *others):
        if (document := _read(path)) is not None:
            return _with_references(document, logs)
    return None


def with_costs(document: Document, steps: Sequence[Step]) -> Document:
    """The document with the costs of its steps, as they were recorded: an agent does not know what
    its model costs."""
    costs = {step.step_id: step.metrics.cost_usd for step in steps if step.metrics}
    for number, step in enumerate(document["steps"], 1):
        metrics = step.get("metrics")
        if isinstance(metrics, dict) and (cost := costs.get(number)) is not None:
            metrics["cost_usd"] = cost
    return document


def last_words(document: Document | None, metadata: Mapping[str, Json]) -> str:
    """What the agent answered: what it says itself, else its last message."""
    if isinstance(response := metadata.get("response"), str):
        return response
    for step in reversed(document["steps"] if document else []):
        if step.get("source") == StepSource.AGENT and (text := _text(step.get("message"))):
            return text
    return ""


def plain_steps(prompt: str, response: str) -> Iterator[Step]:
    """The steps of an agent that wrote none down."""
    yield Step(source=StepSource.USER, message=prompt)
    yield Step(source=StepSource.AGENT, message=response)


def _read(path: Path) -> Document | None:
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            return None
        found = json.loads(path.read_bytes())
    except (OSError, *UNREADABLE):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("steps"), list):
        return None
    is_atif = str(found.get("schema_version")).startswith("ATIF") or "agent" in found
    return found if is_atif and all(isinstance(step, dict) for step in found["steps"]) else None


def _with_references(document: Document, logs: Path) -> Document:
    """The document with the files that it refers to inside: they are gone with the logs."""
    inside: dict[str, Document] = {}
    for step in document["steps"]:
        observation = step.get("observation")
        for result in observation.get("results", ()) if isinstance(observation, dict) else ():
            refs = result.get("subagent_trajectory_ref") if isinstance(result, dict) else None
            for ref in refs if isinstance(refs, list) else ():
                _take_in(ref, logs, inside)
    if not inside:
        return document
    own = document.get("subagent_trajectories") or []
    return {**document, "subagent_trajectories": [*own, *inside.values()]}


def _take_in(ref: Any, logs: Path, inside: dict[str, Document]) -> None:
    path = ref.get("trajectory_path") if isinstance(ref, dict) else None
    if not isinstance(path, str):
        return
    name = Path(path).name
    if name not in inside and (found := _read(logs / name)) is not None:
        inside[name] = {**found, "trajectory_id": found.get("trajectory_id") or name}
    if name in inside:
        ref["trajectory_id"] = inside[name]["trajectory_id"]


def _text(message: Any) -> str:
    if isinstance(message, list):
        texts = [part.get("text") for part in message if isinstance(part, dict)]
        message = "\n".join(text for text in texts if isinstance(text, str))
    return message.strip() if isinstance(message, str) else ""

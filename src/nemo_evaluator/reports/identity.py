"""What was measured: the dataset, the prompt, the scorer and the generation behind a score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..results.identity_facts import facts_of
from ..types import Json
from . import figures as show
from .view import Result

IDENTITY = (
    ("Dataset", "environment.dataset"),
    ("Revision", "environment.dataset_revision"),
    ("Rows", "environment.dataset_digest"),
    ("Prompt digest", "environment.prompt_digest"),
    ("Few-shot examples", "environment.num_fewshot"),
    ("Scorer", "environment.scorer"),
    ("Further scorers", "scorers"),
    ("System prompt", "solver.system_prompt"),
)


def identity(result: Result) -> Iterator[tuple[str, str]]:
    """Name and value of each part."""
    data = result.data
    yield "Benchmark", data.name
    yield "Run", data.run_id
    yield "Model", data.model or show.UNKNOWN
    if data.solver:
        yield "Solver", data.solver
    source: Mapping[str, Any] = data.identity or _as_identity(data.config)
    for name, key in IDENTITY:
        if (text := _short(source.get(key))) is not None:
            yield name, text
    if (generation := _generation(source, own=bool(data.identity))) is not None:
        yield "Generation", generation
    if isinstance(judges := source.get("environment.judges"), Mapping) and judges:
        yield "Judges", "; ".join(f"{name}: {_judge(about)}" for name, about in judges.items())
    if data.digest:
        yield "Configuration", data.digest
    yield "File", result.path


def _generation(source: Mapping[str, Json], *, own: bool) -> str | None:
    """What is sent with every request. Where that is nothing, only a run of ours says so for
    certain."""
    nothing = "nothing is sent: the endpoint's defaults"
    return _short(facts_of(source).generation) or (
        nothing if own and "model.generation" in source else None
    )


def _judge(about: Json) -> str:
    """The judge, without its parameters; those are in ``plan.lock``."""
    if not isinstance(about, Mapping):
        return str(about)
    members = about.get("members")
    if isinstance(members, list | tuple) and members:
        return f"{about.get('aggregation')} of {', '.join(map(_judge, members))}"
    who = about.get("judge") or about.get("model")
    text = str(who.get("model") if isinstance(who, Mapping) else who)
    other = about.get("baseline")
    return f"{text}, against {other.get('model')}" if isinstance(other, Mapping) else text


def _as_identity(config: Mapping[str, Json]) -> dict[str, Json]:
    """What the published format says of it."""
    generation = {
        key: config[key]
        for key in ("temperature", "top_p", "max_tokens", "seed")
        if config.get(key) is not None
    }
    return {
        "scorers": config.get("scorers"),
        "model.generation": generation,
        "solver.system_prompt": config.get("system_prompt"),
    }


def _short(value: Json) -> str | None:
    """A value in a line; None where there is nothing to say."""
    if value is None or value in ("", [], {}):
        return None
    if isinstance(value, Mapping):
        value = ", ".join(f"{key} {item}" for key, item in value.items())
    elif isinstance(value, list | tuple):
        value = ", ".join(map(str, value))
    text = " ".join(str(value).split())
    return text if len(text) <= 200 else text[:199] + "…"

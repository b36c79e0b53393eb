"""The OpenAPI document of a served benchmark: how gyms are told apart, and where tools are found.

It names the paths of the protocol and no others: whatever else a gym answers to POST is taken for a
tool by those that look for tools.
"""

from __future__ import annotations

from ...types import Json
from ...version import __version__

SEED: Json = {
    "type": "object",
    "properties": {"idx": {"type": "integer", "minimum": 0, "description": "of the problem"}},
}
VERIFY: Json = {
    "type": "object",
    "required": ["response"],
    "properties": {
        "response": {"description": "the answer: a text, or a Responses object"},
        "idx": {"type": "integer", "description": "of the problem that was asked"},
        "expected": {"description": "what is expected of a problem that is none of the benchmark"},
        "expected_answer": {"description": "the same, in the words of NeMo Gym"},
        "metadata": {"type": "object", "description": "the metadata of the problem"},
        "responses_create_params": {"type": "object", "description": "what the model was asked"},
    },
}
RUN: Json = {
    "type": "object",
    "properties": {"idx": {"type": "integer"}, "responses_create_params": {"type": "object"}},
}
AGGREGATE: Json = {
    "type": "object",
    "required": ["verify_responses"],
    "properties": {"verify_responses": {"type": "array", "items": {"type": "object"}}},
}


def description(name: str, *, runs: bool) -> dict[str, Json]:
    """The document. ``runs``: the server has a solver, and runs whole rollouts."""
    paths: dict[str, Json] = {
        "/health": _get("What is served"),
        "/dataset_size": _get("How many problems there are"),
        "/seed_session": _post("Begin with a problem", SEED),
        "/verify": _post("The verdict on an answer", VERIFY),
        "/aggregate_metrics": _post("Sum up verdicts", AGGREGATE),
    }
    if runs:
        paths["/run"] = _post("A whole rollout by the server's model", RUN)
    return {
        "openapi": "3.1.0",
        "info": {"title": f"nel serve: {name}", "version": __version__},
        "paths": paths,
        "x-nel": {"batch": ["/seed_batch", "/verify_batch"]},
    }


def _get(summary: str) -> Json:
    return {"get": {"summary": summary, "responses": {"200": _answer()}}}


def _post(summary: str, schema: Json) -> Json:
    body: Json = {"required": True, "content": {"application/json": {"schema": schema}}}
    answers: Json = {"200": _answer(), "400": {"description": "the request cannot be answered"}}
    return {"post": {"summary": summary, "requestBody": body, "responses": answers}}


def _answer() -> Json:
    return {"description": "done", "content": {"application/json": {"schema": {"type": "object"}}}}

"""What an agent of a gym is asked: the body of its ``/run``, in the form that the agent reads.

Invariant: no key but that of the rollout's own session is ever in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum

from ..services.gym_wire import input_of
from ..traffic.door.sessions import SESSION_FIELD, Endpoint
from ..types import Json, Problem

PARAMS = "responses_create_params"
OF_SWE = ("base_commit", "dataset_name", "instance_id", "problem_statement")


class Form(StrEnum):
    """What the known agents read."""

    SWE = "swe"
    """A task of SWE-bench in the metadata of the request: openhands and its like."""
    MINI_SWE = "mini_swe"
    """The task by its id; the agent finds the rest."""
    ROW = "row"
    """The row of a gym's file: the question with its tools, and further fields beside it."""


FORMS = {"openhands": Form.SWE, "swebench": Form.SWE, "miniswe": Form.MINI_SWE}
"""By the name that is given for an agent."""


def form_of(agent: str | None, problem: Problem) -> Form:
    """The form for an agent of a name; without one, what the problem looks like."""
    if agent is not None:
        return FORMS.get(agent.lower(), Form.ROW)
    is_swe = "instance_id" in problem.metadata and PARAMS not in problem.metadata
    return Form.SWE if is_swe else Form.ROW


def run_body(form: Form, problem: Problem, endpoint: Endpoint | None) -> dict[str, Json]:
    """The body. Reads files of images: call it off the event loop where there are any."""
    match form:
        case Form.SWE:
            return {PARAMS: _with_session(_swe(problem, endpoint), endpoint)}
        case Form.MINI_SWE:
            params: dict[str, Json] = {"temperature": 0.0, "top_p": 1.0, "input": []}
            named = {"instance_id": problem.metadata.get("instance_id", "")}
            body = {PARAMS: _with_session(params, endpoint), **named}
            return {**body, "subset": "gym", "split": "test"}
        case Form.ROW:
            return _row(problem, endpoint)


def _swe(problem: Problem, endpoint: Endpoint | None) -> dict[str, Json]:
    given = problem.metadata
    known = given.get("instance_dict")
    whole = known if isinstance(known, str) else json.dumps(dict(given), default=str)
    metadata: dict[str, Json] = {
        **{name: str(given.get(name) or "") for name in OF_SWE},
        "problem_statement": str(given.get("problem_statement") or problem.prompt),
        "split": str(given.get("split") or "test"),
        "instance_dict": whole,
    }
    if endpoint is not None:
        metadata |= {"api_key": endpoint.token, "model_url": endpoint.openai_url}
    return {"input": input_of(problem), "metadata": metadata}


def _row(problem: Problem, endpoint: Endpoint | None) -> dict[str, Json]:
    own = problem.metadata.get(PARAMS)
    params: dict[str, Json] = dict(own) if isinstance(own, Mapping) else {}
    params.setdefault("input", input_of(problem))
    row = {name: value for name, value in problem.metadata.items() if name != PARAMS}
    for name in ("tools", "reasoning"):
        if name in row and name not in params and own is None:
            params[name] = row.pop(name)
    if own is None and problem.target is not None:
        row.setdefault("expected_answer", problem.target)
    return {**row, PARAMS: _with_session(params, endpoint)}


def _with_session(params: dict[str, Json], endpoint: Endpoint | None) -> dict[str, Json]:
    """The body with the model, and the session: a model server whose address is fixed hands it on
    to ours, which then knows whose call it is."""
    if endpoint is None:
        return params
    metadata = params.get("metadata")
    metadata = dict(metadata) if isinstance(metadata, Mapping) else {}
    metadata[SESSION_FIELD] = endpoint.token
    return {"model": endpoint.model, **params, "metadata": metadata}

"""The simulated model answers in the form it is asked for."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from nemo_evaluator.config.services import FaultsConfig, SimulatedService
from nemo_evaluator.services.simulated.model import SimulatedModel
from nemo_evaluator.traffic.types import CallContext

SCHEMA = {
    "type": "object",
    "properties": {
        "reasoning": {"type": "string"},
        "score": {"type": "number", "minimum": 1, "maximum": 3},
        "label": {"enum": ["good", "bad"]},
        "parts": {"type": "array", "items": {"type": "object", "properties": {"ok": {"const": 1}}}},
        "sure": {"type": ["boolean", "null"]},
    },
    "required": ["reasoning", "score", "label", "parts", "sure"],
    "additionalProperties": False,
}


def answer(question: str, form: dict[str, Any], **service: Any) -> str:
    model = SimulatedModel(SimulatedService(**service))
    body = {"messages": [{"role": "user", "content": question}], **form}
    return model.answer(body, model.turn(body, CallContext()).key).text


@pytest.mark.parametrize(
    "form",
    [
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": SCHEMA},
            }
        },
        {"text": {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}}},
    ],
)
def test_a_schema_is_met(form: dict[str, Any]) -> None:
    documents = [json.loads(answer(f"question {i}", form)) for i in range(30)]
    for document in documents:
        jsonschema.validate(document, SCHEMA)
    assert {document["score"] for document in documents} == {1, 2, 3}
    assert {document["label"] for document in documents} == {"good", "bad"}
    assert answer("question 1", form) == answer("question 1", form)


def test_faults_cut_documents_too() -> None:
    form = {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}}
    text = answer("question", form, faults=FaultsConfig(length=1.0))
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)


@pytest.mark.parametrize(
    "form", [{}, {"response_format": {"type": "text"}}, {"response_format": 3}]
)
def test_without_a_schema_there_is_prose(form: dict[str, Any]) -> None:
    assert "Answer: " in answer("question", form)

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.scoring.input import ScorerInput
from nemo_evaluator.scoring.structured import (
    extract_json,
    find_json,
    json_match,
    json_schema,
    validate_json_schema,
)

FOUND = [
    ('{"a": 1}', {"a": 1}, "whole"),
    ("[1, 2]", [1, 2], "whole"),
    ("7", 7, "whole"),
    ('Sure!\n```json\n{"a": [1]}\n```\nDone.', {"a": [1]}, "fence"),
    ('```\n{"a": 1}\n```\nor\n```json\n{"a": 2}\n```', {"a": 2}, "fence"),
    ('```python\nx = {"a": 1}\n```', {"a": 1}, "embedded"),
    ('I say {"a": "}"} here', {"a": "}"}, "embedded"),
    ('first {"a": 1} then {"b": [{"c": 2}]}.', {"b": [{"c": 2}]}, "embedded"),
    ('set {1, 2} is {"a": 1}', {"a": 1}, "embedded"),
    ('   \n{"ключ": "é"}\n', {"ключ": "é"}, "whole"),
]


@pytest.mark.parametrize(("text", "value", "rule"), FOUND)
def test_json_is_found(text: str, value: Any, rule: str) -> None:
    found = find_json(text)
    assert found is not None
    assert (found.value, found.extraction.rule) == (value, rule)
    assert text[slice(*found.extraction.span)].strip() == found.extraction.value


@pytest.mark.parametrize(
    "text", ["", "  ", "no JSON", "the 7 dwarfs", "{'a': 1}", '{"a": 1', '{"a": NaN}', "{a: 1}"]
)
def test_what_is_no_json(text: str) -> None:
    assert extract_json(text) is None


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), values), st.sampled_from(["{}", "```json\n{}\n```"]))
def test_any_object_is_read_back(value: dict[str, Any], form: str) -> None:
    text = form.replace("{}", json.dumps(value))
    assert extract_json(text) == value
    assert json_match(ScorerInput(text, value))["correct"] is True


SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}, "t": {"prefixItems": [{"const": 1}]}},
    "required": ["n"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("text", "valid", "error"),
    [
        ('{"n": 1}', True, None),
        ('{"n": 1, "t": [1, "x"]}', True, None),
        ('{"n": 1, "t": [2]}', False, "$.t[0]"),  # draft 2020-12
        ('{"n": "1"}', False, "$.n"),
        ('{"n": 1, "m": 2}', False, "$"),
        ("{}", False, "$"),
        ("nothing", False, "no JSON"),
        ("", False, "no JSON"),
    ],
)
def test_json_is_validated_against_its_schema(text: str, valid: bool, error: str | None) -> None:
    result = validate_json_schema(text, SCHEMA)
    assert (result["valid"], result["score"]) == (valid, float(valid))
    assert error is None or result["errors"][0].startswith(error)
    verdict = json_schema(ScorerInput(text, config={"schema": SCHEMA}))
    assert verdict["correct"] is valid


@pytest.mark.parametrize("schema", [{"type": "no"}, {"$ref": "https://example.org/schema"}])
def test_an_unsound_schema_is_an_error_not_a_verdict(schema: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="unsound JSON schema"):
        validate_json_schema("{}", schema)
    with pytest.raises(ConfigError, match="needs a schema"):
        json_schema(ScorerInput("{}"))


@pytest.mark.parametrize("piece", ["[", '{"a":', "```json\n", "``` ", '"', "\\", "```\n "])
def test_hostile_texts_are_read_in_bounded_time(piece: str) -> None:
    start = time.perf_counter()
    find_json(piece * (300_000 // len(piece)))
    assert time.perf_counter() - start < 4

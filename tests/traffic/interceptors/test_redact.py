"""What matches reaches neither the results nor a file; what the upstream is asked stays."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from steps import Scripted, configured

from nemo_evaluator.config.scrubber import KNOWN
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.traffic.interceptors.opening import open_interceptors
from nemo_evaluator.traffic.interceptors.redact import PRESETS, Redact
from nemo_evaluator.traffic.scrub import Scrubber
from nemo_evaluator.traffic.types import Place
from nemo_evaluator.traffic.wire import encode

Body = dict[str, Any]
X = "[redacted]"


def pipeline(**config: Any) -> tuple[Scripted, Scrubber]:
    scripted, scrub = Scripted(configured("redact", config)), Scrubber()
    scripted.pipeline.open(Place("svc", "m", "p", "", scrub=scrub))
    return scripted, scrub


def chat(message: Body, **choice: Any) -> Body:
    return {"id": "n42", "choices": [{"index": 0, "message": message, **choice}]}


async def test_all_texts_of_an_answer() -> None:
    scripted, _ = pipeline(patterns=["n42"])
    arguments = json.dumps({"a n42": ["n42!", {"b": 1}]})
    call = {"id": "n42", "type": "n42", "function": {"name": "n42", "arguments": arguments}}
    message = {
        "role": "assistant",
        "content": "say n42",
        "reasoning_content": "n42?",
        "tool_calls": [call],
        "server_field": [{"text": "n42"}],
    }
    answer = await scripted.send(
        {"q": "n42"}, chat(message, finish_reason="n42", logprobs={"a": 1})
    )
    found = answer["choices"][0]
    assert answer["id"] == found["finish_reason"] == "n42"
    assert found["message"]["content"] == f"say {X}"
    assert found["message"]["reasoning_content"] == f"{X}?"
    assert found["message"]["server_field"] == [{"text": X}]
    cleaned = found["message"]["tool_calls"][0]
    assert (cleaned["id"], cleaned["function"]["name"]) == ("n42", "n42")
    assert json.loads(cleaned["function"]["arguments"]) == {f"a {X}": [f"{X}!", {"b": 1}]}
    assert found["logprobs"] is None
    assert scripted.got[0].body == {"q": "n42"}


async def test_other_protocols() -> None:
    scripted, _ = pipeline(patterns=["n42"])
    text = await scripted.send({}, {"choices": [{"text": "n42"}]}, protocol="completions")
    assert text == {"choices": [{"text": X}]}
    part = {"type": "output_text", "text": "n42", "logprobs": [{"token": "n42"}]}
    call = {"type": "function_call", "call_id": "n42", "arguments": '{"n": "n42"}'}
    body = {"output": [{"type": "message", "id": "n42", "content": [part]}, call]}
    found = await scripted.send({}, body, protocol="responses")
    assert found["output"] == [
        {"type": "message", "id": "n42", "content": [{**part, "text": X, "logprobs": None}]},
        {**call, "arguments": f'{{"n":"{X}"}}'},
    ]


async def test_arguments_stay_json() -> None:
    scripted, _ = pipeline(patterns=["1234", "x}"])

    async def cleaned(arguments: str) -> str:
        call = {"function": {"arguments": arguments}}
        answer = await scripted.send({}, chat({"tool_calls": [call]}))
        text: str = answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]
        return text

    assert await cleaned('{"n": 1234, "b": true}') == f'{{"n":"{X}","b":true}}'
    assert await cleaned('{"n":  12}') == '{"n":  12}'
    assert await cleaned('{"n": x}') == f'{{"n": {X}'


async def test_what_is_left_alone_is_the_same() -> None:
    scripted, _ = pipeline(patterns=["n42"])
    body = chat({"content": None, "tool_calls": None}, logprobs={"content": []})
    assert await scripted.send({}, body) == body
    assert await scripted.send({}, {"choices": None}) == {"choices": None}


async def test_a_stream_reaches_its_caller_and_its_copy_is_cleaned() -> None:
    scripted, _ = pipeline(patterns=["n42"])
    events = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in ("n", "42")]
    got, kept = await scripted.stream(events)
    assert got == events
    assert kept["choices"][0]["message"]["content"] == X


def test_every_writer_of_the_pipeline_cleans_too() -> None:
    _, scrub = pipeline(patterns=["n4\\d"], preset=["email"], replacement=r"\g<0>\1")
    assert scrub("n42 me@example.org") == r"\g<0>\1 \g<0>\1"


PRESET_CASES = {
    "email": (
        ["a.b+c@mail.example.org", "jürgen@müller.de", "<x_y@z.io>", "x@y.com."],
        ["a@b", "@home", "3 @ 4", "a@b.1"],
    ),
    "phone": (
        ["+49 30 1234567", "+1 (555) 123-4567", "(555) 123-4567", "555-123-4567", "+14155550100"],
        ["3.14159265", "12345678901", "x = +1234, 5678", "1 + 23456789", "2024-01-31", "10 + 5"],
    ),
    "api_keys": (
        ["sk-abcdefghijklmnop1234", "hf_" + "a" * 30, "nvapi-" + "b" * 30, "AKIA" + "A" * 16],
        ["sk-short", "task-abcdefghijklmnopqrst", "hf_transfer"],
    ),
    "ipv4": (["10.0.0.1", "at 192.168.1.255.", "1.2.3.4:80"], ["1.2.3", "1.2.3.4.5", "256.1.1.1"]),
}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_match_what_they_name_and_nothing_else(name: str) -> None:
    matched, others = PRESET_CASES[name]
    for text in matched:
        assert re.search(PRESETS[name], text), text
    for text in others:
        assert not re.search(PRESETS[name], text), text


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("piece", ["a", "1", "a.", "1.", "+1 ", "a@", "a@a.", "sk-a", "-", "1 "])
def test_presets_are_quick_on_long_texts(name: str, piece: str) -> None:
    text = piece * (200_000 // len(piece))
    started = time.perf_counter()
    re.sub(PRESETS[name], "", text)
    assert time.perf_counter() - started < 3


@given(st.text())
def test_presets_leave_nothing_that_they_would_find_again(text: str) -> None:
    step = Redact(Redact.Options(preset=["email", "ipv4"]))
    assert step._text(step._text(text)) == step._text(text)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"patterns": ["("]}, "not a regular expression: missing"),
        ({"patterns": ["a*"]}, "matches even where there is nothing"),
        ({"patterns": ["red"]}, "the replacement is matched"),
        ({}, "give patterns, or a preset"),
        ({"preset": ["names"]}, "preset"),
    ],
)
def test_what_cannot_be(config: Body, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        open_interceptors([configured("redact", config)])


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.integers(),
        st.text(st.characters(codec=None, exclude_categories=()), max_size=5),
        st.sampled_from(
            ["a@b.org", "x", "10.0.0.1 y@z.net", 'key-"1"-secret', "k\\n@", "+49 30 123456"]
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(VALUES, st.lists(st.sampled_from(["email", "ipv4", "phone"]), max_size=2, unique=True))
def test_what_is_written_is_clean_however_it_is_encoded(value: Any, presets: list[str]) -> None:
    """Looking at the JSON first must find all that looking at every text finds."""
    scrub = Scrubber()
    if presets:
        step = Redact(Redact.Options.model_validate({"preset": presets}))
        step.open(Place("svc", "m", "p", "", scrub=scrub))
    KNOWN.learn('key-"1"-secret')
    try:
        assert scrub.encoded(value) == encode(scrub.json(value))
        assert b"-secret" not in scrub.encoded(value)
    finally:
        KNOWN.forget()

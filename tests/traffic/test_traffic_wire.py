"""No text loses an answer on its way to or from the wire."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nemo_evaluator.traffic.wire import decode, encode

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # first use of text()
@given(VALUES)
def test_round_trip(value: object) -> None:
    assert decode(encode(value)) == value


def test_a_lone_surrogate_is_sent_escaped() -> None:
    assert json.loads(encode({"a": "x\ud83d"})) == {"a": "x\ud83d"}


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a": "x\\ud83d"}', {"a": "x\ufffd"}),
        (b'{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        (b'{"a": "caf\xe9"}', {"a": "caf\ufffd"}),
    ],
)
def test_text_that_is_not_quite_text_is_still_read(data: bytes, value: object) -> None:
    read = decode(data)
    assert read == value
    encode(read).decode("utf-8")


def test_nan_is_read_where_a_server_sends_it() -> None:
    assert str(decode(b'{"logprob": NaN}')["logprob"]) == "nan"


@pytest.mark.parametrize("data", [b"", b"<html>", b'{"a": ', b"[" * 200_000])
def test_what_is_no_json_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        decode(data)


def test_what_json_cannot_say_is_not_sent_as_text() -> None:
    with pytest.raises(TypeError):
        encode({"a": object()})

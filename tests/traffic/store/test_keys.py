"""Two requests have one key if and only if a server cannot tell them apart."""

from __future__ import annotations

import json
import random
from fractions import Fraction
from hashlib import blake2b
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.traffic.store.keys import VOLATILE, Form, Keys, canonical
from nemo_evaluator.traffic.types import ModelRequest

KEYS = Keys("cache", "http://host", "model")
TEXTS = st.text(st.characters(codec=None, exclude_categories=()), max_size=4)
NUMBERS = st.one_of(
    st.integers(-3, 3),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1.0, 1e0, 2**53, 2**53 + 1, float(2**53), 10**22, 1e22, 1e300]),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)
BODIES = st.dictionaries(st.sampled_from(["messages", "a", "b", "x"]), VALUES, max_size=3)


def key(body: dict[str, Any], *more: int, protocol: str = "chat_completions") -> bytes:
    return KEYS(protocol, Form(body), *more)


def meaning(value: Any) -> Any:
    """What a server reads, written down in a wholly different way."""
    if isinstance(value, str):  # two halves of a pair are sent as one character
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    if isinstance(value, bool) or value is None:
        return type(value).__name__, value
    if isinstance(value, int | float):
        return "number", Fraction(value)
    if isinstance(value, list):
        return "list", tuple(meaning(item) for item in value)
    return "object", frozenset((meaning(name), meaning(item)) for name, item in value.items())


def respelled(value: Any, source: random.Random) -> Any:
    """The same value, with fields in another order and numbers of another type."""
    if isinstance(value, dict):
        items = [(name, respelled(item, source)) for name, item in value.items()]
        source.shuffle(items)
        return dict(items)
    if isinstance(value, list):
        return [respelled(item, source) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        return float(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


@given(BODIES, BODIES)
def test_equal_keys_if_and_only_if_equal_meaning(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert (key(one) == key(other)) == (meaning(one) == meaning(other))


@given(BODIES, st.randoms(use_true_random=False))
def test_spelling_does_not_count(body: dict[str, Any], source: random.Random) -> None:
    assert key(body) == key(respelled(body, source))
    assert Form(body).digests() == Form(respelled(body, source)).digests()


@given(VALUES, VALUES)
def test_values_differ_wherever_they_stand(one: Any, other: Any) -> None:
    assert (canonical([{"a": one}]) == canonical([{"a": other}])) == (
        meaning(one) == meaning(other)
    )


@given(BODIES, st.integers(-1, 3))
def test_keys_of_earlier_versions_stay(body: dict[str, Any], repeat: int) -> None:
    """A cache or recording of before the form of a body was shared is still found."""
    whole = canonical(["chat_completions", repeat, body])
    place = canonical([1, "cache", "http://host", "model"])
    assert key(body, repeat) == blake2b(place + whole, digest_size=20).digest()
    digests = {name: blake2b(canonical(v), digest_size=4).hexdigest() for name, v in body.items()}
    assert Form(body).digests() == digests


def test_a_form_is_made_once_for_a_body() -> None:
    request = ModelRequest("chat_completions", {"a": [1], "n": 1, "user": "x"})
    form = request.form()
    assert request.form() is form and form.is_of(dict(request.body))
    for change in ({"n": True}, {"a": [1]}, {"b": None}, {"user": "y"}):
        request.body.update(change)
        assert request.form() is not form
        assert request.form().text == Form(request.body).text
        form = request.form()
    del request.body["n"]
    assert not form.is_of(request.body)


@given(BODIES)
def test_what_was_sent_and_read_back_is_the_same(body: dict[str, Any]) -> None:
    assert key(body) == key(json.loads(json.dumps(body)))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"n": 1}, {"n": 1.0}, True),
        ({"n": 1}, {"n": True}, False),
        ({"n": 1}, {"n": "1"}, False),
        ({"x": 0.0}, {"x": -0.0}, True),
        ({"x": 2**53}, {"x": 2**53 + 1}, False),
        ({"x": 2**200}, {"x": 2**200 + 1}, False),
        ({"temperature": None}, {}, True),
        ({"x": None}, {}, False),
        ({"x": {"temperature": None}}, {"x": {}}, False),
        ({"messages": [1, 2]}, {"messages": [2, 1]}, False),
        ({"prompt": "a"}, {"prompt": "b"}, False),
        ({"stop": ["a"]}, {"stop": "a"}, False),
        ({"x": "\ud800"}, {"x": "\ud801"}, False),
        ({"x": "\\ud800"}, {"x": "\ud800"}, False),
        ({"x": "\ud83d\ude00"}, {"x": "\U0001f600"}, True),
        ({1: "a"}, {"1": "a"}, True),
    ],
)
def test_equal_requests_have_equal_keys(
    one: dict[str, Any], other: dict[str, Any], same: bool
) -> None:
    assert (key(one) == key(other)) is same


@pytest.mark.parametrize("name", sorted(VOLATILE))
def test_what_does_not_change_the_answer_is_left_out(name: str) -> None:
    assert key({"a": 1, name: "x"}) == key({"a": 1})
    assert key({"a": {name: "x"}}) != key({"a": {}})


def test_protocol_place_and_repeat_count() -> None:
    body = {"model": "m"}
    others = [
        key(body, 1),
        key(body, 2),
        key(body, protocol="completions"),
        Keys("cache", "http://other", "model")("chat_completions", Form(body)),
        Keys("cache", "http://host", "other")("chat_completions", Form(body)),
        Keys("cache", "http://hos", "tmodel")("chat_completions", Form(body)),
    ]
    assert len({key(body), *others}) == 7
